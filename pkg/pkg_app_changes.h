/* SPDX-License-Identifier: Apache-2.0 */
/* Which modules of an application differ between two releases, in the order in which they go in.
 * Pure. What is found lies in the arena and lends from the pair. */
#ifndef PKG_APP_CHANGES_H
#define PKG_APP_CHANGES_H

#include "pkg/pkg_modules_order.h"
#include "pkg/pkg_pair.h"

/* A module that differs: NULL on the side where it is not. */
struct pkg_module_change {
    const char *name;
    const struct pkg_module_facts *old, *new;
    const char *from; /* the application that it moved from, or NULL */
};

/* The modules in a folder of a release. */
struct pkg_module_set {
    const struct pkg_module_facts **v; /* by name */
    size_t n;
};

struct pkg_app_changes {
    struct pkg_ordered *changed; /* in their order; each `of` a struct pkg_module_change */
    size_t changed_n;
    struct pkg_names added, removed; /* by name */
    struct pkg_names unlisted;       /* differ, and are not among the modules of the .app file */
};

/* Both applications have a folder. A module that went from one application to another is
 * changed, or as it was, in the one that has it now, and in no list of the other. REL_E_INPUT for a
 * broken .app file. */
REL_MUST_USE int pkg_app_changes_find(struct pkg_arena *a, const struct pkg_pair *pair,
                                      const struct pkg_outline_app *old,
                                      const struct pkg_outline_app *new,
                                      struct pkg_app_changes *changes, struct rel_err *e);

/* What lies in `dir` of the release, "lib/shop-0.1.0/ebin". */
struct pkg_module_set pkg_modules_in(struct pkg_arena *a, const struct pkg_side *side,
                                     const char *dir);

/* Those whose code differs, by name. Returns how many. *differ lies in the arena. */
size_t pkg_modules_compare(struct pkg_arena *a, struct pkg_module_set old,
                           struct pkg_module_set new, struct pkg_module_change **differ);

#endif
