/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to a running node: the distribution protocol by libei, as a hidden C node of dynamic
 * name, so that no call leaves an atom in the target (facts/otp 51). Blocking, every call with a
 * deadline; one thread at a time uses one connection. ei.h does not show here.
 *
 * The first call that needs the agent loads it into the node (hotload/relsup_agent.erl, embedded in
 * the program as BEAM code), under a module name that carries its hash, unless it is there. */
#ifndef HOT_NODE_H
#define HOT_NODE_H

#include "hotload/hot_contact.h"

struct hot_node;

/* Connects and authenticates within timeout_ms. REL_E_UNREACHABLE: nothing listens there, another
 * node answers, or the cookie is wrong (the message says which, in one line). */
REL_MUST_USE int hot_node_open(const struct hot_contact *c, int timeout_ms, struct hot_node **node,
                               struct rel_err *e);
void hot_node_close(struct hot_node *node);
void hot_node_close_p(struct hot_node **node);
#define hot_autonode __attribute__((cleanup(hot_node_close_p)))
/* Cuts the connection: the call that waits on it fails with REL_E_UNREACHABLE, and what it runs
 * over there is killed. For an output function whose reader is gone. Nothing but close may follow.
 */
void hot_node_interrupt(struct hot_node *node);

/* Output of the code that runs over there, as it is printed. `fd` is 1 or 2; UTF-8. */
typedef void hot_output_fn(void *ctx, int fd, const char *bytes, size_t len);

enum hot_lang { HOT_ERLANG, HOT_ELIXIR };

struct hot_eval {
    const char *expr;
    enum hot_lang lang;
    int timeout_ms;
    hot_output_fn *output; /* may be NULL: output is dropped */
    void *ctx;
};

/* Evaluates an expression in the node, its group leader forwarding to `output`.
 * 0: *value is the printed form of its value (inspect or ~tp), owned by the caller; `value` may be
 * NULL, and then nothing is printed over there.
 * REL_E_REMOTE: it did not parse, raised, exited or threw; the message is the first line of the
 * formatted exception, and the whole of it went to `output` on fd 2.
 * REL_E_TIMEOUT: the process that evaluated was killed over there.
 * Processes that it left behind get `user` as group leader. */
REL_MUST_USE int hot_node_eval(struct hot_node *node, const struct hot_eval *eval, char **value,
                               struct rel_err *e);

/* Is the boot over (init:get_status/0 is {started, _})? */
REL_MUST_USE int hot_node_booted(struct hot_node *node, int timeout_ms, bool *booted,
                                 struct rel_err *e);

/* init:stop/0 and init:restart/0: returns when the node has taken the order. */
REL_MUST_USE int hot_node_stop(struct hot_node *node, int timeout_ms, struct rel_err *e);
REL_MUST_USE int hot_node_restart(struct hot_node *node, int timeout_ms, struct rel_err *e);

/* os:getpid/0 of the node. */
REL_MUST_USE int hot_node_pid(struct hot_node *node, int timeout_ms, pid_t *pid, struct rel_err *e);

#endif
