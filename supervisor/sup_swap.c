/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <malloc.h>
#include <string.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "supervisor/sup_engine.h"
#include "supervisor/sup_fetch.h"

enum { TAIL_MAX = 1500, TAIL_SEARCH = 16384 };

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

static void on_unpack(uv_work_t *work)
{
    struct sup *s = work->data;
    struct sup_must must = {.app = s->ask.app, .key = s->config.key};
    rel_autofree char *fetched = NULL;

    rel_err_clear(&s->job_err);
    if (sup_is_url(s->ask.release)) {
        fetched = rel_strf("%s/run/fetched", s->store.home);
        (void)!unlink(fetched); /* left by a crash */
        if (sup_fetch(s->ask.release, fetched, &s->job_err) < 0)
            return;
        free(s->ask.release);
        s->ask.release = rel_xstrdup(fetched);
    }
    (void)!sup_store_add(s->store.home, s->ask.release, &must, &s->ask.dir, &s->ask.added,
                         &s->job_err);
    malloc_trim(0); /* looking at every file took more memory than all else we do */
    if (fetched)
        (void)!unlink(fetched);
}

static void on_unpacked(uv_work_t *work, int status)
{
    struct sup *s = work->data;

    (void)status;
    s->job_busy = false;
    if (s->job_err.code) {
        s->ask.failure = s->job_err;
        sup_post(s, SWAP_REFUSED);
        return;
    }
    sup_step(s, "unpack", "done", s->ask.dir);
    sup_post(s, s->ask.hot ? SWAP_UNPACKED_HOT : SWAP_UNPACKED);
}

static void do_unpack(struct sup *s)
{
    if (!s->ask.release) {
        sup_post(s, SWAP_UNPACKED);
        return;
    }
    sup_step(s, "unpack", "running", s->ask.release);
    s->job_busy = true;
    uv_queue_work(&s->loop, &s->job, on_unpack, on_unpacked);
}

static void on_change(uv_work_t *work)
{
    struct sup *s = work->data;
    rel_autofree char *old = sup_store_path(s->store.home, s->ask.from);
    rel_autofree char *new = sup_store_path(s->store.home, s->ask.dir);

    rel_err_clear(&s->job_err);
    (void)!sup_job_hot(&s->job_contact, old, new, s->ask.dry_run, &s->ask.report, &s->job_err);
}

/* The peer now runs the new release: whoever looks for it finds the new folder and version. */
static int adopt_new_release(struct sup *s, struct rel_err *e)
{
    rel_autofree char *root = sup_store_path(s->store.home, s->ask.dir);
    rel_autofree char *path = rel_strf("%s/run/active.json", s->store.home);
    struct pkg_release *r = NULL;

    if (pkg_release_read(root, &r, e) < 0)
        return -1;
    pkg_release_free(s->active->release);
    s->active->release = r;
    free(s->active->dir);
    s->active->dir = rel_xstrdup(s->ask.dir);
    free(s->active->contact.root);
    s->active->contact.root = rel_xstrdup(root);
    free(s->active->contact.version);
    s->active->contact.version = rel_xstrdup(r->vsn);
    return hot_contact_write(path, &s->active->contact, e);
}

static void on_changed(uv_work_t *work, int status)
{
    struct sup *s = work->data;
    rel_autofree char *detail = NULL;

    (void)status;
    s->job_busy = false;
    if (!s->job_err.code && !(s->active && s->active->contact.pid == s->job_contact.pid))
        rel_fail(&s->job_err, REL_E_ROLLED_BACK, 0, "the application ended while it was changed");
    hot_contact_fini(&s->job_contact);
    if (!s->job_err.code && !s->ask.dry_run)
        (void)!adopt_new_release(s, &s->job_err);
    if (s->job_err.code) {
        s->ask.failure = s->job_err;
        sup_post(s, SWAP_REFUSED);
        return;
    }
    detail = rel_strf("%zu modules, %zu processes, pause %.1f ms", s->ask.report.module_n,
                      s->ask.report.process_n, (double)s->ask.report.pause_us / 1000);
    sup_step(s, s->ask.dry_run ? "check" : "change", "done", detail);
    sup_post(s, SWAP_CHANGED);
}

static struct hot_contact copy_contact(const struct hot_contact *c)
{
    struct hot_contact copy = *c;

    copy.node = rel_xstrdup(c->node);
    copy.cookie_file = rel_xstrdup(c->cookie_file);
    copy.root = rel_xstrdup(c->root);
    copy.name = rel_xstrdup(c->name);
    copy.version = rel_xstrdup(c->version);
    return copy;
}

static void do_change_code(struct sup *s)
{
    if (!s->active) {
        rel_fail(&s->ask.failure, REL_E_INPUT, 0, "nothing runs that could be changed");
        sup_post(s, SWAP_REFUSED);
        return;
    }
    s->job_contact = copy_contact(&s->active->contact);
    s->job_busy = true;
    uv_queue_work(&s->loop, &s->job, on_change, on_changed);
}

static void do_spawn(struct sup *s)
{
    struct sup_spawn spawn = {.home = s->store.home,
                              .dir = s->ask.dir,
                              .generation = ++s->generation,
                              .green = s->green,
                              .env = s->config.env};

    if (s->stopping)
        rel_fail(&s->ask.failure, REL_E_BUSY, 0, "the supervisor is stopping");
    if (s->stopping ||
        sup_peer_spawn(&s->loop, &spawn, sup_on_peer_exit, s, &s->candidate, &s->ask.failure) < 0) {
        sup_post(s, SWAP_CANDIDATE_EXITED);
        return;
    }
    s->green = !s->green;
    sup_note_journal(s);
    sup_step(s, "boot", "running", s->candidate->contact.node);
}

static void on_probe(uv_work_t *work)
{
    struct sup *s = work->data;

    rel_err_clear(&s->probe_err);
    s->probe_ready = false;
    if (sup_job_probe(&s->probe_contact, s->probe_old_pid, s->probe_old_port, &s->probe_ready,
                      &s->probe_why, &s->probe_err) < 0)
        s->probe_why = rel_xstrdup(s->probe_err.msg);
}

static void on_probed(uv_work_t *work, int status)
{
    struct sup *s = work->data;

    (void)status;
    s->probe_busy = false;
    hot_contact_fini(&s->probe_contact);
    free(s->why);
    s->why = rel_steal(&s->probe_why);
    if (s->state == SWAP_BOOTING && s->candidate && s->probe_ready &&
        s->candidate->contact.generation == s->probe_generation)
        sup_post(s, SWAP_CANDIDATE_READY);
}

void sup_probe_candidate(struct sup *s)
{
    const struct hot_contact *c = &s->candidate->contact;

    if (s->probe_busy)
        return;
    s->probe_contact = copy_contact(c);
    s->probe_generation = c->generation;
    s->probe_old_pid = s->active ? s->active->contact.pid : 0;
    s->probe_old_port = s->active ? s->active->contact.port : 0;
    s->probe_busy = true;
    uv_queue_work(&s->loop, &s->probe, on_probe, on_probed);
}

static void do_cut_over(struct sup *s)
{
    rel_autofree char *path = rel_strf("%s/run/active.json", s->store.home);

    sup_step(s, "boot", "done", s->candidate->contact.node);
    s->old = s->active;
    s->active = rel_steal(&s->candidate);
    if (!s->served)
        sup_notify("READY=1");
    s->served = true;
    if (hot_contact_write(path, &s->active->contact, &s->ask.failure) < 0)
        sup_log(s, "%s", s->ask.failure.msg);
    if (!s->old) {
        sup_post(s, SWAP_OLD_EXITED);
        return;
    }
    sup_step(s, "stop", "running", s->old->contact.node);
    sup_peer_stop(s->old);
}

static void end_ask(struct sup *s)
{
    free(s->ask.release);
    free(s->ask.dir);
    free(s->ask.from);
    free(s->ask.app);
    s->ask = (struct sup_ask){0};
}

static void note(struct sup *s, const char *outcome)
{
    struct rel_err e = {0};
    char when[REL_TIME_LEN];

    rel_time_format(rel_wall_ms(), when);
    if (sup_store_note(s->store.home,
                       json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:I, s:s*}", "at", when, "what",
                                 s->ask.what, "outcome", outcome, "from", s->ask.from, "to",
                                 s->ask.dir, "took_ms",
                                 (json_int_t)(rel_mono_ms() - s->ask.began_ms), "reason",
                                 s->ask.failure.code ? s->ask.failure.msg : NULL),
                       &e) < 0)
        sup_log(s, "%s", e.msg);
}

static void do_report_done(struct sup *s)
{
    const char *app = s->active ? s->active->release->name : NULL; /* it may have crashed already */
    struct rel_err e = {0};

    if (s->old) {
        sup_step(s, "stop", "done", s->old->contact.node);
        sup_peer_close(rel_steal(&s->old));
    }
    if (!s->ask.dry_run && sup_store_set_current(s->store.home, s->ask.dir, &e) < 0) {
        rel_wrap(&e, "%s runs, but a restart would boot the old release", s->ask.dir);
        e.code = REL_E_STUCK;
        sup_log(s, "%s", e.msg);
    } else if (!s->ask.hot && sup_store_prune(s->store.home, s->config.keep, s->ask.dir, &e) < 0) {
        /* what was changed in place still has code of each release since its boot */
        sup_log(s, "%s", e.msg);
        rel_err_clear(&e);
    }
    if (s->ask.dry_run && s->ask.added) {
        rel_autofree char *path = sup_store_path(s->store.home, s->ask.dir);

        (void)!rel_remove_tree(AT_FDCWD, path, &e);
    }
    s->ask.failure = e;
    note(s, s->ask.dry_run ? "checked" : "done");
    if (s->ask.conn && e.code)
        sup_conn_error(s->ask.conn, &e);
    else if (s->ask.conn)
        sup_conn_result(s->ask.conn,
                        json_pack("{s:s*, s:s, s:s*, s:i, s:b, s:I, s:I}", "app", app, "release",
                                  s->ask.dir, "previous", s->ask.from, "generation", s->generation,
                                  "hot", s->ask.hot, "pause_us", (json_int_t)s->ask.report.pause_us,
                                  "took_ms", (json_int_t)(rel_mono_ms() - s->ask.began_ms)));
    end_ask(s);
}

static void do_report_refused(struct sup *s)
{
    rel_autofree char *path = s->ask.added ? sup_store_path(s->store.home, s->ask.dir) : NULL;
    struct rel_err e = {0};

    if (path && rel_remove_tree(AT_FDCWD, path, &e) < 0)
        sup_log(s, "%s", e.msg);
    sup_log(s, "%s refused: %s", s->ask.what, s->ask.failure.msg);
    note(s, "refused");
    if (s->ask.conn)
        sup_conn_error(s->ask.conn, &s->ask.failure);
    end_ask(s);
}

/* The last lines of the candidate's output go before the error, one log line each. */
static void tell_tail(struct sup *s, const char *log)
{
    rel_autofree char *tail = sup_store_tail(log, TAIL_MAX);
    char *save = NULL;

    for (char *l = strtok_r(tail, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
        if (s->ask.conn)
            sup_conn_log(s->ask.conn, l);
        else
            sup_log(s, "  %s", l);
}

/* Only the VM knows which port it wanted, and it says so in its log. */
static bool address_is_taken(const struct sup_peer *peer)
{
    rel_autofree char *tail = sup_store_tail(peer->log, TAIL_SEARCH);

    return strstr(tail, "eaddrinuse") != NULL;
}

static void do_report_undone(struct sup *s)
{
    struct rel_err e = {0};
    bool over = s->state == SWAP_IDLE && s->ask.failure.code == REL_E_TIMEOUT;
    enum rel_code code = s->active ? REL_E_ROLLED_BACK : REL_E_CHILD;
    const char *serves = s->active ? ", the old one serves" : "";

    if (over) {
        rel_fail(&e, code, 0, "%s was not ready in time: %s%s", s->ask.dir,
                 s->why ? s->why : "it did not answer", serves);
    } else if (s->candidate && address_is_taken(s->candidate)) {
        rel_fail(
            &e, s->active ? code : REL_E_INPUT, 0,
            "%s cannot listen: another program has its port (eaddrinuse), free it or change the "
            "configuration%s",
            s->ask.dir, serves);
    } else if (s->candidate) {
        rel_autofree char *end = sup_peer_end_text(s->candidate);

        rel_fail(&e, code, 0, "%s %s before it was ready%s", s->ask.dir, end, serves);
    } else {
        rel_fail(&e, code, 0, "%s%s", s->ask.failure.msg, serves);
    }
    if (s->candidate) {
        tell_tail(s, s->candidate->log);
        sup_peer_close(rel_steal(&s->candidate));
        s->green = !s->green; /* that name is free again */
    }
    s->ask.failure = e;
    do_report_refused(s);
    if (!s->served && !s->stopping)
        s->failure = e;
    else if (!s->active && !s->stopping)
        sup_restart_later(s, false);
}

void sup_perform(struct sup *s, enum swap_action action)
{
    switch (action) {
    case SWAP_UNPACK:
        do_unpack(s);
        break;
    case SWAP_SPAWN_CANDIDATE:
        do_spawn(s);
        break;
    case SWAP_CHANGE_CODE:
        do_change_code(s);
        break;
    case SWAP_STOP_CANDIDATE:
        rel_err_clear(&s->ask.failure);
        rel_fail(&s->ask.failure, REL_E_TIMEOUT, 0, "not ready in time");
        sup_peer_stop(s->candidate);
        break;
    case SWAP_KILL_CANDIDATE:
        sup_peer_kill(s->candidate);
        break;
    case SWAP_CUT_OVER:
        do_cut_over(s);
        break;
    case SWAP_KILL_OLD:
        sup_peer_kill(s->old);
        break;
    case SWAP_REPORT_REFUSED:
        do_report_refused(s);
        break;
    case SWAP_REPORT_UNDONE:
        do_report_undone(s);
        break;
    case SWAP_REPORT_DONE:
        do_report_done(s);
        break;
    case SWAP_UNEXPECTED:
    case SWAP_IGNORE:
    case SWAP_ACTION_COUNT:
        break;
    }
}
