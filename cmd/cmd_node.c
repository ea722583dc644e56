/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd_node.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "hotload/hot_ready.h"

static int clamp_ms(int64_t ms)
{
    return ms > INT32_MAX / 2 ? INT32_MAX / 2 : (int)ms;
}

int cmd_node_open(const struct hot_contact *c, int64_t timeout_ms, struct hot_node **node,
                  struct rel_err *e)
{
    if (c->pid > 0 && !hot_contact_alive(c))
        return rel_fail(e, REL_E_UNREACHABLE, 0, "%s is not running: its process %d has ended",
                        c->name, (int)c->pid);
    return hot_node_open(c, clamp_ms(timeout_ms), node, e);
}

enum { JSON_OUTPUT_MAX = 64 << 20 }; /* it is kept until the expression ends */

struct sink {
    bool json;
    struct hot_node *node;
    struct rel_buf out, err; /* with --json */
    bool stderr_seen;
    int failed; /* errno of a write */
};

/* errno of what keeps it from its reader, or 0. */
static int pass_on(struct sink *s, int fd, const char *bytes, size_t len)
{
    struct rel_err e = {0};

    if (s->json) {
        if (s->out.len + s->err.len + len > JSON_OUTPUT_MAX)
            return EFBIG;
        rel_buf_add(fd == 2 ? &s->err : &s->out, bytes, len);
        return 0;
    }
    if (rel_write_all(fd == 2 ? STDERR_FILENO : STDOUT_FILENO, bytes, len, &e) == 0)
        return 0;
    return e.sys ? e.sys : EIO;
}

static void on_output(void *ctx, int fd, const char *bytes, size_t len)
{
    struct sink *s = ctx;

    s->stderr_seen |= fd == 2;
    if (s->failed)
        return;
    s->failed = pass_on(s, fd, bytes, len);
    if (s->failed)
        hot_node_interrupt(s->node); /* nobody reads: end what prints */
}

static int show_rpc(struct cmd_ctx *ctx, struct sink *s, const char *value, bool print,
                    struct rel_err *e)
{
    rel_autofree char *text = print && value ? rel_strf("%s\n", value) : rel_xstrdup("");
    json_auto_t *doc = NULL;

    if (s->json) {
        doc = json_pack("{s:s?, s:s%, s:s%}", "value", value, "stdout", s->out.p ? s->out.p : "",
                        s->out.len, "stderr", s->err.p ? s->err.p : "", s->err.len);
        if (!doc)
            return rel_fail(e, REL_E_REMOTE, 0, "the output is not UTF-8 and fits in no JSON");
    }
    return rel_out_result(&ctx->out, doc, text, e);
}

int cmd_node_rpc(struct cmd_ctx *ctx, const struct hot_contact *c, const struct cmd_rpc *rpc,
                 struct rel_err *e)
{
    int64_t until_ms = rel_mono_ms() + rpc->timeout_ms;
    bool json = ctx->out.face == REL_FACE_JSON;
    hot_autonode struct hot_node *node = NULL;
    rel_autofree char *value = NULL;
    rel_autobuf struct rel_buf out = {0}, err = {0};
    struct sink s = {.json = json};
    struct hot_eval eval = {.expr = rpc->expr,
                            .lang = c->elixir ? HOT_ELIXIR : HOT_ERLANG,
                            .output = on_output,
                            .ctx = &s};
    int result;

    if (cmd_node_open(c, rpc->timeout_ms, &node, e) < 0)
        return -1;
    s.node = node;
    eval.timeout_ms = rel_left_ms(until_ms);
    result = hot_node_eval(node, &eval, rpc->print || json ? &value : NULL, e);
    out = s.out; /* owned from here on by the cleanups */
    err = s.err;
    if (s.failed) {
        rel_err_clear(e);
        return rel_fail(e, REL_E_IO, s.failed, "write the output of the expression");
    }
    if (result < 0 && e->code == REL_E_REMOTE && s.stderr_seen) {
        if (json)
            rel_out_error(&ctx->out, ctx->prog, e);
        rel_err_clear(e); /* its whole text is on stderr already */
        ctx->exit_status = REL_FAILED;
        return json ? show_rpc(ctx, &s, NULL, false, e) : 0;
    }
    return result < 0 ? -1 : show_rpc(ctx, &s, value, rpc->print, e);
}

int cmd_node_pid(struct cmd_ctx *ctx, const struct hot_contact *c, int64_t timeout_ms,
                 struct rel_err *e)
{
    hot_autonode struct hot_node *node = NULL;
    rel_autofree char *text = NULL;
    json_auto_t *doc = NULL;
    pid_t pid;

    if (cmd_node_open(c, timeout_ms, &node, e) < 0 ||
        hot_node_pid(node, clamp_ms(timeout_ms), &pid, e) < 0)
        return -1;
    text = rel_strf("%d\n", (int)pid);
    doc = json_pack("{s:i}", "pid", (int)pid);
    return rel_out_result(&ctx->out, doc, text, e);
}

int cmd_node_ping(struct cmd_ctx *ctx, const struct hot_contact *c, int64_t timeout_ms,
                  struct rel_err *e)
{
    hot_autonode struct hot_node *node = NULL;
    json_auto_t *doc = json_pack("{s:b, s:s}", "pong", 1, "node", c->node);

    if (cmd_node_open(c, timeout_ms, &node, e) < 0)
        return -1;
    return rel_out_result(&ctx->out, doc, "pong\n", e);
}

/* pidfd_open(2): readable when the process has ended, child of ours or not. */
static int wait_gone(const struct hot_contact *c, int pidfd, int64_t until_ms, struct rel_err *e)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    int n;

    do
        n = poll(&p, 1, rel_left_ms(until_ms));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return rel_fail(e, REL_E_IO, errno, "wait for process %d", (int)c->pid);
    if (n == 0)
        return rel_fail(e, REL_E_TIMEOUT, 0,
                        "%s takes longer to stop: process %d still runs, wait with --timeout or "
                        "end it with kill -9",
                        c->name, (int)c->pid);
    return 0;
}

/* A VM without distribution stops in the same order by SIGTERM (erl_signal_handler.erl). One that
 * comes before the VM listens to signals is lost, hence again and again. */
static int signal_stop(const struct hot_contact *c, int pidfd, int64_t until_ms, struct rel_err *e)
{
    for (;;) {
        int64_t next_ms = rel_mono_ms() + 1000;
        bool last = next_ms >= until_ms;

        if (syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) < 0 && errno != ESRCH)
            return rel_fail(e, REL_E_IO, errno, "signal process %d", (int)c->pid);
        if (wait_gone(c, pidfd, last ? until_ms : next_ms, e) == 0)
            return 0;
        if (e->code != REL_E_TIMEOUT || last)
            return -1;
        rel_err_clear(e);
    }
}

static int order_stop(const struct hot_contact *c, int64_t timeout_ms, struct rel_err *e)
{
    hot_autonode struct hot_node *node = NULL;

    if (cmd_node_open(c, timeout_ms, &node, e) < 0)
        return -1;
    return hot_node_stop(node, clamp_ms(timeout_ms), e);
}

int cmd_node_stop(struct cmd_ctx *ctx, const struct hot_contact *c, int64_t timeout_ms,
                  struct rel_err *e)
{
    int64_t until_ms = rel_mono_ms() + timeout_ms;
    rel_autoclose int pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
    json_auto_t *doc = json_pack("{s:b}", "stopped", 1);

    if (pidfd < 0 || !hot_contact_alive(c))
        return rel_fail(e, REL_E_UNREACHABLE, 0, "%s is not running", c->name);
    if (!*c->node) {
        if (signal_stop(c, pidfd, until_ms, e) < 0)
            return -1;
    } else if (order_stop(c, timeout_ms, e) < 0 || wait_gone(c, pidfd, until_ms, e) < 0) {
        return -1;
    }
    return rel_out_result(&ctx->out, doc, "", e);
}

static void pause_ms(long ms)
{
    struct timespec t = {.tv_nsec = ms * 1000000};

    nanosleep(&t, NULL);
}

/* The old connection ends when the distribution goes down; what answers after that is new. */
static void wait_disconnected(struct hot_node *node, int64_t until_ms)
{
    struct rel_err e = {0};
    bool booted;

    while (rel_left_ms(until_ms) && hot_node_booted(node, rel_left_ms(until_ms), &booted, &e) == 0)
        pause_ms(10);
}

static int wait_booted(const struct hot_contact *c, int64_t until_ms, struct rel_err *e)
{
    struct hot_settling settling = {0};

    for (;;) {
        hot_autonode struct hot_node *node = NULL;
        int left = rel_left_ms(until_ms);

        if (!left)
            return rel_fail(e, REL_E_TIMEOUT, 0, "%s did not come back in time", c->name);
        if (!hot_contact_alive(c))
            return rel_fail(e, REL_E_UNREACHABLE, 0, "%s did not come back: process %d has ended",
                            c->name, (int)c->pid);
        if (hot_node_open(c, left, &node, e) == 0 && hot_node_runs(node, &settling, left))
            return 0;
        rel_err_clear(e);
        pause_ms(20);
    }
}

int cmd_node_restart(struct cmd_ctx *ctx, const struct hot_contact *c, int64_t timeout_ms,
                     struct rel_err *e)
{
    int64_t until_ms = rel_mono_ms() + timeout_ms;
    hot_autonode struct hot_node *node = NULL;
    json_auto_t *doc = json_pack("{s:b}", "restarted", 1);

    if (cmd_node_open(c, timeout_ms, &node, e) < 0 ||
        hot_node_restart(node, clamp_ms(timeout_ms), e) < 0)
        return -1;
    wait_disconnected(node, until_ms);
    if (wait_booted(c, until_ms, e) < 0)
        return -1;
    return rel_out_result(&ctx->out, doc, "", e);
}
