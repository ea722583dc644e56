/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that change what runs: upgrade, rollback, restart, stop. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/rel_clock.h"
#include "cmd/relsup.h"
#include "supervisor/sup_fetch.h"

extern const struct cmd_verb relsup_upgrade, relsup_rollback, relsup_restart, relsup_stop,
    relsup_cutover, relsup_abort;

#define HOT_OPTIONS                                                                              \
    {"wait", 0, "TIME", "in place: how long who is busy with what changes may take (5s)"},       \
    {                                                                                            \
        "old-code", 0, "keep|refuse",                                                            \
            "in place: who is still busy then finishes in the old code (keep), or it is refused" \
    }
#define SWAP_OPTIONS                                                                            \
    {"boot", 'b', "TIME", "how long the new release may take to be ready (60s)"},               \
        {"canary", 'c', "SHARES", "give it 5,25,50 percent of the new connections before all"}, \
        {"step", 0, "TIME", "with --canary: how long it has each share (30s)"},                 \
        {"hold", 0, NULL, "stop before the cutover, until 'relsup cutover' or 'relsup abort'"}, \
        {"soak", 0, "TIME", "how long a failure after the cutover leads back (0s)"},            \
        {"suspend", 0, "TIME", "in place: how long a process may take to be held (5s)"},        \
        {"hold-for", 0, "TIME", "with --hold: abort when nobody decides in that time"},         \
    {                                                                                           \
        "drain", 0, "TIME", "how long what the old one has begun may take (30s)"                \
    }

static const struct cmd_option upgrade_options[] = {
    {"swap", 's', NULL, "boot the new release beside the old one (the default)"},
    {"hot", 0, NULL, "change the running code in place"},
    {"auto", 0, NULL, "in place where that harms no process, else by a swap"},
    {"dry-run", 'n', NULL, "only check, and say what would be done (with --hot or --auto)"},
    {"allow-older", 0, NULL, "than what served here already, where a key is set"},
    {"node", 0, "NAME", "with --hot: a running node without relsup"},
    {"cookie-file", 0, "FILE", "with --node: its cookie"},
    HOT_OPTIONS,
    SWAP_OPTIONS,
    RELSUP_HOME_OPTIONS,
    {0},
};
static const struct cmd_option rollback_options[] = {
    {"swap", 's', NULL, "boot it beside (the default for what was booted)"},
    {"hot", 0, NULL, "change the running code in place"},
    {"auto", 0, NULL, "in place where that harms no process (the default for what was changed so)"},
    {"dry-run", 'n', NULL, "only check, and say what would be done (with --hot or --auto)"},
    HOT_OPTIONS,
    SWAP_OPTIONS,
    RELSUP_HOME_OPTIONS,
    {0},
};
static const struct cmd_option change_options[] = {SWAP_OPTIONS, RELSUP_HOME_OPTIONS, {0}};
static const struct cmd_option home_options[] = {RELSUP_HOME_OPTIONS, {0}};

static int put_time(const struct cmd_ctx *ctx, json_t *args, const char *option, const char *key,
                    struct rel_err *e)
{
    int64_t ms;

    if (!cmd_has(ctx, option))
        return 0;
    if (cmd_get_ms(ctx, option, 0, &ms, e) < 0)
        return -1;
    json_object_set_new(args, key, json_integer(ms));
    return 0;
}

/* "5,25,100" */
static int put_shares(const struct cmd_ctx *ctx, json_t *args, struct rel_err *e)
{
    const char *text = cmd_get(ctx, "canary");
    json_t *list;

    if (!text)
        return cmd_has(ctx, "step") ? rel_fail(e, REL_E_USAGE, 0, "--step goes with --canary") : 0;
    list = json_array();
    json_object_set_new(args, "canary", list);
    for (const char *p = text;; p++) {
        char *end;
        double percent = strtod(p, &end);

        if (end == p || (*end && *end != ',') || !(percent > 0) || percent > 100)
            return rel_fail(e, REL_E_USAGE, 0, "--canary: '%s' is no list of percents like 5,25,50",
                            text);
        json_array_append_new(list, json_real(percent));
        if (!*end)
            return 0;
        p = end;
    }
}

static int put_swap_options(const struct cmd_ctx *ctx, json_t *args, struct rel_err *e)
{
    static const char *const times[][2] = {{"boot", "boot_ms"},       {"soak", "soak_ms"},
                                           {"drain", "drain_ms"},     {"step", "step_ms"},
                                           {"suspend", "suspend_ms"}, {"hold-for", "hold_ms"}};

    for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++)
        if (put_time(ctx, args, times[i][0], times[i][1], e) < 0)
            return -1;
    if (cmd_has(ctx, "hold-for") && !cmd_has(ctx, "hold"))
        return rel_fail(e, REL_E_USAGE, 0, "--hold-for goes with --hold");
    if (cmd_has(ctx, "hold"))
        json_object_set_new(args, "hold", json_true());
    return put_shares(ctx, args, e);
}

static int put_hot_options(const struct cmd_ctx *ctx, json_t *args, struct rel_err *e)
{
    const char *old = cmd_get(ctx, "old-code");

    if (put_time(ctx, args, "wait", "wait_ms", e) < 0)
        return -1;
    if (old && strcmp(old, "keep") != 0 && strcmp(old, "refuse") != 0)
        return rel_fail(e, REL_E_USAGE, 0, "--old-code: '%s' is neither keep nor refuse", old);
    if (old)
        json_object_set_new(args, "old_code", json_string(old));
    return 0;
}

/* Text of the release, and of the node that runs it; NULL: there is none. */
static char *shown_value(const json_t *result, const char *key)
{
    const char *text = json_string_value(json_object_get(result, key));

    return text ? rel_escape(text) : NULL;
}

static void add_line(struct rel_buf *b, const json_t *line)
{
    rel_autofree char *shown = rel_escape(json_string_value(line));

    rel_buf_addf(b, "  %s\n", shown);
}

static char *held_text(const char *release, const json_t *result)
{
    rel_autobuf struct rel_buf b = {0};
    size_t i;
    json_t *line;

    rel_buf_addf(&b, "%s waits and gets no connection. Look at it:\n", release);
    json_array_foreach (json_object_get(result, "preview"), i, line)
        add_line(&b, line);
    rel_buf_adds(&b, "Then 'relsup cutover', or 'relsup abort'.\n");
    return rel_buf_take(&b);
}

/* What is still so when it is done. */
static void add_rest(struct rel_buf *b, const json_t *plan)
{
    static const char *const sections[] = {"old_code", "closures", "notes"};
    json_t *line;
    size_t i;

    for (size_t n = 0; n < sizeof(sections) / sizeof(*sections); n++)
        json_array_foreach (json_object_get(plan, sections[n]), i, line)
            add_line(b, line);
}

/* The sections of a plan, each under its name. */
static void add_plan(struct rel_buf *b, const json_t *plan)
{
    const char *section;
    json_t *lines, *line;
    size_t i;

    json_object_foreach ((json_t *)plan, section, lines) {
        rel_buf_addf(b, "%s\n", section);
        json_array_foreach (lines, i, line)
            add_line(b, line);
    }
}

static char *checked_text(const char *app, const char *previous, const char *release,
                          const json_t *result)
{
    rel_autofree char *why_not = shown_value(result, "why_not_hot");
    rel_autobuf struct rel_buf b = {0};

    add_plan(&b, json_object_get(result, "plan"));
    if (why_not)
        rel_buf_addf(&b, "%s %s would be replaced by %s by a swap: %s\n", app, previous, release,
                     why_not);
    else
        rel_buf_addf(&b, "%s %s can be changed to %s in place\n", app, previous, release);
    return rel_buf_take(&b);
}

static char *hot_text(const char *app, const char *previous, const char *release,
                      const json_t *result)
{
    rel_autobuf struct rel_buf b = {0};

    rel_buf_addf(&b,
                 "%s %s runs, changed in place from %s: %d modules, %d processes, paused for %.1f "
                 "ms\n",
                 app, release, previous,
                 (int)json_integer_value(json_object_get(result, "modules")),
                 (int)json_integer_value(json_object_get(result, "processes")),
                 (double)json_integer_value(json_object_get(result, "pause_us")) / 1000);
    add_rest(&b, json_object_get(result, "plan"));
    return rel_buf_take(&b);
}

char *relsup_cut_text(const json_t *o)
{
    json_int_t n = json_integer_value(json_object_get(o, "requests_cut"));
    json_int_t tenths = (json_integer_value(json_object_get(o, "drain_ms")) + 50) / 100;
    bool more = json_is_true(json_object_get(o, "requests_cut_is_least"));

    if (!n && !more)
        return NULL;
    return rel_strf("%s%lld request%s cut after %g s", more ? "at least " : "", (long long)n,
                    n == 1 ? " was" : "s were", (double)tenths / 10);
}

char *relsup_changed_text(const json_t *args, const json_t *result)
{
    rel_autofree char *app = shown_value(result, "app");
    rel_autofree char *release = shown_value(result, "release");
    rel_autofree char *previous = shown_value(result, "previous");
    rel_autofree char *cut = relsup_cut_text(result);

    if (json_is_true(json_object_get(result, "held")))
        return held_text(release, result);
    if (json_is_true(json_object_get(args, "dry_run")))
        return checked_text(app, previous, release, result);
    if (!app) /* it was told to stop meanwhile, or has crashed already */
        return rel_strf("%s is what the home has now, and does not run\n", release);
    if (json_is_true(json_object_get(result, "hot")))
        return hot_text(app, previous, release, result);
    return rel_strf("%s %s serves%s%s%s%s%s\n", app, release, previous ? ", " : "",
                    previous ? previous : "", previous ? " is stopped" : "", cut ? "; " : "",
                    cut ? cut : "");
}

static int change(struct cmd_ctx *ctx, enum sup_cmd cmd, json_t *args, struct rel_err *e)
{
    json_auto_t *result = NULL;
    rel_autofree char *text = NULL;

    if (put_swap_options(ctx, args, e) < 0 || relsup_call(ctx, cmd, args, &result, e) < 0)
        return -1;
    text = relsup_changed_text(args, result);
    return rel_out_result(&ctx->out, result, text, e);
}

/* --hot, --swap, --auto; NULL: none of them is given. */
static int take_mode(const struct cmd_ctx *ctx, const char **mode, struct rel_err *e)
{
    static const char *const modes[] = {"swap", "hot", "auto"};
    bool hot;

    *mode = NULL;
    for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
        if (!cmd_has(ctx, modes[i]))
            continue;
        if (*mode)
            return rel_fail(e, REL_E_USAGE, 0, "--%s and --%s exclude each other", *mode, modes[i]);
        *mode = modes[i];
    }
    hot = *mode && !strcmp(*mode, "hot");
    if (hot && (cmd_has(ctx, "canary") || cmd_has(ctx, "hold") || cmd_has(ctx, "soak")))
        return rel_fail(e, REL_E_USAGE, 0, "--canary, --hold and --soak go with --swap");
    if (cmd_has(ctx, "dry-run") && (!*mode || !strcmp(*mode, "swap")))
        return rel_fail(e, REL_E_USAGE, 0, "--dry-run goes with --hot or --auto");
    return 0;
}

static int upgrade(struct cmd_ctx *ctx, struct rel_err *e)
{
    json_auto_t *args = NULL;
    rel_autofree char *path = NULL;
    const char *mode;

    if (take_mode(ctx, &mode, e) < 0)
        return -1;
    path = sup_is_url(ctx->pos[0]) ? rel_xstrdup(ctx->pos[0]) : realpath(ctx->pos[0], NULL);
    if (!path)
        return rel_fail(e, REL_E_INPUT, errno, "open %s", ctx->pos[0]);
    if (cmd_has(ctx, "node") || cmd_has(ctx, "cookie-file"))
        return relsup_upgrade_node(ctx, mode, path, e);
    args = json_pack("{s:s, s:s, s:b}", "release", path, "mode", mode ? mode : "swap", "dry_run",
                     cmd_has(ctx, "dry-run"));
    if (args && cmd_has(ctx, "allow-older"))
        json_object_set_new(args, "allow_older", json_true());
    if (!args)
        return rel_fail(e, REL_E_INPUT, 0, "the path of the tarball is no UTF-8");
    return put_hot_options(ctx, args, e) < 0 ? -1 : change(ctx, SUP_CMD_UPGRADE, args, e);
}

static int rollback(struct cmd_ctx *ctx, struct rel_err *e)
{
    json_auto_t *args = NULL;
    const char *mode;

    if (take_mode(ctx, &mode, e) < 0)
        return -1;
    args = json_pack("{s:s*, s:s*, s:b}", "version", ctx->pos_n ? ctx->pos[0] : NULL, "mode", mode,
                     "dry_run", cmd_has(ctx, "dry-run"));
    return put_hot_options(ctx, args, e) < 0 ? -1 : change(ctx, SUP_CMD_ROLLBACK, args, e);
}

static int restart(struct cmd_ctx *ctx, struct rel_err *e)
{
    json_auto_t *args = json_object();

    return change(ctx, SUP_CMD_RESTART, args, e);
}

static int cutover(struct cmd_ctx *ctx, struct rel_err *e)
{
    json_auto_t *args = json_object(), *result = NULL;
    rel_autofree char *text = NULL;

    if (relsup_call(ctx, SUP_CMD_CUTOVER, args, &result, e) < 0)
        return -1;
    text = relsup_changed_text(args, result);
    return rel_out_result(&ctx->out, result, text, e);
}

static int abort_upgrade(struct cmd_ctx *ctx, struct rel_err *e)
{
    json_auto_t *result = NULL;
    rel_autofree char *text = NULL;
    const char *serves;

    if (relsup_call(ctx, SUP_CMD_ABORT, NULL, &result, e) < 0)
        return -1;
    serves = json_string_value(json_object_get(result, "release"));
    text = rel_strf("%s is undone%s%s%s\n", json_string_value(json_object_get(result, "aborted")),
                    serves ? ", " : "", serves ? serves : "", serves ? " serves" : "");
    return rel_out_result(&ctx->out, result, text, e);
}

/* The supervisor answers when the VM is gone, and ends itself right after. */
static int stop(struct cmd_ctx *ctx, struct rel_err *e)
{
    json_auto_t *status = NULL, *result = NULL;
    struct pollfd p = {.events = POLLIN};
    rel_autoclose int fd = -1;

    if (relsup_call(ctx, SUP_CMD_STATUS, NULL, &status, e) < 0)
        return -1;
    fd = (int)syscall(SYS_pidfd_open,
                      (pid_t)json_integer_value(json_object_get(status, "supervisor_pid")), 0);
    if (relsup_call(ctx, SUP_CMD_STOP, NULL, &result, e) < 0)
        return -1;
    p.fd = fd;
    if (fd >= 0 && poll(&p, 1, 10000) == 0)
        return rel_fail(e, REL_E_TIMEOUT, 0, "the application is stopped, its supervisor is not");
    return rel_out_result(&ctx->out, result, "stopped\n", e);
}

const struct cmd_verb relsup_upgrade = {
    .name = "upgrade",
    .summary = "Replaces what runs by another release; returns when it is done or undone",
    .usage = "TARBALL|DIR|URL [--swap|--hot|--auto] [--dry-run] [--canary SHARES] [--soak TIME]",
    .options = upgrade_options,
    .pos_min = 1,
    .pos_max = 1,
    .run = upgrade};
const struct cmd_verb relsup_rollback = {.name = "rollback",
                                         .summary = "Back to an earlier release of the home",
                                         .usage = "[VERSION] [--swap|--hot|--auto]",
                                         .options = rollback_options,
                                         .pos_max = 1,
                                         .run = rollback};
const struct cmd_verb relsup_restart = {.name = "restart",
                                        .summary = "Swaps to the same release",
                                        .usage = "",
                                        .options = change_options,
                                        .run = restart};
const struct cmd_verb relsup_cutover = {.name = "cutover",
                                        .summary = "Lets the candidate of 'upgrade --hold' serve",
                                        .usage = "",
                                        .options = home_options,
                                        .run = cutover};
const struct cmd_verb relsup_abort = {.name = "abort",
                                      .summary = "Ends an upgrade before its soak is over: the old "
                                                 "release serves on",
                                      .usage = "",
                                      .options = home_options,
                                      .run = abort_upgrade};
const struct cmd_verb relsup_stop = {.name = "stop",
                                     .summary =
                                         "Stops the application gracefully, then its supervisor",
                                     .usage = "",
                                     .options = home_options,
                                     .run = stop};
