/* SPDX-License-Identifier: Apache-2.0 */
#include "hotload/hot_agent.h"

#include <string.h>

/* Runs over there by erl_eval, because nothing of ours is there yet. finish_loading/1 refuses a
 * name whose old slot is taken, where load_binary/3 would purge it and so kill what runs in it. Two
 * callers at once thus do no harm: the second one's load makes the first one's code old and lets it
 * run, and a third one's is refused and needs nothing, for the module is there. */
static const char loader[] = "case erlang:module_loaded(M) of true -> ok; false ->"
                             " case code:prepare_loading([{M, \"relsup\", B}]) of"
                             "  {ok, P} -> case code:finish_loading(P) of"
                             "   {error, [{M, not_purged}]} -> ok; R -> R end;"
                             "  R -> R end end.";

/* Calls mod:fun(Arg), Arg an encoded term, and expects {ok, Term, ...}; `at` is left on Term. */
static int call_ok(struct hot_node *node, const char *const mf[2], const ei_x_buff *arg,
                   struct hot_term *result, int64_t until_ms, struct rel_err *e)
{
    struct hot_call call = {mf[0], mf[1], arg, until_ms};
    char tag[MAXATOMLEN_UTF8];
    int arity;

    if (hot_node_call(node, &call, result, e) < 0)
        return -1;
    if (ei_decode_tuple_header(result->x.buff, &result->at, &arity) < 0 || arity < 2 ||
        !hot_take_atom(result, &result->at, tag) || strcmp(tag, "ok") != 0)
        return rel_fail(e, REL_E_REMOTE, 0, "%s:%s answers oddly on %s", mf[0], mf[1], node->name);
    return 0;
}

/* [Term] from the term at t->at. */
static int one_argument(const struct hot_term *t, ei_x_buff *args)
{
    int end = t->at;

    if (ei_skip_term(t->x.buff, &end) < 0)
        return -1;
    hot_put_list(args, 1);
    hot_put_raw(args, t->x.buff + t->at, end - t->at);
    hot_put_nil(args);
    return 0;
}

static void put_bindings(ei_x_buff *args, const struct hot_beam *beam)
{
    hot_put_list(args, 2);
    hot_put_tuple(args, 2);
    hot_put_atom(args, "B");
    hot_put_binary(args, beam->code, beam->len);
    hot_put_tuple(args, 2);
    hot_put_atom(args, "M");
    hot_put_atom(args, beam->module);
    hot_put_nil(args);
}

/* The abstract form of the loader, as the node's own OTP writes it, becomes erl_eval's arguments.
 */
static int make_args(struct hot_node *node, const struct hot_beam *beam, int64_t until_ms,
                     ei_x_buff *args, struct rel_err *e)
{
    static const char *const scan[2] = {"erl_scan", "string"};
    static const char *const parse[2] = {"erl_parse", "parse_exprs"};
    hot_autoterm struct hot_term tokens = {0}, forms = {0};
    hot_autox ei_x_buff text = {0}, parse_args = {0};
    int end;

    if (ei_x_new(&text) < 0 || ei_x_new(&parse_args) < 0)
        abort();
    hot_put_list(&text, 1);
    if (ei_x_encode_string(&text, loader) < 0)
        abort();
    hot_put_nil(&text);
    if (call_ok(node, scan, &text, &tokens, until_ms, e) < 0)
        return -1;
    if (one_argument(&tokens, &parse_args) < 0)
        return rel_fail(e, REL_E_REMOTE, 0, "erl_scan:string answers oddly on %s", node->name);
    if (call_ok(node, parse, &parse_args, &forms, until_ms, e) < 0)
        return -1;
    end = forms.at;
    if (ei_skip_term(forms.x.buff, &end) < 0)
        return rel_fail(e, REL_E_REMOTE, 0, "erl_parse:parse_exprs answers oddly on %s",
                        node->name);
    hot_put_list(args, 2);
    hot_put_raw(args, forms.x.buff + forms.at, end - forms.at);
    put_bindings(args, beam);
    hot_put_nil(args);
    return 0;
}

static int is_loaded(struct hot_node *node, const struct hot_beam *beam, int64_t until_ms,
                     bool *loaded, struct rel_err *e)
{
    hot_autoterm struct hot_term t = {0};
    hot_autox ei_x_buff args = {0};
    struct hot_call call = {"erlang", "module_loaded", &args, until_ms};
    char value[MAXATOMLEN_UTF8];

    if (ei_x_new(&args) < 0)
        abort();
    hot_put_list(&args, 1);
    hot_put_atom(&args, beam->module);
    hot_put_nil(&args);
    if (hot_node_call(node, &call, &t, e) < 0)
        return -1;
    *loaded = hot_take_atom(&t, &t.at, value) && !strcmp(value, "true");
    return 0;
}

int hot_agent_ensure(struct hot_node *node, const struct hot_beam *beam, int64_t until_ms,
                     struct rel_err *e)
{
    hot_autoterm struct hot_term t = {0};
    hot_autox ei_x_buff args = {0};
    struct hot_call call = {"erl_eval", "exprs", &args, until_ms};
    char *text = NULL;
    bool loaded;
    int at;

    if (is_loaded(node, beam, until_ms, &loaded, e) < 0)
        return -1;
    if (loaded)
        return 0;
    if (ei_x_new(&args) < 0)
        abort();
    if (make_args(node, beam, until_ms, &args, e) < 0 || hot_node_call(node, &call, &t, e) < 0)
        return rel_wrap(e, "loading %s", beam->module);
    if (is_loaded(node, beam, until_ms, &loaded, e) < 0)
        return -1;
    if (loaded)
        return 0;
    at = t.at;
    if (ei_s_print_term(&text, t.x.buff, &at) < 0 || !text)
        return rel_fail(e, REL_E_REMOTE, 0, "node %s does not load %s", node->name, beam->module);
    rel_fail(e, REL_E_REMOTE, 0, "node %s does not load %s: %.200s", node->name, beam->module,
             text);
    free(text);
    return -1;
}
