/* SPDX-License-Identifier: Apache-2.0 */
#include "hotload/hot_face.h"

#include <string.h>

#include "hotload/hot_beams.h"

enum have { ABSENT, SAME, OTHER_VERSION, NOT_OURS };

/* The attributes of a module, as module_info/1 tells them: [{Name, Value}]. */
static enum have whose(const struct hot_term *t, const char *hash)
{
    char name[MAXATOMLEN_UTF8];
    int at = t->at, n = hot_take_list(t, &at);

    for (int i = 0; i < n; i++) {
        rel_autofree char *value = NULL;
        size_t len;

        if (!hot_take_tuple(t, &at, 2) || !hot_take_atom(t, &at, name))
            return NOT_OURS;
        if (!strcmp(name, "relsup_face"))
            return hot_take_text(t, &at, &value, &len) && !strcmp(value, hash) ? SAME
                                                                               : OTHER_VERSION;
        if (!hot_take_skip(t, &at))
            return NOT_OURS;
    }
    return NOT_OURS;
}

static int look(struct hot_node *node, const char *module, const char *hash, int64_t until_ms,
                enum have *have, struct rel_err *e)
{
    hot_autoterm struct hot_term t = {0};
    hot_autox ei_x_buff args = {0};
    struct hot_call call = {module, "module_info", &args, until_ms};

    hot_x_new(&args);
    hot_put_list(&args, 1);
    hot_put_atom(&args, "attributes");
    hot_put_nil(&args);
    if (hot_node_call(node, &call, &t, e) == 0) {
        *have = whose(&t, hash);
        return 0;
    }
    if (e->code != REL_E_REMOTE || !hot_call_is_undef(&t))
        return -1;
    rel_err_clear(e);
    *have = ABSENT;
    return 0;
}

/* Frees the slot of old code unless a process runs it. The face makes no funs, which soft_purge/1
 * would not see. */
static int free_old_slot(struct hot_node *node, const struct hot_beam *beam, int64_t until_ms,
                         struct rel_err *e)
{
    hot_autoterm struct hot_term t = {0};
    hot_autox ei_x_buff args = {0};
    struct hot_call call = {"code", "soft_purge", &args, until_ms};

    hot_x_new(&args);
    hot_put_list(&args, 1);
    hot_put_atom(&args, beam->module);
    hot_put_nil(&args);
    if (hot_node_call(node, &call, &t, e) < 0)
        return -1;
    if (!hot_take_word(&t, &t.at, "true"))
        return rel_fail(e, REL_E_BUSY, 0, "a process of %s still runs an earlier module %s",
                        node->name, beam->module);
    return 0;
}

/* All or none. code:atomic_load/1 refuses a name whose old slot is taken, where load_binary/3 would
 * purge it and so kill what runs in it (code.erl: finish_loading/2). */
static int load(struct hot_node *node, const struct hot_beam *const beams[2], int n,
                int64_t until_ms, struct rel_err *e)
{
    hot_autoterm struct hot_term t = {0};
    hot_autox ei_x_buff args = {0};
    struct hot_call call = {"code", "atomic_load", &args, until_ms};

    hot_x_new(&args);
    hot_put_list(&args, 1);
    hot_put_list(&args, n);
    for (int i = 0; i < n; i++) {
        hot_put_tuple(&args, 3);
        hot_put_atom(&args, beams[i]->module);
        hot_put_string(&args, "relsup");
        hot_put_binary(&args, beams[i]->code, beams[i]->len);
    }
    hot_put_nil(&args);
    hot_put_nil(&args);
    if (hot_node_call(node, &call, &t, e) < 0)
        return -1;
    if (!hot_take_word(&t, &t.at, "ok"))
        return rel_fail(e, REL_E_REMOTE, 0, "node %s does not load %s", node->name,
                        beams[0]->module);
    return 0;
}

int hot_face_ensure(struct hot_node *node, int timeout_ms, const char **own, struct rel_err *e)
{
    const struct hot_beam *const all[2] = {&hot_beam_relsup, &hot_beam_relsup_elixir};
    const struct hot_beam *wanted[2];
    const char *theirs = NULL;
    int64_t until_ms = rel_mono_ms() + timeout_ms;
    enum have have = NOT_OURS, elixir;
    int n = 0;

    for (int i = 0; i < 2 && !theirs; i++) {
        if (i == 1 && look(node, "Elixir.Kernel", "", until_ms, &elixir, e) < 0)
            return -1;
        if (i == 1 && elixir == ABSENT)
            break;
        if (look(node, all[i]->module, all[i]->hash, until_ms, &have, e) < 0)
            return -1;
        if (have == NOT_OURS)
            theirs = all[i]->module;
        if (have == OTHER_VERSION && free_old_slot(node, all[i], until_ms, e) < 0)
            return -1;
        if (have == ABSENT || have == OTHER_VERSION)
            wanted[n++] = all[i];
    }
    if (n && load(node, wanted, n, until_ms, e) < 0)
        return -1;
    *own = theirs;
    return 0;
}
