/* SPDX-License-Identifier: Apache-2.0 */
#include "hotload/hot_ready.h"

#include <string.h>

#include "hotload/hot_agent.h"
#include "hotload/hot_beams.h"

enum {
    SOON_MS = 200,
    SETTLED_MS = 500,
    RESTARTS_MS = 6000, /* the period of supervisor(3) and of Elixir's Supervisor is 5 s */
    TOP_SHIFT = 32,     /* of the sign */
};

bool hot_settled(struct hot_settling *s, int64_t sign, bool at_once, int64_t now_ms)
{
    if (!s->top_ms || sign >> TOP_SHIFT != s->sign >> TOP_SHIFT)
        s->top_ms = now_ms;
    if (!s->all_ms || sign != s->sign)
        s->all_ms = now_ms;
    s->sign = sign;
    return now_ms - s->all_ms >= (at_once ? SOON_MS : SETTLED_MS) ||
           now_ms - s->top_ms >= RESTARTS_MS;
}

int hot_node_ready(struct hot_node *node, int timeout_ms, int64_t *sign, char **why,
                   struct rel_err *e)
{
    int64_t until_ms = rel_mono_ms() + timeout_ms;
    struct hot_call call = {hot_beam_relsup_agent.module, "ready", NULL, until_ms};
    hot_autoterm struct hot_term t = {0};
    char answer[MAXATOMLEN_UTF8];
    size_t len;

    if (hot_agent_ensure(node, &hot_beam_relsup_agent, until_ms, e) < 0 ||
        hot_node_call(node, &call, &t, e) < 0)
        return -1;
    if (!hot_take_tuple(&t, &t.at, 2) || !hot_take_atom(&t, &t.at, answer))
        return rel_fail(e, REL_E_REMOTE, 0, "%s answers oddly about its applications", node->name);
    if (!strcmp(answer, "yes") && hot_take_int(&t, &t.at, sign)) {
        *why = NULL;
        return 0;
    }
    if (!strcmp(answer, "no") && hot_take_text(&t, &t.at, why, &len))
        return 0;
    return rel_fail(e, REL_E_REMOTE, 0, "%s answers oddly about its applications", node->name);
}

bool hot_node_runs(struct hot_node *node, struct hot_settling *s, int timeout_ms)
{
    rel_autofree char *why = NULL;
    struct rel_err ignored = {0};
    int64_t sign = 0; /* of one that is not ready there is none */

    if (hot_node_ready(node, timeout_ms, &sign, &why, &ignored) == 0 && !why)
        return hot_settled(s, sign, false, rel_mono_ms());
    *s = (struct hot_settling){0};
    return false;
}

static int call_agent(const struct hot_contact *c, const char *fun, int timeout_ms,
                      struct rel_err *e)
{
    hot_autonode struct hot_node *node = NULL;
    int64_t until_ms = rel_mono_ms() + timeout_ms;
    struct hot_call call = {hot_beam_relsup_agent.module, fun, NULL, until_ms};
    hot_autoterm struct hot_term t = {0};

    if (hot_node_open(c, timeout_ms, &node, e) < 0 ||
        hot_agent_ensure(node, &hot_beam_relsup_agent, until_ms, e) < 0)
        return -1;
    return hot_node_call(node, &call, &t, e);
}

int hot_node_share(const struct hot_contact *c, bool share, int timeout_ms, struct rel_err *e)
{
    return call_agent(c, share ? "share" : "alone", timeout_ms, e);
}

int hot_node_share_now(const struct hot_contact *c, int timeout_ms, struct rel_err *e)
{
    return call_agent(c, "share_now", timeout_ms, e);
}
