/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_hot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "hotload/hot_node.h"
#include "swap/swap_listen.h"

enum {
    CONNECT_MS = 5000,
    SUSPEND_MS = 5000,
    WAIT_MS = 5000,
    WAIT_MAX_MS = 3600000,
    HOT_MS = 60000,
    PROVE_MS = 60000,
    SOON_MS = 1,
    LONG_MS = 100,
    END_MS = 1000
};

/* Whether what was changed is good: the probes of a candidate, on the peer that now is one. */
struct trial {
    struct sup_place place;
    struct sup_health_run *runs;
    size_t n;
    const atomic_bool *ended;
};

static void trial_begin(struct trial *t, const struct sup_hot_job *job)
{
    const struct sup_config *c = job->config;

    t->ended = job->ended;
    t->n = 1 + (c ? c->health_n : 0);
    t->runs = rel_xcalloc(t->n, sizeof(*t->runs));
    t->runs[0].health = &sup_node_health;
    for (size_t i = 1; i < t->n; i++)
        t->runs[i].health = &c->health[i - 1];
    t->place = (struct sup_place){
        .home = job->home ? job->home : "", .config = c, .contact = hot_contact_copy(job->contact)};
    sup_place_find(&t->place);
}

static void trial_end(struct trial *t)
{
    sup_place_fini(&t->place);
    free(t->runs);
}

static int check_ended(const atomic_bool *ended, struct rel_err *e)
{
    return ended && atomic_load(ended)
               ? rel_fail(e, REL_E_INTERRUPTED, 0, "it was told to end, and is undone")
               : 0;
}

/* hot_prove_fn: the probe that is due; all must pass as often as they are asked to. */
static int try_next(void *ctx, struct rel_err *e)
{
    struct trial *t = ctx;
    int64_t now = rel_mono_ms(), next_ms = INT64_MAX;

    if (check_ended(t->ended, e) < 0)
        return -1;
    for (size_t i = 0; i < t->n; i++) {
        struct sup_health_run *run = &t->runs[i];
        struct rel_err failed = {0};

        if (run->passed >= run->health->in_a_row)
            continue;
        if (run->next_ms <= now) {
            sup_health_judge(run, sup_probe_run(run->health, &t->place, &failed) == 0);
            if (run->failed >= run->health->failures)
                return rel_fail(e, REL_E_REMOTE, 0, "it did not pass its probe: %s", failed.msg);
        }
        if (run->passed < run->health->in_a_row && run->next_ms < next_ms)
            next_ms = run->next_ms;
    }
    if (next_ms == INT64_MAX)
        return 0;
    now = rel_mono_ms();
    return next_ms <= now ? SOON_MS : next_ms - now > LONG_MS ? LONG_MS : (int)(next_ms - now);
}

/* In words, why somebody would rather swap; NULL: nothing speaks against it. */
static const char *harm_of(const struct hot_report *report)
{
    const struct hot_section *harm = hot_report_section(report, "harm");

    return harm && harm->line_n ? harm->lines[0] : NULL;
}

/* hot_plan's, that remembers that there is something to commit. */
struct seal {
    const struct sup_hot_job *job;
    bool done;
};

static int seal(void *ctx, struct rel_err *e)
{
    struct seal *s = ctx;

    if (s->job->seal && s->job->seal(s->job->seal_ctx, e) < 0)
        return -1;
    s->done = true;
    return 0;
}

/* Nobody knows, or the node has told that its way back failed: it says so once more if it can. */
static int settle(const struct sup_hot_job *job, const struct hot_plan *plan, bool commit,
                  struct hot_report *report, struct rel_err *e)
{
    hot_autonode struct hot_node *node = NULL;
    struct rel_err again = {0};

    if (hot_node_open(job->contact, CONNECT_MS, &node, &again) == 0) {
        if (hot_upgrade_settle(node, plan, commit, report, &again) == 0) {
            rel_err_clear(e);
            return 0;
        }
        if (rel_code_outcome(again.code) == REL_ROLLED_BACK)
            *e = again;
        return -1;
    }
    if (hot_contact_alive(job->contact))
        return -1;
    rel_err_clear(e);
    return rel_fail(e, REL_E_ROLLED_BACK, 0, "the application ended while it was changed");
}

static int change(const struct sup_hot_job *job, struct hot_node *node, struct hot_plan *plan,
                  struct hot_report *report, struct rel_err *e)
{
    struct trial trial = {0};
    struct seal sealed = {.job = job};
    int64_t began_ms = rel_mono_ms();
    int rc;

    if (job->check || job->automatic) {
        if (hot_upgrade_check(node, plan, report, e) < 0)
            return -1;
        if (job->automatic && harm_of(report))
            return rel_fail(e, REL_E_INPUT, 0, "%s", harm_of(report));
        if (job->check)
            return 0;
        /* those that will leave have been waited for */
        plan->wait_ms -= (int)(rel_mono_ms() - began_ms);
        plan->wait_ms = plan->wait_ms > SOON_MS ? plan->wait_ms : SOON_MS;
    }
    if (check_ended(job->ended, e) < 0)
        return -1;
    trial_begin(&trial, job);
    plan->prove = try_next;
    plan->prove_ctx = &trial;
    plan->prove_ms = job->prove_ms > 0 ? job->prove_ms : PROVE_MS;
    plan->seal = seal;
    plan->seal_ctx = &sealed;
    rc = hot_upgrade_run(node, plan, report, e);
    trial_end(&trial);
    return rc < 0 && e->code == REL_E_STUCK ? settle(job, plan, sealed.done, report, e) : rc;
}

static struct hot_hint *hints_of(const struct sup_config *c)
{
    size_t n = c ? c->callback_n : 0;
    struct hot_hint *hints = rel_xcalloc(n + 1, sizeof(*hints));

    for (size_t i = 0; i < n; i++)
        hints[i] = (struct hot_hint){c->callbacks[i].process, c->callbacks[i].module};
    return hints;
}

/* A VM that is killed closes its connection an instant before it is gone. */
static bool has_ended(pid_t pid)
{
    rel_autoclose int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return fd < 0 ? errno == ESRCH : poll(&p, 1, END_MS) > 0;
}

static int wait_of(const struct sup_hot_job *job)
{
    if (job->wait_ms < 0)
        return WAIT_MS;
    return (int)(job->wait_ms < WAIT_MAX_MS ? job->wait_ms : WAIT_MAX_MS);
}

int sup_hot_run(const struct sup_hot_job *job, struct hot_report *report, struct rel_err *e)
{
    hot_autonode struct hot_node *node = NULL;
    rel_autofree struct hot_hint *hints = hints_of(job->config);
    const struct sup_diff *d = job->diff;
    int rc = hot_node_open(job->contact, CONNECT_MS, &node, e);

    if (!rc) {
        struct hot_plan plan = {.modules = d->modules,
                                .module_n = d->module_n,
                                .apps = d->apps,
                                .app_n = d->app_n,
                                .hints = hints,
                                .hint_n = job->config ? job->config->callback_n : 0,
                                .down = job->down,
                                .booted = job->booted,
                                .old_sys_config = d->old_sys_config,
                                .new_sys_config = d->new_sys_config,
                                .new_config = job->new_config,
                                .old_consolidated = d->old_consolidated,
                                .new_consolidated = d->new_consolidated,
                                .suspend_ms = job->suspend_ms > 0 ? job->suspend_ms : SUSPEND_MS,
                                .wait_ms = wait_of(job),
                                .refuse_old = job->refuse_old,
                                .timeout_ms = HOT_MS};

        rc = change(job, node, &plan, report, e);
    }
    if (rc < 0 && e->code == REL_E_STUCK && has_ended(job->contact->pid)) {
        rel_err_clear(e);
        rel_fail(e, REL_E_ROLLED_BACK, 0, "the application ended while it was changed");
    }
    return rc;
}

json_t *sup_plan_json(const struct hot_report *report)
{
    json_t *plan = report->section_n ? json_object() : NULL;

    for (size_t i = 0; i < report->section_n; i++) {
        const struct hot_section *section = &report->sections[i];
        json_t *lines = json_array();

        for (size_t j = 0; j < section->line_n; j++)
            json_array_append_new(lines, json_string(section->lines[j]));
        json_object_set_new(plan, section->name, lines);
    }
    return plan;
}
