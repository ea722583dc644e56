/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that change what runs: upgrade, rollback, restart, stop. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "base/rel_clock.h"
#include "cmd/relsup.h"
#include "supervisor/sup_fetch.h"

extern const struct cmd_verb relsup_upgrade, relsup_rollback, relsup_restart, relsup_stop;

static const struct cmd_option upgrade_options[] = {
    {"swap", 's', NULL, "boot the new release beside the old one (the default)"},
    {"hot", 0, NULL, "change the running code in place"},
    {"dry-run", 'n', NULL, "with --hot: only check whether it could be done"},
    {"boot", 'b', "TIME", "how long the new release may take to be ready (60s)"},
    RELSUP_HOME_OPTIONS,
    {0},
};
static const struct cmd_option change_options[] = {
    {"boot", 'b', "TIME", "how long the release may take to be ready (60s)"},
    RELSUP_HOME_OPTIONS,
    {0},
};
static const struct cmd_option home_options[] = {RELSUP_HOME_OPTIONS, {0}};

static int change(struct cmd_ctx *ctx, enum sup_cmd cmd, json_t *args, struct rel_err *e)
{
    json_auto_t *result = NULL;
    rel_autofree char *text = NULL;
    const char *app, *release, *previous;
    int64_t boot_ms;

    if (cmd_get_ms(ctx, "boot", 0, &boot_ms, e) < 0)
        return -1;
    json_object_set_new(args, "boot_ms", json_integer(boot_ms));
    if (relsup_call(ctx, cmd, args, &result, e) < 0)
        return -1;
    app = json_string_value(json_object_get(result, "app"));
    release = json_string_value(json_object_get(result, "release"));
    previous = json_string_value(json_object_get(result, "previous"));
    if (json_is_true(json_object_get(args, "dry_run")))
        text = rel_strf("%s %s can be changed to %s in place\n", app, previous, release);
    else if (json_is_true(json_object_get(result, "hot")))
        text = rel_strf("%s %s runs, changed in place from %s\n", app, release, previous);
    else
        text = rel_strf("%s %s serves%s%s%s\n", app, release, previous ? ", " : "",
                        previous ? previous : "", previous ? " is stopped" : "");
    return rel_out_result(&ctx->out, result, text, e);
}

static int upgrade(struct cmd_ctx *ctx, struct rel_err *e)
{
    bool hot = cmd_has(ctx, "hot"), dry_run = cmd_has(ctx, "dry-run");
    json_auto_t *args = NULL;
    char path[PATH_MAX];

    if (hot && cmd_has(ctx, "swap"))
        return rel_fail(e, REL_E_USAGE, 0, "--hot and --swap exclude each other");
    if (dry_run && !hot)
        return rel_fail(e, REL_E_USAGE, 0, "--dry-run goes with --hot");
    if (sup_is_url(ctx->pos[0]))
        snprintf(path, sizeof(path), "%s", ctx->pos[0]);
    else if (!realpath(ctx->pos[0], path))
        return rel_fail(e, REL_E_INPUT, errno, "open %s", ctx->pos[0]);
    args = json_pack("{s:s, s:s, s:b}", "release", path, "mode", hot ? "hot" : "swap", "dry_run",
                     dry_run);
    if (!args)
        return rel_fail(e, REL_E_INPUT, 0, "the path of the tarball is no UTF-8");
    return change(ctx, SUP_CMD_UPGRADE, args, e);
}

static int rollback(struct cmd_ctx *ctx, struct rel_err *e)
{
    json_auto_t *args = json_pack("{s:s*}", "version", ctx->pos_n ? ctx->pos[0] : NULL);

    return change(ctx, SUP_CMD_ROLLBACK, args, e);
}

static int restart(struct cmd_ctx *ctx, struct rel_err *e)
{
    json_auto_t *args = json_object();

    return change(ctx, SUP_CMD_RESTART, args, e);
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
    .usage = "TARBALL|DIR|URL [--swap|--hot [--dry-run]] [--boot TIME]",
    .options = upgrade_options,
    .pos_min = 1,
    .pos_max = 1,
    .run = upgrade};
const struct cmd_verb relsup_rollback = {.name = "rollback",
                                         .summary = "Back to an earlier release of the home",
                                         .usage = "[VERSION]",
                                         .options = change_options,
                                         .pos_max = 1,
                                         .run = rollback};
const struct cmd_verb relsup_restart = {.name = "restart",
                                        .summary = "Swaps to the same release",
                                        .usage = "",
                                        .options = change_options,
                                        .run = restart};
const struct cmd_verb relsup_stop = {.name = "stop",
                                     .summary =
                                         "Stops the application gracefully, then its supervisor",
                                     .usage = "",
                                     .options = home_options,
                                     .run = stop};
