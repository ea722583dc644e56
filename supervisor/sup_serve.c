/* SPDX-License-Identifier: Apache-2.0 */
/* What clients ask on the control socket. */
#include <string.h>

#include "base/rel_clock.h"
#include "supervisor/sup_engine.h"
#include "supervisor/sup_fetch.h"

static void add_peer(json_t *peers, const struct sup_peer *p, const char *role)
{
    if (p)
        json_array_append_new(peers, json_pack("{s:s, s:i, s:s, s:i, s:s, s:s}", "role", role,
                                               "generation", p->contact.generation, "node",
                                               p->contact.node, "pid", (int)p->contact.pid,
                                               "release", p->dir, "version", p->release->vsn));
}

static json_t *peers_of(const struct sup *s)
{
    json_t *peers = json_array();

    add_peer(peers, s->active, "active");
    add_peer(peers, s->candidate, "candidate");
    add_peer(peers, s->old, "retiring");
    return peers;
}

static json_t *status_of(const struct sup *s)
{
    const struct sup_peer *p = s->active;
    json_t *o = json_pack("{s:s, s:s, s:i, s:o, s:s*}", "home", s->store.home, "state",
                          s->stopping             ? "stopping"
                          : s->state != SWAP_IDLE ? swap_state_name(s->state)
                          : p                     ? "running"
                                                  : "down",
                          "supervisor_pid", (int)getpid(), "peers", peers_of(s), "doing",
                          s->state != SWAP_IDLE ? s->ask.what : NULL);
    char since[REL_TIME_LEN];

    if (!p)
        return o;
    rel_time_format(p->since_ms, since);
    json_object_update_new(
        o, json_pack("{s:s, s:s, s:s, s:i, s:s, s:i, s:s, s:I}", "app", p->release->name, "version",
                     p->release->vsn, "release", p->dir, "generation", p->contact.generation,
                     "node", p->contact.node, "pid", (int)p->contact.pid, "since", since,
                     "uptime_s", (json_int_t)((rel_wall_ms() - p->since_ms) / 1000)));
    return o;
}

static int earlier_release(struct sup *s, const char *version, char **dir, struct rel_err *e)
{
    json_t *list = NULL;
    size_t i;
    json_t *one;

    if (sup_releases(s->store.home, &list, e) < 0)
        return -1;
    json_array_foreach (list, i, one) {
        const char *name = json_string_value(json_object_get(one, "release"));
        bool fits =
            version ? !strcmp(name, version) : !s->active || strcmp(name, s->active->dir) != 0;

        if (fits) {
            free(*dir);
            *dir = rel_xstrdup(name);
        }
    }
    json_decref(list);
    if (!*dir)
        return rel_fail(e, REL_E_INPUT, 0, "there is no %s release in this home",
                        version ? version : "earlier");
    return 0;
}

static int make_ask(struct sup *s, const struct sup_request *r, struct sup_ask *ask,
                    struct rel_err *e)
{
    const char *release = json_string_value(json_object_get(r->args, "release"));
    const char *mode = json_string_value(json_object_get(r->args, "mode"));
    const char *version = json_string_value(json_object_get(r->args, "version"));

    ask->what = sup_cmd_name(r->cmd);
    ask->boot_ms = json_integer_value(json_object_get(r->args, "boot_ms"));
    ask->dry_run = json_is_true(json_object_get(r->args, "dry_run"));
    ask->hot = mode && !strcmp(mode, "hot");
    if (s->stopping || s->state != SWAP_IDLE || s->job_busy)
        return rel_fail(e, REL_E_BUSY, 0, "the supervisor is %s, try again when it is done",
                        s->stopping ? "stopping" : swap_state_name(s->state));
    if (r->cmd == SUP_CMD_RESTART)
        return sup_store_current(s->store.home, &ask->dir, e);
    if (r->cmd == SUP_CMD_ROLLBACK)
        return earlier_release(s, version, &ask->dir, e);
    if (!release || (*release != '/' && !sup_is_url(release)))
        return rel_fail(e, REL_E_INPUT, 0, "the path of a tarball is missing");
    if (ask->hot && !s->active)
        return rel_fail(e, REL_E_INPUT, 0, "nothing runs that could be changed");
    ask->release = rel_xstrdup(release);
    if (s->active || s->config.app)
        ask->app = rel_xstrdup(s->active ? s->active->release->name : s->config.app);
    return 0;
}

void sup_on_request(void *ctx, struct sup_conn *conn, const struct sup_request *r)
{
    struct sup *s = ctx;
    struct sup_ask ask = {.conn = conn};
    struct rel_err e = {0};

    if (r->cmd == SUP_CMD_STATUS) {
        sup_conn_result(conn, status_of(s));
    } else if (r->cmd == SUP_CMD_STOP) {
        s->stop_conn = conn;
        sup_stop_all(s);
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
    if (s->stop_conn == conn)
        s->stop_conn = NULL;
}
