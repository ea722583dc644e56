/* SPDX-License-Identifier: Apache-2.0 */
/* Does the application of a node run? Its own view, asked of the application controller: that of
 * init says "started" between a start/2 that failed and the halt that follows. Blocking; any thread
 * that has the connection. */
#ifndef HOT_READY_H
#define HOT_READY_H

#include "hotload/hot_node.h"

/* 0: *why is NULL, everything that was started to stay runs, and *sign is the same for as long as
 * the same top supervisors do; or *why says what is missing, owned by the caller. */
REL_MUST_USE int hot_node_ready(struct hot_node *node, int timeout_ms, int64_t *sign, char **why,
                                struct rel_err *e);

/* The listeners of gen_tcp that it opens from now on may be shared with another VM, or may not, as
 * before. */
REL_MUST_USE int hot_node_share(const struct hot_contact *c, bool share, int timeout_ms,
                                struct rel_err *e);

/* Those that it has open may: for where relsup itself may not touch them. */
REL_MUST_USE int hot_node_share_now(const struct hot_contact *c, int timeout_ms, struct rel_err *e);

#endif
