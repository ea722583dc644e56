/* SPDX-License-Identifier: Apache-2.0 */
/* Two peers of a home can connect to each other by name from then on, though there is no epmd and
 * each has a cookie of its own (relsup_dist.erl, docs/face.md). Blocking, for a worker; any thread.
 */
#ifndef HOT_INTRODUCE_H
#define HOT_INTRODUCE_H

#include "hotload/hot_contact.h"

/* Each learns the port of the other, and both a new cookie for the other's name. `candidate` is to
 * be proved by then.
 * 0: they can; nothing is connected. REL_E_UNSUPPORTED: the distribution of one is another one. -1:
 * one of them may know. */
REL_MUST_USE int hot_introduce(const struct hot_contact *active,
                               const struct hot_contact *candidate, int timeout_ms,
                               struct rel_err *e);

/* The node of that name is gone: `left` has no more in common with it. So what a crash dump of one
 * of the two tells opens nothing. 0 also where `left` never knew it. */
REL_MUST_USE int hot_forget(const struct hot_contact *left, const char *node, int timeout_ms,
                            struct rel_err *e);

#endif
