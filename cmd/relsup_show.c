/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that show: status, history, releases, logs. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"
#include "cmd/relsup.h"
#include "supervisor/sup_run.h"

enum { LINE_MAX_SHOWN = 1 << 16 }; /* of a line that does not end */

extern const struct cmd_verb relsup_status, relsup_history, relsup_releases, relsup_logs;

static const struct cmd_option home_options[] = {RELSUP_HOME_OPTIONS, {0}};
static const struct cmd_option logs_options[] = {
    {"lines", 'n', "N", "how many lines of the end (20)"},
    {"follow", 'f', NULL, "go on as it grows, until interrupted"},
    RELSUP_HOME_OPTIONS,
    {0},
};

/* Any text may come from a release or from what runs in it. */
static void add_escaped(struct rel_buf *b, const char *text)
{
    rel_autofree char *shown = rel_escape(text);

    rel_buf_adds(b, shown);
}

static void add_line(struct rel_buf *b, const char *key, const char *text)
{
    rel_buf_addf(b, "%-15s ", key);
    add_escaped(b, text);
    rel_buf_adds(b, "\n");
}

/* "key: value" a line, in the order given. */
static void render(struct rel_buf *b, const json_t *o, const char *const *keys)
{
    for (; *keys; keys++) {
        const json_t *v = json_object_get(o, *keys);

        if (json_is_string(v))
            add_line(b, *keys, json_string_value(v));
        else if (json_is_integer(v))
            rel_buf_addf(b, "%-15s %lld\n", *keys, (long long)json_integer_value(v));
    }
}

/* What is under way, and what a swap cannot promise here. */
static void render_swap(struct rel_buf *b, const json_t *status)
{
    static const char *const keys[] = {"to", "waits_for", "draining", NULL};
    const json_t *left = json_object_get(json_object_get(status, "swap"), "left_ms");
    const json_t *waited = json_object_get(json_object_get(status, "swap"), "waited_ms");
    const char *steering = json_string_value(json_object_get(status, "steering"));
    const char *warning = json_string_value(json_object_get(status, "warning"));

    render(b, json_object_get(status, "swap"), keys);
    if (waited)
        rel_buf_addf(b, "%-15s %.1f s\n", "waited", (double)json_integer_value(waited) / 1000);
    if (left)
        rel_buf_addf(b, "%-15s %.1f s\n", "at most", (double)json_integer_value(left) / 1000);
    if (steering && strcmp(steering, "on") != 0)
        add_line(b, "steering", steering);
    if (warning)
        add_line(b, "warning", warning);
}

/* "0.1.0 > 0.2.0": booted as the first, changed in place since. */
static void render_chain(struct rel_buf *b, const json_t *status)
{
    const json_t *chain =
        json_object_get(json_array_get(json_object_get(status, "peers"), 0), "chain");
    json_t *one;
    size_t i;

    if (!chain)
        return;
    rel_buf_addf(b, "%-15s", "in place");
    json_array_foreach (chain, i, one) {
        rel_buf_adds(b, i ? " > " : " ");
        add_escaped(b, json_string_value(one));
    }
    rel_buf_adds(b, "\n");
}

static int status(struct cmd_ctx *ctx, struct rel_err *e)
{
    static const char *const keys[] = {"app",   "state",    "release", "node",           "pid",
                                       "since", "uptime_s", "home",    "supervisor_pid", "instead",
                                       NULL};
    json_auto_t *result = NULL;
    rel_autobuf struct rel_buf b = {0};

    if (relsup_call(ctx, SUP_CMD_STATUS, NULL, &result, e) < 0)
        return -1;
    render(&b, result, keys);
    render_chain(&b, result);
    render_swap(&b, result);
    return rel_out_result(&ctx->out, result, b.p, e);
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "-";
}

static int history(struct cmd_ctx *ctx, struct rel_err *e)
{
    rel_autofree char *home = NULL;
    rel_autobuf struct rel_buf b = {0};
    json_auto_t *list = NULL, *result = NULL;
    json_t *one;
    size_t i;

    if (relsup_home(ctx, &home, e) < 0 || sup_history(home, &list, e) < 0)
        return -1;
    json_array_foreach (list, i, one) {
        rel_autofree char *cut = relsup_cut_text(one);
        rel_autofree char *line =
            rel_strf("%s  %-8s %-8s %s -> %s  %s%s", text_of(one, "at"), text_of(one, "what"),
                     text_of(one, "outcome"), text_of(one, "from"), text_of(one, "to"),
                     json_object_get(one, "reason") ? text_of(one, "reason") : "", cut ? cut : "");

        add_escaped(&b, line);
        rel_buf_adds(&b, "\n");
    }
    result = json_pack("{s:O}", "history", list);
    return rel_out_result(&ctx->out, result, b.p, e);
}

static int releases(struct cmd_ctx *ctx, struct rel_err *e)
{
    rel_autofree char *home = NULL;
    rel_autobuf struct rel_buf b = {0};
    json_auto_t *list = NULL, *result = NULL;
    json_t *one;
    size_t i;

    if (relsup_home(ctx, &home, e) < 0 || sup_releases(home, &list, e) < 0)
        return -1;
    json_array_foreach (list, i, one) {
        rel_autofree char *line =
            rel_strf("%s %-20s %s", json_is_true(json_object_get(one, "current")) ? "*" : " ",
                     text_of(one, "release"), text_of(one, "since"));

        add_escaped(&b, line);
        rel_buf_adds(&b, "\n");
    }
    result = json_pack("{s:O}", "releases", list);
    return rel_out_result(&ctx->out, result, b.p, e);
}

/* The last n lines begin there. */
static int seek_lines(int fd, long n, struct rel_err *e)
{
    off_t at = lseek(fd, 0, SEEK_END);
    char c;

    if (at < 0)
        return rel_fail(e, REL_E_IO, errno, "read the log");
    for (off_t end = at; at > 0; at--)
        if (pread(fd, &c, 1, at - 1) == 1 && c == '\n' && at != end && n-- == 1)
            break;
    return lseek(fd, at, SEEK_SET) < 0 ? rel_fail(e, REL_E_IO, errno, "read the log") : 0;
}

/* Whole lines, escaped: a terminal obeys what the application logs of strangers' requests. */
static int copy_lines(struct rel_buf *left, bool all, struct rel_err *e)
{
    size_t at = 0;

    while (at < left->len) {
        const char *line = left->p + at, *end = memchr(line, '\n', left->len - at);
        size_t n = end ? (size_t)(end - line) : left->len - at;
        rel_autofree char *shown = end || all ? rel_escape_log(line, n) : NULL;

        if (!shown)
            break;
        if (rel_write_all(STDOUT_FILENO, shown, strlen(shown), e) < 0 ||
            (end && rel_write_all(STDOUT_FILENO, "\n", 1, e) < 0))
            return -1;
        at += n + (end ? 1 : 0);
    }
    if (!at)
        return 0;
    left->len -= at;
    memmove(left->p, left->p + at, left->len + 1);
    return 0;
}

/* What there is by now: as it is, or for a terminal. `all`: what is behind the last line end too.
 */
static int copy_out(int fd, struct rel_buf *left, bool all, struct rel_err *e)
{
    bool tty = isatty(STDOUT_FILENO);
    char chunk[8192];
    ssize_t n;

    while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
        if (!tty && rel_write_all(STDOUT_FILENO, chunk, (size_t)n, e) < 0)
            return -1;
        if (tty)
            rel_buf_add(left, chunk, (size_t)n);
        if (tty && copy_lines(left, left->len > LINE_MAX_SHOWN, e) < 0)
            return -1;
    }
    return tty ? copy_lines(left, all, e) : 0;
}

static int logs(struct cmd_ctx *ctx, struct rel_err *e)
{
    const char *lines = cmd_get(ctx, "lines");
    rel_autofree char *home = NULL, *path = NULL;
    rel_autobuf struct rel_buf left = {0};
    rel_autoclose int fd = -1;
    char *end = NULL;
    long n = lines ? strtol(lines, &end, 10) : 20;

    if (n < 1 || (end && *end))
        return rel_fail(e, REL_E_USAGE, 0, "--lines: '%s' is no number of lines", lines);
    if (relsup_home(ctx, &home, e) < 0 || sup_log_path(home, &path, e) < 0)
        return -1;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return rel_fail(e, REL_E_IO, errno, "open %s", path);
    if (seek_lines(fd, n, e) < 0 || copy_out(fd, &left, !cmd_has(ctx, "follow"), e) < 0)
        return -1;
    while (cmd_has(ctx, "follow")) {
        rel_autofree char *now = NULL;
        struct rel_err none = {0};

        usleep(200000);
        if (copy_out(fd, &left, false, e) < 0)
            return -1;
        if (sup_log_path(home, &now, &none) == 0 && strcmp(now, path) != 0) {
            int next = open(now, O_RDONLY | O_CLOEXEC); /* the next peer's */

            if (next >= 0) {
                close(fd);
                fd = next;
                free(path);
                path = rel_steal(&now);
            }
        }
    }
    return 0;
}

const struct cmd_verb relsup_status = {.name = "status",
                                       .summary = "What runs, since when",
                                       .usage = "",
                                       .options = home_options,
                                       .run = status};
const struct cmd_verb relsup_history = {.name = "history",
                                        .summary = "What happened in this home",
                                        .usage = "",
                                        .options = home_options,
                                        .run = history};
const struct cmd_verb relsup_releases = {.name = "releases",
                                         .summary = "The releases that are in this home",
                                         .usage = "",
                                         .options = home_options,
                                         .run = releases};
const struct cmd_verb relsup_logs = {.name = "logs",
                                     .summary = "What the active peer prints",
                                     .usage = "[-n N] [-f]",
                                     .options = logs_options,
                                     .run = logs};
