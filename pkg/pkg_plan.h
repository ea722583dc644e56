/* SPDX-License-Identifier: Apache-2.0 */
/* What a hot upgrade would do, as far as the files of two releases tell it: modules in the order in
 * which they depend on each other, and how each goes in. Which processes there are only the running
 * VM knows (`relsup upgrade --hot --dry-run`). Pure. */
#ifndef PKG_PLAN_H
#define PKG_PLAN_H

#include "pkg/pkg_lines.h"
#include "pkg/pkg_pair.h"

/* One line a step, appended to *plan; nothing when no code differs. REL_E_INPUT for a broken .app
 * file. */
REL_MUST_USE int pkg_plan_make(const struct pkg_pair *pair, struct pkg_lines *plan,
                               struct rel_err *e);

#endif
