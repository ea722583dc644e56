/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which changed modules go in: what a module calls before the module itself. Pure. */
#ifndef PKG_MODULES_ORDER_H
#define PKG_MODULES_ORDER_H

#include "pkg/pkg_app.h"
#include "pkg/pkg_beam.h"

struct pkg_ordered {
    const char *name;                   /* lent */
    const struct pkg_beam_mfa *imports; /* lent */
    size_t import_n;
    const void *of;         /* the caller's */
    struct pkg_names calls; /* set: which of the others it calls, by name; in the arena */
};

/* Sorts `v`, whose names are different, so that a module comes behind all that it calls, and else
 * by name; of modules that call each other in a circle one comes first all the same. The same set
 * gives the same order, however it was sorted. */
void pkg_modules_order(struct pkg_arena *a, struct pkg_ordered *v, size_t n);

#endif
