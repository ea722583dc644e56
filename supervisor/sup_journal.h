/* SPDX-License-Identifier: Apache-2.0 */
/* HOME/run/journal.json: what the home is in the middle of, and every child that may run. It is
 * replaced whole before the effect of a state, so that the supervisor after a killed one knows what
 * to look for. Whoever holds the home's lock; blocking. */
#ifndef SUP_JOURNAL_H
#define SUP_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/rel_err.h"

enum { SUP_JOURNAL_PEERS = 6 };

struct sup_journal_peer {
    int generation;
    pid_t pid;
    uint64_t pid_start; /* field 22 of /proc/PID/stat: with the pid it names one process for ever */
    bool served;        /* it got connections; in what an older relsup wrote: it may have */
    bool step;          /* no peer but a before_boot step */
};

struct sup_journal {
    int generation;    /* the last that a peer of this home got; never given again */
    const char *state; /* of the swap, for people; lent when written, NULL when read */
    size_t peer_n;
    struct sup_journal_peer peers[SUP_JOURNAL_PEERS];
};

/* 0: it is on disk. -1, or a crash: the old one is. */
REL_MUST_USE int sup_journal_write(const char *home, const struct sup_journal *j,
                                   struct rel_err *e);

/* A home without one: an empty one. REL_E_INPUT: it is none. REL_E_UNSUPPORTED: a newer relsup
 * wrote it. */
REL_MUST_USE int sup_journal_read(const char *home, struct sup_journal *j, struct rel_err *e);

/* The same, but what is none is set aside as run/journal.broken and a new one begun, with the last
 * generation that left a log; *known is false then. */
REL_MUST_USE int sup_journal_recover(const char *home, struct sup_journal *j, bool *known,
                                     struct rel_err *e);

#endif
