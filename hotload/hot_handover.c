/* SPDX-License-Identifier: Apache-2.0 */
#include "hotload/hot_handover.h"

#include <string.h>

#include "hotload/hot_agent.h"

static bool is_error(const struct hot_term *t)
{
    char tag[MAXATOMLEN_UTF8];
    int at = t->at;

    return hot_take_tuple(t, &at, 2) && hot_take_atom(t, &at, tag) && !strcmp(tag, "error");
}

/* {error, Reason} as text. */
static int fail_with(const struct hot_mfa *mfa, const struct hot_term *t, struct rel_err *e)
{
    char *text = NULL;
    int at = t->at;

    if (ei_s_print_term(&text, t->x.buff, &at) < 0 || !text)
        rel_fail(e, REL_E_REMOTE, 0, "%s:%s returned an error", mfa->module, mfa->function);
    else
        rel_fail(e, REL_E_REMOTE, 0, "%s:%s returned %.300s", mfa->module, mfa->function, text);
    free(text);
    return -1;
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
    int end = state->at;

    if (ei_skip_term(state->x.buff, &end) < 0)
        return rel_fail(e, REL_E_REMOTE, 0, "what before_cutover returned cannot be read");
    if (ei_x_new(&args) < 0)
        abort();
    hot_put_list(&args, 1);
    hot_put_raw(&args, state->x.buff + state->at, end - state->at);
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
