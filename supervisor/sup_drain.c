/* SPDX-License-Identifier: Apache-2.0 */
/* The drain: looks again and again what a peer that gets no new connections has left, and ends
 * keep-alive connections in the gaps between their requests. What is left at the end its own server
 * ends, when it is told to stop; what that cuts is counted. */
#include "base/rel_clock.h"
#include "supervisor/sup_engine.h"

/* A dead half-open connection lives 65 s (facts of the kernel), and nobody waits behind most. */
enum { HALF_OPEN_CAP_MS = 10000, LOOK_MIN_MS = 20, LOOK_MAX_MS = 1000, END_MS = 200 };

static bool is_way_back(const struct sup *s)
{
    return s->state == SWAP_REVERTING || s->state == SWAP_ABORTING;
}

static const struct sup_peer *drained(const struct sup *s)
{
    return is_way_back(s) ? s->candidate : s->old;
}

static enum swap_side drained_side(const struct sup *s)
{
    return is_way_back(s) ? SWAP_NEW_SIDE : SWAP_OLD_SIDE;
}

void sup_drain_begin(struct sup *s)
{
    struct rel_err e = {0};

    s->rest.again = s->rest.busy; /* of the other peer, before the way back */
    if (s->rest.again)
        return;
    sup_drain_end(s);
    s->rest.began_ms = s->rest.ended_ms = rel_mono_ms();
    if (!s->steer.traffic || !drained(s)) { /* nobody can be told apart */
        sup_post(s, SWAP_DRAINED);
        return;
    }
    if (swap_drain_begin(s->steer.traffic, &s->rest.drain, &e) < 0) {
        sup_log(s, "%s, so its connections are not waited for", e.msg);
        sup_post(s, SWAP_DRAINED);
        return;
    }
    sup_drain_tick(s, s->rest.began_ms);
}

/* A look under way has it all; on_looked ends it then. */
void sup_drain_end(struct sup *s)
{
    if (s->rest.busy)
        return;
    swap_drain_free(s->rest.drain);
    s->rest = (struct sup_rest){0};
}

static void on_look(uv_work_t *work)
{
    struct sup *s = work->data;
    struct sup_rest *r = &s->rest;
    int64_t began = rel_mono_ms();

    rel_err_clear(&r->e);
    r->look_rc = swap_drain_look(r->drain, r->pid, &r->seen, &r->e);
    r->look_took_ms = rel_mono_ms() - began;
    r->done_n = 0;
    if (!r->look_rc && r->may_end_n)
        (void)!swap_drain_end_idle(r->drain, r->pid, r->may_end_n, END_MS, &r->done_n, &r->e);
}

static unsigned queued(const struct sup *s)
{
    unsigned n = 0;

    for (size_t i = 0; i < swap_traffic_group_n(s->steer.traffic); i++) {
        struct swap_group_view view;

        swap_traffic_view(s->steer.traffic, i, &view);
        n += view.queue[drained_side(s)];
    }
    return n;
}

static bool is_draining(const struct sup *s)
{
    return s->state == SWAP_DRAINING || s->state == SWAP_REVERTING;
}

/* Told to stop: what it does with the rest is looked at, to count what it cuts. */
static bool is_ending(const struct sup *s)
{
    return s->state == SWAP_RETIRING || s->state == SWAP_ABORTING;
}

/* A connection goes from half-open to the queue to the process, and this look took the three in
 * another order: only what was neither half-open nor queued at the end of the look before this one
 * cannot have slipped through. */
static void judge(struct sup *s, int64_t now)
{
    const struct swap_census *c = &s->rest.census;
    bool waits = queued(s) || (c->half_open && now - s->rest.began_ms < HALF_OPEN_CAP_MS);
    bool calm = s->rest.calm && !waits;

    s->rest.calm = !waits;
    if (calm && !c->established)
        sup_post(s, SWAP_DRAINED);
    else if (calm && c->established == c->idle)
        sup_post(s, SWAP_QUIET);
}

/* Without copies of its connections the server ends them all; that is said once. */
static void tell_trouble(struct sup *s)
{
    if (s->rest.e.code != REL_E_UNSUPPORTED || s->rest.look_rc)
        sup_log(s, "%s", s->rest.e.msg);
    else if (!s->rest.left_alone)
        sup_log(s, "%s: idle connections are left to the server", s->rest.e.msg);
    s->rest.left_alone |= s->rest.e.code == REL_E_UNSUPPORTED;
}

/* So many of them a second; and none while it is being told to stop. */
static size_t may_end(struct sup *s, int64_t now)
{
    int64_t n = s->config.drain_rate * (now - s->rest.ended_ms) / 1000;

    if (!is_draining(s) || s->rest.left_alone || !n)
        return 0;
    s->rest.ended_ms = now;
    return (size_t)n;
}

static void on_looked(uv_work_t *work, int status)
{
    struct sup *s = work->data;
    const struct sup_peer *peer = drained(s);
    int64_t now = rel_mono_ms(), pause = s->rest.look_took_ms * 10;

    (void)status;
    s->rest.busy = false;
    s->rest.census = s->rest.seen;
    s->rest.ended_n += s->rest.done_n;
    if (s->rest.again && is_draining(s)) {
        sup_drain_begin(s);
        return;
    }
    if (!(is_draining(s) || is_ending(s)) || !peer || peer->contact.pid != s->rest.pid ||
        !s->steer.traffic) {
        sup_drain_end(s); /* the state went on meanwhile */
        return;
    }
    pause = pause < LOOK_MIN_MS ? LOOK_MIN_MS : pause > LOOK_MAX_MS ? LOOK_MAX_MS : pause;
    s->rest.look_ms = now + pause;
    if (is_ending(s))
        return;
    if (s->rest.e.code)
        tell_trouble(s);
    if (!s->rest.look_rc)
        judge(s, now);
}

void sup_drain_tick(struct sup *s, int64_t now)
{
    if (!s->rest.drain || s->rest.busy || s->steer.busy || !(is_draining(s) || is_ending(s)) ||
        !drained(s) || now < s->rest.look_ms)
        return;
    s->rest.may_end_n = may_end(s, now);
    s->rest.pid = drained(s)->contact.pid;
    s->rest.busy = true;
    s->rest.work.data = s;
    uv_queue_work(&s->loop, &s->rest.work, on_look, on_looked);
}

void sup_drain_stop(struct sup *s)
{
    if (!s->rest.drain)
        return;
    swap_drain_stop(s->rest.drain);
    s->rest.took_ms = rel_mono_ms() - s->rest.began_ms + 1;
}

void sup_drain_finish(struct sup *s)
{
    if (!s->rest.drain)
        return;
    if (!s->rest.took_ms) /* it ended by itself */
        sup_drain_stop(s);
    s->ask.cut = swap_drain_finish(s->rest.drain);
    s->ask.drain_took_ms = s->rest.took_ms;
    if (s->ask.cut.n)
        sup_log(s, "%s%zu requests were cut", s->ask.cut.more ? "at least " : "", s->ask.cut.n);
    sup_drain_end(s);
}

void sup_drain_tell(const struct sup *s, json_t *o)
{
    if (!s->ask.drain_took_ms)
        return;
    json_object_set_new(o, "requests_cut", json_integer((json_int_t)s->ask.cut.n));
    json_object_set_new(o, "drain_ms", json_integer(s->ask.drain_took_ms));
    if (s->ask.cut.more)
        json_object_set_new(o, "requests_cut_is_least", json_true());
}

char *sup_drain_text(const struct sup *s)
{
    int64_t left_ms = s->deadline_ms - rel_mono_ms();
    size_t n = s->rest.census.established + s->rest.census.half_open;

    if (!s->rest.drain || !is_draining(s))
        return NULL;
    return rel_strf("%zu connection%s, %d s left", n, n == 1 ? "" : "s",
                    left_ms > 0 ? (int)((left_ms + 999) / 1000) : 0);
}
