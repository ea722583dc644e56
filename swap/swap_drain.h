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

#endif
