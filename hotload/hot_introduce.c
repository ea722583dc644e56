/* SPDX-License-Identifier: Apache-2.0 */
#include "hotload/hot_introduce.h"

#include "hotload/hot_beams.h"
#include "hotload/hot_cookie.h"

static int introduce(const struct hot_contact *to, const struct hot_contact *other,
                     const char *cookie, int timeout_ms, struct rel_err *e)
{
    hot_autonode struct hot_node *node = NULL;
    hot_autoterm struct hot_term t = {0};
    hot_autox ei_x_buff args = {0};
    struct hot_call call = {hot_beam_relsup_dist.module, "introduce", &args,
                            rel_mono_ms() + timeout_ms};

    hot_x_new(&args);
    hot_put_list(&args, 3);
    hot_put_atom(&args, other->node);
    hot_put_atom(&args, cookie);
    hot_put_int(&args, other->port);
    hot_put_nil(&args);
    if (hot_node_open(to, timeout_ms, &node, e) < 0 ||
        hot_agent_ensure(node, &hot_beam_relsup_dist, call.until_ms, e) < 0 ||
        hot_node_call(node, &call, &t, e) < 0)
        return -1;
    if (!hot_take_word(&t, &t.at, "ok"))
        return rel_fail(e, REL_E_UNSUPPORTED, 0, "the distribution of %s is not inet_tcp_dist",
                        to->node);
    return 0;
}

int hot_introduce(const struct hot_contact *active, const struct hot_contact *candidate,
                  int timeout_ms, struct rel_err *e)
{
    rel_autofree char *cookie = NULL;

    if (hot_cookie_new(&cookie, e) < 0 || introduce(active, candidate, cookie, timeout_ms, e) < 0)
        return -1;
    return introduce(candidate, active, cookie, timeout_ms, e);
}

int hot_forget(const struct hot_contact *left, const char *node_gone, int timeout_ms,
               struct rel_err *e)
{
    hot_autonode struct hot_node *node = NULL;
    hot_autoterm struct hot_term t = {0};
    hot_autox ei_x_buff args = {0};
    struct hot_call call = {hot_beam_relsup_dist.module, "forget", &args,
                            rel_mono_ms() + timeout_ms};

    hot_x_new(&args);
    hot_put_list(&args, 1);
    hot_put_atom(&args, node_gone);
    hot_put_nil(&args);
    if (hot_node_open(left, timeout_ms, &node, e) < 0)
        return -1;
    if (hot_node_call(node, &call, &t, e) == 0)
        return 0;
    if (!hot_call_is_undef(&t))
        return -1;
    rel_err_clear(e);
    return 0;
}
