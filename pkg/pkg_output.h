/* SPDX-License-Identifier: Apache-2.0 */
/* Where a build's result goes: a folder or a tarball, written beside its name and then renamed.
 * One thread; no state. */
#ifndef PKG_OUTPUT_H
#define PKG_OUTPUT_H

#include "pkg/pkg_archive.h"
#include "pkg/pkg_project.h"

struct pkg_output {
    const char *dir;  /* absolute; made when it is not there */
    const char *path; /* of the result, in dir */
    bool tar;
    enum pkg_format format;
};

/* Says early, before minutes of compiling, that nothing can be written into the folder `dir`, or
 * that it is the project itself. REL_E_INPUT. */
REL_MUST_USE int pkg_output_check(const char *dir, const char *project, struct rel_err *e);

/* REL_E_INPUT when the result would lie in a folder that is packed, so that the next build would
 * pack it, or has the name of a folder. */
REL_MUST_USE int pkg_output_check_apart(const struct pkg_output *out, const struct pkg_project *p,
                                        const struct pkg_rel *rel, struct rel_err *e);

/* Of sorted entries. 0: out->path is whole and on disk. -1: what was there is as it was, and no
 * folder was made. A crash: the same, but a temporary name may lie beside it, which a build an hour
 * later removes. */
REL_MUST_USE int pkg_output_write(const struct pkg_entries *es, const struct pkg_output *out,
                                  const struct rel_progress *progress, struct rel_err *e);

#endif
