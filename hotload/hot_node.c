/* SPDX-License-Identifier: Apache-2.0 */
#include "hotload/hot_node.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/rel_io.h"
#include "hotload/hot_agent.h"

enum {
    COOKIE_MAX = 4096,
    REST_MS = 10000, /* for the rest of a message whose first byte is here */
};

static int read_cookie(const char *path, char out[EI_MAX_COOKIE_SIZE], struct rel_err *e)
{
    rel_autofree char *text = NULL;
    size_t len;

    if (rel_read_file(AT_FDCWD, path, COOKIE_MAX, &text, &len, e) < 0) {
        e->code = REL_E_UNREACHABLE;
        return rel_wrap(e, "the cookie cannot be read");
    }
    len = strcspn(text, " \t\r\n"); /* as kernel/auth.erl reads it */
    if (len == 0 || len >= EI_MAX_COOKIE_SIZE)
        return rel_fail(e, REL_E_UNREACHABLE, 0, "%s holds no cookie", path);
    memcpy(out, text, len);
    out[len] = '\0';
    explicit_bzero(text, len);
    return 0;
}

/* libei says EIO for a refused connection too (its connect does not ask SO_ERROR). */
static bool somebody_listens(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    rel_autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 || errno != ECONNREFUSED);
}

/* libei tells only errno. A peer that gave us a dynamic name and then hung up refused the digest:
 * that is the cookie (ei_connect.c: recv_status is before recv_challenge_ack). */
static int explain(const struct hot_node *node, const struct hot_contact *c, int err,
                   struct rel_err *e)
{
    if (err == ETIMEDOUT)
        return rel_fail(e, REL_E_UNREACHABLE, 0, "node %s does not answer in time", c->node);
    if (node->ec.thisnodename[0])
        return rel_fail(e, REL_E_UNREACHABLE, 0, "node %s refuses the cookie in %s", c->node,
                        c->cookie_file);
    if (c->port && !somebody_listens(c->port))
        return rel_fail(e, REL_E_UNREACHABLE, 0,
                        "node %s is not running: nothing listens on port %d", c->node, c->port);
    if (!c->port && err != EHOSTUNREACH)
        return rel_fail(e, REL_E_UNREACHABLE, 0,
                        "node %s is not running: its epmd does not know it", c->node);
    if (err == EIO)
        return rel_fail(e, REL_E_UNREACHABLE, 0,
                        "what listens on port %d is not node %s: it hung up", c->port, c->node);
    return rel_fail(e, REL_E_UNREACHABLE, err, "connect to node %s", c->node);
}

static int connect_to(struct hot_node *node, const struct hot_contact *c, int64_t until_ms,
                      struct rel_err *e)
{
    char cookie[EI_MAX_COOKIE_SIZE];
    int err, left = rel_left_ms(until_ms);

    if (ei_init() != 0)
        return rel_fail(e, REL_E_INTERNAL, 0, "libei does not initialise");
    if (read_cookie(c->cookie_file, cookie, e) < 0)
        return -1;
    /* No alive name: the other node names us, from a pool, so no call leaves an atom there. */
    err = ei_connect_xinit(&node->ec, "localhost", NULL, NULL, NULL, cookie, 0);
    explicit_bzero(cookie, sizeof(cookie));
    if (err < 0)
        return rel_fail(e, REL_E_INTERNAL, 0, "libei does not take the cookie");
    if (c->port) {
        struct in_addr loopback = {.s_addr = htonl(INADDR_LOOPBACK)};

        node->fd =
            ei_xconnect_host_port_tmo(&node->ec, &loopback, c->port, (unsigned)(left ? left : 1));
    } else {
        node->fd = ei_connect_tmo(&node->ec, c->node, (unsigned)(left ? left : 1));
    }
    err = erl_errno;
    if (node->fd < 0)
        return explain(node, c, err, e);
    fcntl(node->fd, F_SETFD, FD_CLOEXEC);
    return 0;
}

static int check_name(struct hot_node *node, int64_t until_ms, struct rel_err *e)
{
    struct hot_call call = {.mod = "erlang", .fun = "node", .until_ms = until_ms};
    hot_autoterm struct hot_term result = {0};
    char name[MAXATOMLEN_UTF8];

    if (hot_node_call(node, &call, &result, e) < 0)
        return -1;
    if (!hot_take_atom(&result, &result.at, name))
        return rel_fail(e, REL_E_UNREACHABLE, 0, "node %s does not tell its name", node->name);
    if (strcmp(name, node->name) != 0)
        return rel_fail(e, REL_E_UNREACHABLE, 0, "node %s is not running: node %s answers there",
                        node->name, name);
    return 0;
}

int hot_node_open(const struct hot_contact *c, int timeout_ms, struct hot_node **node,
                  struct rel_err *e)
{
    hot_autonode struct hot_node *n = rel_xcalloc(1, sizeof(*n));
    int64_t until_ms = rel_mono_ms() + timeout_ms;

    n->fd = -1;
    n->name = rel_xstrdup(c->node);
    if (!*c->node)
        return rel_fail(e, REL_E_UNREACHABLE, 0, "%s runs without distribution, no node to call",
                        c->name);
    if (strlen(c->node) > MAXNODELEN || !strchr(c->node, '@'))
        return rel_fail(e, REL_E_INPUT, 0, "'%s' is no node name", c->node);
    if (connect_to(n, c, until_ms, e) < 0)
        return -1;
    if (check_name(n, until_ms, e) < 0)
        return -1;
    *node = rel_steal(&n);
    return 0;
}

void hot_node_close(struct hot_node *node)
{
    if (!node)
        return;
    if (node->fd >= 0)
        ei_close_connection(node->fd);
    explicit_bzero(&node->ec, sizeof(node->ec));
    free(node->name);
    free(node);
}

void hot_node_close_p(struct hot_node **node)
{
    hot_node_close(*node);
}

void hot_node_interrupt(struct hot_node *node)
{
    shutdown(node->fd, SHUT_RDWR);
}

/* libei reads MONITOR_P (19) and DEMONITOR_P (20), knows them not and says EIO, the message being
 * read whole (ei_connect.c: ei_do_receive_msg). Somebody over there watches us: not our business.
 */
static bool is_ignorable(const erlang_msg *msg)
{
    return erl_errno == EIO && (msg->msgtype == 19 || msg->msgtype == 20);
}

static int lost(struct hot_node *node, struct rel_err *e)
{
    node->broken = true;
    return rel_fail(e, REL_E_UNREACHABLE, 0, "the connection to node %s is lost", node->name);
}

int hot_node_receive(struct hot_node *node, int64_t until_ms, struct hot_term *message,
                     struct rel_err *e)
{
    for (;;) {
        hot_autoterm struct hot_term t = {0};
        struct pollfd p = {.fd = node->fd, .events = POLLIN};
        erlang_msg msg = {0};
        int got, version, n = poll(&p, 1, rel_left_ms(until_ms));

        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            return rel_fail(e, REL_E_TIMEOUT, 0, "node %s does not answer in time", node->name);
        if (ei_x_new(&t.x) < 0)
            abort();
        got = ei_xreceive_msg_tmo(node->fd, &msg, &t.x, REST_MS);
        if (got == ERL_TICK || (got == ERL_ERROR && is_ignorable(&msg)))
            continue;
        if (got != ERL_MSG)
            return lost(node, e);
        if (msg.msgtype != ERL_SEND && msg.msgtype != ERL_REG_SEND)
            continue;
        if (ei_decode_version(t.x.buff, &t.at, &version) < 0)
            return lost(node, e);
        *message = t;
        t = (struct hot_term){0};
        return 0;
    }
}

static int send_call(struct hot_node *node, const struct hot_call *call, struct rel_err *e)
{
    hot_autox ei_x_buff x = {0};
    int left = rel_left_ms(call->until_ms);

    if (ei_x_new_with_version(&x) < 0)
        abort();
    hot_put_tuple(&x, 2);
    hot_put_pid(&x, ei_self(&node->ec));
    hot_put_tuple(&x, 5);
    hot_put_atom(&x, "call");
    hot_put_atom(&x, call->mod);
    hot_put_atom(&x, call->fun);
    if (call->args)
        hot_put_raw(&x, call->args->buff, call->args->index);
    else
        hot_put_nil(&x);
    hot_put_atom(&x, "user");
    if (ei_reg_send_tmo(&node->ec, node->fd, (char *)"rex", x.buff, x.index,
                        (unsigned)(left ? left : 1)) < 0)
        return lost(node, e);
    return 0;
}

/* {rex, Result}: is it, and where is Result? */
static bool take_rex(struct hot_term *t)
{
    char tag[MAXATOMLEN_UTF8];
    int at = t->at;

    if (!hot_take_tuple(t, &at, 2) || !hot_take_atom(t, &at, tag) || strcmp(tag, "rex") != 0)
        return false;
    t->at = at;
    return true;
}

/* A readable reason of {badrpc, Reason}: its beginning, in libei's notation. */
static int bad_rpc(const struct hot_node *node, const struct hot_call *call,
                   const struct hot_term *t, struct rel_err *e)
{
    char *text = NULL;
    int at = t->at;

    if (ei_s_print_term(&text, t->x.buff, &at) < 0 || !text) {
        free(text);
        text = rel_xstrdup("unreadable reason");
    }
    for (char *p = text; *p; p++)
        if (*p == '\n')
            *p = ' ';
    rel_fail(e, REL_E_REMOTE, 0, "%s:%s failed on node %s: %.300s", call->mod, call->fun,
             node->name, text);
    free(text);
    return -1;
}

int hot_node_call(struct hot_node *node, const struct hot_call *call, struct hot_term *result,
                  struct rel_err *e)
{
    char tag[MAXATOMLEN_UTF8];
    int at;

    if (node->broken)
        return rel_fail(e, REL_E_UNREACHABLE, 0, "the connection to node %s is lost", node->name);
    if (send_call(node, call, e) < 0)
        return -1;
    do {
        hot_term_fini(result);
        if (hot_node_receive(node, call->until_ms, result, e) < 0) {
            node->broken = true; /* the answer may still come, and be taken for another's */
            return -1;
        }
    } while (!take_rex(result));
    at = result->at;
    if (hot_take_tuple(result, &at, 2) && hot_take_atom(result, &at, tag) &&
        !strcmp(tag, "badrpc")) {
        result->at = at;
        return bad_rpc(node, call, result, e);
    }
    return 0;
}

bool hot_call_is_undef(const struct hot_term *t)
{
    char atom[MAXATOMLEN_UTF8];
    int at = t->at;

    return hot_take_tuple(t, &at, 2) && hot_take_atom(t, &at, atom) && !strcmp(atom, "EXIT") &&
           hot_take_tuple(t, &at, 2) && hot_take_atom(t, &at, atom) && !strcmp(atom, "undef");
}

int hot_node_booted(struct hot_node *node, int timeout_ms, bool *booted, struct rel_err *e)
{
    struct hot_call call = {"init", "get_status", NULL, rel_mono_ms() + timeout_ms};
    hot_autoterm struct hot_term t = {0};
    char status[MAXATOMLEN_UTF8];

    if (hot_node_call(node, &call, &t, e) < 0)
        return -1;
    if (!hot_take_tuple(&t, &t.at, 2) || !hot_take_atom(&t, &t.at, status))
        return rel_fail(e, REL_E_REMOTE, 0, "init:get_status answers oddly on %s", node->name);
    *booted = !strcmp(status, "started");
    return 0;
}

static int order(struct hot_node *node, const char *fun, int timeout_ms, struct rel_err *e)
{
    struct hot_call call = {"init", fun, NULL, rel_mono_ms() + timeout_ms};
    hot_autoterm struct hot_term t = {0};

    return hot_node_call(node, &call, &t, e);
}

int hot_node_stop(struct hot_node *node, int timeout_ms, struct rel_err *e)
{
    return order(node, "stop", timeout_ms, e);
}

int hot_node_restart(struct hot_node *node, int timeout_ms, struct rel_err *e)
{
    return order(node, "restart", timeout_ms, e);
}

int hot_node_pid(struct hot_node *node, int timeout_ms, pid_t *pid, struct rel_err *e)
{
    struct hot_call call = {"os", "getpid", NULL, rel_mono_ms() + timeout_ms};
    hot_autoterm struct hot_term t = {0};
    rel_autofree char *text = NULL;
    size_t len;
    long n;

    if (hot_node_call(node, &call, &t, e) < 0)
        return -1;
    if (!hot_take_text(&t, &t.at, &text, &len) || (n = strtol(text, NULL, 10)) <= 0)
        return rel_fail(e, REL_E_REMOTE, 0, "os:getpid answers oddly on %s", node->name);
    *pid = (pid_t)n;
    return 0;
}

void hot_apps_fini(struct hot_apps *apps)
{
    for (size_t i = 0; i < apps->n; i++) {
        free(apps->v[i].name);
        free(apps->v[i].vsn);
    }
    free(apps->v);
    *apps = (struct hot_apps){0};
}

/* One {Name, Description, Vsn}. */
static bool take_app(const struct hot_term *t, int *at, struct hot_apps *apps)
{
    char name[MAXATOMLEN_UTF8];
    char *vsn;
    size_t len;

    if (!hot_take_tuple(t, at, 3) || !hot_take_atom(t, at, name) ||
        ei_skip_term(t->x.buff, at) < 0 || !hot_take_text(t, at, &vsn, &len))
        return false;
    apps->v[apps->n].name = rel_xstrdup(name);
    apps->v[apps->n++].vsn = vsn;
    return true;
}

int hot_node_apps(struct hot_node *node, int timeout_ms, struct hot_apps *apps, struct rel_err *e)
{
    struct hot_call call = {"application", "which_applications", NULL, rel_mono_ms() + timeout_ms};
    hot_autoterm struct hot_term t = {0};
    struct hot_apps got = {0};
    int n;

    if (hot_node_call(node, &call, &t, e) < 0)
        return -1;
    if (ei_decode_list_header(t.x.buff, &t.at, &n) < 0 || n < 0 || n > t.x.index)
        return rel_fail(e, REL_E_REMOTE, 0, "which_applications answers oddly on %s", node->name);
    got.v = rel_xcalloc((size_t)n + 1, sizeof(*got.v));
    for (int i = 0; i < n; i++)
        if (!take_app(&t, &t.at, &got)) {
            hot_apps_fini(&got);
            return rel_fail(e, REL_E_REMOTE, 0, "which_applications answers oddly on %s",
                            node->name);
        }
    *apps = got;
    return 0;
}
