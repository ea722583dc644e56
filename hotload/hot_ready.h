/* SPDX-License-Identifier: Apache-2.0 */
/* Does the application of a node run? Its own view, asked of the application controller: that of
 * init says "started" between a start/2 that failed and the halt that follows. Blocking; any thread
 * that has the connection. */
#ifndef HOT_READY_H
#define HOT_READY_H

#include "hotload/hot_node.h"

/* 0: *why is NULL, everything that was started to stay runs, and *sign is the same for as long as
 * the same processes do, as far as supervisors name them (relsup_agent:ready/0); or *why says what
 * is missing, owned by the caller. */
REL_MUST_USE int hot_node_ready(struct hot_node *node, int timeout_ms, int64_t *sign, char **why,
                                struct rel_err *e);

/* Zero-initialised: nothing was seen yet. */
struct hot_settling {
    int64_t sign;
    int64_t top_ms, all_ms; /* since when the top supervisors, and all, are the same; 0: not yet */
};

/* It runs, as that sign says: is it the same for a moment, so that it did not only just begin to
 * fail? A child that is started again and again delays that until its supervisor would have given
 * up by the periods that supervisors commonly have. `at_once`: something else shows that it works.
 * Pure. */
bool hot_settled(struct hot_settling *s, int64_t sign, bool at_once, int64_t now_ms);

/* Does it run, and has for that moment? False also where it does not answer. */
bool hot_node_runs(struct hot_node *node, struct hot_settling *s, int timeout_ms);

/* The listeners of gen_tcp that it opens from now on may be shared with another VM, or may not, as
 * before. */
REL_MUST_USE int hot_node_share(const struct hot_contact *c, bool share, int timeout_ms,
                                struct rel_err *e);

/* Those that it has open may: for where relsup itself may not touch them. */
REL_MUST_USE int hot_node_share_now(const struct hot_contact *c, int timeout_ms, struct rel_err *e);

#endif
