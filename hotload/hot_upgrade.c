/* SPDX-License-Identifier: Apache-2.0 */
/* The plan goes over as one term and one answer comes back: whatever happens in between, also to
 * this process, is decided in the node (relsup_hot.erl). */
#include "hotload/hot_upgrade.h"

#include <string.h>

#include "hotload/hot_agent.h"
#include "hotload/hot_beams.h"

enum {
    LOAD_MS = 5000,  /* to get the module into the node */
    SLACK_MS = 2000, /* for the answer, beyond all deadlines over there */
};

static void put_path(ei_x_buff *x, const char *path)
{
    hot_put_text(x, path ? path : "");
}

static void put_modules(ei_x_buff *x, const struct hot_plan *plan)
{
    if (plan->module_n)
        hot_put_list(x, (int)plan->module_n);
    for (size_t i = 0; i < plan->module_n; i++) {
        const struct hot_module *m = &plan->modules[i];

        hot_put_tuple(x, 6);
        hot_put_atom(x, m->app);
        hot_put_atom(x, m->module);
        put_path(x, m->old_path);
        put_path(x, m->new_path);
        hot_put_binary(x, m->old_md5, sizeof(m->old_md5));
        hot_put_binary(x, m->new_md5, sizeof(m->new_md5));
    }
    hot_put_nil(x);
}

static void put_apps(ei_x_buff *x, const struct hot_plan *plan)
{
    if (plan->app_n)
        hot_put_list(x, (int)plan->app_n);
    for (size_t i = 0; i < plan->app_n; i++) {
        const struct hot_app_change *a = &plan->apps[i];

        hot_put_tuple(x, 5);
        hot_put_atom(x, a->app);
        put_path(x, a->old_vsn);
        put_path(x, a->new_vsn);
        put_path(x, a->old_ebin);
        put_path(x, a->new_ebin);
    }
    hot_put_nil(x);
}

/* [Client, Mode, {Mods, Apps, Files, SuspendMs, TimeoutMs}] */
static void put_args(ei_x_buff *x, struct hot_node *node, const struct hot_plan *plan,
                     const char *mode)
{
    hot_put_list(x, 3);
    hot_put_pid(x, ei_self(&node->ec));
    hot_put_atom(x, mode);
    hot_put_tuple(x, 5);
    put_modules(x, plan);
    put_apps(x, plan);
    hot_put_tuple(x, 4);
    put_path(x, plan->old_sys_config);
    put_path(x, plan->new_sys_config);
    put_path(x, plan->old_consolidated);
    put_path(x, plan->new_consolidated);
    hot_put_int(x, plan->suspend_ms);
    hot_put_int(x, plan->timeout_ms);
    hot_put_nil(x);
}

/* A name is an atom over there, of at most 255 characters; a longer one would abort the encoder. */
static int check_names(const struct hot_plan *plan, struct rel_err *e)
{
    if (plan->suspend_ms <= 0 || plan->timeout_ms <= 0)
        return rel_fail(e, REL_E_INPUT, 0, "a hot upgrade needs its deadlines");
    for (size_t i = 0; i < plan->module_n; i++) {
        const struct hot_module *m = &plan->modules[i];

        if (strlen(m->module) > 255 || strlen(m->app) > 255)
            return rel_fail(e, REL_E_INPUT, 0, "the name of module %.60s... is too long",
                            m->module);
        if (!m->old_path && !m->new_path)
            return rel_fail(e, REL_E_INPUT, 0, "module %s is in neither release", m->module);
    }
    for (size_t i = 0; i < plan->app_n; i++)
        if (strlen(plan->apps[i].app) > 255)
            return rel_fail(e, REL_E_INPUT, 0, "the name of application %.60s... is too long",
                            plan->apps[i].app);
    return 0;
}

static const struct {
    const char *name;
    enum rel_code code;
} outcomes[] = {
    {"ok", REL_E_NONE},       {"refused", REL_E_INPUT},           {"busy", REL_E_BUSY},
    {"failed", REL_E_REMOTE}, {"rolled_back", REL_E_ROLLED_BACK}, {"stuck", REL_E_STUCK},
};

/* {Outcome, ModuleN, ProcessN, PauseUs, Text} */
static int read_result(const struct hot_term *t, struct hot_report *report, struct rel_err *e)
{
    char outcome[MAXATOMLEN_UTF8];
    rel_autofree char *text = NULL;
    int64_t modules, processes, pause_us;
    size_t len;
    int at = t->at;

    if (!hot_take_tuple(t, &at, 5) || !hot_take_atom(t, &at, outcome) ||
        !hot_take_int(t, &at, &modules) || !hot_take_int(t, &at, &processes) ||
        !hot_take_int(t, &at, &pause_us) || !hot_take_text(t, &at, &text, &len))
        return rel_fail(e, REL_E_STUCK, 0, "the hot upgrade ended with an answer nobody knows");
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
        if (strcmp(outcome, outcomes[i].name) != 0)
            continue;
        if (outcomes[i].code != REL_E_NONE)
            return rel_fail(e, outcomes[i].code, 0, "%s", text);
        *report = (struct hot_report){
            .module_n = (size_t)modules, .process_n = (size_t)processes, .pause_us = pause_us};
        return 0;
    }
    return rel_fail(e, REL_E_STUCK, 0, "the hot upgrade ended as %s", outcome);
}

static int call(struct hot_node *node, const struct hot_plan *plan, const char *mode,
                struct hot_report *report, struct rel_err *e)
{
    hot_autox ei_x_buff args = {0};
    hot_autoterm struct hot_term result = {0};
    struct hot_call c = {.mod = hot_beam_relsup_hot.module, .fun = "run", .args = &args};

    if (check_names(plan, e) < 0)
        return -1;
    if (hot_agent_ensure(node, &hot_beam_relsup_hot, rel_mono_ms() + LOAD_MS, e) < 0)
        return rel_wrap(e, "hot upgrade");
    if (ei_x_new(&args) < 0)
        abort();
    put_args(&args, node, plan, mode);
    c.until_ms = rel_mono_ms() + plan->timeout_ms + 4LL * plan->suspend_ms + SLACK_MS;
    if (hot_node_call(node, &c, &result, e) == 0)
        return read_result(&result, report, e);
    /* Sent, and no answer: the node may be anywhere between the old code and the new. */
    if (strcmp(mode, "apply") == 0 && e->code != REL_E_REMOTE)
        e->code = REL_E_STUCK;
    return rel_wrap(e, "hot upgrade");
}

int hot_upgrade_run(struct hot_node *node, const struct hot_plan *plan, struct hot_report *report,
                    struct rel_err *e)
{
    return call(node, plan, "apply", report, e);
}

int hot_upgrade_check(struct hot_node *node, const struct hot_plan *plan, struct hot_report *report,
                      struct rel_err *e)
{
    return call(node, plan, "check", report, e);
}
