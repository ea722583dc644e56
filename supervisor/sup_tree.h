/* SPDX-License-Identifier: Apache-2.0 */
/* Two trees of files side by side. Blocking; any thread. */
#ifndef SUP_TREE_H
#define SUP_TREE_H

#include <stdbool.h>

#include "base/rel_err.h"

/* Is each file, link and folder of `fresh` in `there`, too, with the same content and mode? What
 * `there` has besides is its own affair: an application may write into its folder. */
REL_MUST_USE int sup_tree_holds(const char *there, const char *fresh, bool *holds,
                                struct rel_err *e);

#endif
