/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor of one home, inside: shared by sup_run.c (life), sup_serve.c (requests),
 * sup_swap.c (the orders of the swap's table that bring a release in and end a run), sup_change.c
 * (the hot upgrade), sup_revive.c (an active peer that ended), sup_steer.c (the orders that move
 * the connections), sup_health.c (the probes) and sup_drain.c (what is left). The loop's thread,
 * but for what a worker is handed.
 */
#ifndef SUP_ENGINE_H
#define SUP_ENGINE_H

#include <stdatomic.h>

#include "hotload/hot_ready.h"
#include "supervisor/sup_config.h"
#include "supervisor/sup_control.h"
#include "supervisor/sup_hot.h"
#include "supervisor/sup_incoming.h"
#include "supervisor/sup_jobs.h"
#include "supervisor/sup_past.h"
#include "supervisor/sup_peer.h"
#include "supervisor/sup_probe.h"
#include "supervisor/sup_run.h"
#include "supervisor/sup_steps.h"
#include "supervisor/sup_store.h"
#include "supervisor/sup_worker.h"
#include "swap/swap_drain.h"
#include "swap/swap_fsm.h"
#include "swap/swap_listen.h"
#include "swap/swap_traffic.h"

struct sup;

enum { SUP_EVENTS = 16, SUP_SHARES = 16, SUP_SIGNALS = 3 };

/* Processes that stay inside of a changed module. */
enum sup_old_code { SUP_OLD_AS_CONFIGURED, SUP_OLD_KEEP, SUP_OLD_REFUSE };

/* What was asked for last. */
struct sup_ask {
    const char *what;    /* "boot", "upgrade", "rollback", "restart" */
    char *release;       /* tarball to bring in; NULL: `dir` is there already */
    char *dir, *from;    /* folders in releases/ */
    bool hot, automatic; /* automatic: hot where it harms no process, else by a swap */
    bool down, booted;   /* back to an earlier release; to that which its VM booted */
    bool in_chain;       /* its VM had that release before, since its boot */
    bool allow_older;    /* than what served already, also where a key is set */
    bool forward;        /* a rollback by name to what did not serve before */
    bool dry_run, added; /* added: `dir` came in with this and goes if it fails */
    bool taken;          /* somebody else listens where it is to: no fault of the release */
    bool hold;           /* wait for a person before the cutover */
    bool cut_over;       /* the candidate has got all connections, for a while at least */
    bool until_serving;  /* who asked does not wait for the end of the old peer */
    char *app;
    int64_t boot_ms, soak_ms, drain_ms, step_ms, began_ms; /* -1: as configured */
    int64_t suspend_ms;                                    /* hot; 0: as usual */
    int64_t wait_ms;                                       /* hot; -1: as usual */
    enum sup_old_code old_code;                            /* hot */
    int64_t hold_ms;                                       /* -1: without limit */
    bool ended;                                            /* its job was told to end */
    unsigned shares[SUP_SHARES];                           /* of 10,000; before all of them */
    size_t share_n, share_at;
    struct swap_cut cut;       /* requests, at the end of the drain ... */
    int64_t drain_took_ms;     /* ... which took so long; 0: there was none */
    struct sup_conn *conn;     /* who waits for it; NULL */
    struct sup_conns aborters; /* who ended it */
    struct rel_err failure;
    struct hot_report report;
    char *instead;     /* what does not boot, and so this does; NULL */
    char *why_not_hot; /* what `automatic` found against it; NULL */
};

/* The connections. */
struct sup_steering {
    struct swap_traffic *traffic; /* NULL: no swap is under way, or they cannot be steered */
    char *why_not;                /* they cannot be; NULL: they can, as far as known */
    int64_t watched_ms, missing_ms;
    struct swap_process who[SWAP_SIDE_COUNT]; /* of the verification under way */
    bool busy, let_go; /* a worker has `traffic`; and then somebody wanted to let go of `side` */
    enum swap_side let_go_side;
};

/* The probes of the candidate. */
struct sup_trial {
    uv_work_t work;
    struct sup_health_run *runs;     /* NULL: there is no trial */
    size_t n, at;                    /* at: the one under way */
    const struct sup_health *health; /* of that one: `runs` may be gone by then */
    struct sup_place place;
    struct sup_config config; /* lent: as it was when that one began */
    struct rel_err e;
    int generation;
    bool busy;
};

/* What is left of a peer that gets no new connections. */
struct sup_rest {
    uv_work_t work;
    struct swap_drain *drain;        /* NULL: nothing is waited for */
    struct swap_census census, seen; /* seen: by the look under way */
    size_t may_end_n, done_n;        /* of the look under way: connections in their gaps */
    size_t ended_n;                  /* so far */
    int64_t began_ms, look_ms, look_took_ms, ended_ms;
    int64_t took_ms; /* until the peer was told to stop */
    int look_rc;
    struct rel_err e;
    pid_t pid;        /* of the look under way */
    bool busy, again; /* again: for the other peer, as soon as the look under way is over */
    bool calm;        /* nothing waited at the end of the last look */
    bool left_alone;  /* we may not end any */
};

/* What is done about an active peer that ended, beside whatever is under way (swap_fsm.h says in
 * which states): `current` is booted, and is the active one as soon as it is ready. */
struct sup_revival {
    struct sup_peer *peer; /* boots, has never served; NULL: none */
    int64_t began_ms;      /* since when nobody serves */
    int64_t next_ms;       /* not before: later and later while it keeps failing */
    int64_t backoff_ms, deadline_ms;
    bool noted; /* that it fails stands in the history */
};

/* The releases that are left to be booted where the first one of a run does not. */
struct sup_fallback {
    bool began;
    struct sup_past past;
    char *wanted;       /* the first that was tried; NULL: none yet */
    struct rel_err why; /* it does not boot */
};

/* Where the application listens. */
struct sup_ports {
    struct swap_expect expect;    /* of the candidate */
    bool remembers;               /* `expect.known` is of the very release that boots */
    struct swap_listeners before; /* of who served when the order began: it may end meanwhile */
    struct hot_settling settling; /* of what runs in it */
    int generation;               /* whose listeners are remembered ... */
    int64_t note_ms;              /* ... at that time ... */
    bool again;                   /* ... and once more */
};

/* Of what the new release would boot with (sup_evaluate.c). */
struct sup_evaluation {
    struct sup_boot_step step;
    struct sup_env env;
    void (*done)(struct sup *s);
};

struct sup {
    uv_loop_t loop;
    struct sup_store store;
    struct sup_config config, before; /* before: in force when the order under way began */
    struct sup_config *replaced;      /* no longer in force, but something may still look at them */
    size_t replaced_n;
    const struct sup_run_options *options;
    struct sup_control *control;
    uv_signal_t signals[SUP_SIGNALS];
    uv_timer_t tick;
    uv_work_t job, probe;
    bool job_busy, probe_busy;
    bool has_before; /* `before` holds settings */
    bool reload;     /* they are to be read anew, as soon as nothing is under way */
    bool sealed;     /* the change under way has touched what boots next */
    struct sup_diff job_diff;
    struct rel_buf job_config;       /* of hot_plan; empty: nothing was evaluated */
    struct sup_release *job_release; /* what it changes to; NULL until it is sealed */
    enum swap_state state, left;     /* now, and the one before */
    int64_t entered_ms, deadline_ms; /* of the state */
    int64_t step_ms, heard_ms, nudged_ms;
    enum swap_event queue[SUP_EVENTS];
    size_t queue_n;
    struct sup_peer *active, *candidate, *old;
    struct sup_peer_owner owner; /* of each of them */
    int generation;
    bool green, served; /* name slot of the next peer; has any peer ever been ready? */
    struct sup_ask ask;
    bool draining_queue, stopping, killed;
    bool unwritten, unlinked; /* active.json, `current` could not be written: sup_catch_up.c */
    int64_t retry_ms;
    int64_t stop_deadline_ms;
    struct sup_conns stoppers; /* who asked for it */
    int64_t told_ms;           /* when they heard from us */
    struct sup_revival revival;
    struct sup_fallback fallback;
    char *instead;            /* of the ask that made it serve; NULL */
    atomic_bool change_ended; /* the hot upgrade under way is to be undone */
    struct rel_err failure;   /* of sup_run itself */
    /* of the probe under way: copies, because the peer may end meanwhile */
    struct sup_look look;
    struct hot_contact job_contact, job_old_contact;
    struct sup_readiness readiness;
    char *why;
    struct rel_err probe_err, job_err;
    char *incoming;            /* the folder of a release on its way in */
    struct sup_worker *worker; /* NULL: none runs */
    struct sup_steps *steps;   /* NULL: none runs */
    struct sup_evaluation evaluation;
    struct sup_child step; /* the process of the one that runs; pid 0 */
    struct sup_steering steer;
    struct sup_trial trial;
    struct sup_rest rest;
    struct sup_ports ports;
};

void sup_log(struct sup *s, const char *fmt, ...) REL_PRINTF(2, 3);
/* Tells the service manager (sd_notify(3)); nothing without one. */
void sup_notify(const char *state);
/* Puts what the home is in the middle of, and who may run, into its journal. */
void sup_note_journal(struct sup *s);
/* The same for whoever must not go on without it. */
REL_MUST_USE int sup_write_journal(struct sup *s, struct rel_err *e);
/* A fact: the table says what follows. Never re-enters an order. */
void sup_post(struct sup *s, enum swap_event event);
/* Begins what `ask` says (its strings are taken); the state must be idle. */
void sup_begin(struct sup *s, const struct sup_ask *ask);
void sup_ask_fini(struct sup_ask *ask);
/* Performs an order of the table. */
void sup_perform(struct sup *s, enum swap_action action);
/* Looks whether that peer, which boots, is ready, unless somebody looks already. */
void sup_probe_peer(struct sup *s, const struct sup_peer *peer);
/* Boots a release of this home as the next peer. */
REL_MUST_USE int sup_spawn_peer(struct sup *s, const char *dir, const struct sup_config *config,
                                struct sup_peer **peer, struct rel_err *e);
/* Faster ticks: something is under way. */
void sup_wake(struct sup *s);
void sup_step(struct sup *s, const char *step, const char *state, const char *detail);
/* A peer ended: which event that is, or a crash of the active one. */
void sup_on_peer_exit(struct sup_peer *peer);
/* sup_catch_up.c */

/* Whoever looks for the active peer finds it; what fails is logged, and tried again later. */
void sup_show_active(struct sup *s);
void sup_catch_up(struct sup *s, int64_t now);

/* sup_signal.c. Each signal does what docs/signals.md says: none but a fault of the program, or
 * SIGKILL, ends the supervisor while its application runs on. */

/* Until the loop listens to them: those that would end us, or stop us, for nothing. */
void sup_signals_ignore(void);
void sup_signals_open(struct sup *s);
void sup_signals_close(struct sup *s);
/* Reads the settings if SIGHUP asked for it and nothing is under way. */
void sup_reload_tick(struct sup *s);

/* sup_settings.c. HOME/relsup.json is in force, or what the release brings that runs or is on its
 * way; read anew for each order, for each start and on SIGHUP. On failure nothing changes. */

/* Those of the release in that folder; NULL: there is none yet. Nothing may be under way. */
REL_MUST_USE int sup_settings_take(struct sup *s, const char *dir, struct rel_err *e);
/* Those of `ask.dir`, until the order is over; and the times that were not asked for. */
REL_MUST_USE int sup_settings_enter(struct sup *s, struct rel_err *e);
/* Those of the active release, for a start of it beside whatever is under way; one that cannot be
 * read any more is better started with those it had than not at all. */
const struct sup_config *sup_settings_active(struct sup *s, const char *dir);
/* The order is over: they stay, or those before it are back. */
void sup_settings_settle(struct sup *s, bool keep);
void sup_settings_fini(struct sup *s);

/* sup_fallback.c */

/* True: *ask boots the release that served before `failed` (NULL: before whatever `current` was
 * meant to name). False: there is none. */
bool sup_fall_back(struct sup *s, const char *failed, const struct rel_err *why,
                   struct sup_ask *ask);
void sup_fallback_fini(struct sup *s);

/* sup_revive.c */

/* The active peer ended. `forget`: what failed before is. */
void sup_revive_later(struct sup *s, bool forget);
/* A candidate is about to be booted: it is the way back to service now. */
void sup_revive_end(struct sup *s);
/* The peer was looked at (s->readiness). */
void sup_revive_probed(struct sup *s);
void sup_revive_exited(struct sup *s);
void sup_revive_tick(struct sup *s, int64_t now);

/* sup_ports.c */

/* An order begins: where whoever serves listens, or did before it crashed, a candidate is to listen
 * as well, even if that one ends meanwhile. */
void sup_ports_begin(struct sup *s);
/* Before anything of an order is begun in the release: what its peer is to listen on, and that
 * nobody else listens there (REL_E_INPUT, who it is). */
REL_MUST_USE int sup_ports_check(struct sup *s, const char *dir, const struct sup_config *config,
                                 struct rel_err *e);
/* The same without looking, for the peer that is about to be booted. */
void sup_ports_expect(struct sup *s, const char *dir, const struct sup_config *config);
/* Of a peer that found its port taken: who listens on one that its log or its environment calls a
 * port, as text owned by the caller; NULL: nobody does. */
char *sup_ports_suspect(const struct sup *s, const char *log);
void sup_ports_look(const struct sup *s, const struct sup_peer *peer, struct sup_look *look);
/* The same has run for a moment. */
bool sup_ports_settled(struct sup *s, const struct sup_readiness *r);
/* The time to boot is over. Nobody serves, and all that is missing are listeners of its last run:
 * better served without these than not at all, and said loudly. */
bool sup_ports_serve_anyway(struct sup *s, const char *dir);
void sup_ports_tick(struct sup *s, int64_t now);
void sup_ports_fini(struct sup *s);

/* sup_report.c */
/* A line of the history about an active peer that ended; `reason` NULL: it serves again. */
void sup_report_revival(struct sup *s, const char *dir, int64_t took_ms, const char *reason);
void sup_report_done(struct sup *s);
void sup_report_refused(struct sup *s);
void sup_report_undone(struct sup *s);
/* Who waits learns that the new release serves; once. */
void sup_answer_done(struct sup *s, const char *app);
void sup_set_current(struct sup *s, const char *dir);
/* A deadline passed, and what it was for. */
void sup_fail_late(struct sup *s);

/* sup_prune.c: removes old releases, but none that something still has need of; what fails is
 * logged. */
void sup_prune(struct sup *s);

/* sup_rollback.c: where a rollback goes, and what that means; NULL: to what served before. Who
 * asked is told. */
REL_MUST_USE int sup_find_rollback(struct sup *s, const char *version, struct sup_ask *ask,
                                   struct rel_err *e);

/* sup_rollback.c: where a key says what may come in, an upgrade does not lead below the highest
 * version that served: somebody might replay an old release, whose signature is as good as ever.
 * REL_E_OLDER. */
REL_MUST_USE int sup_check_older(const struct sup *s, struct rel_err *e);

/* sup_change.c */
void sup_change_code(struct sup *s);

/* sup_evaluate.c: has the new release say what it would boot with where the active peer runs, as a
 * step (sup_steps.h). 0: `done` will be called, never from inside of this; then `job_config` holds
 * it, or `job_err` says why not. -1: nothing runs. */
REL_MUST_USE int sup_evaluate(struct sup *s, void (*done)(struct sup *s), struct rel_err *e);

/* sup_swap.c: of any step (sup_steps_order). */
void sup_on_step_line(void *ctx, const char *text);
int sup_on_step_held(void *ctx, const struct sup_child *child, struct rel_err *e);

/* sup_share.c: the active peer may share the ports that it opens from now on, or may not. */
void sup_share(struct sup *s, bool share);

/* sup_steer.c. Each order posts what comes of it. */

/* Before the candidate is booted: the old peer's sockets alone get connections. -1: refused. */
REL_MUST_USE int sup_guard(struct sup *s, struct rel_err *e);
void sup_prove(struct sup *s);
void sup_hold(struct sup *s);
void sup_hand_over(struct sup *s);
void sup_shift(struct sup *s);
void sup_cut_over(struct sup *s);
void sup_steer_back(struct sup *s);
/* The run is over: the sockets of that side leave, and nothing is held any more. */
void sup_let_go(struct sup *s, enum swap_side side);
/* The active peer crashed before anybody else was proved. */
void sup_block_old(struct sup *s);
void sup_steer_tick(struct sup *s, int64_t now);

/* sup_introduce.c: the candidate is proved, and the two peers may connect to each other. Beside
 * whatever is under way. */
void sup_introduce(struct sup *s);
/* That peer has ended: who is left has nothing in common with it any more. */
void sup_part(struct sup *s, const struct sup_peer *gone);

/* sup_health.c */
void sup_health_begin(struct sup *s);
void sup_health_tick(struct sup *s, int64_t now);
void sup_health_end(struct sup *s);

/* sup_drain.c */
void sup_drain_begin(struct sup *s);
void sup_drain_tick(struct sup *s, int64_t now);
void sup_drain_end(struct sup *s);
/* The peer is told to stop now: what it does not answer is cut. */
void sup_drain_stop(struct sup *s);
/* The peer is gone: `ask` has what was cut. */
void sup_drain_finish(struct sup *s);
/* The same as "requests_cut" and "drain_ms"; nothing where nothing was drained. */
void sup_drain_tell(const struct sup *s, json_t *o);
/* "12 connections, 24 s left", owned by the caller; NULL while nothing is drained. */
char *sup_drain_text(const struct sup *s);

/* Ends every peer, then the loop. */
void sup_stop_all(struct sup *s);
/* The handler of the control socket (sup_serve.c); ctx is the struct sup. */
void sup_on_request(void *ctx, struct sup_conn *conn, const struct sup_request *r);
void sup_on_gone(void *ctx, struct sup_conn *conn);

#endif
