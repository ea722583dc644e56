/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor does off its loop: each function blocks, has a deadline and touches nothing
 * of the loop's. Any thread. */
#ifndef SUP_JOBS_H
#define SUP_JOBS_H

#include <stdbool.h>

#include "base/rel_err.h"
#include "hotload/hot_contact.h"
#include "swap/swap_expect.h"

enum { SUP_OWN_MAX = 4 };

/* A booting peer, and what it is compared with. Copies, for a look off the loop. */
struct sup_look {
    struct hot_contact contact;
    struct swap_expect expect;
    pid_t old_pid; /* who serves; 0: nobody, and then it must accept what is connected to it */
    int old_port;  /* of its distribution */
    struct swap_listeners before; /* its own, as it was seen last: it may have ended */
    bool remembers;               /* nobody serves: it is to listen where `expect.known` did */
    bool guarded;           /* nothing is led to it until it is proved, and then that it accepts */
    pid_t own[SUP_OWN_MAX]; /* the peers of this home, whose listeners are no strangers; 0s */
};
void sup_look_fini(struct sup_look *look);

/* How far it is. */
struct sup_readiness {
    bool settled;  /* its application runs; it lacks nothing but listeners that are remembered */
    bool ready;    /* and it listens, and accepts */
    bool listens;  /* on one port at least */
    bool never;    /* it cannot become ready any more */
    bool stranger; /* because somebody else listens where it does: it must end at once */
    int64_t sign;  /* of what runs; another one means that something was started again */
    char *why;     /* what is missing, in words, owned by the caller; NULL when ready */
};

/* Does its application run, does it listen wherever it is expected to and nobody else does, and,
 * while nobody else serves, does it accept? */
REL_MUST_USE int sup_job_look(const struct sup_look *look, struct sup_readiness *readiness,
                              struct rel_err *e);

#endif
