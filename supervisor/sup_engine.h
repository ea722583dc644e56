/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor of one home, inside: shared by sup_run.c (life), sup_serve.c (requests) and
 * sup_swap.c (the orders of the swap's table). The loop's thread, but for what a worker is handed.
 */
#ifndef SUP_ENGINE_H
#define SUP_ENGINE_H

#include "supervisor/sup_config.h"
#include "supervisor/sup_control.h"
#include "supervisor/sup_jobs.h"
#include "supervisor/sup_peer.h"
#include "supervisor/sup_run.h"
#include "supervisor/sup_store.h"
#include "swap/swap_fsm.h"

enum { SUP_EVENTS = 16 };

/* What was asked for last. */
struct sup_ask {
    const char *what;         /* "boot", "upgrade", "rollback", "restart", "recover" */
    char *release;            /* tarball to bring in; NULL: `dir` is there already */
    char *dir, *from;         /* folders in releases/ */
    bool hot, dry_run, added; /* added: `dir` came in with this and goes if it fails */
    char *app;
    int64_t boot_ms, began_ms;
    struct sup_conn *conn; /* who waits for it; NULL */
    struct rel_err failure;
    struct hot_report report;
};

struct sup {
    uv_loop_t loop;
    struct sup_store store;
    struct sup_config config;
    const struct sup_run_options *options;
    struct sup_control *control;
    uv_signal_t term, interrupt;
    uv_timer_t tick;
    uv_work_t job, probe;
    bool job_busy, probe_busy;
    enum swap_state state;
    int64_t deadline_ms, step_ms, heard_ms, nudged_ms;
    enum swap_event queue[SUP_EVENTS];
    size_t queue_n;
    bool draining_queue;
    struct sup_peer *active, *candidate, *old;
    int generation;
    bool green, served; /* name slot of the next peer; has any peer ever been ready? */
    struct sup_ask ask;
    bool stopping, killed;
    int64_t stop_deadline_ms, restart_at_ms, backoff_ms;
    struct sup_conn *stop_conn;
    struct rel_err failure; /* of sup_run itself */
    /* of the probe under way: copies, because the peer may end meanwhile */
    struct hot_contact probe_contact, job_contact;
    pid_t probe_old_pid;
    int probe_old_port, probe_generation;
    bool probe_ready;
    char *probe_why, *why;
    struct rel_err probe_err, job_err;
};

void sup_log(struct sup *s, const char *fmt, ...) REL_PRINTF(2, 3);
/* Tells the service manager (sd_notify(3)); nothing without one. */
void sup_notify(const char *state);
/* Puts what the home is in the middle of, and who may run, into its journal. */
void sup_note_journal(struct sup *s);
/* The application is down: it is started again, later and later while that keeps failing. */
void sup_restart_later(struct sup *s, bool forget);
/* A fact: the table says what follows. Never re-enters an order. */
void sup_post(struct sup *s, enum swap_event event);
/* Begins what `ask` says (its strings are taken); the state must be idle. */
void sup_begin(struct sup *s, const struct sup_ask *ask);
/* Performs an order of the table. */
void sup_perform(struct sup *s, enum swap_action action);
/* A probe, unless one is under way. */
void sup_probe_candidate(struct sup *s);
void sup_step(struct sup *s, const char *step, const char *state, const char *detail);
/* A peer ended: which event that is, or a crash of the active one. */
void sup_on_peer_exit(struct sup_peer *peer);

/* Ends every peer, then the loop. */
void sup_stop_all(struct sup *s);
/* The handler of the control socket (sup_serve.c); ctx is the struct sup. */
void sup_on_request(void *ctx, struct sup_conn *conn, const struct sup_request *r);
void sup_on_gone(void *ctx, struct sup_conn *conn);

#endif
