/* SPDX-License-Identifier: Apache-2.0 */
/* The plan goes over as one term and one answer comes back: whatever happens in between, also to
 * this process, is decided in the node (relsup_hot.erl). */
#include "hotload/hot_upgrade.h"

#include <string.h>

#include "hotload/hot_agent.h"
#include "hotload/hot_beams.h"

enum {
    LOAD_MS = 5000,  /* to get the module into the node */
    UNDO_STEPS = 8,  /* of suspend_ms each at most (relsup_hot_keeper:undo/1) */
    SLACK_MS = 2000, /* for the answer, beyond all deadlines over there */
    SECTIONS_MAX = 16,
    LINES_MAX = 1 << 16, /* of a section: modules, processes */
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

        hot_put_tuple(x, 5);
        hot_put_atom(x, m->app);
        hot_put_atom(x, m->module);
        put_path(x, m->old_path);
        put_path(x, m->new_path);
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

        hot_put_tuple(x, 6);
        hot_put_atom(x, a->app);
        put_path(x, a->old_vsn);
        put_path(x, a->new_vsn);
        put_path(x, a->old_ebin);
        put_path(x, a->new_ebin);
        put_path(x, a->type);
    }
    hot_put_nil(x);
}

static void put_new_config(ei_x_buff *x, const struct hot_plan *plan)
{
    if (!plan->new_config) {
        put_path(x, plan->new_sys_config);
        return;
    }
    hot_put_tuple(x, 2);
    hot_put_atom(x, "evaluated");
    hot_put_binary(x, plan->new_config->p, plan->new_config->len);
}

static void put_privs(ei_x_buff *x, const struct hot_plan *plan)
{
    for (size_t i = 0; i < plan->app_n; i++)
        if (plan->apps[i].priv) {
            hot_put_list(x, 1);
            hot_put_atom(x, plan->apps[i].app);
        }
    hot_put_nil(x);
}

static void put_hints(ei_x_buff *x, const struct hot_plan *plan)
{
    if (plan->hint_n)
        hot_put_list(x, (int)plan->hint_n);
    for (size_t i = 0; i < plan->hint_n; i++) {
        hot_put_tuple(x, 2);
        hot_put_atom(x, plan->hints[i].process);
        hot_put_atom(x, plan->hints[i].module);
    }
    hot_put_nil(x);
}

/* [Client, Mode, {Mods, Apps, Files, Hints, Down, Times}] */
static void put_args(ei_x_buff *x, struct hot_node *node, const struct hot_plan *plan,
                     const char *mode)
{
    hot_put_list(x, 3);
    hot_put_pid(x, &node->self);
    hot_put_atom(x, mode);
    hot_put_tuple(x, 6);
    put_modules(x, plan);
    put_apps(x, plan);
    hot_put_tuple(x, 5);
    put_path(x, plan->old_sys_config);
    put_new_config(x, plan);
    put_path(x, plan->old_consolidated);
    put_path(x, plan->new_consolidated);
    put_privs(x, plan);
    put_hints(x, plan);
    hot_put_atom(x, !plan->down ? "false" : plan->booted ? "booted" : "true");
    hot_put_tuple(x, 5);
    hot_put_int(x, plan->suspend_ms);
    hot_put_int(x, plan->timeout_ms + plan->wait_ms);
    hot_put_int(x, plan->prove ? plan->prove_ms : 0);
    hot_put_int(x, plan->wait_ms);
    hot_put_atom(x, plan->refuse_old ? "refuse" : "keep");
    hot_put_nil(x);
}

static int check_name(const char *what, const char *name, struct rel_err *e)
{
    return hot_is_atom(name)
               ? 0
               : rel_fail(e, REL_E_INPUT, 0, "the name of %s %.60s... is too long, or not UTF-8",
                          what, name);
}

/* Names become atoms over there. */
static int check_names(const struct hot_plan *plan, struct rel_err *e)
{
    if (plan->suspend_ms <= 0 || plan->timeout_ms <= 0)
        return rel_fail(e, REL_E_INPUT, 0, "a hot upgrade needs its deadlines");
    for (size_t i = 0; i < plan->module_n; i++) {
        const struct hot_module *m = &plan->modules[i];

        if (check_name("module", m->module, e) < 0 || check_name("application", m->app, e) < 0)
            return -1;
        if (!m->old_path && !m->new_path)
            return rel_fail(e, REL_E_INPUT, 0, "module %s is in neither release", m->module);
    }
    for (size_t i = 0; i < plan->app_n; i++)
        if (check_name("application", plan->apps[i].app, e) < 0)
            return -1;
    for (size_t i = 0; i < plan->hint_n; i++)
        if (check_name("process", plan->hints[i].process, e) < 0 ||
            check_name("module", plan->hints[i].module, e) < 0)
            return -1;
    return 0;
}

static const struct {
    const char *name;
    enum rel_code code;
} outcomes[] = {
    {"ok", REL_E_NONE},     {"changed", REL_E_NONE},  {"refused", REL_E_INPUT},
    {"busy", REL_E_BUSY},   {"failed", REL_E_REMOTE}, {"rolled_back", REL_E_ROLLED_BACK},
    {"stuck", REL_E_STUCK}, {"in_use", REL_E_IN_USE},
};

const struct hot_section *hot_report_section(const struct hot_report *report, const char *name)
{
    for (size_t i = 0; i < report->section_n; i++)
        if (!strcmp(report->sections[i].name, name))
            return &report->sections[i];
    return NULL;
}

void hot_report_fini(struct hot_report *report)
{
    for (size_t i = 0; i < report->section_n; i++) {
        for (size_t j = 0; j < report->sections[i].line_n; j++)
            free(report->sections[i].lines[j]);
        free(report->sections[i].lines);
        free(report->sections[i].name);
    }
    free(report->sections);
    *report = (struct hot_report){0};
}

static bool take_lines(const struct hot_term *t, int *at, struct hot_section *s)
{
    int n = hot_take_list(t, at);

    if (n < 0 || n > LINES_MAX)
        return false;
    s->lines = rel_xcalloc((size_t)n + 1, sizeof(*s->lines));
    for (int i = 0; i < n; i++) {
        size_t len;

        if (!hot_take_text(t, at, &s->lines[i], &len))
            return false;
        s->line_n++;
    }
    return n == 0 || hot_take_list(t, at) == 0;
}

/* [{Section, [Line]}] */
static bool take_sections(const struct hot_term *t, int *at, struct hot_report *report)
{
    int n = hot_take_list(t, at);

    if (n < 0 || n > SECTIONS_MAX)
        return false;
    report->sections = rel_xcalloc((size_t)n + 1, sizeof(*report->sections));
    for (int i = 0; i < n; i++) {
        char name[MAXATOMLEN_UTF8];

        if (!hot_take_tuple(t, at, 2) || !hot_take_atom(t, at, name))
            return false;
        report->sections[i].name = rel_xstrdup(name);
        report->section_n++;
        if (!take_lines(t, at, &report->sections[i]))
            return false;
    }
    return true;
}

/* {Outcome, ModuleN, ProcessN, PauseUs, Text, Sections}; *waits: it wants to hear a verdict. */
static int read_result(const struct hot_term *t, struct hot_report *report, bool *waits,
                       struct rel_err *e)
{
    char outcome[MAXATOMLEN_UTF8];
    rel_autofree char *text = NULL;
    int64_t modules, processes;
    size_t len;
    int at = t->at;

    hot_report_fini(report);
    if (!hot_take_tuple(t, &at, 6) || !hot_take_atom(t, &at, outcome) ||
        !hot_take_int(t, &at, &modules) || !hot_take_int(t, &at, &processes) ||
        !hot_take_int(t, &at, &report->pause_us) || !hot_take_text(t, &at, &text, &len) ||
        !take_sections(t, &at, report) || modules < 0 || processes < 0)
        return rel_fail(e, REL_E_STUCK, 0, "the hot upgrade ended with an answer nobody knows");
    report->module_n = (size_t)modules;
    report->process_n = (size_t)processes;
    *waits = !strcmp(outcome, "changed");
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
        if (!strcmp(outcome, outcomes[i].name))
            return outcomes[i].code == REL_E_NONE
                       ? 0
                       : rel_fail(e, outcomes[i].code, 0, "%s", hot_reason(text));
    return rel_fail(e, REL_E_STUCK, 0, "the hot upgrade ended as %s", outcome);
}

static int load_agent(struct hot_node *node, struct rel_err *e)
{
    static const struct hot_beam *const beams[] = HOT_BEAMS_RELSUP_HOT;
    int64_t until_ms = rel_mono_ms() + LOAD_MS;

    for (size_t i = 0; beams[i]; i++)
        if (hot_agent_ensure(node, beams[i], until_ms, e) < 0)
            return rel_wrap(e, "hot upgrade");
    return 0;
}

static int call(struct hot_node *node, const struct hot_plan *plan, struct hot_call *c,
                struct hot_report *report, bool *waits, struct rel_err *e)
{
    hot_autoterm struct hot_term result = {0};

    c->mod = hot_beam_relsup_hot.module;
    c->until_ms =
        rel_mono_ms() + plan->timeout_ms + plan->wait_ms + UNDO_STEPS * plan->suspend_ms + SLACK_MS;
    if (hot_node_call(node, c, &result, e) < 0)
        return rel_wrap(e, "hot upgrade");
    return read_result(&result, report, waits, e);
}

static int run(struct hot_node *node, const struct hot_plan *plan, const char *mode,
               struct hot_report *report, bool *waits, struct rel_err *e)
{
    hot_autox ei_x_buff args = {0};
    struct hot_call c = {.fun = "run", .args = &args};

    if (check_names(plan, e) < 0 || load_agent(node, e) < 0)
        return -1;
    hot_x_new(&args);
    put_args(&args, node, plan, mode);
    if (call(node, plan, &c, report, waits, e) == 0)
        return 0;
    /* Sent, and no answer: the node may be anywhere between the old code and the new. */
    if (!strcmp(mode, "apply") && (e->code == REL_E_TIMEOUT || e->code == REL_E_UNREACHABLE))
        e->code = REL_E_STUCK;
    return -1;
}

/* Until it is known, the node's ticks are answered: hot_node_receive does. */
static int prove(struct hot_node *node, const struct hot_plan *plan, struct rel_err *e)
{
    int64_t until_ms = rel_mono_ms() + plan->prove_ms;
    int wait_ms;

    while ((wait_ms = plan->prove(plan->prove_ctx, e)) > 0) {
        hot_autoterm struct hot_term message = {0};
        struct rel_err none = {0};

        if (rel_mono_ms() + wait_ms >= until_ms)
            return rel_fail(e, REL_E_TIMEOUT, 0, "it was not proved within %d ms", plan->prove_ms);
        if (hot_node_receive(node, rel_mono_ms() + wait_ms, &message, &none) < 0 &&
            none.code != REL_E_TIMEOUT)
            return rel_fail(e, none.code, 0, "%s", none.msg);
    }
    return wait_ms;
}

/* [commit] or [{undo, Text}] */
static int judge(struct hot_node *node, const struct hot_plan *plan, const struct rel_err *why,
                 struct hot_report *report, struct rel_err *e)
{
    hot_autox ei_x_buff args = {0};
    struct hot_call c = {.fun = "verdict", .args = &args};
    bool waits;

    hot_x_new(&args);
    hot_put_list(&args, 1);
    if (why) {
        hot_put_tuple(&args, 2);
        hot_put_atom(&args, "undo");
        hot_put_text(&args, why->msg);
    } else {
        hot_put_atom(&args, "commit");
    }
    hot_put_nil(&args);
    if (call(node, plan, &c, report, &waits, e) == 0)
        return 0;
    if (e->code == REL_E_TIMEOUT || e->code == REL_E_UNREACHABLE)
        e->code = REL_E_STUCK;
    return -1;
}

int hot_upgrade_run(struct hot_node *node, const struct hot_plan *plan, struct hot_report *report,
                    struct rel_err *e)
{
    struct rel_err why = {0};
    bool waits = false;

    if (run(node, plan, "apply", report, &waits, e) < 0)
        return -1;
    if (waits && prove(node, plan, &why) == 0 && plan->seal)
        (void)!plan->seal(plan->seal_ctx, &why);
    return waits ? judge(node, plan, why.code ? &why : NULL, report, e) : 0;
}

int hot_upgrade_settle(struct hot_node *node, const struct hot_plan *plan, bool commit,
                       struct hot_report *report, struct rel_err *e)
{
    static const struct rel_err lost = {.msg = "the connection to the node was lost"};

    if (load_agent(node, e) < 0)
        return -1;
    return judge(node, plan, commit ? NULL : &lost, report, e);
}

int hot_upgrade_check(struct hot_node *node, const struct hot_plan *plan, struct hot_report *report,
                      struct rel_err *e)
{
    bool waits;

    return run(node, plan, "check", report, &waits, e);
}
