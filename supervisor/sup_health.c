/* SPDX-License-Identifier: Apache-2.0 */
/* The probes of a candidate: from the moment it listens until its soak is over, each at its own
 * interval, one at a time, in a worker. */
#include <string.h>

#include "base/rel_clock.h"
#include "supervisor/sup_engine.h"

/* The peer on trial: the candidate, or what was the candidate before the cutover. */
static const struct sup_peer *on_trial(const struct sup *s)
{
    return s->candidate ? s->candidate : s->active;
}

void sup_health_begin(struct sup *s)
{
    sup_health_end(s);
    s->trial.n = s->config.health_n + 1;
    s->trial.runs = rel_xcalloc(s->trial.n, sizeof(*s->trial.runs));
    s->trial.runs[0].health = &sup_node_health;
    for (size_t i = 1; i < s->trial.n; i++)
        s->trial.runs[i].health = &s->config.health[i - 1];
    s->trial.generation = on_trial(s)->contact.generation;
    sup_health_tick(s, rel_mono_ms());
}

void sup_health_end(struct sup *s)
{
    free(s->trial.runs);
    s->trial.runs = NULL;
    s->trial.n = 0;
}

static void on_look(uv_work_t *work)
{
    struct sup *s = work->data;

    rel_err_clear(&s->trial.e);
    (void)!sup_probe_run(s->trial.health, &s->trial.place, &s->trial.e);
}

static bool all_passed(const struct sup *s)
{
    for (size_t i = 0; i < s->trial.n; i++)
        if (s->trial.runs[i].passed < s->trial.runs[i].health->in_a_row)
            return false;
    return true;
}

static void judge(struct sup *s, struct sup_health_run *run)
{
    bool good = s->trial.e.code == REL_E_NONE;

    sup_health_judge(run, good);
    if (!good)
        sup_step(s, "probe", "running", s->trial.e.msg);
    if (run->failed >= run->health->failures) {
        rel_err_clear(&s->ask.failure);
        rel_fail(&s->ask.failure, REL_E_REMOTE, 0, "%s did not pass its probe: %s", s->ask.dir,
                 s->trial.e.msg);
        sup_post(s, SWAP_PROBE_FAILED);
    } else if (s->state == SWAP_PROBING && all_passed(s)) {
        sup_step(s, "probe", "done", NULL);
        sup_post(s, SWAP_PROBED);
    }
}

static bool is_on_trial(const struct sup *s)
{
    return s->state == SWAP_PROBING || s->state == SWAP_HOLDING || s->state == SWAP_HANDING_OVER ||
           s->state == SWAP_SHIFTING || s->state == SWAP_SOAKING;
}

/* What is judged only where the table knows what to do with it: while a person looks, or state is
 * handed over, the peer is asked again later. */
static void on_looked(uv_work_t *work, int status)
{
    struct sup *s = work->data;
    const struct sup_peer *peer = on_trial(s);
    bool same = peer && peer->contact.generation == s->trial.generation && s->trial.runs;

    (void)status;
    s->trial.busy = false;
    sup_place_fini(&s->trial.place);
    if (same && is_on_trial(s) && s->state != SWAP_HOLDING && s->state != SWAP_HANDING_OVER)
        judge(s, &s->trial.runs[s->trial.at]);
}

static void find_groups(struct sup_place *place, const struct swap_traffic *t)
{
    size_t n = swap_traffic_group_n(t);

    place->groups = rel_xcalloc(n + 1, sizeof(*place->groups));
    for (size_t i = 0; i < n; i++) {
        struct swap_group_view view;

        swap_traffic_view(t, i, &view);
        if (view.n[SWAP_NEW_SIDE])
            place->groups[place->group_n++] = view;
    }
}

static void find_place(struct sup *s)
{
    s->trial.config = s->config;
    s->trial.place = (struct sup_place){.home = s->store.home,
                                        .config = &s->trial.config,
                                        .contact = hot_contact_copy(&on_trial(s)->contact)};
    if (s->steer.traffic)
        find_groups(&s->trial.place, s->steer.traffic);
    else
        sup_place_find(&s->trial.place);
}

void sup_health_tick(struct sup *s, int64_t now)
{
    if (!s->trial.runs || s->trial.busy || s->steer.busy || !is_on_trial(s) || !on_trial(s))
        return;
    for (size_t i = 0; i < s->trial.n; i++) {
        if (now < s->trial.runs[i].next_ms)
            continue;
        s->trial.at = i;
        s->trial.health = s->trial.runs[i].health;
        s->trial.busy = true;
        s->trial.work.data = s;
        find_place(s);
        uv_queue_work(&s->loop, &s->trial.work, on_look, on_looked);
        return;
    }
}
