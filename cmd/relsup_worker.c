/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/relsup.h"
#include "supervisor/sup_worker.h"

extern const struct cmd_verb relsup_worker;

static int run(struct cmd_ctx *ctx, struct rel_err *e)
{
    (void)ctx;
    return sup_worker_main(e);
}

const struct cmd_verb relsup_worker = {.name = "worker",
                                       .summary = "Works for a supervisor, which starts it",
                                       .usage = "",
                                       .hidden = true,
                                       .run = run};
