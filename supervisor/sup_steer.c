/* SPDX-License-Identifier: Apache-2.0 */
/* The orders of the swap's table that move the connections from one peer to the other. */
#include <arpa/inet.h>
#include <string.h>

#include "base/rel_clock.h"
#include "hotload/hot_fetch.h"
#include "hotload/hot_handover.h"
#include "hotload/hot_ready.h"
#include "supervisor/sup_engine.h"

enum { ACCEPT_MS = 2000, THOROUGH_MS = 1000, MISSING_MS = 3000, FETCH_MS = 2000 };

/* Where programs or copies are not permitted the swap goes on by mere overlap, and says so. */
static void give_up_steering(struct sup *s, const struct rel_err *e)
{
    if (!s->steer.why_not)
        sup_log(s,
                "connections are not steered: %s; a swap may lose those that wait for the old "
                "peer, and a candidate gets some before it is proved",
                e->msg);
    free(s->steer.why_not);
    s->steer.why_not = rel_xstrdup(e->msg);
    swap_traffic_free(s->steer.traffic);
    s->steer.traffic = NULL;
}

/* The agent in the peer sends it. On the loop's thread: milliseconds, and only where the kernel's
 * own way is closed. */
static int fetch(void *ctx, pid_t pid, int vm_fd, int *fd, struct rel_err *e)
{
    const struct sup *s = ctx;
    const struct sup_peer *peers[] = {s->active, s->candidate, s->old};
    rel_autofree char *path = rel_strf("%s/run/fd.sock", s->store.home);

    for (size_t i = 0; i < sizeof(peers) / sizeof(*peers); i++)
        if (peers[i] && peers[i]->contact.pid == pid)
            return hot_fetch_fd(&peers[i]->contact, path, vm_fd, FETCH_MS, fd, e);
    return rel_fail(e, REL_E_IO, 0, "process %d is no peer", (int)pid);
}

static int guard(struct sup *s, struct rel_err *e)
{
    const struct hot_contact *c = &s->active->contact;

    if (swap_traffic_join(s->steer.traffic, SWAP_OLD_SIDE, c->pid, c->port, e) < 0 ||
        swap_traffic_check(s->steer.traffic, e) < 0 || swap_traffic_share(s->steer.traffic, e) < 0)
        return -1;
    /* a VM that boots takes processor time from the one that serves */
    swap_traffic_widen(s->steer.traffic, SWAP_OLD_SIDE);
    return swap_traffic_route(s->steer.traffic, 0, e);
}

int sup_guard(struct sup *s, struct rel_err *e)
{
    struct swap_fetch way = {.fetch = fetch, .ctx = s};
    struct rel_err own = {0};

    if (!s->active)
        return 0;
    s->steer.traffic = swap_traffic_new(s->config.preview, &way);
    if (guard(s, &own) == 0) {
        free(rel_steal(&s->steer.why_not));
        return 0;
    }
    if (!hot_contact_alive(&s->active->contact)) { /* it has just ended: nobody is to be guarded */
        swap_traffic_free(rel_steal(&s->steer.traffic));
        return 0;
    }
    if (own.code == REL_E_UNSUPPORTED) {
        give_up_steering(s, &own);
        rel_err_clear(&own);
        if (hot_node_share_now(&s->active->contact, FETCH_MS, &own) < 0)
            sup_log(s, "its ports are not shared: %s", own.msg);
        return 0;
    }
    swap_traffic_free(rel_steal(&s->steer.traffic));
    *e = own;
    return -1;
}

static void refuse(struct sup *s, const struct rel_err *e)
{
    s->ask.failure = *e;
    sup_post(s, SWAP_REFUSED);
}

static void on_verify(uv_work_t *work)
{
    struct sup *s = work->data;

    rel_err_clear(&s->job_err);
    (void)!swap_traffic_verify(s->steer.traffic, s->steer.who, ACCEPT_MS, &s->job_err);
}

static void on_verified(uv_work_t *work, int status)
{
    struct sup *s = work->data;

    (void)status;
    s->job_busy = s->steer.busy = false;
    if (s->steer.let_go) {
        s->steer.let_go = false;
        sup_let_go(s, s->steer.let_go_side);
        return;
    }
    if (s->state != SWAP_PROBING)
        return;
    if (s->job_err.code)
        refuse(s, &s->job_err);
    else
        sup_health_begin(s);
}

static void see_processes(const struct sup *s, struct swap_process who[SWAP_SIDE_COUNT])
{
    const struct sup_peer *new = s->old || !s->candidate ? s->active : s->candidate;
    const struct sup_peer *old = new == s->active ? s->old : s->active;

    memset(who, 0, SWAP_SIDE_COUNT * sizeof(*who));
    if (old && !old->gone)
        who[SWAP_OLD_SIDE] =
            (struct swap_process){.pid = old->contact.pid, .except_port = old->contact.port};
    if (new && !new->gone)
        who[SWAP_NEW_SIDE] =
            (struct swap_process){.pid = new->contact.pid, .except_port = new->contact.port};
}

static int take_candidate_in(struct sup *s, struct rel_err *e)
{
    const struct hot_contact *c = &s->candidate->contact;
    rel_autofree char *missing = NULL;

    if (swap_traffic_join(s->steer.traffic, SWAP_NEW_SIDE, c->pid, c->port, e) < 0 ||
        swap_traffic_check(s->steer.traffic, e) < 0 ||
        swap_traffic_route(s->steer.traffic, 0, e) < 0)
        return -1;
    missing = swap_traffic_missing(s->steer.traffic, &s->ports.expect);
    if (missing)
        return rel_fail(e, REL_E_INPUT, 0,
                        "%s does not listen on %s in the same way as the old one (user, device, "
                        "IPV6_V6ONLY), and so cannot take over its connections",
                        s->ask.dir, missing);
    return 0;
}

void sup_prove(struct sup *s)
{
    struct rel_err e = {0};

    sup_step(s, "boot", "done", s->candidate->contact.node);
    if (!s->steer.traffic) {
        sup_health_begin(s);
        return;
    }
    if (take_candidate_in(s, &e) < 0) {
        refuse(s, &e);
        return;
    }
    see_processes(s, s->steer.who);
    s->job_busy = s->steer.busy = true;
    uv_queue_work(&s->loop, &s->job, on_verify, on_verified);
}

static char *curl_line(const struct swap_group_view *view)
{
    bool v6 = view->target.ss_family == AF_INET6;
    char target[INET6_ADDRSTRLEN], source[INET6_ADDRSTRLEN];

    swap_address_text(&view->target, target);
    swap_address_text(&view->source, source);
    if (v6)
        return rel_strf("curl --interface %s --local-port %d-%d 'http://[%s]:%d/'", source,
                        SWAP_PREVIEW_PORT, SWAP_PREVIEW_PORT + SWAP_PREVIEW_PORTS - 1, target,
                        (int)view->port);
    return rel_strf("curl --interface %s http://%s:%d/", source, target, (int)view->port);
}

static json_t *preview_lines(const struct sup *s)
{
    json_t *lines = json_array();

    for (size_t i = 0; s->steer.traffic && i < swap_traffic_group_n(s->steer.traffic); i++) {
        struct swap_group_view view;
        rel_autofree char *line = NULL;

        swap_traffic_view(s->steer.traffic, i, &view);
        line = curl_line(&view);
        if (view.n[SWAP_NEW_SIDE])
            json_array_append_new(lines, json_string(line));
    }
    return lines;
}

void sup_hold(struct sup *s)
{
    sup_introduce(s);
    if (!s->ask.hold || !s->active) { /* nobody looks for long while nobody serves */
        sup_post(s, SWAP_CONTINUED);
        return;
    }
    sup_step(s, "hold", "done", s->candidate->contact.node);
    if (s->ask.conn)
        sup_conn_result(rel_steal(&s->ask.conn),
                        json_pack("{s:b, s:s, s:s*, s:s, s:o}", "held", 1, "release", s->ask.dir,
                                  "previous", s->ask.from, "node", s->candidate->contact.node,
                                  "preview", preview_lines(s)));
}

static void on_hand_over(uv_work_t *work)
{
    struct sup *s = work->data;
    const struct sup_call *b = &s->config.before_cutover, *a = &s->config.after_cutover;
    struct hot_mfa before = {b->module, b->function, (int)b->timeout_ms};
    struct hot_mfa after = {a->module, a->function, (int)a->timeout_ms};

    rel_err_clear(&s->job_err);
    (void)!hot_handover(s->job_old_contact.node ? &s->job_old_contact : NULL, &before,
                        &s->job_contact, &after, &s->job_err);
}

static void on_handed_over(uv_work_t *work, int status)
{
    struct sup *s = work->data;

    (void)status;
    s->job_busy = false;
    hot_contact_fini(&s->job_contact);
    hot_contact_fini(&s->job_old_contact);
    if (s->state != SWAP_HANDING_OVER)
        return;
    if (s->job_err.code && s->active) {
        refuse(s, &s->job_err);
        return;
    }
    if (s->job_err
            .code) /* nobody else serves: better without the old one's state than not at all */
        sup_log(s, "%s", s->job_err.msg);
    sup_step(s, "handover", "done", NULL);
    sup_post(s, SWAP_HANDED_OVER);
}

void sup_hand_over(struct sup *s)
{
    if (!s->served || (!s->config.before_cutover.module && !s->config.after_cutover.module)) {
        sup_post(s, SWAP_HANDED_OVER);
        return;
    }
    s->job_contact = hot_contact_copy(&s->candidate->contact);
    if (s->active)
        s->job_old_contact = hot_contact_copy(&s->active->contact);
    s->job_busy = true;
    uv_queue_work(&s->loop, &s->job, on_hand_over, on_handed_over);
}

/* Known before the first connection reaches it: from now on it has something to end in order, and
 * a supervisor that starts after a crash leaves it the time. */
static void will_serve(struct sup *s)
{
    if (s->candidate->served)
        return;
    s->candidate->served = true;
    sup_note_journal(s);
}

/* The table brings us here once more when a share has had its time. */
void sup_shift(struct sup *s)
{
    rel_autofree char *text = NULL;
    struct rel_err e = {0};
    unsigned share;

    if (s->ask.share_at == s->ask.share_n || !s->steer.traffic || !s->active) {
        sup_post(s, SWAP_SHIFTED);
        return;
    }
    will_serve(s);
    share = s->ask.shares[s->ask.share_at++];
    if (swap_traffic_route(s->steer.traffic, share, &e) < 0) {
        refuse(s, &e);
        return;
    }
    s->deadline_ms = rel_mono_ms() + s->ask.step_ms;
    text = rel_strf("%g %% of the new connections", share / 100.0);
    sup_step(s, "shift", "done", text);
}

void sup_cut_over(struct sup *s)
{
    struct rel_err e = {0};

    will_serve(s);
    s->old = s->active;
    s->active = rel_steal(&s->candidate);
    s->ask.cut_over = true;
    if (s->steer.traffic) {
        swap_traffic_widen(s->steer.traffic, SWAP_NEW_SIDE);
        if (swap_traffic_route(s->steer.traffic, SWAP_SHARE_ALL, &e) < 0 && s->old) {
            refuse(s, &e);
            return;
        }
    }
    sup_step(s, "cutover", "done", s->active->contact.node);
    if (!s->served)
        sup_notify("READY=1");
    s->served = true;
    sup_show_active(s);
    if (!s->old)
        sup_post(s, SWAP_OLD_EXITED);
}

void sup_steer_back(struct sup *s)
{
    struct rel_err e = {0};

    sup_health_end(s);
    if (s->steer.traffic && swap_traffic_route(s->steer.traffic, 0, &e) < 0)
        sup_log(s, "%s", e.msg);
    if (s->old) { /* the cutover is behind us */
        s->candidate = s->active;
        s->active = rel_steal(&s->old);
        sup_show_active(s);
    }
    sup_step(s, "back", "done", s->active ? s->active->contact.node : NULL);
    if (s->candidate->gone)
        sup_post(s, SWAP_CANDIDATE_EXITED);
    else
        sup_drain_begin(s);
}

void sup_let_go(struct sup *s, enum swap_side side)
{
    size_t lost_n = 0;

    if (s->steer.busy) {
        s->steer.let_go = true;
        s->steer.let_go_side = side;
        return;
    }
    if (!s->steer.traffic)
        return;
    swap_traffic_leave(s->steer.traffic, side, &lost_n);
    if (lost_n && (side == SWAP_OLD_SIDE || s->ask.cut_over)) /* else it was a preview */
        sup_log(s, "%zu that waited for a peer which is gone are lost", lost_n);
    swap_traffic_free(rel_steal(&s->steer.traffic));
}

void sup_block_old(struct sup *s)
{
    if (s->steer.traffic)
        swap_traffic_block(s->steer.traffic, SWAP_OLD_SIDE);
}

/* A peer that serves, or may soon, and has given a port up for good. */
static void look_for_missing(struct sup *s, int64_t now)
{
    rel_autofree char *missing = NULL;

    if (s->state != SWAP_SHIFTING && s->state != SWAP_SOAKING)
        return;
    missing = swap_traffic_missing(s->steer.traffic, &s->ports.expect);
    if (!missing)
        s->steer.missing_ms = 0;
    else if (!s->steer.missing_ms)
        s->steer.missing_ms = now;
    else if (now - s->steer.missing_ms > MISSING_MS) {
        s->steer.missing_ms = 0;
        rel_err_clear(&s->ask.failure);
        rel_fail(&s->ask.failure, REL_E_REMOTE, 0, "%s does not listen on %s any more", s->ask.dir,
                 missing);
        sup_post(s, SWAP_PROBE_FAILED);
    }
}

void sup_steer_tick(struct sup *s, int64_t now)
{
    struct swap_process who[SWAP_SIDE_COUNT];
    bool thorough = now - s->steer.watched_ms > THOROUGH_MS;

    if (!s->steer.traffic || s->steer.busy || s->state == SWAP_RETIRING ||
        s->state == SWAP_ABORTING)
        return;
    if (thorough)
        s->steer.watched_ms = now;
    see_processes(s, who);
    if (swap_traffic_watch(s->steer.traffic, who, thorough))
        sup_log(s, "a peer opened or closed a listening socket");
    if (thorough)
        look_for_missing(s, now);
}
