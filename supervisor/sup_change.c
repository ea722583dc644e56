/* SPDX-License-Identifier: Apache-2.0 */
/* The hot upgrade in the life of a home: the order to change the running peer, and what comes of
 * it. */
#include <string.h>

#include "base/rel_clock.h"
#include "supervisor/sup_engine.h"

static void on_change(uv_work_t *work)
{
    struct sup *s = work->data;
    rel_autofree char *old = sup_store_path(s->store.home, s->ask.from);
    rel_autofree char *new = sup_store_path(s->store.home, s->ask.dir);
    struct sup_hot_job job = {.contact = &s->job_contact,
                              .old_root = old,
                              .new_root = new,
                              .config = &s->config,
                              .home = s->store.home,
                              .check = s->ask.dry_run,
                              .automatic = s->ask.automatic,
                              .down = s->ask.down,
                              .booted = s->ask.booted,
                              .suspend_ms = (int)s->ask.suspend_ms,
                              .prove_ms =
                                  (int)(s->ask.boot_ms > 0 ? s->ask.boot_ms : s->config.boot_ms)};

    rel_err_clear(&s->job_err);
    (void)!sup_hot_run(&job, &s->ask.report, &s->job_err);
}

/* The peer now runs the new release: whoever looks for it finds the new folder and version. */
static int adopt_new_release(struct sup *s, struct rel_err *e)
{
    rel_autofree char *root = sup_store_path(s->store.home, s->ask.dir);
    rel_autofree char *path = rel_strf("%s/run/active.json", s->store.home);
    struct sup_release *r = NULL;

    if (sup_release_read(root, &r, e) < 0)
        return -1;
    sup_peer_changed(s->active, s->ask.dir, r);
    return hot_contact_write(path, &s->active->contact, e);
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

static void on_changed(uv_work_t *work, int status)
{
    struct sup *s = work->data;
    rel_autofree char *detail = NULL;

    (void)status;
    s->job_busy = false;
    if (!s->job_err.code && !(s->active && s->active->contact.pid == s->job_contact.pid))
        rel_fail(&s->job_err, REL_E_ROLLED_BACK, 0, "the application ended while it was changed");
    hot_contact_fini(&s->job_contact);
    if (s->job_err.code == REL_E_INPUT && s->ask.automatic) {
        go_by_swap(s);
        return;
    }
    if (!s->job_err.code && !s->ask.dry_run)
        (void)!adopt_new_release(s, &s->job_err);
    if (s->job_err.code) {
        tell_forbidden(s);
        s->ask.failure = s->job_err;
        sup_post(s, SWAP_REFUSED);
        return;
    }
    detail = rel_strf("%zu modules, %zu processes, pause %.1f ms", s->ask.report.module_n,
                      s->ask.report.process_n, (double)s->ask.report.pause_us / 1000);
    sup_step(s, s->ask.dry_run ? "check" : "change", "done", s->ask.dry_run ? NULL : detail);
    sup_post(s, SWAP_CHANGED);
}

void sup_change_code(struct sup *s)
{
    if (!s->active) {
        rel_fail(&s->ask.failure, REL_E_INPUT, 0, "nothing runs that could be changed");
        sup_post(s, SWAP_REFUSED);
        return;
    }
    s->ask.booted = !strcmp(s->active->chain[0], s->ask.dir);
    s->job_contact = hot_contact_copy(&s->active->contact);
    s->job_busy = true;
    uv_queue_work(&s->loop, &s->job, on_change, on_changed);
}
