/* SPDX-License-Identifier: Apache-2.0 */
/* The hot upgrade in the life of a home: the order to change the running peer, and what comes of
 * it. */
#include <string.h>

#include "base/rel_clock.h"
#include "supervisor/sup_engine.h"

enum { COMPARE_MS = 5 * 60 * 1000 };

/* Whoever looks for the peer finds that release in it. */
static int show(const struct sup *s, const char *root, const char *version, struct rel_err *e)
{
    rel_autofree char *path = rel_strf("%s/run/active.json", s->store.home);
    struct hot_contact c = s->job_contact;

    c.root = (char *)root;
    c.version = (char *)version;
    return hot_contact_write(path, &c, e);
}

/* All that has need of the disk comes ahead of the node's point of no return; and whoever ends us
 * between the two finds one answer: the node, which nobody watches any more, goes back, and
 * `current`, which was proved, is what boots next. */
static int seal(void *ctx, struct rel_err *e)
{
    struct sup *s = ctx;
    rel_autofree char *root = sup_store_path(s->store.home, s->ask.dir);

    if (sup_release_read(root, &s->job_release, e) < 0)
        return -1;
    s->sealed = true;
    if (show(s, root, s->job_release->vsn, e) < 0)
        return -1;
    return sup_store_set_current(s->store.home, s->ask.dir, e);
}

/* The node went back after all, or nobody knows: what it was before is what boots. */
static int unseal(struct sup *s)
{
    rel_autofree char *now = NULL;
    struct rel_err e = {0}, none = {0};

    if (show(s, s->job_contact.root, s->job_contact.version, &none) < 0)
        rel_err_clear(&none); /* only what it says of the version is not so */
    if (sup_store_current(s->store.home, &now, &none) == 0 && !strcmp(now, s->ask.from))
        return 0;
    if (sup_store_set_current(s->store.home, s->ask.from, &e) == 0)
        return 0;
    rel_wrap(&e, "%s; and %s runs, but a restart would boot %s", s->job_err.msg, s->ask.from,
             s->ask.dir);
    e.code = REL_E_STUCK;
    s->job_err = e;
    return -1;
}

/* What to do where somebody has to. */
static void tell_way_out(struct sup *s)
{
    char *msg = s->job_err.msg;
    size_t len = strlen(msg);

    if (s->job_err.code == REL_E_STUCK)
        snprintf(msg + len, sizeof(s->job_err.msg) - len, "; 'relsup restart' boots %s anew",
                 s->ask.from);
}

static void on_change(uv_work_t *work)
{
    struct sup *s = work->data;
    struct sup_hot_job job = {
        .contact = &s->job_contact,
        .diff = &s->job_diff,
        .new_config = s->job_config.len ? &s->job_config : NULL,
        .config = &s->config,
        .home = s->store.home,
        .check = s->ask.dry_run,
        .automatic = s->ask.automatic,
        .down = s->ask.down,
        .booted = s->ask.booted,
        .ended = &s->change_ended,
        .suspend_ms = (int)s->ask.suspend_ms,
        .wait_ms = s->ask.wait_ms,
        .refuse_old = s->ask.old_code ? s->ask.old_code == SUP_OLD_REFUSE : s->config.refuse_old,
        .prove_ms = (int)(s->ask.boot_ms > 0 ? s->ask.boot_ms : s->config.boot_ms),
        .seal = seal,
        .seal_ctx = s};

    rel_err_clear(&s->job_err);
    if (sup_hot_run(&job, &s->ask.report, &s->job_err) < 0 && (!s->sealed || unseal(s) == 0))
        tell_way_out(s);
}

static void tell_forbidden(struct sup *s)
{
    const struct hot_section *why = hot_report_section(&s->ask.report, "forbidden");

    for (size_t i = 0; why && why->line_n > 1 && s->ask.conn && i < why->line_n; i++)
        sup_conn_log(s->ask.conn, why->lines[i]);
}

/* Not in place, then: nothing was touched, and the swap harms no process. */
static void go_by_swap(struct sup *s)
{
    rel_autofree char *detail = rel_strf("by a swap, because %s", s->job_err.msg);

    s->ask.hot = false;
    s->ask.why_not_hot = rel_xstrdup(s->job_err.msg);
    rel_err_clear(&s->job_err);
    sup_step(s, "check", "done", detail);
    sup_post(s, s->ask.dry_run ? SWAP_CHANGED : SWAP_NOT_HOT);
}

/* Where nobody knows what runs its release stays. Why it was told to end is known; how it ended is
 * what the node said. */
static void refuse(struct sup *s)
{
    tell_forbidden(s);
    if (!s->ask.ended || s->job_err.code == REL_E_STUCK)
        s->ask.failure = s->job_err;
    else
        s->ask.failure.code = s->job_err.code;
    if (s->job_err.code == REL_E_STUCK)
        s->ask.added = false;
    sup_post(s, SWAP_REFUSED);
}

/* The peer is what it was changed to. If it has ended already, `current` boots in its place. */
static void adopt(struct sup *s, struct sup_release *r, pid_t pid)
{
    if (s->active && s->active->contact.pid == pid) {
        sup_peer_changed(s->active, s->ask.dir, r);
        return;
    }
    sup_release_free(r);
    if (!s->active)
        return;
    rel_fail(&s->job_err, REL_E_ROLLED_BACK, 0, "the application ended while it was changed");
    sup_set_current(s, s->active->dir);
}

static void end_change(struct sup *s)
{
    rel_autofree char *detail = NULL;

    if ((s->job_err.code == REL_E_INPUT || s->job_err.code == REL_E_IN_USE) && s->ask.automatic &&
        !s->ask.ended) {
        go_by_swap(s);
        return;
    }
    if (s->job_err.code) {
        refuse(s);
        return;
    }
    rel_err_clear(&s->ask.failure); /* told to end when it was committed: too late */
    detail = rel_strf("%zu modules, %zu processes, pause %.1f ms", s->ask.report.module_n,
                      s->ask.report.process_n, (double)s->ask.report.pause_us / 1000);
    sup_step(s, s->ask.dry_run ? "check" : "change", "done", s->ask.dry_run ? NULL : detail);
    sup_post(s, SWAP_CHANGED);
}

static void on_changed(uv_work_t *work, int status)
{
    struct sup *s = work->data;
    struct sup_release *r = rel_steal(&s->job_release);
    pid_t pid = s->job_contact.pid;

    (void)status;
    s->job_busy = false;
    hot_contact_fini(&s->job_contact);
    sup_diff_fini(&s->job_diff);
    rel_buf_fini(&s->job_config);
    if (r && !s->job_err.code)
        adopt(s, r, pid);
    else
        sup_release_free(r);
    end_change(s);
}

static void fail_down(struct sup *s)
{
    rel_fail(&s->job_err, s->ask.automatic ? REL_E_INPUT : REL_E_UNREACHABLE, 0,
             "nothing runs that could be changed, it is being started again");
}

/* It ends here, without a touch. */
static void give_up(struct sup *s)
{
    sup_diff_fini(&s->job_diff);
    rel_buf_fini(&s->job_config);
    end_change(s);
}

static void begin_change(struct sup *s)
{
    if (s->ask.ended)
        s->job_err = s->ask.failure;
    else if (!s->job_err.code && !s->active)
        fail_down(s);
    if (s->job_err.code) {
        give_up(s);
        return;
    }
    s->ask.booted = !strcmp(s->active->chain[0], s->ask.dir);
    s->sealed = false;
    s->job_contact = hot_contact_copy(&s->active->contact);
    s->job_busy = true;
    uv_queue_work(&s->loop, &s->job, on_change, on_changed);
}

/* What nobody can know cannot be brought in; a boot of it would tell. */
static void on_evaluated(struct sup *s)
{
    if (!s->job_err.code)
        sup_step(s, "configuration", "done", NULL);
    else if (s->ask.automatic)
        s->job_err.code = REL_E_INPUT;
    begin_change(s);
}

/* The files are compared by a worker; then the node is changed off the loop. */
static void on_compared(void *ctx, const json_t *answer, const struct rel_err *failure)
{
    struct sup *s = ctx;
    rel_autofree char *old = sup_store_path(s->store.home, s->ask.from);
    rel_autofree char *new = sup_store_path(s->store.home, s->ask.dir);

    s->worker = NULL;
    s->job_err = *failure;
    if (answer)
        (void)!sup_diff_parse(answer, old, new, &s->job_diff, &s->job_err);
    if (!s->job_err.code && s->job_diff.unknown)
        rel_fail(&s->job_err, s->ask.automatic ? REL_E_INPUT : REL_E_CHILD, 0, "%s",
                 s->job_diff.unknown);
    if (s->job_err.code || s->ask.ended || !s->active || !s->job_diff.evaluates) {
        begin_change(s);
        return;
    }
    sup_step(s, "configuration", "running", NULL);
    if (sup_evaluate(s, on_evaluated, &s->job_err) < 0)
        on_evaluated(s);
}

void sup_change_code(struct sup *s)
{
    rel_autofree char *old = NULL, *new = sup_store_path(s->store.home, s->ask.dir);
    struct sup_worker_order order = {.task = "the releases could not be compared",
                                     .answer_max = SUP_WORKER_DIFF_MAX,
                                     .timeout_ms = COMPARE_MS,
                                     .done = on_compared,
                                     .ctx = s};

    rel_err_clear(&s->job_err);
    atomic_store(&s->change_ended, false);
    if (!s->active) {
        fail_down(s);
        end_change(s);
        return;
    }
    old = sup_store_path(s->store.home, s->ask.from);
    order.request = sup_worker_diff_request(old, new);
    if (sup_worker_start(&s->loop, &order, &s->worker, &s->job_err) < 0)
        end_change(s);
}
