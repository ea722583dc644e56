/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_worker.h"

#include <signal.h>
#include <string.h>

#include "supervisor/sup_child.h"
#include "supervisor/sup_confine.h"

enum { LINE_LEN = 400, LINES_MAX = 50, READ_CHUNK = 16 << 10, PIPES = 3 };
enum { REQUEST, ANSWER, SAID };

extern char **environ;

struct sup_worker {
    uv_process_t proc;
    uv_pipe_t pipes[PIPES];
    uv_timer_t deadline;
    uv_write_t write;
    struct sup_worker_order o;
    char *request;
    struct rel_buf answer, line;
    char last[LINE_LEN + 1]; /* that it said */
    size_t line_n;
    int handle_n;     /* that are not closed yet */
    int waits_for;    /* its end, and those of its two outputs */
    bool gone, ended; /* ended: all of it is known, and the handles are being closed */
    int64_t status;
    int signal;
    struct rel_err e; /* why it was killed, or what it did wrong */
    char chunk[READ_CHUNK];
};

static void worker_free(struct sup_worker *w)
{
    json_decref(w->o.request);
    free(w->request);
    rel_buf_fini(&w->answer);
    rel_buf_fini(&w->line);
    free(w);
}

/* Those that it needs to run as we do, to find its servers and to trust them. */
static bool is_passed_on(const char *line)
{
    static const char *const names[] = {
        "PATH=",       "LANG=",         "LANGUAGE=",      "LC_",           "TZ=",
        "http_proxy=", "https_proxy=",  "HTTPS_PROXY=",   "all_proxy=",    "ALL_PROXY=",
        "no_proxy=",   "NO_PROXY=",     "SSL_CERT_FILE=", "SSL_CERT_DIR=", "LD_LIBRARY_PATH=",
        "LD_PRELOAD=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS="};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!strncmp(line, names[i], strlen(names[i])))
            return true;
    return false;
}

/* Its strings are lent by `environ`. */
static char **make_env(void)
{
    size_t n = 0, at = 0;
    char **env;

    while (environ[n])
        n++;
    env = rel_xcalloc(n + 1, sizeof(*env));
    for (size_t i = 0; i < n; i++)
        if (is_passed_on(environ[i]))
            env[at++] = environ[i];
    return env;
}

static int wrong_answer(const struct sup_worker *w, const char *what, struct rel_err *e)
{
    return rel_fail(e, REL_E_INTERNAL, 0, "%s: the worker %s", w->o.task, what);
}

/* What it died of. */
static int fail_ended(const struct sup_worker *w, struct rel_err *e)
{
    if (w->signal == SIGABRT && strstr(w->last, "out of memory"))
        return rel_fail(e, REL_E_INPUT, 0, "%s: the worker ran out of its %d MiB of memory",
                        w->o.task, SUP_CONFINE_MIB);
    if (w->signal)
        return rel_fail(e, REL_E_CHILD, 0, "%s: the worker was killed by SIG%s", w->o.task,
                        sigabbrev_np(w->signal));
    return rel_fail(e, REL_E_CHILD, 0, "%s: the worker exited with status %d%s%s", w->o.task,
                    (int)w->status, *w->last ? ": " : "", w->last);
}

/* An error of the worker's: a code that changes nothing, a text of one line. */
static int fail_told(const struct sup_worker *w, const json_t *v, struct rel_err *e)
{
    const char *name, *text;
    enum rel_code code;
    int sys;

    if (json_unpack_ex((json_t *)(uintptr_t)v, NULL, JSON_STRICT, "{s:s, s:i, s:s}", "code", &name,
                       "sys", &sys, "text", &text) < 0 ||
        !*text || strlen(text) >= REL_ERR_LEN)
        return wrong_answer(w, "sent a malformed error", e);
    code = rel_code_from_name(name);
    if (code == REL_E_NONE || rel_code_outcome(code) > REL_USAGE)
        code = REL_E_INTERNAL;
    rel_fail(e, code, 0, "%s", text);
    for (char *p = e->msg; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    e->sys = sys;
    return -1;
}

/* The answer, or NULL and the error. */
static json_t *read_answer(const struct sup_worker *w, struct rel_err *e)
{
    json_t *doc, *error;

    if (w->e.code) {
        *e = w->e;
        return NULL;
    }
    if (w->signal || w->status) {
        fail_ended(w, e);
        return NULL;
    }
    doc = json_loadb(w->answer.p ? w->answer.p : "", w->answer.len, JSON_REJECT_DUPLICATES, NULL);
    error = json_object_get(doc, "error");
    if (!json_is_object(doc))
        wrong_answer(w, "did not answer with a JSON object", e);
    else if (error)
        fail_told(w, error, e);
    if (!e->code)
        return doc;
    json_decref(doc);
    return NULL;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct sup_worker *w = handle->data;
    struct rel_err e = {0};
    json_t *answer;

    if (--w->handle_n)
        return;
    answer = read_answer(w, &e);
    w->o.done(w->o.ctx, answer, &e);
    json_decref(answer);
    worker_free(w);
}

static void close_all(struct sup_worker *w)
{
    w->ended = true;
    uv_close((uv_handle_t *)&w->proc, on_handle_closed);
    uv_close((uv_handle_t *)&w->deadline, on_handle_closed);
    for (int i = 0; i < PIPES; i++)
        uv_close((uv_handle_t *)&w->pipes[i], on_handle_closed);
}

static void one_less(struct sup_worker *w)
{
    if (--w->waits_for == 0 && !w->ended)
        close_all(w);
}

static void on_exit_of(uv_process_t *proc, int64_t status, int signal)
{
    struct sup_worker *w = proc->data;

    sup_child_disown(proc->pid);
    w->gone = true;
    w->status = status;
    w->signal = signal;
    one_less(w);
}

static void pass_line(struct sup_worker *w)
{
    char *text = rel_buf_take(&w->line);

    for (char *p = text; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    snprintf(w->last, sizeof(w->last), "%s", text);
    if (w->o.line && w->line_n++ < LINES_MAX)
        w->o.line(w->o.ctx, text);
    free(text);
}

static void take_said(struct sup_worker *w, const char *p, ssize_t n)
{
    for (ssize_t i = 0; i < n; i++) {
        if (p[i] != '\n')
            rel_buf_add(&w->line, &p[i], 1);
        if (p[i] == '\n' || w->line.len == LINE_LEN)
            pass_line(w);
    }
    if (n < 0 && w->line.len)
        pass_line(w);
}

static void take_answer(struct sup_worker *w, const char *p, ssize_t n)
{
    if (n > 0 && w->answer.len + (size_t)n > w->o.answer_max)
        sup_worker_kill(w, REL_E_INTERNAL, "answered more than was asked for");
    else if (n > 0)
        rel_buf_add(&w->answer, p, (size_t)n);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct sup_worker *w = handle->data;

    (void)suggested;
    *buf = uv_buf_init(w->chunk, sizeof(w->chunk));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct sup_worker *w = stream->data;

    if (n == 0)
        return;
    if ((uv_pipe_t *)stream == &w->pipes[SAID])
        take_said(w, buf->base, n);
    else
        take_answer(w, buf->base, n);
    if (n < 0) {
        uv_read_stop(stream);
        one_less(w);
    }
}

/* A worker that is gone already says why by that. */
static void on_written(uv_write_t *write, int status)
{
    (void)write;
    (void)status;
}

static void on_deadline(uv_timer_t *timer)
{
    sup_worker_kill(timer->data, REL_E_TIMEOUT, "did not end in time");
}

static void init_handles(struct sup_worker *w, uv_loop_t *loop)
{
    uv_timer_init(loop, &w->deadline);
    w->deadline.data = w->proc.data = w->write.data = w;
    for (int i = 0; i < PIPES; i++) {
        uv_pipe_init(loop, &w->pipes[i], 0);
        w->pipes[i].data = w;
    }
    w->handle_n = PIPES + 2;
    w->waits_for = PIPES;
}

static void begin(struct sup_worker *w)
{
    uv_buf_t request = uv_buf_init(w->request, (unsigned)strlen(w->request));

    uv_timer_start(&w->deadline, on_deadline, (uint64_t)w->o.timeout_ms, 0);
    uv_write(&w->write, (uv_stream_t *)&w->pipes[REQUEST], &request, 1, on_written);
    uv_read_start((uv_stream_t *)&w->pipes[ANSWER], on_alloc, on_read);
    uv_read_start((uv_stream_t *)&w->pipes[SAID], on_alloc, on_read);
}

/* What did not start has handles all the same (uv_spawn(3)): they are closed, and `done` tells. */
static int spawn(struct sup_worker *w, uv_loop_t *loop)
{
    char program[] = "relsup", verb[] = "worker";
    char *args[] = {program, verb, NULL};
    rel_autofree char **env = make_env();
    uv_stdio_container_t stdio[PIPES];
    uv_process_options_t o = {.file = "/proc/self/exe", /* also when it was replaced on disk */
                              .args = args,
                              .env = env,
                              .cwd = "/",
                              .flags = UV_PROCESS_DETACHED,
                              .stdio = stdio,
                              .stdio_count = PIPES,
                              .exit_cb = on_exit_of};

    for (int i = 0; i < PIPES; i++) {
        stdio[i].flags = UV_CREATE_PIPE | (i == REQUEST ? UV_READABLE_PIPE : UV_WRITABLE_PIPE);
        stdio[i].data.stream = (uv_stream_t *)&w->pipes[i];
    }
    return uv_spawn(loop, &w->proc, &o);
}

int sup_worker_start(uv_loop_t *loop, const struct sup_worker_order *order,
                     struct sup_worker **worker, struct rel_err *e)
{
    struct sup_worker *w = rel_xcalloc(1, sizeof(*w));
    rel_autofree char *text = order->request ? json_dumps(order->request, JSON_COMPACT) : NULL;
    int rc;

    w->o = *order;
    if (!text) {
        worker_free(w);
        return rel_fail(e, REL_E_INPUT, 0, "%s: a name in the request is not UTF-8", order->task);
    }
    w->request = rel_strf("%s\n", text);
    init_handles(w, loop);
    rc = spawn(w, loop);
    if (rc < 0) {
        rel_fail(&w->e, REL_E_CHILD, -rc, "%s: start a worker", order->task);
        w->gone = true;
        close_all(w);
    } else {
        sup_child_own(w->proc.pid);
        begin(w);
    }
    *worker = w;
    return 0;
}

void sup_worker_kill(struct sup_worker *w, enum rel_code code, const char *why)
{
    if (!w->e.code)
        rel_fail(&w->e, code, 0, "%s: the worker %s", w->o.task, why);
    if (!w->gone)
        kill(-w->proc.pid, SIGKILL);
}
