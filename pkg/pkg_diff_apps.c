/* SPDX-License-Identifier: Apache-2.0 */
/* What relsup_hot.erl refuses is refused here too, as far as it shows without the node. */
#include <string.h>

#include "pkg/pkg_diff_internal.h"

const struct pkg_outline_app *pkg_diff_app_named(const struct pkg_outline *o, const char *name)
{
    for (size_t i = 0; i < o->app_n; i++)
        if (!strcmp(o->apps[i].name, name))
            return &o->apps[i];
    return NULL;
}

/* The property list of an application file; NULL when there is none. */
static const struct pkg_term *app_keys(struct pkg_arena *a, const struct pkg_outline_app *app)
{
    const struct pkg_file *f = app->app_file;
    struct pkg_terms terms;
    struct rel_err ignored = {0};

    if (!f || !f->text ||
        pkg_terms_parse(a, f->text, strlen(f->text), f->path, &terms, &ignored) < 0 ||
        terms.n != 1 || !pkg_is_tagged(terms.v[0], "application", 3))
        return NULL;
    return pkg_at(terms.v[0], 2);
}

/* `vsn` and `modules` are told elsewhere. */
static void add_keys(struct rel_buf *out, const struct pkg_term *keys, const struct pkg_term *other,
                     bool only_missing)
{
    for (size_t i = 0; i < pkg_len(keys); i++) {
        const char *key = pkg_atom_text(pkg_at(pkg_at(keys, i), 0));
        const struct pkg_term *mine = key ? pkg_get(keys, key) : NULL;
        const struct pkg_term *theirs = key ? pkg_get(other, key) : NULL;

        if (!mine || !strcmp(key, "vsn") || !strcmp(key, "modules") ||
            (theirs && (only_missing || pkg_equal(mine, theirs))))
            continue;
        rel_buf_addf(out, "%s%s", out->len ? ", " : "", key);
    }
}

static void diff_app(struct pkg_sides *s, const struct pkg_outline_app *old,
                     const struct pkg_outline_app *new)
{
    rel_autobuf struct rel_buf detail = {0}, keys = {0};
    pkg_autoarena struct pkg_arena a = {0};
    const struct pkg_term *old_keys = app_keys(&a, old), *new_keys = app_keys(&a, new);
    bool version = strcmp(old->vsn, new->vsn) != 0;

    if (old_keys && new_keys) {
        add_keys(&keys, new_keys, old_keys, false);
        add_keys(&keys, old_keys, new_keys, true);
    }
    if (!version && old->start == new->start && !keys.len)
        return;
    if (version)
        rel_buf_addf(&detail, "%s -> %s", old->vsn, new->vsn);
    if (old->start != new->start)
        rel_buf_addf(&detail, "%sstarts as %s -> %s", detail.len ? "; " : "",
                     pkg_start_name(old->start), pkg_start_name(new->start));
    if (keys.len)
        rel_buf_addf(&detail, "%sin its .app file: %s", detail.len ? "; " : "", keys.p);
    pkg_diff_add(s->d, PKG_DIFF_APPLICATION, PKG_CHANGED, new->name)->detail =
        rel_buf_take(&detail);
}

static void diff_lone(struct pkg_sides *s, const struct pkg_outline_app *app,
                      enum pkg_change change)
{
    pkg_diff_add(s->d, PKG_DIFF_APPLICATION, change, app->name)->detail = rel_xstrdup(app->vsn);
}

void pkg_diff_apps(struct pkg_sides *s)
{
    for (size_t i = 0; i < s->old->app_n; i++) {
        const struct pkg_outline_app *new = pkg_diff_app_named(s->new, s->old->apps[i].name);

        if (new)
            diff_app(s, &s->old->apps[i], new);
        else
            diff_lone(s, &s->old->apps[i], PKG_REMOVED);
    }
    for (size_t i = 0; i < s->new->app_n; i++)
        if (!pkg_diff_app_named(s->old, s->new->apps[i].name))
            diff_lone(s, &s->new->apps[i], PKG_ADDED);
}

static bool is_in_priv(const struct pkg_diff_item *item, const char *app)
{
    size_t n = strlen("lib/") + strlen(app);

    return (item->section == PKG_DIFF_FILE || item->section == PKG_DIFF_NATIVE) && item->group &&
           !strcmp(item->group, app) && !strncmp(item->name + n, "/priv/", strlen("/priv/"));
}

static bool priv_changes(const struct pkg_diff *d, const char *app)
{
    for (size_t i = 0; i < d->n; i++)
        if (is_in_priv(&d->v[i], app))
            return true;
    return false;
}

/* As sup_diff.c tells which applications change: by version, by a module, or by what lies in priv.
 */
static bool is_changed(const struct pkg_sides *s, const struct pkg_outline_app *old,
                       const struct pkg_outline_app *new)
{
    if (strcmp(old->vsn, new->vsn) != 0 || priv_changes(s->d, new->name))
        return true;
    for (size_t i = 0; i < s->d->n; i++)
        if (s->d->v[i].section == PKG_DIFF_MODULE && s->d->v[i].group &&
            !strcmp(s->d->v[i].group, new->name))
            return true;
    return false;
}

static bool has_item(const struct pkg_diff *d, const char *app)
{
    for (size_t i = 0; i < d->n; i++)
        if (d->v[i].section == PKG_DIFF_APPLICATION && !strcmp(d->v[i].name, app))
            return true;
    return false;
}

static bool is_loaded(const struct pkg_outline_app *app)
{
    return app && app->start != PKG_START_NONE;
}

static bool has_name(const struct pkg_term *list, const char *name)
{
    for (size_t i = 0; i < pkg_len(list); i++)
        if (pkg_is_atom(pkg_at(list, i), name))
            return true;
    return false;
}

static void check_needs(struct pkg_sides *s, const struct pkg_outline_app *new)
{
    pkg_autoarena struct pkg_arena a = {0};
    const struct pkg_term *keys = app_keys(&a, new);
    const struct pkg_term *needs = pkg_get(keys, "applications");
    const struct pkg_term *optional = pkg_get(keys, "optional_applications");

    for (size_t i = 0; i < pkg_len(needs); i++) {
        const char *need = pkg_atom_text(pkg_at(needs, i));
        const struct pkg_outline_app *old = need ? pkg_diff_app_named(s->old, need) : NULL;

        if (!need || has_name(optional, need) || is_loaded(old) ||
            (!old && pkg_diff_app_named(s->new, need)))
            continue;
        pkg_diff_not_hot(s->d,
                         rel_strf("application %s needs %s, which does not run", new->name, need));
    }
}

/* The callback module of the application; NULL: it has none. */
static const struct pkg_file *callback_of(const struct pkg_survey *survey,
                                          const struct pkg_outline_app *app)
{
    pkg_autoarena struct pkg_arena a = {0};
    const struct pkg_term *mod = pkg_get(app_keys(&a, app), "mod");
    const char *name = pkg_atom_text(pkg_at(mod, 0));
    rel_autofree char *path = name ? rel_strf("%s/ebin/%s.beam", app->dir, name) : NULL;

    for (size_t i = 0; path && i < survey->n; i++)
        if (survey->v[i].module && !strcmp(survey->v[i].path, path))
            return &survey->v[i];
    return NULL;
}

static bool has_mfa(const struct pkg_beam_mfa *v, size_t n, const struct pkg_beam_mfa *what)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].arity == what->arity && !strcmp(v[i].f, what->f) &&
            (!what->m || !strcmp(v[i].m, what->m)))
            return true;
    return false;
}

/* The common pattern of Elixir: what the plan in the node tells by the supervisor that runs. */
static void note_start(struct pkg_sides *s, const struct pkg_outline_app *old,
                       const struct pkg_outline_app *new)
{
    static const struct pkg_beam_mfa start_link = {"Elixir.Supervisor", "start_link", 2};
    const struct pkg_file *was = callback_of(s->old_survey, old),
                          *is = callback_of(s->new_survey, new);

    if (!was || !is || !memcmp(was->module->md5, is->module->md5, sizeof(was->module->md5)) ||
        (!has_mfa(was->module->imports, was->module->import_n, &start_link) &&
         !has_mfa(is->module->imports, is->module->import_n, &start_link)))
        return;
    pkg_diff_note(s->d, rel_strf("%s changes: a hot upgrade does not run its start/2 again, so "
                                 "children that it lists for its supervisor stay as they are "
                                 "(--auto swaps)",
                                 is->module->module));
}

static void note_priv(struct pkg_sides *s, const struct pkg_outline_app *new)
{
    static const struct pkg_beam_mfa config_change = {NULL, "config_change", 3};
    const struct pkg_file *callback = callback_of(s->new_survey, new);

    if (!priv_changes(s->d, new->name))
        return;
    if (callback && has_mfa(callback->module->exports, callback->module->export_n, &config_change))
        pkg_diff_note(s->d, rel_strf("files in priv of %s change: a hot upgrade tells it by "
                                     "config_change/3",
                                     new->name));
    else
        pkg_diff_note(s->d, rel_strf("files in priv of %s change, and it has no config_change/3 to "
                                     "hear of it in a hot upgrade (--auto swaps)",
                                     new->name));
}

static void check_changed(struct pkg_sides *s, const struct pkg_outline_app *old,
                          const struct pkg_outline_app *new)
{
    if (!strcmp(new->name, "kernel") || !strcmp(new->name, "stdlib")) {
        pkg_diff_not_hot(s->d, rel_strf("%s changes, and cannot in a running node", new->name));
        return;
    }
    if (!is_loaded(old))
        pkg_diff_not_hot(s->d, rel_strf("application %s changes and is not loaded", new->name));
    note_start(s, old, new);
    note_priv(s, new);
    check_needs(s, new);
}

void pkg_diff_apps_not_hot(struct pkg_sides *s)
{
    for (size_t i = 0; i < s->new->app_n; i++) {
        const struct pkg_outline_app *new = &s->new->apps[i];
        const struct pkg_outline_app *old = pkg_diff_app_named(s->old, new->name);

        if (!old)
            continue;
        if (is_changed(s, old, new))
            check_changed(s, old, new);
        else if (has_item(s->d, new->name))
            pkg_diff_note(s->d, rel_strf("application %s has its old version and modules: a hot "
                                         "upgrade does not change its .app file or start type",
                                         new->name));
    }
}
