/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"

#include "supervisor/sup_child.h"

extern const struct cmd_verb relsup_launch;

static int run(struct cmd_ctx *ctx, struct rel_err *e)
{
    (void)e;
    ctx->exit_status = sup_launch_main();
    return 0;
}

const struct cmd_verb relsup_launch = {
    .name = SUP_LAUNCH_VERB,
    .summary = "The first moments of a child of relsup, which alone starts it",
    .usage = "",
    .hidden = true,
    .run = run};
