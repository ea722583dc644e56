/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/relsup.h"

#include "base/rel_clock.h"
#include "supervisor/sup_run.h"

extern const struct cmd_verb relsup_run;

static const struct cmd_option options[] = {
    {"home", 'H', "HOME", "the folder of the application on this host; default RELSUP_HOME"},
    {"boot", 'b', "TIME", "how long a release may take to be ready (60s)"},
    {0},
};

static void on_log(void *ctx, const char *line)
{
    struct cmd_ctx *c = ctx;
    char when[REL_TIME_LEN];

    rel_time_format(rel_wall_ms(), when);
    rel_out_log(&c->out, "%s %s", when, line);
}

static int run(struct cmd_ctx *ctx, struct rel_err *e)
{
    struct sup_run_options o = {.home = cmd_get(ctx, "home"), .log = on_log, .ctx = ctx};

    if (!o.home)
        o.home = getenv("RELSUP_HOME");
    if (!o.home || !*o.home)
        return rel_fail(e, REL_E_USAGE, 0, "say where the home is: --home HOME");
    if (cmd_get_ms(ctx, "boot", 0, &o.boot_ms, e) < 0)
        return -1;
    o.release = ctx->pos_n ? ctx->pos[0] : NULL;
    return sup_run(&o, e);
}

const struct cmd_verb relsup_run = {
    .name = "run",
    .summary = "The supervisor, in the foreground; with a release on first use",
    .usage = "[TARBALL|DIR] --home HOME [--boot TIME]",
    .options = options,
    .pos_max = 1,
    .lives_on = true,
    .run = run};
