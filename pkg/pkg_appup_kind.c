/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_appup_kind.h"

#include <string.h>

/* Behaviours of processes that keep a state: what such a module exports in any case, what converts
 * the state, and the arities of both. What is neither known nor a `sys` process and exports a
 * code_change wants it called all the same (GenStage, a plug-in of some server). */
static const struct role {
    const char *behaviour, *mark, *change;
    uint32_t mark_arity, change_arity;
} roles[] = {
    {"gen_server", "handle_call", "code_change", 3, 3},
    {"Elixir.GenServer", "handle_call", "code_change", 3, 3},
    {"gen_event", "handle_event", "code_change", 2, 3},
    {"gen_statem", "callback_mode", "code_change", 0, 4},
    {"gen_fsm", "handle_sync_event", "code_change", 4, 4},
    {NULL, "system_continue", "system_code_change", 3, 4},
};

static const char *const supervisors[] = {"supervisor", "Elixir.Supervisor",
                                          "Elixir.DynamicSupervisor"};

bool pkg_module_is_bare(const struct pkg_module_facts *m)
{
    return !pkg_len(m->attributes);
}

static bool has_name(const struct pkg_term *list, const char *name)
{
    for (size_t i = 0; i < pkg_len(list); i++)
        if (pkg_is_atom(pkg_at(list, i), name))
            return true;
    return false;
}

/* {behaviour, [Name]} may be there many times, in either spelling. */
static bool has_behaviour(const struct pkg_module_facts *m, const char *name)
{
    for (size_t i = 0; i < pkg_len(m->attributes); i++) {
        const struct pkg_term *attribute = pkg_at(m->attributes, i);

        if ((pkg_is_tagged(attribute, "behaviour", 2) || pkg_is_tagged(attribute, "behavior", 2)) &&
            has_name(pkg_at(attribute, 1), name))
            return true;
    }
    return false;
}

static bool exports(const struct pkg_module_facts *m, const char *f, uint32_t arity)
{
    for (size_t i = 0; i < m->export_n; i++)
        if (m->exports[i].arity == arity && !strcmp(m->exports[i].f, f))
            return true;
    return false;
}

bool pkg_module_is_supervisor(const struct pkg_module_facts *m)
{
    for (size_t i = 0; i < sizeof(supervisors) / sizeof(*supervisors); i++)
        if (has_behaviour(m, supervisors[i]))
            return true;
    return false;
}

static bool plays(const struct pkg_module_facts *m, const struct role *role)
{
    if (role->behaviour && !pkg_module_is_bare(m))
        return has_behaviour(m, role->behaviour);
    return exports(m, role->mark, role->mark_arity);
}

static enum pkg_update process_update(const struct pkg_module_facts *m)
{
    enum pkg_update update = PKG_UPDATE_LOAD;

    for (size_t i = 0; i < sizeof(roles) / sizeof(*roles); i++) {
        if (!plays(m, &roles[i]))
            continue;
        if (exports(m, roles[i].change, roles[i].change_arity))
            return PKG_UPDATE_ADVANCED;
        update = PKG_UPDATE_SOFT;
    }
    if (update == PKG_UPDATE_LOAD && (exports(m, "code_change", 3) || exports(m, "code_change", 4)))
        return PKG_UPDATE_ADVANCED;
    return update;
}

enum pkg_update pkg_update_of(const struct pkg_module_facts *old,
                              const struct pkg_module_facts *new)
{
    bool was = pkg_module_is_supervisor(old), is = pkg_module_is_supervisor(new);
    enum pkg_update update = process_update(new);

    /* A process of the one cannot go on as one of the other. */
    if (was || is)
        return was && is ? PKG_UPDATE_SUPERVISOR : PKG_UPDATE_LOAD;
    /* Both ways it is the later module that converts the state. Where that one has no processes of
     * its own, those of the earlier one go on in it. */
    if (update == PKG_UPDATE_LOAD && process_update(old) != PKG_UPDATE_LOAD)
        return PKG_UPDATE_SOFT;
    return update;
}
