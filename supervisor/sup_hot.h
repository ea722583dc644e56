/* SPDX-License-Identifier: Apache-2.0 */
/* The hot upgrade as a job off the loop: has the running peer changed from one release to
 * another (hotload/), and looks whether it is still good. Blocking, every part with a deadline;
 * touches nothing of the loop's. Any thread. */
#ifndef SUP_HOT_H
#define SUP_HOT_H

#include <stdatomic.h>

#include <jansson.h>

#include "hotload/hot_upgrade.h"
#include "supervisor/sup_diff.h"
#include "supervisor/sup_probe.h"

struct sup_hot_job {
    const struct hot_contact *contact;
    const struct sup_diff *diff;               /* of the release that runs and the new one */
    const struct rel_buf *new_config;          /* of hot_plan; NULL */
    const struct sup_config *config;           /* its probes and hints; NULL: none */
    const char *home;                          /* of the probes; NULL: there is none */
    bool check;                                /* only look whether it could be done */
    bool automatic;                            /* rather not at all than with harm to a process */
    bool down, booted;                         /* of hot_plan */
    const atomic_bool *ended;                  /* once it is set, what is not committed is undone */
    int suspend_ms;                            /* of hot_plan; 0: 5 s */
    int64_t wait_ms;                           /* of hot_plan; -1: 5 s */
    bool refuse_old;                           /* of hot_plan */
    int prove_ms;                              /* of hot_plan; 0: 60 s */
    int (*seal)(void *ctx, struct rel_err *e); /* of hot_plan; NULL: there is nothing */
    void *seal_ctx;
};

/* Errors and *report as of hot_upgrade_run, REL_E_ROLLED_BACK also where the node ended meanwhile:
 * then nothing of either release runs there. With `automatic` REL_E_INPUT also says that it could
 * be done, but not without harm; nothing was touched then, nor with REL_E_IN_USE. */
REL_MUST_USE int sup_hot_run(const struct sup_hot_job *job, struct hot_report *report,
                             struct rel_err *e);

/* The lines of a plan by section; NULL: it has none. The caller owns it. */
json_t *sup_plan_json(const struct hot_report *report);

#endif
