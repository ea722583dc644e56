/* SPDX-License-Identifier: Apache-2.0 */
/* Ends HTTP/1.x keep-alive connections of a process from outside, in the gap between an answer and
 * the next request, when nothing of its client is on the way.
 *
 * What a connection speaks is seen from its next request. SO_RCVLOWAT on our copy of the socket
 * lets no short request wake the process, until we have looked at its first bytes (MSG_PEEK) and
 * put the mark back, which wakes it (tcp_set_rcvlowat()): a request is held for less than a
 * millisecond. What is no complete head of a plain request, or asks for an upgrade or for an event
 * stream, is never ended here: it speaks something else.
 *
 * That an answer is complete cannot be seen. It is taken to be when the process has sent something
 * since the request, nothing is left to be sent, and it has been quiet for a quarter of the
 * shortest gap that this client has left so far, or for a second. Later than in the first half of
 * the gap none is ended: the next request may be on its way. Of a client that leaves less than
 * MIN_GAP none is.
 *
 * If we die while the mark is up, requests on those connections hang until their process is ended,
 * which is the next thing that happens to it. */
#ifndef SWAP_GAP_H
#define SWAP_GAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/rel_err.h"

enum swap_speech { SWAP_SPEECH_UNKNOWN, SWAP_SPEECH_HTTP, SWAP_SPEECH_OTHER };
enum swap_phase { SWAP_PHASE_UNSEEN, SWAP_PHASE_ASKED, SWAP_PHASE_ANSWERED };

/* What is known of a connection; all zero at first, kept by the caller from call to call. */
struct swap_gap {
    enum swap_speech speech;
    enum swap_phase phase;
    bool ended;
    uint64_t received, sent;   /* bytes, at the last look */
    uint32_t segments;         /* that had come when it was ended */
    int64_t looked_us;         /* when that was */
    int64_t early_us, late_us; /* the answer ended between these two */
    /* The shortest gap (0: none yet) and the longest pause within an answer, of late: a hiccup of
     * the machine is forgotten after some requests. */
    int64_t shortest_us, rest_us;
};

struct swap_look {
    int64_t now_us;
    uint64_t received, sent;
    bool unsent;
    enum swap_speech speech; /* of the request that came since the last look; UNKNOWN: not seen */
};

/* The first bytes of a request; UNKNOWN: not all of its head is there. */
enum swap_speech swap_speech_of(const char *data, size_t n);

/* Takes a look in. True: this is the moment to end it. Pure. */
bool swap_gap_step(struct swap_gap *g, const struct swap_look *look);

struct swap_gap_target {
    int vm_fd; /* its number in the process */
    uint64_t inode;
    struct swap_gap *gap; /* lent */
};

/* Watches the connections for at most `ms` and ends up to `max_n` of them: the process reads their
 * end behind what came before, and closes them itself. *done_n tells how many. REL_E_UNSUPPORTED:
 * we may not hold its sockets (pidfd_getfd(2)); nothing is ended then. Blocks; a worker's.
 * `*hurry` may be set by another thread, to have it back at once. */
struct swap_gap_order {
    pid_t pid;
    struct swap_gap_target *v;
    size_t n, max_n;
    int ms;
    const _Atomic bool *hurry;
};
REL_MUST_USE int swap_gap_end(const struct swap_gap_order *o, size_t *done_n, struct rel_err *e);

#endif
