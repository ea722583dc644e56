/* SPDX-License-Identifier: Apache-2.0 */
/* The drain: looks again and again what a peer that gets no new connections has left. What is idle
 * at the end, or late, its own server ends, when it is told to stop. */
#include "base/rel_clock.h"
#include "supervisor/sup_engine.h"

/* A dead half-open connection lives 65 s (facts of the kernel), and nobody waits behind most. */
enum { HALF_OPEN_CAP_MS = 10000, LOOK_MIN_MS = 20, LOOK_MAX_MS = 1000 };

static const struct sup_peer *drained(const struct sup *s)
{
    return s->state == SWAP_REVERTING ? s->candidate : s->old;
}

static enum swap_side drained_side(const struct sup *s)
{
    return s->state == SWAP_REVERTING ? SWAP_NEW_SIDE : SWAP_OLD_SIDE;
}

void sup_drain_begin(struct sup *s)
{
    struct rel_err e = {0};

    s->rest.again = s->rest.busy; /* of the other peer, before the way back */
    if (s->rest.again)
        return;
    sup_drain_end(s);
    s->rest.began_ms = rel_mono_ms();
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
    (void)!swap_drain_look(r->drain, r->pid, &r->seen, &r->e);
    r->look_took_ms = rel_mono_ms() - began;
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

static void on_looked(uv_work_t *work, int status)
{
    struct sup *s = work->data;
    const struct sup_peer *peer = drained(s);
    int64_t now = rel_mono_ms(), pause = s->rest.look_took_ms * 10;

    (void)status;
    s->rest.busy = false;
    s->rest.census = s->rest.seen;
    if (s->rest.again && is_draining(s)) {
        sup_drain_begin(s);
        return;
    }
    if (!is_draining(s) || !peer || peer->contact.pid != s->rest.pid || !s->steer.traffic) {
        sup_drain_end(s); /* the state went on meanwhile */
        return;
    }
    pause = pause < LOOK_MIN_MS ? LOOK_MIN_MS : pause > LOOK_MAX_MS ? LOOK_MAX_MS : pause;
    s->rest.look_ms = now + pause;
    if (s->rest.e.code)
        sup_log(s, "%s", s->rest.e.msg);
    else
        judge(s, now);
}

void sup_drain_tick(struct sup *s, int64_t now)
{
    if (!s->rest.drain || s->rest.busy || s->steer.busy || !is_draining(s) || !drained(s) ||
        now < s->rest.look_ms)
        return;
    s->rest.pid = drained(s)->contact.pid;
    s->rest.busy = true;
    s->rest.work.data = s;
    uv_queue_work(&s->loop, &s->rest.work, on_look, on_looked);
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
