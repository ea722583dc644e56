/* SPDX-License-Identifier: Apache-2.0 */
/* One look at a peer, through preview connections: what the operator configured as `health`.
 * Blocking, bounded by the probe's own timeout: for a worker thread. No state. */
#ifndef SUP_PROBE_H
#define SUP_PROBE_H

#include <stdbool.h>

#include "base/rel_err.h"
#include "hotload/hot_contact.h"
#include "supervisor/sup_config.h"
#include "swap/swap_traffic.h"

/* Where the peer is. Copies, because it may end meanwhile. */
struct sup_place {
    const char *home;
    const struct sup_config
        *config; /* lent, as the probe itself is; NULL: no operator's settings */
    struct hot_contact contact;
    struct swap_group_view *groups; /* in which it listens */
    size_t group_n;
};

void sup_place_fini(struct sup_place *place);
/* Fills in the groups, by looking where the peer listens: for one that nobody is swapped for. */
void sup_place_find(struct sup_place *place);

/* What is asked of every peer, configured or not: its node answers, its application is started. */
extern const struct sup_health sup_node_health;

/* A probe and how it went. */
struct sup_health_run {
    const struct sup_health *health;
    int passed, failed; /* in a row */
    int64_t next_ms;
};
void sup_health_judge(struct sup_health_run *run, bool good);

/* 0: it passed. -1: it did not, with what was seen. */
REL_MUST_USE int sup_probe_run(const struct sup_health *h, const struct sup_place *place,
                               struct rel_err *e);

#endif
