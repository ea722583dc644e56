/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_run.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "supervisor/sup_cgroup.h"
#include "supervisor/sup_engine.h"
#include "supervisor/sup_fetch.h"
#include "supervisor/sup_guest.h"
#include "supervisor/sup_home.h"
#include "supervisor/sup_journal.h"
#include "supervisor/sup_leftovers.h"
#include "supervisor/sup_tidy.h"

enum {
    TICK_MS = 15,  /* while something is under way */
    REST_MS = 500, /* while nothing is */
    NUDGE_MS = 1000,
    HEARTBEAT_MS = 2000,
    DRAIN_BEAT_MS = 500,
    QUIET_MS = 60000,
    HURRY_MIN_MS = 3000,
    STEP_MS = 30000 /* of a share, unless asked for */
};

void sup_log(struct sup *s, const char *fmt, ...)
{
    rel_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = rel_vstrf(fmt, ap);
    va_end(ap);
    s->options->log(s->options->ctx, text);
}

/* sd_notify(3), without its library: one datagram. */
void sup_notify(const char *state)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    rel_autoclose int fd = -1;
    socklen_t len;

    if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof(a.sun_path))
        return;
    memcpy(a.sun_path, path, strlen(path));
    len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (*path == '@')
        a.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&a,
                      len);
}

static void add_peer(struct sup_journal *j, const struct sup_peer *p)
{
    if (p && !p->gone)
        j->peers[j->peer_n++] = (struct sup_journal_peer){.generation = p->contact.generation,
                                                          .pid = p->contact.pid,
                                                          .pid_start = p->contact.pid_start,
                                                          .served = p->served};
}

static void add_step(struct sup_journal *j, const struct sup_child *c)
{
    if (c->pid)
        j->peers[j->peer_n++] = (struct sup_journal_peer){
            .step = true, .generation = j->generation, .pid = c->pid, .pid_start = c->pid_start};
}

int sup_write_journal(struct sup *s, struct rel_err *e)
{
    struct sup_journal j = {.generation = s->generation, .state = swap_state_name(s->state)};

    add_peer(&j, s->active);
    add_peer(&j, s->candidate);
    add_peer(&j, s->old);
    add_peer(&j, s->revival.peer);
    add_step(&j, &s->step);
    return sup_journal_write(s->store.home, &j, e);
}

void sup_note_journal(struct sup *s)
{
    struct rel_err e = {0};

    if (sup_write_journal(s, &e) < 0)
        sup_log(s, "%s", e.msg);
}

static void on_tick(uv_timer_t *timer);

void sup_wake(struct sup *s)
{
    uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
}

void sup_begin(struct sup *s, const struct sup_ask *ask)
{
    struct rel_err none = {0};

    s->ask = *ask;
    s->ask.began_ms = s->step_ms = s->heard_ms = rel_mono_ms();
    sup_wake(s);
    if (s->ask.boot_ms <= 0)
        s->ask.boot_ms = s->options->boot_ms;
    if (s->ask.step_ms < 0)
        s->ask.step_ms = STEP_MS;
    if (s->served && !s->ask.from) { /* `current`, where it is not up right now */
        if (s->active)
            s->ask.from = rel_xstrdup(s->active->dir);
        else if (sup_store_current(s->store.home, &s->ask.from, &none) < 0)
            sup_log(s, "%s", none.msg);
    }
    sup_ports_begin(s);
    sup_post(s, SWAP_ASKED);
}

void sup_stop_all(struct sup *s)
{
    if (!s->stopping) {
        s->stopping = true;
        s->stop_deadline_ms = rel_mono_ms() + s->config.shutdown_ms;
        s->nudged_ms = rel_mono_ms();
        sup_wake(s);
        sup_notify("STOPPING=1");
        sup_log(s, "stopping");
        if (swap_fsm_step(s->state, SWAP_ABORTED).action != SWAP_UNEXPECTED) {
            rel_err_clear(&s->ask.failure);
            rel_fail(&s->ask.failure, REL_E_INTERRUPTED, 0, "the supervisor was told to stop");
            sup_post(s, SWAP_ABORTED);
        }
    }
    if (s->active)
        sup_peer_stop(s->active);
    if (s->candidate)
        sup_peer_stop(s->candidate);
    if (s->old)
        sup_peer_stop(s->old);
    if (s->revival.peer)
        sup_peer_kill(s->revival.peer); /* it never served */
}

/* Nobody serves while the candidate boots: it has no longer for it than twice what the peer that
 * died took, so the way round by starting that one again is never much slower. */
static void hurry_candidate(struct sup *s, const struct sup_peer *died)
{
    int64_t until_ms = rel_mono_ms() + 2 * died->ready_ms + HURRY_MIN_MS;

    if (s->state == SWAP_BOOTING && until_ms < s->deadline_ms)
        s->deadline_ms = until_ms;
}

/* The active peer ended by itself. What it died of a quiet minute ago is forgotten. */
static void on_crash(struct sup *s, struct sup_peer *peer)
{
    rel_autofree char *end = sup_peer_end_text(peer);

    s->active = NULL;
    s->revival.began_ms = rel_mono_ms();
    if (!s->stopping)
        sup_log(s, "%s %s", peer->contact.node, end);
    if (s->candidate) {
        sup_block_old(s);
        hurry_candidate(s, peer);
    }
    if (!s->stopping && swap_state_revives(s->state))
        sup_revive_later(s, rel_wall_ms() - peer->since_ms > QUIET_MS);
    sup_peer_close(peer);
    sup_note_journal(s);
}

/* The new one, after the cutover. A way back is there until the old one is told to stop. */
static void on_new_exit(struct sup *s, struct sup_peer *peer)
{
    if (s->state == SWAP_RETIRING || s->stopping)
        on_crash(s, peer);
    if (s->state == SWAP_RETIRING || !s->stopping)
        sup_post(s, SWAP_CANDIDATE_EXITED);
}

/* sup_peer_owner */
static uint64_t oldest_other(const struct sup_peer *peer)
{
    const struct sup *s = peer->owner->ctx;
    const struct sup_peer *all[] = {s->active, s->candidate, s->old, s->revival.peer};
    uint64_t oldest = UINT64_MAX;

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        if (all[i] && all[i] != peer && !all[i]->gone && all[i]->contact.pid_start < oldest)
            oldest = all[i]->contact.pid_start;
    return oldest;
}

void sup_on_peer_exit(struct sup_peer *peer)
{
    struct sup *s = peer->owner->ctx;

    sup_part(s, peer);
    if (peer == s->candidate) {
        sup_post(s, SWAP_CANDIDATE_EXITED);
    } else if (peer == s->old) {
        sup_post(s, SWAP_OLD_EXITED);
    } else if (peer == s->active && s->old) {
        on_new_exit(s, peer);
    } else if (peer == s->active) {
        on_crash(s, peer);
        sup_post(s, SWAP_OLD_EXITED);
    } else if (peer == s->revival.peer) {
        sup_revive_exited(s);
    } else { /* it was killed on its way, and nobody waits for it */
        sup_peer_close(peer);
    }
}

static void close_all(struct sup *s)
{
    sup_conns_result(&s->stoppers, json_pack("{s:b}", "stopped", 1));
    sup_control_close(s->control);
    uv_close((uv_handle_t *)&s->tick, NULL);
    sup_signals_close(s);
}

static void while_stopping(struct sup *s, int64_t now)
{
    if (!s->active && !s->candidate && !s->old && !s->revival.peer && s->state == SWAP_IDLE &&
        !s->probe_busy) {
        close_all(s);
    } else if (now > s->stop_deadline_ms && !s->killed) {
        s->killed = true;
        if (s->active)
            sup_peer_kill(s->active);
        if (s->candidate)
            sup_peer_kill(s->candidate);
        if (s->old)
            sup_peer_kill(s->old);
    }
}

/* What the client sees of a state that takes long; of the way out, what it was that failed. */
static const char *step_of(const struct sup *s)
{
    switch (s->state == SWAP_ABORTING ? s->left : s->state) {
    case SWAP_UNPACKING:
        return "unpack";
    case SWAP_PREPARING:
        return "before_boot";
    case SWAP_PROBING:
        return "probe";
    case SWAP_HANDING_OVER:
        return "handover";
    case SWAP_SHIFTING:
        return "shift";
    case SWAP_SOAKING:
        return "soak";
    case SWAP_DRAINING:
        return "drain";
    case SWAP_CHANGING:
        return "change";
    case SWAP_RETIRING:
        return "stop";
    case SWAP_REVERTING:
        return "back";
    default:
        return "boot";
    }
}

/* A SIGTERM that comes before the VM listens to signals is lost, so a peer that may still boot is
 * told again. */
static void nudge(struct sup *s, int64_t now)
{
    if (!s->candidate || now - s->nudged_ms < NUDGE_MS ||
        !(s->stopping || s->state == SWAP_ABORTING))
        return;
    s->nudged_ms = now;
    sup_peer_stop(s->candidate);
}

/* Who waits hears from us, at least so often. */
static void beat(struct sup *s, int64_t now)
{
    rel_autofree char *drain = NULL;
    int64_t pause = s->state == SWAP_DRAINING ? DRAIN_BEAT_MS : HEARTBEAT_MS;

    if (now - s->told_ms > HEARTBEAT_MS) {
        s->told_ms = now;
        sup_conns_progress(&s->stoppers, "stop");
        sup_conns_progress(&s->ask.aborters, "abort");
    }
    if (s->state == SWAP_IDLE || !s->ask.conn || now - s->heard_ms < pause)
        return;
    drain = sup_drain_text(s);
    sup_step(s, step_of(s), "running", drain ? drain : s->state == SWAP_BOOTING ? s->why : NULL);
}

static void on_deadline(struct sup *s)
{
    bool plain = s->state == SWAP_BOOTING && s->candidate && !strcmp(s->ask.what, "boot");

    sup_post(s,
             plain && sup_ports_serve_anyway(s, s->ask.dir) ? SWAP_CANDIDATE_READY : SWAP_DEADLINE);
}

static void on_tick(uv_timer_t *timer)
{
    struct sup *s = timer->data;
    int64_t now = rel_mono_ms();

    if (s->failure.code && s->state == SWAP_IDLE && !s->stopping)
        sup_stop_all(s);
    if (now >= s->deadline_ms) {
        s->deadline_ms = INT64_MAX;
        on_deadline(s);
    }
    if (s->state == SWAP_BOOTING && s->candidate && !s->stopping)
        sup_probe_peer(s, s->candidate);
    sup_revive_tick(s, now);
    nudge(s, now);
    sup_reload_tick(s);
    sup_child_reap_orphans();
    if (s->steps)
        sup_steps_tick(s->steps);
    sup_steer_tick(s, now);
    sup_health_tick(s, now);
    sup_drain_tick(s, now);
    sup_catch_up(s, now);
    sup_ports_tick(s, now);
    beat(s, now);
    if (s->stopping)
        while_stopping(s, now);
    if (s->state == SWAP_IDLE && s->active && !s->stopping)
        uv_timer_start(timer, on_tick, REST_MS, REST_MS);
}

static int open_loop(struct sup *s, struct rel_err *e)
{
    rel_autofree char *path = rel_strf("%s/run/control.sock", s->store.home);
    struct sup_control_handler handler = {
        .request = sup_on_request, .gone = sup_on_gone, .is_guest = sup_is_guest, .ctx = s};

    uv_loop_init(&s->loop);
    uv_timer_init(&s->loop, &s->tick);
    sup_signals_open(s);
    s->tick.data = s->job.data = s->probe.data = s;
    uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
    return sup_control_open(&s->loop, path, &handler, &s->control, e);
}

/* What the home boots first: what it has, or else what the command line names, which comes in as in
 * any other run. */
static int first_release(struct sup *s, struct sup_ask *ask, struct rel_err *e)
{
    const char *release = s->options->release;
    rel_autofree char *shown = release ? sup_shown_release(release) : NULL;
    struct rel_err none = {0};

    if (sup_store_current(s->store.home, &ask->dir, &none) == 0) {
        if (release)
            sup_log(s, "%s has %s already, %s is not looked at: use 'relsup upgrade'",
                    s->store.home, ask->dir, shown);
        return 0;
    }
    if (sup_fall_back(s, NULL, &none, ask))
        return 0;
    if (!release)
        return rel_fail(e, REL_E_INPUT, 0, "%s", none.msg);
    ask->release = sup_is_url(release) ? rel_xstrdup(release) : realpath(release, NULL);
    if (!ask->release)
        return rel_fail(e, REL_E_INPUT, errno, "open %s", release);
    ask->app = s->config.app ? rel_xstrdup(s->config.app) : NULL;
    return 0;
}

/* Until a release is there those of the home say which may come. */
static int first_settings(struct sup *s, struct rel_err *e)
{
    rel_autofree char *dir = NULL;
    struct rel_err none = {0};

    (void)!sup_store_current(s->store.home, &dir, &none);
    return sup_settings_take(s, dir, e);
}

/* The peers that a supervisor of this home left behind when it was killed. There is no way to watch
 * them as well as an own child, so they are stopped and `current` boots anew. */
static int end_leftovers(struct sup *s, struct rel_err *e)
{
    struct sup_user user = {0};
    struct sup_journal j;
    bool known;
    size_t n = 0;
    int rc;

    if (sup_journal_recover(s->store.home, &j, &known, e) < 0 ||
        sup_user_find(s->config.user, NULL, &user, e) < 0)
        return -1;
    if (!known)
        sup_log(s, "the journal could not be read, it is kept as run/journal.broken");
    rc = sup_leftovers_end(&(struct sup_leftovers){.home = s->store.home,
                                                   .journal = &j,
                                                   .known = known,
                                                   .user = user.uid,
                                                   .timeout_ms = (int)s->config.shutdown_ms},
                           &n, e);
    sup_user_fini(&user);
    if (rc < 0)
        return -1;
    if (n)
        sup_log(s, "%zu processes of an earlier supervisor were ended", n);
    sup_tidy(s->store.home);
    s->generation = j.generation;
    return 0;
}

/* Now that the control socket listens: whoever looks removes the link of a home that is silent. */
static void announce(struct sup *s)
{
    struct rel_err e = {0};

    if (sup_home_announce(s->store.home, &e) < 0)
        sup_log(s, "only --home will find this home: %s", e.msg);
    sup_log(s, "the supervisor of %s runs", s->store.home);
}

int sup_run(const struct sup_run_options *options, struct rel_err *e)
{
    struct sup s = {.options = options, .deadline_ms = INT64_MAX};
    struct sup_ask ask = {
        .what = "boot", .soak_ms = 0, .drain_ms = -1, .step_ms = -1, .hold_ms = -1};
    rel_autofree char *contact = NULL;

    s.owner = (struct sup_peer_owner){sup_on_peer_exit, oldest_other, &s};
    sup_signals_ignore();
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* what peers start and leave comes to us */
    if (sup_store_open(options->home, &s.store, e) < 0)
        return -1;
    contact = rel_strf("%s/run/active.json", s.store.home);
    if (first_settings(&s, e) < 0 || end_leftovers(&s, e) < 0 || first_release(&s, &ask, e) < 0) {
        sup_settings_fini(&s);
        sup_fallback_fini(&s);
        sup_ask_fini(&ask);
        sup_store_close(&s.store);
        return -1;
    }
    (void)!unlink(contact);
    if (open_loop(&s, e) < 0) {
        uv_close((uv_handle_t *)&s.tick, NULL);
        sup_signals_close(&s);
        sup_ask_fini(&ask);
    } else {
        announce(&s);
        sup_begin(&s, &ask);
    }
    uv_run(&s.loop, UV_RUN_DEFAULT);
    uv_loop_close(&s.loop);
    (void)!unlink(contact);
    sup_home_withdraw(s.store.home);
    sup_cgroup_tidy(s.store.home);
    sup_note_journal(&s);
    sup_store_close(&s.store);
    free(s.why);
    free(s.steer.why_not);
    swap_traffic_free(s.steer.traffic);
    sup_drain_end(&s);
    sup_health_end(&s);
    sup_settings_fini(&s);
    sup_fallback_fini(&s);
    sup_ports_fini(&s);
    if (s.failure.code && !e->code)
        *e = s.failure;
    return e->code ? -1 : 0;
}

int sup_log_path(const char *home, char **path, struct rel_err *e)
{
    rel_autofree char *contact = rel_strf("%s/run/active.json", home);
    struct hot_contact c = {0};

    if (hot_contact_read(contact, &c, e) < 0)
        return -1;
    *path = rel_strf("%s/log/peer-%d.log", home, c.generation);
    hot_contact_fini(&c);
    return 0;
}
