/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "supervisor/sup_engine.h"
#include "supervisor/sup_fetch.h"
#include "supervisor/sup_release.h"

enum { UNPACK_MS = 15 * 60 * 1000, FETCH_MS = 75 * 60 * 1000 };

void sup_step(struct sup *s, const char *step, const char *state, const char *detail)
{
    int64_t now = rel_mono_ms(), took = now - s->step_ms;

    s->heard_ms = now;
    if (strcmp(state, "running") != 0)
        s->step_ms = now;
    if (s->ask.conn)
        sup_conn_progress(s->ask.conn, step, state, detail, took);
    if (strcmp(state, "running") != 0)
        sup_log(s, "%s %s: %s %s", s->ask.what, step, state, detail ? detail : "");
}

static void refuse(struct sup *s, const struct rel_err *e)
{
    if (!s->ask.failure.code)
        s->ask.failure = *e;
    sup_post(s, SWAP_REFUSED);
}

/* The release is there: from here on its settings count. */
static void unpacked(struct sup *s)
{
    struct rel_err e = {0};

    if (sup_settings_enter(s, &e) < 0)
        refuse(s, &e);
    else
        sup_post(s, s->ask.hot ? SWAP_UNPACKED_HOT : SWAP_UNPACKED);
}

static void on_worker_line(void *ctx, const char *text)
{
    sup_log(ctx, "worker: %s", text);
}

static int settle(struct sup *s, const json_t *answer, struct rel_err *e)
{
    struct sup_must must = {.app = s->ask.app};
    sup_autoarrival struct sup_arrival a = {0};

    if (sup_arrival_parse(answer, &a, e) < 0 ||
        sup_incoming_settle(s->store.home, s->incoming, &must, &a, &s->ask.added, e) < 0)
        return -1;
    s->ask.dir = rel_steal(&a.dir);
    return sup_check_older(s, e);
}

static void on_unpacked(void *ctx, const json_t *answer, const struct rel_err *failure)
{
    struct sup *s = ctx;
    struct rel_err e = *failure;

    s->worker = NULL;
    if (answer)
        (void)!settle(s, answer, &e);
    sup_incoming_drop(&s->incoming);
    if (e.code || s->ask.ended) {
        refuse(s, &e);
        return;
    }
    sup_step(s, "unpack", "done", s->ask.dir);
    unpacked(s);
}

static int unpack(struct sup *s, struct rel_err *e)
{
    struct sup_worker_order order = {.task = "the release could not be unpacked",
                                     .answer_max = SUP_WORKER_ANSWER_MAX,
                                     .timeout_ms =
                                         sup_is_url(s->ask.release) ? FETCH_MS : UNPACK_MS,
                                     .line = on_worker_line,
                                     .done = on_unpacked,
                                     .ctx = s};

    if (sup_incoming_open(s->store.home, &s->incoming, e) < 0)
        return -1;
    order.request = sup_worker_add_request(s->store.home, s->incoming, s->ask.release, s->ask.app,
                                           s->config.key);
    if (sup_worker_start(&s->loop, &order, &s->worker, e) < 0) {
        sup_incoming_drop(&s->incoming);
        return -1;
    }
    return 0;
}

static void on_inspected(void *ctx, const json_t *answer, const struct rel_err *failure)
{
    struct sup *s = ctx;
    rel_autofree char *root = sup_store_path(s->store.home, s->ask.dir);
    const char *mark = json_string_value(json_object_get(answer, "mark"));
    struct rel_err e = *failure;

    s->worker = NULL;
    if (!e.code && !mark)
        rel_fail(&e, REL_E_INTERNAL, 0, "the worker's answer has no valid release mark");
    if (!e.code)
        (void)!sup_release_mark(root, mark, &e);
    if (e.code || s->ask.ended)
        refuse(s, &e);
    else
        unpacked(s);
}

/* A release that an older relsup took in, or that somebody put there. */
static int inspect(struct sup *s, const char *root, struct rel_err *e)
{
    struct sup_worker_order order = {.task = "the release could not be looked at",
                                     .request = sup_worker_inspect_request(root),
                                     .answer_max = SUP_WORKER_ANSWER_MAX,
                                     .timeout_ms = UNPACK_MS,
                                     .line = on_worker_line,
                                     .done = on_inspected,
                                     .ctx = s};

    return sup_worker_start(&s->loop, &order, &s->worker, e);
}

static void do_unpack(struct sup *s)
{
    rel_autofree char *root = s->ask.dir ? sup_store_path(s->store.home, s->ask.dir) : NULL;
    rel_autofree char *shown = s->ask.release ? sup_shown_release(s->ask.release) : NULL;
    struct rel_err e = {0};
    int rc;

    if (root && sup_release_is_marked(root)) {
        unpacked(s);
        return;
    }
    if (shown)
        sup_step(s, "unpack", "running", shown);
    rc = s->ask.release ? unpack(s, &e) : inspect(s, root, &e);
    if (rc < 0)
        refuse(s, &e);
}

void sup_on_step_line(void *ctx, const char *text)
{
    struct sup *s = ctx;

    if (s->ask.conn)
        sup_conn_log(s->ask.conn, text);
}

int sup_on_step_held(void *ctx, const struct sup_child *child, struct rel_err *e)
{
    struct sup *s = ctx;

    s->step = (struct sup_child){.pid = child->pid, .pid_start = child->pid_start};
    return sup_write_journal(s, e);
}

static void on_steps_done(void *ctx, const char *tmp, const struct rel_err *e)
{
    struct sup *s = ctx;

    (void)tmp;
    s->steps = NULL;
    s->step = (struct sup_child){0};
    if (!s->ask.ended)
        s->ask.failure = *e;
    if (!s->ask.failure.code)
        sup_step(s, "before_boot", "done", NULL);
    sup_post(s, s->ask.failure.code ? SWAP_REFUSED : SWAP_PREPARED);
}

/* Only where there is something to migrate from: not when a peer is started again. */
static void do_run_steps(struct sup *s)
{
    rel_autofree char *root = sup_store_path(s->store.home, s->ask.dir);
    struct sup_steps_order order = {.home = s->store.home,
                                    .root = root,
                                    .generation = s->generation + 1,
                                    .config = &s->config,
                                    .steps = s->config.before_boot,
                                    .step_n = s->config.before_boot_n,
                                    .what = "before_boot",
                                    .line = sup_on_step_line,
                                    .record = sup_on_step_held,
                                    .done = on_steps_done,
                                    .ctx = s};

    if (sup_peer_check_user(&s->config, s->active, &s->ask.failure) < 0) {
        sup_post(s, SWAP_REFUSED);
        return;
    }
    if (!s->stopping && sup_ports_check(s, s->ask.dir, &s->config, &s->ask.failure) < 0) {
        s->ask.taken = true;
        sup_post(s, SWAP_REFUSED);
        return;
    }
    if (!s->config.before_boot_n || !(s->ask.release || s->ask.added) || s->stopping) {
        sup_post(s, SWAP_PREPARED);
        return;
    }
    sup_step(s, "before_boot", "running", NULL);
    if (sup_steps_start(&s->loop, &order, &s->steps, &s->ask.failure) < 0)
        sup_post(s, SWAP_REFUSED);
}

/* What nobody could find again must not run; but nobody serves, and it is better that somebody
 * does. */
static int record(struct sup *s, struct rel_err *e)
{
    struct rel_err unwritten = {0};

    if (sup_write_journal(s, &unwritten) == 0)
        return 0;
    if (s->active) {
        *e = unwritten;
        return rel_wrap(e, "a peer that the journal does not know may not start");
    }
    sup_log(s,
            "%s: it starts all the same, because nobody serves; a supervisor that is killed now "
            "finds it by its environment alone",
            unwritten.msg);
    return 0;
}

/* In the journal before it does anything. */
int sup_spawn_peer(struct sup *s, const char *dir, const struct sup_config *config,
                   struct sup_peer **peer, struct rel_err *e)
{
    struct sup_spawn spawn = {.home = s->store.home,
                              .dir = dir,
                              .generation = ++s->generation,
                              .green = s->green,
                              .share = s->active != NULL,
                              .config = config};

    if (s->stopping)
        return rel_fail(e, REL_E_BUSY, 0, "the supervisor is stopping");
    sup_ports_expect(s, dir, config);
    if (sup_peer_spawn(&spawn, peer, e) < 0)
        return -1;
    if (record(s, e) < 0) {
        sup_peer_drop(rel_steal(peer));
        return -1;
    }
    if (sup_peer_go(&s->loop, *peer, &s->owner, e) < 0) {
        *peer = NULL;
        return -1;
    }
    s->green = !s->green;
    free(rel_steal(&s->why));
    return 0;
}

static void do_spawn(struct sup *s)
{
    struct rel_err e = {0};

    sup_revive_end(s);
    if (sup_guard(s, &e) < 0 || sup_spawn_peer(s, s->ask.dir, &s->config, &s->candidate, &e) < 0) {
        s->ask.failure = e;
        sup_post(s, SWAP_CANDIDATE_EXITED);
        return;
    }
    sup_share(s, true);
    sup_step(s, "boot", "running", s->candidate->contact.node);
}

static void on_look(uv_work_t *work)
{
    struct sup *s = work->data;

    rel_err_clear(&s->probe_err);
    s->readiness = (struct sup_readiness){0};
    if (sup_job_look(&s->look, &s->readiness, &s->probe_err) < 0)
        s->readiness.why = rel_xstrdup(s->probe_err.msg);
}

static bool is_seen(const struct sup_peer *peer, int generation)
{
    return peer && peer->contact.generation == generation;
}

static void judge_candidate(struct sup *s)
{
    s->ask.taken = s->readiness.stranger;
    if (s->readiness.stranger) /* each moment it takes connections that are not meant for it */
        sup_peer_kill(s->candidate);
    if (s->readiness.never) {
        rel_fail(&s->ask.failure, REL_E_INPUT, 0, "%s: %s", s->ask.dir, s->why);
        sup_post(s, SWAP_REFUSED);
    } else if (s->readiness.ready) {
        s->candidate->ready_ms = rel_mono_ms() - s->candidate->began_ms;
        sup_post(s, SWAP_CANDIDATE_READY);
    }
}

static void on_looked(uv_work_t *work, int status)
{
    struct sup *s = work->data;
    int generation = s->look.contact.generation;
    bool revival = is_seen(s->revival.peer, generation);

    (void)status;
    s->probe_busy = false;
    sup_look_fini(&s->look);
    free(s->why);
    s->why = rel_steal(&s->readiness.why);
    if (!revival && !(s->state == SWAP_BOOTING && is_seen(s->candidate, generation)))
        return;
    if (!sup_ports_settled(s, &s->readiness))
        s->readiness.ready = false;
    if (revival)
        sup_revive_probed(s);
    else
        judge_candidate(s);
}

void sup_probe_peer(struct sup *s, const struct sup_peer *peer)
{
    if (s->probe_busy)
        return;
    sup_ports_look(s, peer, &s->look);
    s->probe_busy = true;
    uv_queue_work(&s->loop, &s->probe, on_look, on_looked);
}

/* The soak is over: from here on the new release is what the home has. */
static void do_drain(struct sup *s)
{
    sup_health_end(s);
    sup_set_current(s, s->ask.dir);
    if (s->ask.soak_ms > 0)
        sup_step(s, "soak", "done", s->active->contact.node);
    if (s->ask.until_serving)
        sup_answer_done(s, s->active->release->name);
    sup_drain_begin(s);
}

static void do_stop_old(struct sup *s)
{
    rel_autofree char *detail =
        s->rest.ended_n ? rel_strf("%zu idle connections were ended", s->rest.ended_n) : NULL;

    sup_step(s, "drain", "done", detail);
    sup_drain_stop(s);
    sup_step(s, "stop", "running", s->old->contact.node);
    sup_peer_stop(s->old);
}

static void do_stop_candidate(struct sup *s)
{
    sup_health_end(s);
    sup_drain_stop(s);
    if (!s->ask.failure.code)
        sup_fail_late(s);
    if (s->candidate->gone)
        sup_post(s, SWAP_CANDIDATE_EXITED);
    else
        sup_peer_stop(s->candidate);
}

/* Nothing is to be done, or the table has no such cell: told by sup_post. */
static void do_nothing(struct sup *s)
{
    (void)s;
}

/* It ends, and says so by SWAP_REFUSED; a hot upgrade that is committed by then says that. */
static void do_end_job(struct sup *s)
{
    struct rel_err *e = &s->ask.failure;

    if (!e->code)
        rel_fail(e, REL_E_TIMEOUT, 0, "it was not over in time (%s)", swap_state_name(s->state));
    s->ask.ended = true;
    if (s->worker)
        sup_worker_kill(s->worker, e->code, e->msg);
    if (s->steps)
        sup_steps_kill(s->steps, e->msg);
    atomic_store(&s->change_ended, s->state == SWAP_CHANGING);
}

static void do_kill_old(struct sup *s)
{
    sup_peer_kill(s->old);
}

static void do_kill_candidate(struct sup *s)
{
    sup_peer_kill(s->candidate);
}

void sup_perform(struct sup *s, enum swap_action action)
{
    static void (*const orders[SWAP_ACTION_COUNT])(struct sup * s) = {
        [SWAP_UNEXPECTED] = do_nothing,
        [SWAP_IGNORE] = do_nothing,
        [SWAP_UNPACK] = do_unpack,
        [SWAP_RUN_STEPS] = do_run_steps,
        [SWAP_END_JOB] = do_end_job,
        [SWAP_SPAWN_CANDIDATE] = do_spawn,
        [SWAP_PROBE] = sup_prove,
        [SWAP_HOLD] = sup_hold,
        [SWAP_HAND_OVER] = sup_hand_over,
        [SWAP_SHIFT] = sup_shift,
        [SWAP_CUT_OVER] = sup_cut_over,
        [SWAP_STEER_BACK] = sup_steer_back,
        [SWAP_DRAIN] = do_drain,
        [SWAP_STOP_OLD] = do_stop_old,
        [SWAP_KILL_OLD] = do_kill_old,
        [SWAP_STOP_CANDIDATE] = do_stop_candidate,
        [SWAP_KILL_CANDIDATE] = do_kill_candidate,
        [SWAP_CHANGE_CODE] = sup_change_code,
        [SWAP_REPORT_REFUSED] = sup_report_refused,
        [SWAP_REPORT_UNDONE] = sup_report_undone,
        [SWAP_REPORT_DONE] = sup_report_done,
    };

    orders[action](s);
}
