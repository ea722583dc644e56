/* SPDX-License-Identifier: Apache-2.0 */
/* Which changed modules an appup has held and loaded together: DepMods. Pure.
 *
 * A process that runs code while it is held (code_change, init/1 of a supervisor) may call another
 * one, so processes of two modules are never held together. With the module of a process go those
 * without processes that no other process reaches: they change while it is held. */
#ifndef PKG_APPUP_GROUP_H
#define PKG_APPUP_GROUP_H

#include "pkg/pkg_app_changes.h"

/* What pkg_app_changes_find ordered: sorted so that each group is in one place, behind those that
 * it calls, and what a module calls is limited to its own group. In the arena. */
void pkg_appup_group(struct pkg_arena *a, struct pkg_ordered *changed, size_t n);

#endif
