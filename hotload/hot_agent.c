/* SPDX-License-Identifier: Apache-2.0 */
#include "hotload/hot_agent.h"

enum { REASON_MAX = 200 };

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

    if (hot_node_call(node, &call, result, e) < 0)
        return -1;
    if (hot_take_any_tuple(result, &result->at) < 2 || !hot_take_word(result, &result->at, "ok"))
        return rel_fail(e, REL_E_REMOTE, 0, "%s:%s answers oddly on %s", mf[0], mf[1], node->name);
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

    hot_x_new(&text);
    hot_x_new(&parse_args);
    hot_put_list(&text, 1);
    hot_put_string(&text, loader);
    hot_put_nil(&text);
    if (call_ok(node, scan, &text, &tokens, until_ms, e) < 0)
        return -1;
    hot_put_list(&parse_args, 1);
    if (!hot_put_taken(&parse_args, &tokens))
        return rel_fail(e, REL_E_REMOTE, 0, "erl_scan:string answers oddly on %s", node->name);
    hot_put_nil(&parse_args);
    if (call_ok(node, parse, &parse_args, &forms, until_ms, e) < 0)
        return -1;
    hot_put_list(args, 2);
    if (!hot_put_taken(args, &forms))
        return rel_fail(e, REL_E_REMOTE, 0, "erl_parse:parse_exprs answers oddly on %s",
                        node->name);
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

    hot_x_new(&args);
    hot_put_list(&args, 1);
    hot_put_atom(&args, beam->module);
    hot_put_nil(&args);
    if (hot_node_call(node, &call, &t, e) < 0)
        return -1;
    *loaded = hot_take_word(&t, &t.at, "true");
    return 0;
}

int hot_agent_ensure(struct hot_node *node, const struct hot_beam *beam, int64_t until_ms,
                     struct rel_err *e)
{
    hot_autoterm struct hot_term t = {0};
    hot_autox ei_x_buff args = {0};
    struct hot_call call = {"erl_eval", "exprs", &args, until_ms};
    rel_autofree char *text = NULL;
    bool loaded;

    if (is_loaded(node, beam, until_ms, &loaded, e) < 0)
        return -1;
    if (loaded)
        return 0;
    hot_x_new(&args);
    if (make_args(node, beam, until_ms, &args, e) < 0 || hot_node_call(node, &call, &t, e) < 0)
        return rel_wrap(e, "loading %s", beam->module);
    if (is_loaded(node, beam, until_ms, &loaded, e) < 0)
        return -1;
    if (loaded)
        return 0;
    text = hot_term_text(&t, t.at, REASON_MAX);
    return rel_fail(e, REL_E_REMOTE, 0, "node %s does not load %s: %s", node->name, beam->module,
                    text);
}
