/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_peer_end.h"

#include <signal.h>

#include "base/rel_clock.h"
#include "supervisor/sup_cgroup.h"

enum {
    LOOK_MS = 20,
    OWN_MS = 300,   /* what it started sees the end of its input, and may end by itself */
    TERM_MS = 1300, /* then SIGTERM, and from here on SIGKILL */
    GIVE_UP_MS = 6000
};

/* Whose is an orphan that came to us, as the subreaper of all that peers start? What it was started
 * with says so; without that, it is not of a peer that is younger than it is. What is older than
 * this peer is none of its: a script may start something, and become relsup. */
static bool is_ours(const struct sup_peer *peer, const struct hot_proc *p, uint64_t others)
{
    int generation;

    if (p->parent != getpid() || p->zombie || p->start < peer->child.pid_start ||
        sup_child_is_own(p->pid) || sup_child_is_own(p->session))
        return false;
    if (sup_proc_is_of_home(p->pid, peer->home, &generation))
        return generation == peer->contact.generation || others == UINT64_MAX;
    return p->start < others;
}

/* Adds to its family who is to be seen now. */
static void see(struct sup_peer *peer)
{
    const struct hot_proc root = {.pid = peer->child.pid, .start = peer->child.pid_start};
    uint64_t others = peer->owner->others(peer);
    sup_autoprocs struct sup_procs procs = {0};
    struct rel_err e = {0};

    if (sup_procs_read(&procs, &e) < 0)
        return;
    sup_family_add(&peer->family, &root);
    for (size_t i = 0; peer->gone && i < procs.n; i++)
        if (is_ours(peer, &procs.v[i], others))
            sup_family_add(&peer->family, &procs.v[i]);
    sup_cgroup_add(peer->child.cgroup, &peer->family);
    sup_family_grow(&peer->family, &procs);
}

static void finish(struct sup_peer *peer)
{
    uv_timer_stop(&peer->tick);
    peer->owner->on_exit(peer);
}

/* Nobody is left, also at a second look: one may have started another on its way out. */
static bool is_over(struct sup_peer *peer)
{
    if (sup_family_signal(&peer->family, 0))
        return false;
    see(peer);
    return sup_family_signal(&peer->family, 0) == 0 && sup_cgroup_remove(peer->child.cgroup);
}

static void on_tick(uv_timer_t *timer)
{
    struct sup_peer *peer = timer->data;
    int64_t age_ms = rel_mono_ms() - peer->gone_ms;

    if (is_over(peer) || age_ms > GIVE_UP_MS) {
        finish(peer);
    } else if (!peer->served || age_ms > TERM_MS) {
        see(peer);
        sup_family_signal(&peer->family, SIGKILL);
        sup_cgroup_kill(peer->child.cgroup);
    } else if (age_ms > OWN_MS && !peer->asked) {
        peer->asked = true;
        see(peer);
        sup_family_signal(&peer->family, SIGTERM);
    }
}

static void on_vm_exit(struct sup_watch *watch, int status)
{
    struct sup_peer *peer = (struct sup_peer *)((char *)watch - offsetof(struct sup_peer, watch));

    peer->gone = true;
    peer->status = status;
    peer->gone_ms = rel_mono_ms();
    see(peer);
    uv_timer_start(&peer->tick, on_tick, LOOK_MS, LOOK_MS);
    on_tick(&peer->tick);
}

void sup_peer_watch(uv_loop_t *loop, struct sup_peer *peer)
{
    uv_timer_init(loop, &peer->tick);
    peer->tick.data = peer;
    sup_watch_start(loop, &peer->watch, peer->child.pid, on_vm_exit);
}

/* Who belongs to it is seen best while it lives: afterwards its children have another parent. */
void sup_peer_stop(struct sup_peer *peer)
{
    if (!peer->served) {
        sup_peer_kill(peer);
    } else if (!peer->gone) {
        see(peer);
        kill(peer->child.pid, SIGTERM);
    }
}

void sup_peer_kill(struct sup_peer *peer)
{
    if (peer->gone)
        return;
    see(peer);
    kill(-peer->child.pid, SIGKILL);
}
