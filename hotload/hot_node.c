/* SPDX-License-Identifier: Apache-2.0 */
#include "hotload/hot_node.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/rel_io.h"
#include "hotload/hot_agent.h"
#include "hotload/hot_dial.h"
#include "hotload/hot_handshake.h"
#include "hotload/hot_port.h"

enum {
    COOKIE_MAX = 4096,
    VERSION = 131,      /* before each term */
    PASS_THROUGH = 112, /* the one kind of message behind our handshake (erl_dist_protocol) */
    REASON_MAX = 300,
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

struct hot_node *hot_node_new(const char *name, int fd, const erlang_pid *self)
{
    struct hot_node *node = rel_xcalloc(1, sizeof(*node));

    node->fd = fd;
    node->in = (struct hot_reader){.fd = fd, .head_n = 4, .max = HOT_FRAME_MAX};
    node->self = *self;
    node->name = rel_xstrdup(name);
    return node;
}

/* Nothing is said before it is known whose socket the other one is. */
static int shake_hands(const struct hot_contact *c, int64_t until_ms, int *fd, erlang_pid *self,
                       struct rel_err *e)
{
    char cookie[EI_MAX_COOKIE_SIZE];
    struct hot_greeting greeting = {
        .node = c->node, .cookie = cookie, .cookie_file = c->cookie_file, .until_ms = until_ms};
    int rc;

    if (read_cookie(c->cookie_file, cookie, e) < 0)
        return -1;
    rc = hot_dial(c, until_ms, fd, &greeting.port, e);
    if (!rc)
        rc = hot_port_check(*fd, c, until_ms, e);
    if (!rc)
        rc = hot_greet(*fd, &greeting, self, e);
    explicit_bzero(cookie, sizeof(cookie));
    return rc;
}

int hot_node_open(const struct hot_contact *c, int timeout_ms, struct hot_node **node,
                  struct rel_err *e)
{
    rel_autoclose int fd = -1;
    erlang_pid self;

    if (!*c->node)
        return rel_fail(e, REL_E_UNREACHABLE, 0, "%s runs without distribution, no node to call",
                        c->name);
    if (!hot_is_atom(c->node) || !strchr(c->node, '@'))
        return rel_fail(e, REL_E_INPUT, 0, "'%s' is no node name", c->node);
    if (shake_hands(c, rel_mono_ms() + timeout_ms, &fd, &self, e) < 0)
        return -1;
    *node = hot_node_new(c->node, rel_steal_fd(&fd), &self);
    return 0;
}

void hot_node_close(struct hot_node *node)
{
    if (!node)
        return;
    close(node->fd);
    hot_reader_fini(&node->in);
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

static int lost(struct hot_node *node, const char *why, struct rel_err *e)
{
    node->broken = true;
    return rel_fail(e, REL_E_UNREACHABLE, 0, "the connection to node %s is lost: %s", node->name,
                    why);
}

/* Carries that control message a message to a process? The others (links, monitors, exits) are
 * none of our business. */
static bool is_send(int64_t operation)
{
    enum { SEND = 2, REG_SEND = 6, SEND_TT = 12, REG_SEND_TT = 16, SEND_SENDER = 22 };

    return operation == SEND || operation == REG_SEND || operation == SEND_TT ||
           operation == REG_SEND_TT || operation == SEND_SENDER;
}

/* A term behind its version byte, from *at on. */
static bool take_versioned(const struct hot_term *t, int *at, int *begin)
{
    if (hot_term_tag(t, *at) != VERSION)
        return false;
    *begin = ++*at;
    return hot_take_skip(t, at);
}

/* PASS_THROUGH, a control message, and the message of those that carry one: t->at is then its
 * beginning. False: it is none of that. */
static bool take_message(struct hot_term *t, bool *carries)
{
    int end = 1, control, message;
    int64_t operation;

    *carries = false;
    if (hot_term_tag(t, 0) != PASS_THROUGH || !take_versioned(t, &end, &control) ||
        hot_take_any_tuple(t, &control) < 1 || !hot_take_int(t, &control, &operation))
        return false;
    if (!is_send(operation))
        return true;
    if (!take_versioned(t, &end, &message) || (size_t)end != t->len)
        return false;
    t->at = message;
    *carries = true;
    return true;
}

int hot_node_receive(struct hot_node *node, int64_t until_ms, struct hot_term *message,
                     struct rel_err *e)
{
    if (node->broken)
        return lost(node, "it was given up before", e);
    for (;;) {
        hot_autoterm struct hot_term t = {0};
        struct rel_err why = {0};
        bool carries;

        if (hot_reader_next(&node->in, until_ms, &t.buf, &t.len, &why) < 0)
            return why.code == REL_E_TIMEOUT
                       ? rel_fail(e, REL_E_TIMEOUT, 0, "node %s does not answer in time",
                                  node->name)
                       : lost(node, why.msg, e);
        if (!t.len) {
            hot_send_tick(node->fd);
            continue;
        }
        if (!take_message(&t, &carries))
            return lost(node, "it sent a malformed message", e);
        if (carries) {
            *message = t;
            t = (struct hot_term){0};
            return 0;
        }
    }
}

/* REG_SEND, to a name over there. */
static int send_to(struct hot_node *node, const char *name, const ei_x_buff *message,
                   int64_t until_ms, struct rel_err *e)
{
    static const unsigned char head[] = {PASS_THROUGH, VERSION};
    hot_autox ei_x_buff control = {0};
    struct rel_err why = {0};

    hot_x_new(&control);
    hot_put_tuple(&control, 4);
    hot_put_int(&control, 6);
    hot_put_pid(&control, &node->self);
    hot_put_atom(&control, "");
    hot_put_atom(&control, name);
    const struct hot_piece pieces[] = {{head, sizeof(head)},
                                       {control.buff, (size_t)control.index},
                                       {head + 1, 1},
                                       {message->buff, (size_t)message->index}};

    if (hot_send_packet(node->fd, 4, pieces, 4, until_ms, &why) == 0)
        return 0;
    return lost(node, why.msg, e);
}

static int send_call(struct hot_node *node, const struct hot_call *call, struct rel_err *e)
{
    hot_autox ei_x_buff x = {0};

    if (!hot_is_atom(call->mod) || !hot_is_atom(call->fun))
        return rel_fail(e, REL_E_INPUT, 0, "%.60s:%.60s is not the name of a function", call->mod,
                        call->fun);
    hot_x_new(&x);
    hot_put_tuple(&x, 2);
    hot_put_pid(&x, &node->self);
    hot_put_tuple(&x, 5);
    hot_put_atom(&x, "call");
    hot_put_atom(&x, call->mod);
    hot_put_atom(&x, call->fun);
    if (call->args)
        hot_put_raw(&x, call->args);
    else
        hot_put_nil(&x);
    hot_put_atom(&x, "user");
    return send_to(node, "rex", &x, call->until_ms, e);
}

/* {rex, Result}: is it, and where is Result? */
static bool take_rex(struct hot_term *t)
{
    int at = t->at;

    if (!hot_take_tuple(t, &at, 2) || !hot_take_word(t, &at, "rex"))
        return false;
    t->at = at;
    return true;
}

int hot_node_call(struct hot_node *node, const struct hot_call *call, struct hot_term *result,
                  struct rel_err *e)
{
    int at;

    if (node->broken)
        return lost(node, "it was given up before", e);
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
    if (hot_take_tuple(result, &at, 2) && hot_take_word(result, &at, "badrpc")) {
        rel_autofree char *reason = hot_term_text(result, at, REASON_MAX);

        result->at = at;
        return rel_fail(e, REL_E_REMOTE, 0, "%s:%s failed on node %s: %s", call->mod, call->fun,
                        node->name, reason);
    }
    return 0;
}

bool hot_call_is_undef(const struct hot_term *t)
{
    int at = t->at;

    return hot_take_tuple(t, &at, 2) && hot_take_word(t, &at, "EXIT") &&
           hot_take_tuple(t, &at, 2) && hot_take_word(t, &at, "undef");
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
    if (!hot_take_text(&t, &t.at, &text, &len) || (n = strtol(text, NULL, 10)) <= 0 ||
        n > INT32_MAX)
        return rel_fail(e, REL_E_REMOTE, 0, "os:getpid answers oddly on %s", node->name);
    *pid = (pid_t)n;
    return 0;
}
