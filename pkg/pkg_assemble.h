/* SPDX-License-Identifier: Apache-2.0 */
/* From a project to the entries of its release; used by pkg_build.c only. */
#ifndef PKG_ASSEMBLE_H
#define PKG_ASSEMBLE_H

#include "pkg/pkg_entries.h"
#include "pkg/pkg_erts.h"
#include "pkg/pkg_project.h"

struct pkg_assemble {
    const struct pkg_otp *otp;
    const struct pkg_rel *rel;
    const char *relctl;
    const struct rel_progress *progress;
};

/* Adds every file of the release; they are not sorted yet. */
REL_MUST_USE int pkg_assemble(struct pkg_project *p, const struct pkg_assemble *how,
                              struct pkg_entries *es, struct rel_err *e);

#endif
