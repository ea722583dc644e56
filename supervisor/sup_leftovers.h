/* SPDX-License-Identifier: Apache-2.0 */
/* What a relsup of this home left behind when it was killed. Those that the journal knows, and all
 * others that were started for a peer of this home (RELSUP_HOME with RELSUP_GENERATION in their
 * environment) or as a step before it (RELEASE_TMP), or are in a cgroup of this home, and what
 * those started. Blocking; whoever holds the home's lock. */
#ifndef SUP_LEFTOVERS_H
#define SUP_LEFTOVERS_H

#include "supervisor/sup_journal.h"

struct sup_leftovers {
    const char *home;
    const struct sup_journal *journal;
    bool known; /* false: there was no journal to be read, so every one may have served */
    uid_t user; /* of the peers */
    int timeout_ms;
};

/* Ends them: what never served at once by SIGKILL, a peer that served by SIGTERM, and by SIGKILL
 * after timeout_ms, and then its children. Left alone are this process and those that started it
 * (but for a VM of the journal), and processes of other users than ours and `user`. A number that
 * another process has got since is left alone. *n says how many there
 * were.
 * 0: none of them runs. REL_E_STUCK: one does not end even by SIGKILL. */
REL_MUST_USE int sup_leftovers_end(const struct sup_leftovers *of, size_t *n, struct rel_err *e);

#endif
