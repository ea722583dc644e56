/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that work with the active peer: rpc, eval, remote, pid. */
#include <errno.h>

#include "cmd/cmd_node.h"
#include "cmd/relsup.h"

extern const struct cmd_verb relsup_rpc, relsup_eval, relsup_remote, relsup_pid;

static const struct cmd_option rpc_options[] = {
    {"timeout", 't', "TIME", "how long the expression may take (60s)"},
    {"print", 'p', NULL, "print its value too"},
    RELSUP_HOME_OPTIONS,
    {0},
};
static const struct cmd_option home_options[] = {RELSUP_HOME_OPTIONS, {0}};

static int rpc(struct cmd_ctx *ctx, struct rel_err *e)
{
    struct cmd_rpc r = {.expr = ctx->pos[0], .print = cmd_has(ctx, "print")};
    struct hot_contact c = {0};
    int rc;

    if (cmd_get_ms(ctx, "timeout", CMD_NODE_TIMEOUT_MS, &r.timeout_ms, e) < 0 ||
        relsup_contact(ctx, &c, e) < 0)
        return -1;
    rc = cmd_node_rpc(ctx, &c, &r, e);
    hot_contact_fini(&c);
    return rc;
}

static int eval(struct cmd_ctx *ctx, struct rel_err *e)
{
    struct hot_contact c = {0};
    rel_autofree char *launcher = NULL;

    if (relsup_contact(ctx, &c, e) < 0)
        return -1;
    launcher = rel_strf("%s/bin/%s", c.root, c.name);
    hot_contact_fini(&c);
    execl(launcher, launcher, "eval", ctx->pos[0], (char *)NULL);
    return rel_fail(e, REL_E_IO, errno, "run %s", launcher);
}

static int remote(struct cmd_ctx *ctx, struct rel_err *e)
{
    struct hot_contact c = {0};
    int rc;

    if (relsup_contact(ctx, &c, e) < 0)
        return -1;
    rc = cmd_node_remote(ctx, &c, e);
    hot_contact_fini(&c);
    return rc;
}

static int pid(struct cmd_ctx *ctx, struct rel_err *e)
{
    struct hot_contact c = {0};
    int rc;

    if (relsup_contact(ctx, &c, e) < 0)
        return -1;
    rc = cmd_node_pid(ctx, &c, CMD_NODE_TIMEOUT_MS, e);
    hot_contact_fini(&c);
    return rc;
}

const struct cmd_verb relsup_rpc = {.name = "rpc",
                                    .summary = "Evaluates an expression in the active peer",
                                    .usage = "EXPR [--print] [--timeout TIME]",
                                    .options = rpc_options,
                                    .pos_min = 1,
                                    .pos_max = 1,
                                    .run = rpc};
const struct cmd_verb relsup_eval = {
    .name = "eval",
    .summary = "Evaluates an expression in a new VM of the release, not booted",
    .usage = "EXPR",
    .options = home_options,
    .pos_min = 1,
    .pos_max = 1,
    .run = eval};
const struct cmd_verb relsup_remote = {.name = "remote",
                                       .summary = "A shell in the active peer",
                                       .usage = "",
                                       .options = home_options,
                                       .run = remote};
const struct cmd_verb relsup_pid = {.name = "pid",
                                    .summary = "The process id of the active peer",
                                    .usage = "",
                                    .options = home_options,
                                    .run = pid};
