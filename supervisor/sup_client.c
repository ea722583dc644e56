/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "supervisor/sup_trust.h"

enum { ANSWER_MAX = 4 << 20 };

static int connect_to(const char *home, int *fd, struct rel_err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    rel_autoclose int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (s < 0)
        return rel_fail(e, REL_E_IO, errno, "make a socket");
    if (sup_trust_control(home, e) < 0)
        return -1;
    if ((size_t)snprintf(a.sun_path, sizeof(a.sun_path), "%s/run/control.sock", home) >=
        sizeof(a.sun_path))
        return rel_fail(e, REL_E_USAGE, 0, "the path of the home %s is too long", home);
    if (connect(s, (struct sockaddr *)&a, sizeof(a)) < 0)
        return rel_fail(e, REL_E_NOT_RUNNING, 0,
                        "no supervisor runs in %s, start it by 'relsup run'", home);
    if (sup_trust_server(s, home, e) < 0)
        return -1;
    *fd = rel_steal_fd(&s);
    return 0;
}

static int send_request(int fd, enum sup_cmd cmd, const json_t *args, struct rel_err *e)
{
    json_auto_t *o = json_pack("{s:i, s:s}", "v", SUP_PROTOCOL, "cmd", sup_cmd_name(cmd));
    rel_autofree char *text = NULL, *line = NULL;

    json_object_set_new(o, "args", args ? json_deep_copy(args) : json_object());
    text = json_dumps(o, JSON_COMPACT);
    line = rel_strf("%s\n", text ? text : "");
    return rel_write_all(fd, line, strlen(line), e);
}

/* 1: the last line, *result or the error is set; 0: go on. */
static int on_line(json_t *line, const struct sup_client_events *ev, json_t **result,
                   struct rel_err *e)
{
    const char *type = json_string_value(json_object_get(line, "type"));
    const char *message = json_string_value(json_object_get(line, "message"));
    const char *code = json_string_value(json_object_get(line, "code"));

    if (type && !strcmp(type, "result")) {
        *result = json_incref(json_object_get(line, "result"));
        return 1;
    }
    if (type && !strcmp(type, "error")) {
        rel_fail(e, rel_code_from_name(code ? code : ""), 0, "%s", message ? message : "failed");
        return 1;
    }
    if (type && !strcmp(type, "progress") && ev->progress)
        ev->progress(ev->ctx, json_string_value(json_object_get(line, "step")),
                     json_string_value(json_object_get(line, "state")),
                     json_string_value(json_object_get(line, "detail")),
                     json_integer_value(json_object_get(line, "took_ms")));
    if (type && !strcmp(type, "log") && message && ev->log)
        ev->log(ev->ctx, message);
    return 0;
}

static int read_more(int fd, struct rel_buf *in, int timeout_ms, struct rel_err *e)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char chunk[8192];
    ssize_t n;
    int rc;

    do
        rc = poll(&p, 1, timeout_ms);
    while (rc < 0 && errno == EINTR);
    if (rc == 0)
        return rel_fail(e, REL_E_TIMEOUT, 0, "the supervisor was silent for %d s",
                        timeout_ms / 1000);
    n = read(fd, chunk, sizeof(chunk));
    if (n <= 0 || in->len + (size_t)n > ANSWER_MAX)
        return rel_fail(e, REL_E_NOT_RUNNING, 0, "the supervisor ended before it answered");
    rel_buf_add(in, chunk, (size_t)n);
    return 0;
}

/* It was given an order, and nobody knows what became of that: least of all "nothing changed". */
static void fail_unknown(struct rel_err *e)
{
    struct rel_err told = *e;

    rel_err_clear(e);
    rel_fail(e, REL_E_STUCK, 0, "%s: 'relsup status' or 'relsup releases' says what came of it",
             told.msg);
}

int sup_client_call(const char *home, enum sup_cmd cmd, const json_t *args,
                    const struct sup_client_events *events, json_t **result, struct rel_err *e)
{
    rel_autobuf struct rel_buf in = {0};
    rel_autoclose int fd = -1;
    int done = 0;

    if (connect_to(home, &fd, e) < 0 || send_request(fd, cmd, args, e) < 0)
        return -1;
    while (!done) {
        char *end = in.p ? memchr(in.p, '\n', in.len) : NULL;
        json_auto_t *line = NULL;

        if (!end) {
            if (read_more(fd, &in, events->silence_ms, e) == 0)
                continue;
            if (cmd != SUP_CMD_STATUS && cmd != SUP_CMD_STOP)
                fail_unknown(e);
            return -1;
        }
        line = json_loadb(in.p, (size_t)(end - in.p), 0, NULL);
        in.len -= (size_t)(end + 1 - in.p);
        memmove(in.p, end + 1, in.len);
        done = on_line(line, events, result, e);
    }
    return e->code ? -1 : 0;
}
