/* SPDX-License-Identifier: Apache-2.0 */
/* The before_boot steps of an upgrade: commands and expressions that run in the new release, one
 * after the other, while the old peer serves; or what else is to be evaluated there. The loop's
 * thread.
 *
 * One that is over leaves nothing behind that runs: what it started ends with it.
 *
 * Their output goes to a file that is kept (HOME/log/steps-<generation>.log) and line by line to
 * `line`. */
#ifndef SUP_STEPS_H
#define SUP_STEPS_H

#include <stdbool.h>
#include <uv.h>

#include "base/rel_err.h"
#include "supervisor/sup_child.h"
#include "supervisor/sup_config.h"
#include "supervisor/sup_env.h"
#include "supervisor/sup_release.h"

struct sup_steps_order {
    const char *home;
    const char *root; /* of the new release; needed for the call only */
    int generation;   /* of the peer that will be booted from it */
    const struct sup_config *config;
    const struct sup_boot_step *steps; /* one at least */
    size_t step_n;
    const char *what;           /* they are, in messages ... */
    const char *name;           /* ... and each of them; NULL: as it is written */
    const struct sup_env *more; /* of their environment, goes before all else; NULL: nothing */
    void (*line)(void *ctx, const char *text); /* of their output */
    /* The process of the next one, which waits: where it cannot be recorded it must not run. */
    int (*record)(void *ctx, const struct sup_child *child, struct rel_err *e);
    /* All are over: e is empty, or says which one failed and how. The last call; what they left in
     * their own folder `tmp` can be read in it. */
    void (*done)(void *ctx, const char *tmp, const struct rel_err *e);
    void *ctx;
};

struct sup_steps;

/* The folder of their own, RELEASE_TMP unless `more` says another; owned by the caller. */
char *sup_steps_folder(const char *home, int generation);

/* 0: the first one runs; `done` will be called, never from inside of this. -1: nothing runs. What
 * `order` points to is lent until then. */
REL_MUST_USE int sup_steps_start(uv_loop_t *loop, const struct sup_steps_order *order,
                                 struct sup_steps **steps, struct rel_err *e);

/* Passes on what they have printed since, and ends one that is over its time. */
void sup_steps_tick(struct sup_steps *steps);

/* Kills what runs; `done` says `why`. */
void sup_steps_kill(struct sup_steps *steps, const char *why);

#endif
