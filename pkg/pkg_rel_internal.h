/* SPDX-License-Identifier: Apache-2.0 */
/* Between pkg_rel.c, which collects the applications of a release, and pkg_rel_order.c, which
 * checks and orders them. */
#ifndef PKG_REL_INTERNAL_H
#define PKG_REL_INTERNAL_H

#include "pkg/pkg_rel.h"

/* With name, vsn, apps (app, type, includes_override) set: fills uses, includes and order, or
 * REL_E_INPUT. The checks and their order are those of systools_make:get_release1. */
REL_MUST_USE int pkg_rel_resolve(struct pkg_rel *rel, struct rel_err *e);

#endif
