/* SPDX-License-Identifier: Apache-2.0 */
#include "hotload/hot_handover.h"

#include "hotload/hot_agent.h"

enum { REASON_MAX = 300 };

static bool is_error(const struct hot_term *t)
{
    int at = t->at;

    return hot_take_tuple(t, &at, 2) && hot_take_word(t, &at, "error");
}

/* {error, Reason} as text. */
static int fail_with(const struct hot_mfa *mfa, const struct hot_term *t, struct rel_err *e)
{
    rel_autofree char *text = hot_term_text(t, t->at, REASON_MAX);

    return rel_fail(e, REL_E_REMOTE, 0, "%s:%s returned %s", mfa->module, mfa->function, text);
}

static int call(const struct hot_contact *c, const struct hot_mfa *mfa, const ei_x_buff *args,
                struct hot_term *result, struct rel_err *e)
{
    hot_autonode struct hot_node *node = NULL;
    struct hot_call call = {mfa->module, mfa->function, args, rel_mono_ms() + mfa->timeout_ms};

    if (hot_node_open(c, mfa->timeout_ms, &node, e) < 0 ||
        hot_node_call(node, &call, result, e) < 0)
        return -1;
    return is_error(result) ? fail_with(mfa, result, e) : 0;
}

static int call_with(const struct hot_contact *c, const struct hot_mfa *mfa,
                     const struct hot_term *state, struct rel_err *e)
{
    hot_autoterm struct hot_term result = {0};
    hot_autox ei_x_buff args = {0};

    hot_x_new(&args);
    hot_put_list(&args, 1);
    if (!hot_put_taken(&args, state))
        return rel_fail(e, REL_E_REMOTE, 0, "what before_cutover returned cannot be read");
    hot_put_nil(&args);
    return call(c, mfa, &args, &result, e);
}

int hot_handover(const struct hot_contact *from, const struct hot_mfa *before,
                 const struct hot_contact *to, const struct hot_mfa *after, struct rel_err *e)
{
    hot_autoterm struct hot_term state = {0}, result = {0};
    bool has_state = from && before->module;

    if (has_state && call(from, before, NULL, &state, e) < 0)
        return rel_wrap(e, "before_cutover");
    if (!after->module)
        return 0;
    if (has_state ? call_with(to, after, &state, e) < 0 : call(to, after, NULL, &result, e) < 0)
        return rel_wrap(e, "after_cutover");
    return 0;
}
