/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_control.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "supervisor/sup_term.h"

struct sup_conn {
    uv_pipe_t pipe;
    struct sup_control *control;
    struct sup_conn *next;
    struct rel_buf line;
    enum sup_format format;
    bool asked, answered;
    uid_t uid;
};

struct sup_control {
    uv_pipe_t pipe;
    struct sup_control_handler handler;
    struct sup_conn *conns;
    char *path;
    bool closing;
};

static void free_when_done(struct sup_control *control)
{
    if (!control->closing || control->conns)
        return;
    free(control->path);
    free(control);
}

static void on_conn_closed(uv_handle_t *handle)
{
    struct sup_conn *conn = handle->data, **p = &conn->control->conns;
    struct sup_control *control = conn->control;

    while (*p != conn)
        p = &(*p)->next;
    *p = conn->next;
    rel_buf_fini(&conn->line);
    free(conn);
    free_when_done(control);
}

/* Whoever still holds it is told, whichever of a read and a write sees the end first. */
static void close_conn(struct sup_conn *conn)
{
    if (uv_is_closing((uv_handle_t *)&conn->pipe))
        return;
    uv_close((uv_handle_t *)&conn->pipe, on_conn_closed);
    if (conn->asked && !conn->answered)
        conn->control->handler.gone(conn->control->handler.ctx, conn);
}

struct write_one {
    uv_write_t req;
    char *bytes;
    bool last;
};

static void on_written(uv_write_t *req, int status)
{
    struct write_one *w = req->data;
    struct sup_conn *conn = req->handle->data;

    if (w->last || status < 0)
        close_conn(conn);
    free(w->bytes);
    free(w);
}

/* With its line end, owned by the caller. `object` is NULL where a text in it is no UTF-8. */
static char *line_of(const json_t *object, enum sup_format format)
{
    rel_autobuf struct rel_buf b = {0};
    rel_autofree char *text = NULL;

    if (format == SUP_FORMAT_JSON) {
        text = json_dumps(object, JSON_COMPACT);
        rel_buf_adds(&b, text ? text : "{}");
    } else {
        if (object)
            sup_term_add(&b, object);
        else
            rel_buf_adds(&b, "#{}");
        rel_buf_adds(&b, ".");
    }
    rel_buf_adds(&b, "\n");
    return rel_buf_take(&b);
}

/* Takes the reference. */
static void send_line(struct sup_conn *conn, json_t *object, bool last)
{
    struct write_one *w = rel_xcalloc(1, sizeof(*w));
    uv_buf_t buf;

    w->bytes = line_of(object, conn->format);
    json_decref(object);
    w->last = last;
    w->req.data = w;
    buf = uv_buf_init(w->bytes, (unsigned)strlen(w->bytes));
    if (last)
        conn->answered = true;
    if (uv_is_closing((uv_handle_t *)&conn->pipe) ||
        uv_write(&w->req, (uv_stream_t *)&conn->pipe, &buf, 1, on_written) < 0) {
        free(w->bytes);
        free(w);
        close_conn(conn);
    }
}

void sup_conn_progress(struct sup_conn *conn, const char *step, const char *state,
                       const char *detail, int64_t took_ms)
{
    send_line(conn,
              json_pack("{s:i, s:s, s:s, s:s, s:s*, s:I}", "v", SUP_PROTOCOL, "type", "progress",
                        "step", step, "state", state, "detail", detail, "took_ms",
                        (json_int_t)took_ms),
              false);
}

void sup_conn_log(struct sup_conn *conn, const char *message)
{
    json_t *o = json_pack("{s:i, s:s, s:s}", "v", SUP_PROTOCOL, "type", "log", "message", message);

    if (o) /* a log line that is no UTF-8 is not worth a connection */
        send_line(conn, o, false);
}

void sup_conn_result(struct sup_conn *conn, json_t *result)
{
    send_line(conn,
              json_pack("{s:i, s:s, s:o}", "v", SUP_PROTOCOL, "type", "result", "result", result),
              true);
}

void sup_conn_error(struct sup_conn *conn, const struct rel_err *err)
{
    json_t *o = json_pack("{s:i, s:s, s:s, s:s}", "v", SUP_PROTOCOL, "type", "error", "code",
                          rel_code_name(err->code), "message", err->msg);

    if (!o)
        o = json_pack("{s:i, s:s, s:s, s:s}", "v", SUP_PROTOCOL, "type", "error", "code",
                      rel_code_name(err->code), "message", "an error whose text is no UTF-8");
    send_line(conn, o, true);
}

void sup_conns_add(struct sup_conns *conns, struct sup_conn *conn)
{
    conns->v = rel_xrealloc(conns->v, conns->n + 1, sizeof(*conns->v));
    conns->v[conns->n++] = conn;
}

void sup_conns_drop(struct sup_conns *conns, const struct sup_conn *conn)
{
    size_t n = 0;

    for (size_t i = 0; i < conns->n; i++)
        if (conns->v[i] != conn)
            conns->v[n++] = conns->v[i];
    conns->n = n;
}

void sup_conns_progress(const struct sup_conns *conns, const char *step)
{
    for (size_t i = conns->n; i-- > 0;) /* one that hung up leaves the list meanwhile */
        sup_conn_progress(conns->v[i], step, "running", NULL, 0);
}

/* An answer may find that its client hung up, and then drops it: each leaves the list before. */
static struct sup_conn *take_last(struct sup_conns *conns)
{
    if (conns->n)
        return conns->v[--conns->n];
    free(rel_steal(&conns->v));
    return NULL;
}

void sup_conns_result(struct sup_conns *conns, json_t *result)
{
    struct sup_conn *conn;

    while ((conn = take_last(conns)))
        sup_conn_result(conn, json_incref(result));
    json_decref(result);
}

void sup_conns_error(struct sup_conns *conns, const struct rel_err *err)
{
    struct sup_conn *conn;

    while ((conn = take_last(conns)))
        sup_conn_error(conn, err);
}

static void on_line(struct sup_conn *conn, size_t len)
{
    struct sup_request r = {0};
    struct rel_err e = {0};

    conn->asked = true;
    if (sup_request_parse(conn->line.p, len, &r, &e) < 0) {
        sup_conn_error(conn, &e);
        return;
    }
    conn->format = r.format;
    conn->control->handler.request(conn->control->handler.ctx, conn, &r);
    sup_request_fini(&r);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    (void)handle;
    (void)size;
    *buf = uv_buf_init(rel_xmalloc(4096), 4096);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct sup_conn *conn = stream->data;
    const char *end;

    if (n < 0) {
        close_conn(conn);
    } else if (n > 0 && !conn->asked) {
        rel_buf_add(&conn->line, buf->base, (size_t)n);
        end = memchr(conn->line.p, '\n', conn->line.len);
        if (end)
            on_line(conn, (size_t)(end - conn->line.p));
        else if (conn->line.len > SUP_LINE_MAX)
            close_conn(conn);
    }
    free(buf->base);
}

uid_t sup_conn_uid(const struct sup_conn *conn)
{
    return conn->uid;
}

static bool is_welcome(struct sup_conn *conn)
{
    const struct sup_control_handler *h = &conn->control->handler;
    struct ucred cred;
    socklen_t len = sizeof(cred);
    uv_os_fd_t fd;

    if (uv_fileno((uv_handle_t *)&conn->pipe, &fd) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return false;
    conn->uid = cred.uid;
    return cred.uid == geteuid() || cred.uid == 0 || (h->is_guest && h->is_guest(h->ctx, cred.uid));
}

static void on_connection(uv_stream_t *server, int status)
{
    struct sup_control *control = server->data;
    struct sup_conn *conn;

    if (status < 0)
        return;
    conn = rel_xcalloc(1, sizeof(*conn));
    conn->control = control;
    conn->next = control->conns;
    control->conns = conn;
    uv_pipe_init(server->loop, &conn->pipe, 0);
    conn->pipe.data = conn;
    if (uv_accept(server, (uv_stream_t *)&conn->pipe) < 0 || !is_welcome(conn) ||
        uv_read_start((uv_stream_t *)&conn->pipe, on_alloc, on_read) < 0)
        close_conn(conn);
}

static void on_control_closed(uv_handle_t *handle)
{
    struct sup_control *control = handle->data;

    control->closing = true;
    free_when_done(control);
}

int sup_control_open(uv_loop_t *loop, const char *path, const struct sup_control_handler *handler,
                     struct sup_control **control, struct rel_err *e)
{
    struct sup_control *c;
    mode_t mask;
    int rc;

    if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) /* libuv 1.44 would cut it */
        return rel_fail(e, REL_E_INPUT, ENAMETOOLONG, "listen on %s", path);
    c = rel_xcalloc(1, sizeof(*c));
    c->handler = *handler;
    c->path = rel_xstrdup(path);
    uv_pipe_init(loop, &c->pipe, 0);
    c->pipe.data = c;
    unlink(path);
    mask = umask(0177); /* the socket is 0600 from its first moment */
    rc = uv_pipe_bind(&c->pipe, path);
    umask(mask);
    if (!rc)
        rc = uv_listen((uv_stream_t *)&c->pipe, 16, on_connection);
    if (rc < 0) {
        uv_close((uv_handle_t *)&c->pipe, on_control_closed);
        return rel_fail(e, REL_E_IO, -rc, "listen on %s", path);
    }
    *control = c;
    return 0;
}

void sup_control_close(struct sup_control *control)
{
    unlink(control->path);
    for (struct sup_conn *c = control->conns; c; c = c->next)
        if (!c->answered) /* an answer on its way closes its connection itself */
            close_conn(c);
    uv_close((uv_handle_t *)&control->pipe, on_control_closed);
}
