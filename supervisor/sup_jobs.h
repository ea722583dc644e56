/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor does off its loop: each function blocks, has a deadline and touches nothing
 * of the loop's. Any thread. */
#ifndef SUP_JOBS_H
#define SUP_JOBS_H

#include <stdbool.h>

#include "base/rel_err.h"
#include "hotload/hot_contact.h"

/* How far a booting peer is. */
struct sup_readiness {
    bool ready;
    bool never; /* it cannot become ready any more */
    char *why;  /* what is missing, in words, owned by the caller; NULL when ready */
};

/* Is the peer of `c` booted, its own application started, and does it listen wherever the process
 * `old_pid` does (0: nobody to compare with; old_port is its distribution's)? */
REL_MUST_USE int sup_job_probe(const struct hot_contact *c, pid_t old_pid, int old_port,
                               struct sup_readiness *readiness, struct rel_err *e);

#endif
