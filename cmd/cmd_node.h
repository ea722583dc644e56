/* SPDX-License-Identifier: Apache-2.0 */
/* What relctl and relsup do alike with a running node, given its contact: each function connects,
 * acts and renders for the running verb. cmd/ only. */
#ifndef CMD_NODE_H
#define CMD_NODE_H

#include "cmd/cmd.h"
#include "hotload/hot_node.h"

enum { CMD_NODE_TIMEOUT_MS = 60000 };

/* Connects, once the process of the contact is seen to run. `what` it is not running is said in
 * one line: REL_E_UNREACHABLE. */
REL_MUST_USE int cmd_node_open(const struct hot_contact *c, int64_t timeout_ms,
                               struct hot_node **node, struct rel_err *e);

struct cmd_rpc {
    const char *expr;
    bool print; /* the value too, on stdout behind the output */
    int64_t timeout_ms;
};

/* Evaluates and passes the output on as it comes. An exception over there is success of the
 * function: its text is on stderr and ctx->exit_status is 1. With --json the result object holds
 * "value", "stdout" and "stderr". */
REL_MUST_USE int cmd_node_rpc(struct cmd_ctx *ctx, const struct hot_contact *c,
                              const struct cmd_rpc *rpc, struct rel_err *e);

/* Prints the operating system's pid of the VM. */
REL_MUST_USE int cmd_node_pid(struct cmd_ctx *ctx, const struct hot_contact *c, int64_t timeout_ms,
                              struct rel_err *e);

/* Prints pong. */
REL_MUST_USE int cmd_node_ping(struct cmd_ctx *ctx, const struct hot_contact *c, int64_t timeout_ms,
                               struct rel_err *e);

/* init:stop/0, then waits until the process is gone. */
REL_MUST_USE int cmd_node_stop(struct cmd_ctx *ctx, const struct hot_contact *c, int64_t timeout_ms,
                               struct rel_err *e);

/* init:restart/0, then waits until it is booted again. */
REL_MUST_USE int cmd_node_restart(struct cmd_ctx *ctx, const struct hot_contact *c,
                                  int64_t timeout_ms, struct rel_err *e);

/* Replaces this process by a VM of the same release that runs a shell in the node (IEx in an Elixir
 * release). The cookie goes by a file: dirname(cookie_file)/erlang/.erlang.cookie must lead to it.
 * Returns on failure only. */
REL_MUST_USE int cmd_node_remote(struct cmd_ctx *ctx, const struct hot_contact *c,
                                 struct rel_err *e);

#endif
