/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "hotload/hot_beams.h"

enum { GRACE_MS = 5000 }; /* the agent keeps the deadline; we wait so long for its word */

static void put_options(ei_x_buff *x, const struct hot_node *node, const struct hot_eval *eval,
                        bool want_value)
{
    hot_put_map(x, 5);
    hot_put_atom(x, "client");
    hot_put_pid(x, &node->self);
    hot_put_atom(x, "n");
    hot_put_int(x, node->calls);
    hot_put_atom(x, "lang");
    hot_put_atom(x, eval->lang == HOT_ELIXIR ? "elixir" : "erlang");
    hot_put_atom(x, "timeout");
    hot_put_int(x, eval->timeout_ms);
    hot_put_atom(x, "value");
    hot_put_atom(x, want_value ? "true" : "false");
}

/* The usual case is one round trip: the agent is there. */
static int start(struct hot_node *node, const struct hot_eval *eval, bool want_value,
                 int64_t until_ms, struct rel_err *e)
{
    hot_autoterm struct hot_term result = {0};
    hot_autox ei_x_buff args = {0};
    struct hot_call call = {hot_beam_relsup_agent.module, "eval", &args, until_ms};

    hot_x_new(&args);
    node->calls++;
    hot_put_list(&args, 2);
    hot_put_text(&args, eval->expr);
    put_options(&args, node, eval, want_value);
    hot_put_nil(&args);
    if (hot_node_call(node, &call, &result, e) == 0)
        return 0;
    if (e->code != REL_E_REMOTE || !hot_call_is_undef(&result))
        return -1;
    rel_err_clear(e);
    if (hot_agent_ensure(node, &hot_beam_relsup_agent, until_ms, e) < 0)
        return -1;
    return hot_node_call(node, &call, &result, e);
}

struct news {
    bool done;
    char outcome[MAXATOMLEN_UTF8]; /* when done: "ok", "failed" or "timeout" */
    int64_t fd;                    /* else */
    char *text;                    /* owned */
    size_t len;
};

/* {relsup, N, out, Fd, Text} or {relsup, N, done, Outcome, Text}, N being this evaluation's. */
static bool take_news(const struct hot_node *node, const struct hot_term *t, struct news *n)
{
    int at = t->at;
    int64_t call;

    if (!hot_take_tuple(t, &at, 5) || !hot_take_word(t, &at, "relsup") ||
        !hot_take_int(t, &at, &call) || call != node->calls)
        return false;
    n->done = hot_take_word(t, &at, "done");
    if (n->done ? !hot_take_atom(t, &at, n->outcome)
                : !hot_take_word(t, &at, "out") || !hot_take_int(t, &at, &n->fd))
        return false;
    return hot_take_text(t, &at, &n->text, &n->len);
}

static int settle(const struct hot_eval *eval, struct news *n, char **value, struct rel_err *e)
{
    const char *reason = hot_reason(n->text + strspn(n->text, "\n"));

    if (!strcmp(n->outcome, "ok")) {
        if (value)
            *value = rel_steal(&n->text);
        return 0;
    }
    if (!strcmp(n->outcome, "timeout"))
        return rel_fail(e, REL_E_TIMEOUT, 0,
                        "the expression did not end within %d ms and was stopped",
                        eval->timeout_ms);
    return rel_fail(e, REL_E_REMOTE, 0, "%.*s", (int)strcspn(reason, "\n"), reason);
}

int hot_node_eval(struct hot_node *node, const struct hot_eval *eval, char **value,
                  struct rel_err *e)
{
    int64_t until_ms = rel_mono_ms() + eval->timeout_ms + GRACE_MS;

    if (start(node, eval, value != NULL, until_ms, e) < 0)
        return -1;
    for (;;) {
        hot_autoterm struct hot_term message = {0};
        struct news n = {0};
        rel_autofree char *text = NULL;

        if (hot_node_receive(node, until_ms, &message, e) < 0) {
            node->broken = true;
            return -1;
        }
        if (!take_news(node, &message, &n))
            continue;
        if (n.done) {
            int result = settle(eval, &n, value, e);

            free(n.text);
            return result;
        }
        text = n.text;
        if (eval->output)
            eval->output(eval->ctx, (int)n.fd, text, n.len);
    }
}
