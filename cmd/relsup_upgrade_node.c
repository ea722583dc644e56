/* SPDX-License-Identifier: Apache-2.0 */
/* upgrade --hot --node: changes a running node that no supervisor of ours started. What it changes
 * to is kept in a home of its own, because its code paths lead there from then on; a restart of the
 * node boots what it always did. */
#include <errno.h>
#include <string.h>

#include "base/rel_clock.h"
#include "cmd/relsup.h"
#include "hotload/hot_node.h"
#include "pkg/pkg_release.h"
#include "supervisor/sup_hot.h"
#include "supervisor/sup_incoming.h"
#include "supervisor/sup_store.h"

enum { CALL_MS = 10000 };

/* Where its code lies: as left by the last upgrade of this kind, else its release's folder. */
#define ROOT                                                          \
    "unicode:characters_to_binary(application:get_env(relsup, root, " \
    "case os:getenv(\"RELEASE_ROOT\") of false -> code:root_dir(); R -> R end))"

struct target {
    struct hot_contact contact;
    struct hot_node *node;
    struct sup_store store;
    bool opened;
};

static void target_fini(struct target *t)
{
    hot_node_close(t->node);
    hot_contact_fini(&t->contact);
    if (t->opened)
        sup_store_close(&t->store);
}
#define autotarget __attribute__((cleanup(target_fini)))

static int ask(const struct target *t, const char *expr, char **value, struct rel_err *e)
{
    struct hot_eval eval = {.expr = expr, .lang = HOT_ERLANG, .timeout_ms = CALL_MS};

    return hot_node_eval(t->node, &eval, value, e);
}

/* The text of a binary as ~tp prints it, <<"...">>. */
static char *unquote(const char *value)
{
    size_t len = strlen(value);

    if (len < 6 || strncmp(value, "<<\"", 3) != 0 || strcmp(value + len - 3, "\">>") != 0)
        return NULL;
    return rel_xstrndup(value + 3, len - 6);
}

static int reach(const struct cmd_ctx *ctx, struct target *t, struct rel_err *e)
{
    const char *name = cmd_get(ctx, "node"), *file = cmd_get(ctx, "cookie-file");
    rel_autofree char *root = NULL;

    t->contact.node = rel_xstrdup(name);
    t->contact.cookie_file = realpath(file, NULL);
    if (!t->contact.cookie_file)
        return rel_fail(e, REL_E_INPUT, errno, "open %s", file);
    if (hot_node_open(&t->contact, CALL_MS, &t->node, e) < 0 || ask(t, ROOT, &root, e) < 0)
        return -1;
    t->contact.root = unquote(root);
    return t->contact.root
               ? 0
               : rel_fail(e, REL_E_INPUT, 0, "node %s: its folder %s is no UTF-8", name, root);
}

/* XDG Base Directory Specification */
static int open_store(const struct cmd_ctx *ctx, struct target *t, struct rel_err *e)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    rel_autofree char *path = NULL;

    if (cmd_get(ctx, "home"))
        path = rel_xstrdup(cmd_get(ctx, "home"));
    else if (state && *state == '/')
        path = rel_strf("%s/relsup/nodes/%s", state, t->contact.node);
    else if (home && *home == '/')
        path = rel_strf("%s/.local/state/relsup/nodes/%s", home, t->contact.node);
    else
        return rel_fail(e, REL_E_USAGE, 0, "HOME is not set: say --home, where releases are kept");
    if (sup_store_open(path, &t->store, e) < 0)
        return -1;
    t->opened = true;
    return 0;
}

static int bring_in(struct target *t, const char *release, const char *app, char **root,
                    struct rel_err *e)
{
    rel_autofree char *dir = NULL;
    struct sup_must must = {.app = app};
    bool added;

    if (sup_incoming_add(t->store.home, release, &must, &dir, &added, e) < 0)
        return -1;
    *root = sup_store_path(t->store.home, dir);
    return 0;
}

/* It may run on another host, or as somebody who may not read our files. */
static int check_reads(const struct target *t, const char *root, struct rel_err *e)
{
    rel_autofree char *expr =
        rel_strf("filelib:is_regular(<<\"%s/releases/start_erl.data\"/utf8>>)", root);
    rel_autofree char *value = NULL;

    if (ask(t, expr, &value, e) < 0)
        return -1;
    if (!strcmp(value, "true"))
        return 0;
    return rel_fail(e, REL_E_INPUT, 0,
                    "node %s cannot read %s: it must run on this host, as this user",
                    t->contact.node, root);
}

/* The next upgrade of this node begins where this one ended. */
static int remember(const struct target *t, const char *root, struct rel_err *e)
{
    rel_autofree char *expr = rel_strf("application:set_env(relsup, root, <<\"%s\"/utf8>>)", root);

    return ask(t, expr, NULL, e);
}

static json_t *answer(const struct pkg_release *old, const struct pkg_release *new,
                      const struct hot_report *report, int64_t began_ms)
{
    return json_pack("{s:s, s:s, s:s, s:b, s:I, s:i, s:i, s:o*, s:I}", "app", new->name, "release",
                     new->vsn, "previous", old->vsn, "hot", 1, "pause_us",
                     (json_int_t)report->pause_us, "modules", (int)report->module_n, "processes",
                     (int)report->process_n, "plan", sup_plan_json(report), "took_ms",
                     (json_int_t)(rel_mono_ms() - began_ms));
}

/* Nobody knows with which environment that node will be booted. */
static int check_config(const struct sup_diff *d, const struct pkg_release *new, struct rel_err *e)
{
    return d->evaluates || d->unknown
               ? rel_fail(
                     e, REL_E_CHILD, 0,
                     "the configuration of %s is evaluated at its boot, and with --node nobody "
                     "knows in which environment",
                     new->vsn)
               : 0;
}

static int change(struct cmd_ctx *ctx, struct target *t, const char *release, struct rel_err *e)
{
    sup_autodiff struct sup_diff diff = {0};
    struct sup_hot_job job = {
        .contact = &t->contact, .diff = &diff, .check = cmd_has(ctx, "dry-run")};
    pkg_autorelease struct pkg_release *old = NULL, *new = NULL;
    rel_autofree char *root = NULL, *text = NULL;
    json_auto_t *args = json_pack("{s:b}", "dry_run", job.check), *result = NULL, *doc = NULL;
    struct hot_report report = {0};
    int64_t began_ms = rel_mono_ms();
    int64_t suspend_ms = 0;
    int rc;

    if (cmd_get_ms(ctx, "suspend", 0, &suspend_ms, e) < 0 ||
        cmd_get_ms(ctx, "wait", -1, &job.wait_ms, e) < 0)
        return -1;
    job.refuse_old = !strcmp(cmd_get(ctx, "old-code") ? cmd_get(ctx, "old-code") : "", "refuse");
    job.suspend_ms = (int)suspend_ms;
    if (pkg_release_read(t->contact.root, &old, e) < 0)
        return rel_wrap(e, "node %s", t->contact.node);
    if (bring_in(t, release, old->name, &root, e) < 0 || pkg_release_read(root, &new, e) < 0 ||
        check_reads(t, root, e) < 0 || sup_diff_make(t->contact.root, root, &doc, e) < 0 ||
        sup_diff_parse(doc, t->contact.root, root, &diff, e) < 0 || check_config(&diff, new, e) < 0)
        return -1;
    rc = sup_hot_run(&job, &report, e);
    if (!rc && !job.check)
        rc = remember(t, root, e);
    if (!rc) {
        result = answer(old, new, &report, began_ms);
        text = relsup_changed_text(args, result);
    }
    hot_report_fini(&report);
    return rc < 0 ? -1 : rel_out_result(&ctx->out, result, text, e);
}

int relsup_upgrade_node(struct cmd_ctx *ctx, const char *mode, const char *release,
                        struct rel_err *e)
{
    autotarget struct target t = {0};

    if (!cmd_has(ctx, "node") || !cmd_has(ctx, "cookie-file"))
        return rel_fail(e, REL_E_USAGE, 0, "--node and --cookie-file go together");
    if (!mode || strcmp(mode, "hot") != 0)
        return rel_fail(e, REL_E_USAGE, 0,
                        "--node goes with --hot: relsup swaps only what it runs");
    if (reach(ctx, &t, e) < 0 || open_store(ctx, &t, e) < 0)
        return -1;
    return change(ctx, &t, release, e);
}
