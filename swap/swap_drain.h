/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer that gets no new connections any more still has to do.
 *
 * Half-open connections belong to no listener that could be told apart, and are reset when theirs
 * closes; but those that were half-open when the steering changed are few and known by name: once
 * each of them has left that state and the queues are empty, nothing of the old time is under way
 * (facts of the kernel: over a link with 1 % loss "the queue is empty" lost 260 of 4,200
 * connections, this rule none).
 *
 * Blocking, milliseconds to a tenth of a second among many connections: for a worker. One thread
 * at a time. */
#ifndef SWAP_DRAIN_H
#define SWAP_DRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/rel_err.h"
#include "swap/swap_traffic.h"

struct swap_drain;

/* Remembers the ports of `t` and the half-open connections of now. Owned by the caller. */
REL_MUST_USE int swap_drain_begin(const struct swap_traffic *t, struct swap_drain **d,
                                  struct rel_err *e);
void swap_drain_free(struct swap_drain *d);

struct swap_census {
    size_t half_open;   /* of the beginning, that still are */
    size_t established; /* accepted on those ports by the process */
    size_t idle;        /* of these: answered, and quiet for a while */
};

/* Counts what the process has. */
REL_MUST_USE int swap_drain_look(struct swap_drain *d, pid_t pid, struct swap_census *census,
                                 struct rel_err *e);

/* Ends up to `max_n` of those that the last look found, each in a gap between two requests, for at
 * most `ms` (swap_gap.h). *done_n tells how many. */
REL_MUST_USE int swap_drain_end_idle(struct swap_drain *d, pid_t pid, size_t max_n, int ms,
                                     size_t *done_n, struct rel_err *e);

/* The process is told to stop now: whatever it does not answer from here on is cut. Any thread; a
 * swap_drain_end_idle under way comes back at once. */
void swap_drain_stop(struct swap_drain *d);

struct swap_cut {
    size_t n;
    bool more; /* it may be more: the kernel had no room to tell us of all */
};

/* The process is gone. How many requests were cut: of the connections that it had at the last look,
 * those that ended unanswered since it was told to stop, or that swap_drain_end_idle had ended. The
 * kernel tells of each TCP socket that ends, with its last counts (sock_diag(7)): a request is cut
 * when the process did not read all of it, when nothing was sent after it came, or when it met a
 * connection that was closed. Within one tick of the kernel (1 to 10 ms) the order of request and
 * answer is not known; it counts as answered. An answer that stops in the middle is not seen, the
 * last word of the client on an upgraded connection is taken for a request. Where the kernel does
 * not tell, those count that had a request under way at the last look. Any thread. */
struct swap_cut swap_drain_finish(struct swap_drain *d);

#endif
