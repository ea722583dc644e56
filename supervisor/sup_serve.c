/* SPDX-License-Identifier: Apache-2.0 */
/* What clients ask on the control socket. */
#include <string.h>

#include "base/rel_clock.h"
#include "base/rel_out.h"
#include "supervisor/sup_engine.h"
#include "supervisor/sup_fetch.h"
#include "supervisor/sup_guest.h"

/* The releases that it was changed through in place; NULL: none but the one it booted. */
static json_t *chain_of(const struct sup_peer *p)
{
    json_t *chain = p->chain_n > 1 ? json_array() : NULL;

    for (size_t i = 0; chain && i < p->chain_n; i++)
        json_array_append_new(chain, json_string(p->chain[i]));
    return chain;
}

static void add_peer(json_t *peers, const struct sup_peer *p, const char *role)
{
    if (p)
        json_array_append_new(peers,
                              json_pack("{s:s, s:i, s:s, s:i, s:s, s:s, s:o*}", "role", role,
                                        "generation", p->contact.generation, "node",
                                        p->contact.node, "pid", (int)p->contact.pid, "release",
                                        p->dir, "version", p->release->vsn, "chain", chain_of(p)));
}

static json_t *peers_of(const struct sup *s)
{
    json_t *peers = json_array();

    add_peer(peers, s->active, "active");
    add_peer(peers, s->candidate, "candidate");
    add_peer(peers, s->old, "retiring");
    add_peer(peers, s->revival.peer, "starting");
    return peers;
}

static void add_group(json_t *groups, const struct swap_group_view *v)
{
    json_array_append_new(groups, json_pack("{s:s, s:I, s:I, s:I, s:I}", "listens", v->text, "old",
                                            (json_int_t)v->n[SWAP_OLD_SIDE], "new",
                                            (json_int_t)v->n[SWAP_NEW_SIDE], "old_waiting",
                                            (json_int_t)v->queue[SWAP_OLD_SIDE], "new_waiting",
                                            (json_int_t)v->queue[SWAP_NEW_SIDE]));
}

/* What a swap is in the middle of; NULL: none is. */
static json_t *swap_of(const struct sup *s)
{
    rel_autofree char *drain = sup_drain_text(s);
    int64_t left_ms = s->deadline_ms - rel_mono_ms();
    json_t *groups, *o;

    if (s->state == SWAP_IDLE || s->state == SWAP_CHANGING)
        return NULL;
    groups = json_array();
    for (size_t i = 0; s->steer.traffic && i < swap_traffic_group_n(s->steer.traffic); i++) {
        struct swap_group_view view;

        swap_traffic_view(s->steer.traffic, i, &view);
        add_group(groups, &view);
    }
    o = json_pack("{s:s*, s:s*, s:s, s:s*, s:o}", "from", s->ask.from, "to", s->ask.dir,
                  "waits_for", swap_state_waits_for(s->state), "draining", drain, "groups", groups);
    json_object_set_new(o, "waited_ms", json_integer(rel_mono_ms() - s->entered_ms));
    if (s->deadline_ms != INT64_MAX)
        json_object_set_new(o, "left_ms", json_integer(left_ms > 0 ? left_ms : 0));
    return o;
}

/* What a swap would not guarantee here; learnt by the first one that tries. */
static json_t *steering_of(const struct sup *s)
{
    return s->steer.why_not ? json_sprintf("off: %s", s->steer.why_not) : json_string("on");
}

/* "running" is said of an application that was seen to be ready. */
static const char *state_of(const struct sup *s)
{
    if (s->stopping)
        return "stopping";
    if (!s->served)
        return "starting";
    if (s->state != SWAP_IDLE)
        return swap_state_name(s->state);
    return s->active ? "running" : s->revival.peer ? "starting" : "down";
}

static char *warning_of(const struct sup_peer *p)
{
    bool expired = sup_release_is_expired(p->release);
    rel_autofree char *late =
        expired ? rel_strf("%s expired at %s: upgrade", p->dir, p->release->expires) : NULL;

    if (p->uid != 0)
        return rel_steal(&late);
    return rel_strf("the application runs as root: set \"user\" in relsup.json%s%s",
                    expired ? "; " : "", expired ? late : "");
}

static json_t *status_of(const struct sup *s)
{
    const struct sup_peer *p = s->active;
    json_t *o = json_pack("{s:s, s:s, s:i, s:o, s:s*, s:o, s:o*}", "home", s->store.home, "state",
                          state_of(s), "supervisor_pid", (int)getpid(), "peers", peers_of(s),
                          "doing", s->state != SWAP_IDLE ? s->ask.what : NULL, "steering",
                          steering_of(s), "swap", swap_of(s));
    rel_autofree char *warning = NULL;
    char since[REL_TIME_LEN];

    if (s->instead)
        json_object_set_new(o, "instead", rel_json_text(s->instead));
    if (!p)
        return o;
    warning = warning_of(p);
    if (warning)
        json_object_set_new(o, "warning", rel_json_text(warning));
    rel_time_format(p->since_ms, since);
    json_object_update_new(
        o, json_pack("{s:s, s:s, s:s, s:i, s:s, s:i, s:s, s:I}", "app", p->release->name, "version",
                     p->release->vsn, "release", p->dir, "generation", p->contact.generation,
                     "node", p->contact.node, "pid", (int)p->contact.pid, "since", since,
                     "uptime_s", (json_int_t)((rel_wall_ms() - p->since_ms) / 1000)));
    return o;
}

static int64_t time_of(const json_t *args, const char *key, int64_t none)
{
    const json_t *v = json_object_get(args, key);

    return json_is_integer(v) && json_integer_value(v) >= 0 ? json_integer_value(v) : none;
}

/* Percents, each more than the one before; the last step is always all of them. */
static int take_shares(const json_t *list, struct sup_ask *ask, struct rel_err *e)
{
    unsigned before = 0;
    const json_t *v;
    size_t i;

    json_array_foreach (list, i, v) {
        double percent = json_number_value(v);
        unsigned share = percent > 0 && percent <= 100 ? (unsigned)(percent * 100 + 0.5) : 0;

        if (share <= before || ask->share_n == SUP_SHARES)
            return rel_fail(e, REL_E_INPUT, 0,
                            "canary: must be at most %d percents from 0.01 to 100, each more than "
                            "the one before",
                            SUP_SHARES);
        before = share;
        if (share < SWAP_SHARE_ALL)
            ask->shares[ask->share_n++] = share;
    }
    return 0;
}

static int take_swap_args(const json_t *args, struct sup_ask *ask, struct rel_err *e)
{
    const char *until = json_string_value(json_object_get(args, "until"));
    const char *old = json_string_value(json_object_get(args, "old_code"));

    ask->boot_ms = time_of(args, "boot_ms", 0);
    ask->soak_ms = time_of(args, "soak_ms", -1);
    ask->drain_ms = time_of(args, "drain_ms", -1);
    ask->step_ms = time_of(args, "step_ms", -1);
    ask->suspend_ms = time_of(args, "suspend_ms", 0);
    ask->wait_ms = time_of(args, "wait_ms", -1);
    ask->old_code = !old                     ? SUP_OLD_AS_CONFIGURED
                    : !strcmp(old, "refuse") ? SUP_OLD_REFUSE
                                             : SUP_OLD_KEEP;
    ask->allow_older = json_is_true(json_object_get(args, "allow_older"));
    ask->hold = json_is_true(json_object_get(args, "hold"));
    ask->hold_ms = time_of(args, "hold_ms", -1);
    ask->until_serving = until && !strcmp(until, "serving");
    return take_shares(json_object_get(args, "canary"), ask, e);
}

static int check_idle(const struct sup *s, struct rel_err *e)
{
    rel_autofree char *drain = sup_drain_text(s);

    if (s->stopping)
        return rel_fail(e, REL_E_BUSY, 0, "the supervisor is stopping");
    if (s->state == SWAP_HOLDING)
        return rel_fail(e, REL_E_BUSY, 0,
                        "%s waits for 'relsup cutover' or 'relsup abort', give one of these first",
                        s->ask.dir);
    if (s->state == SWAP_IDLE && !s->job_busy)
        return 0;
    return rel_fail(e, REL_E_BUSY, 0, "the supervisor is %s%s%s%s, try again when it is done",
                    swap_state_name(s->state), drain ? " (" : "", drain ? drain : "",
                    drain ? ")" : "");
}

static int make_ask(struct sup *s, const struct sup_request *r, struct sup_ask *ask,
                    struct rel_err *e)
{
    const char *release = json_string_value(json_object_get(r->args, "release"));
    const char *mode = json_string_value(json_object_get(r->args, "mode"));
    const char *version = json_string_value(json_object_get(r->args, "version"));

    ask->what = sup_cmd_name(r->cmd);
    ask->dry_run = json_is_true(json_object_get(r->args, "dry_run"));
    if (check_idle(s, e) < 0 || take_swap_args(r->args, ask, e) < 0 ||
        sup_settings_take(s, s->active ? s->active->dir : NULL, e) < 0)
        return -1;
    if (r->cmd == SUP_CMD_RESTART)
        return sup_store_current(s->store.home, &ask->dir, e);
    if (r->cmd == SUP_CMD_ROLLBACK && sup_find_rollback(s, version, ask, e) < 0)
        return -1;
    /* what was changed in place goes back the same way, where it can */
    if (!mode && ask->in_chain)
        mode = "auto";
    ask->automatic = mode && !strcmp(mode, "auto") && s->active;
    ask->hot = ask->automatic || (mode && !strcmp(mode, "hot"));
    if (r->cmd == SUP_CMD_ROLLBACK)
        return 0;
    if (!release || (*release != '/' && !sup_is_url(release)))
        return rel_fail(e, REL_E_INPUT, 0, "the path of a tarball is missing");
    if (ask->hot && !s->active)
        return rel_fail(e, REL_E_UNREACHABLE, 0,
                        "nothing runs that could be changed, it is being started again");
    ask->release = rel_xstrdup(release);
    if (s->active || s->config.app)
        ask->app = rel_xstrdup(s->active ? s->active->release->name : s->config.app);
    return 0;
}

/* The one who said so waits for the end, like whoever asks for an upgrade without holding it. */
static void cut_over(struct sup *s, struct sup_conn *conn)
{
    struct rel_err e = {0};

    if (s->state != SWAP_HOLDING) {
        rel_fail(&e, REL_E_INPUT, 0,
                 "no candidate waits for a cutover: 'relsup upgrade --hold' makes one wait");
        sup_conn_error(conn, &e);
        return;
    }
    s->ask.conn = conn;
    sup_post(s, SWAP_CONTINUED);
}

/* Who comes second waits for the same end. */
static void abort_order(struct sup *s, struct sup_conn *conn)
{
    bool going_on = !s->ask.ended && !s->ask.aborters.n;
    struct rel_err e = {0};

    if (swap_fsm_step(s->state, SWAP_ABORTED).action == SWAP_UNEXPECTED && going_on) {
        rel_fail(&e, REL_E_INPUT, 0, "there is nothing to abort: the supervisor is %s%s",
                 s->state == SWAP_IDLE ? "idle" : swap_state_name(s->state),
                 s->state == SWAP_DRAINING || s->state == SWAP_RETIRING
                     ? ", the new release serves: use 'relsup rollback'"
                     : "");
        sup_conn_error(conn, &e);
        return;
    }
    sup_conns_add(&s->ask.aborters, conn);
    if (!going_on)
        return;
    rel_err_clear(&s->ask.failure);
    rel_fail(&s->ask.failure, s->candidate || s->old ? REL_E_ROLLED_BACK : REL_E_INTERRUPTED, 0,
             "%s was aborted by the operator", s->ask.dir ? s->ask.dir : s->ask.what);
    sup_post(s, SWAP_ABORTED);
}

void sup_on_request(void *ctx, struct sup_conn *conn, const struct sup_request *r)
{
    struct sup *s = ctx;
    struct sup_ask ask = {.conn = conn};
    struct rel_err e = {0};

    if (sup_guest_check(s, sup_conn_uid(conn), r, &e) < 0) {
        sup_conn_error(conn, &e);
    } else if (r->cmd == SUP_CMD_STATUS) {
        sup_conn_result(conn, status_of(s));
    } else if (r->cmd == SUP_CMD_STOP) {
        sup_conns_add(&s->stoppers, conn);
        sup_stop_all(s);
    } else if (r->cmd == SUP_CMD_CUTOVER) {
        cut_over(s, conn);
    } else if (r->cmd == SUP_CMD_ABORT) {
        abort_order(s, conn);
    } else if (make_ask(s, r, &ask, &e) < 0) {
        sup_conn_error(conn, &e);
    } else {
        sup_begin(s, &ask);
    }
}

/* Who asked went away: what it asked for goes on, it was an order. */
void sup_on_gone(void *ctx, struct sup_conn *conn)
{
    struct sup *s = ctx;

    if (s->ask.conn == conn)
        s->ask.conn = NULL;
    sup_conns_drop(&s->ask.aborters, conn);
    sup_conns_drop(&s->stoppers, conn);
}
