/* SPDX-License-Identifier: Apache-2.0 */
/* The way back to service of an active peer that ended. It needs nobody's answer, so it goes on
 * beside a release that is fetched, unpacked or migrated. */
#include <string.h>

#include "base/rel_clock.h"
#include "supervisor/sup_engine.h"

enum { BACKOFF_MIN_MS = 200, BACKOFF_MAX_MS = 30000 };

void sup_revive_later(struct sup *s, bool forget)
{
    struct sup_revival *r = &s->revival;
    int64_t now = rel_mono_ms();

    r->backoff_ms = forget || !r->backoff_ms ? BACKOFF_MIN_MS : r->backoff_ms * 2;
    if (r->backoff_ms > BACKOFF_MAX_MS)
        r->backoff_ms = BACKOFF_MAX_MS;
    r->next_ms = now + r->backoff_ms;
    sup_log(s, "it is started again in %d ms", (int)r->backoff_ms);
    sup_wake(s);
}

static void fail(struct sup *s, const char *dir, const char *reason)
{
    struct sup_revival *r = &s->revival;

    sup_log(s, "%s does not come back: %s", dir, reason);
    if (!r->noted)
        sup_report_revival(s, dir, rel_mono_ms() - r->began_ms, reason);
    r->noted = true;
    sup_revive_later(s, false);
}

static void boot(struct sup *s)
{
    struct sup_revival *r = &s->revival;
    rel_autofree char *dir = NULL;
    const struct sup_config *config;
    struct rel_err e = {0};

    if (sup_store_current(s->store.home, &dir, &e) < 0) {
        fail(s, "current", e.msg);
        return;
    }
    config = sup_settings_active(s, dir);
    if (sup_ports_check(s, dir, config, &e) < 0 ||
        sup_spawn_peer(s, dir, config, &r->peer, &e) < 0) {
        fail(s, dir, e.msg);
        return;
    }
    r->deadline_ms = rel_mono_ms() + config->boot_ms;
    sup_log(s, "recover boot: running %s", r->peer->contact.node);
}

static void serve(struct sup *s)
{
    struct sup_revival *r = &s->revival;

    s->active = rel_steal(&r->peer);
    s->active->served = true;
    s->active->ready_ms = rel_mono_ms() - s->active->began_ms;
    r->noted = false;
    sup_log(s, "recover boot: done %s", s->active->contact.node);
    sup_show_active(s);
    sup_report_revival(s, s->active->dir, rel_mono_ms() - r->began_ms, NULL);
}

void sup_revive_end(struct sup *s)
{
    struct sup_peer *peer = rel_steal(&s->revival.peer);

    if (!peer)
        return;
    sup_peer_kill(peer); /* sup_on_peer_exit closes it */
    s->green = !s->green;
}

void sup_revive_probed(struct sup *s)
{
    if (s->readiness.ready)
        serve(s);
    else if (s->readiness.never)
        sup_peer_kill(s->revival.peer);
}

void sup_revive_exited(struct sup *s)
{
    struct sup_peer *peer = rel_steal(&s->revival.peer);
    rel_autofree char *end = sup_peer_end_text(peer);
    rel_autofree char *reason =
        rel_strf("it %s before it was ready%s%s", end, s->why ? ": " : "", s->why ? s->why : "");

    s->green = !s->green;
    if (!s->stopping)
        fail(s, peer->dir, reason);
    sup_peer_close(peer);
    sup_note_journal(s);
}

/* Whoever changes the peer in place moves `current`; that ends with the peer, in an instant. */
static bool may_boot(const struct sup *s)
{
    return !s->active && s->served && !s->stopping && swap_state_revives(s->state) &&
           !(s->state == SWAP_CHANGING && s->job_busy);
}

void sup_revive_tick(struct sup *s, int64_t now)
{
    struct sup_revival *r = &s->revival;

    if (r->peer && now >= r->deadline_ms) {
        r->deadline_ms = INT64_MAX;
        if (sup_ports_serve_anyway(s, r->peer->dir))
            serve(s);
        else
            sup_peer_kill(r->peer);
    } else if (r->peer && !s->stopping) {
        sup_probe_peer(s, r->peer);
    } else if (now >= r->next_ms && may_boot(s)) {
        boot(s);
    }
}
