/* SPDX-License-Identifier: Apache-2.0 */
/* An earlier and a later release side by side, read from tarballs or folders. One thread. */
#ifndef PKG_PAIR_H
#define PKG_PAIR_H

#include "pkg/pkg_outline.h"

struct pkg_side {
    const char *path; /* as it was given; lent */
    struct pkg_survey survey;
    struct pkg_outline outline;
};

struct pkg_pair {
    struct pkg_side old, new;
};

/* REL_E_INPUT as pkg_survey_read and pkg_outline_read have it. Both paths are lent. */
REL_MUST_USE int pkg_pair_read(const char *old, const char *new,
                               const struct rel_progress *progress, struct pkg_pair *pair,
                               struct rel_err *e);
void pkg_pair_fini(struct pkg_pair *pair);
#define pkg_autopair __attribute__((cleanup(pkg_pair_fini)))

/* The application of that name, or NULL. */
const struct pkg_outline_app *pkg_side_app(const struct pkg_side *side, const char *name);

/* What is known of the module `name` in the application's ebin folder; NULL when it is not there.
 */
const struct pkg_module_facts *pkg_side_module(const struct pkg_side *side,
                                               const struct pkg_outline_app *app, const char *name);

#endif
