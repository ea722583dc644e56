/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_app.h"

#include <fcntl.h>
#include <string.h>

/* One key of a .app file being checked. */
struct key {
    struct pkg_app *app;
    const struct pkg_term *items; /* of the whole file */
    const char *name;
};

static int wrong(const struct key *k, int line, const char *what, struct rel_err *e)
{
    return rel_fail(e, REL_E_INPUT, 0, "%s:%d: %s %s", k->app->file, line, k->name, what);
}

/* {Key, Value}, as keysearch finds it in any tuple. *value is NULL when the key is absent. */
static int get_value(const struct key *k, const struct pkg_term **value, struct rel_err *e)
{
    const struct pkg_term *t = pkg_keyfind(k->items, k->name);

    if (t && t->seq.n != 2)
        return wrong(k, t->line, "must be {key, value}", e);
    *value = t ? t->seq.v[1] : NULL;
    return 0;
}

static int need_value(const struct key *k, const struct pkg_term **value, struct rel_err *e)
{
    if (get_value(k, value, e) < 0)
        return -1;
    return *value ? 0 : wrong(k, k->items->line, "is missing", e);
}

static bool is_string(const struct pkg_term *t)
{
    if (pkg_chars(t) && t->kind != PKG_BINARY)
        return true;
    for (size_t i = 0; i < pkg_len(t); i++)
        if (t->kind != PKG_LIST || t->seq.v[i]->kind != PKG_INT)
            return false;
    return pkg_is_list(t);
}

static int read_text(struct pkg_app *app, const struct pkg_term *items, const char *name,
                     const struct pkg_term **out, struct rel_err *e)
{
    struct key k = {app, items, name};

    if (need_value(&k, out, e) < 0)
        return -1;
    return is_string(*out) ? 0 : wrong(&k, (*out)->line, "must be a string", e);
}

/* A list of atoms; without `mandatory` an absent key is []. `term` may be NULL. */
static int read_names(const struct key *k, bool mandatory, struct pkg_names *names,
                      const struct pkg_term **term, struct rel_err *e)
{
    struct pkg_arena *a = &k->app->arena;
    const struct pkg_term *value = NULL;
    const char **v;

    if ((mandatory ? need_value(k, &value, e) : get_value(k, &value, e)) < 0)
        return -1;
    if (!value)
        value = pkg_list(a, 0);
    if (!pkg_is_list(value) || value->kind == PKG_STRING)
        return wrong(k, value->line, "must be a list of atoms", e);
    v = pkg_arena_alloc(a, (value->seq.n + 1) * sizeof(*v));
    for (size_t i = 0; i < value->seq.n; i++) {
        v[i] = pkg_atom_text(value->seq.v[i]);
        if (!v[i] || !*v[i])
            return wrong(k, value->seq.v[i]->line, "must be a list of atoms", e);
    }
    names->v = v;
    names->n = value->seq.n;
    if (term)
        *term = value;
    return 0;
}

/* {env, [tuples]} and {start_phases, [tuples]}. */
static int read_tuples(struct pkg_app *app, const struct pkg_term *items, const char *name,
                       const struct pkg_term **out, struct rel_err *e)
{
    struct key k = {app, items, name};
    const struct pkg_term *value = NULL;

    if (get_value(&k, &value, e) < 0)
        return -1;
    if (!value || pkg_is_atom(value, "undefined"))
        return 0;
    if (!pkg_is_list(value) || value->kind == PKG_STRING)
        return wrong(&k, value->line, "must be a list of tuples", e);
    for (size_t i = 0; i < value->seq.n; i++)
        if (!pkg_is_tagged(value->seq.v[i], NULL, 2))
            return wrong(&k, value->seq.v[i]->line, "must be a list of {name, value}", e);
    *out = value;
    return 0;
}

static int read_limit(struct pkg_app *app, const struct pkg_term *items, const char *name,
                      const struct pkg_term **out, struct rel_err *e)
{
    struct key k = {app, items, name};
    const struct pkg_term *value = NULL;

    if (get_value(&k, &value, e) < 0)
        return -1;
    if (!value)
        value = pkg_atom(&app->arena, "infinity");
    if (!pkg_is_atom(value, "infinity") && (value->kind != PKG_INT || value->i <= 0))
        return wrong(&k, value->line, "must be infinity or a positive integer", e);
    *out = value;
    return 0;
}

static int read_mod(struct pkg_app *app, const struct pkg_term *items, struct rel_err *e)
{
    struct key k = {app, items, "mod"};
    const struct pkg_term *value = NULL;

    if (get_value(&k, &value, e) < 0)
        return -1;
    if (!value || (value->kind == PKG_LIST && !pkg_len(value))) /* [] is OTP's "none" */
        return 0;
    if (!pkg_is_tuple(value, 2) || !pkg_is_atom(value->seq.v[0], NULL))
        return wrong(&k, value->line, "must be {module, arguments}", e);
    app->mod = value;
    return 0;
}

static int read_lists(struct pkg_app *app, const struct pkg_term *items, struct rel_err *e)
{
    const struct {
        const char *key;
        bool mandatory;
        struct pkg_names *names;
        const struct pkg_term **term;
    } lists[] = {
        {"modules", true, &app->modules, &app->modules_term},
        {"registered", true, &app->registered, &app->registered_term},
        {"applications", true, &app->applications, NULL},
        {"optional_applications", false, &app->optional, &app->optional_term},
        {"included_applications", false, &app->included, NULL},
    };

    for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
        struct key k = {app, items, lists[i].key};

        if (read_names(&k, lists[i].mandatory, lists[i].names, lists[i].term, e) < 0)
            return -1;
    }
    return 0;
}

/* The version becomes a part of folder names. */
static bool usable_vsn(const char *vsn)
{
    return vsn && *vsn && !strchr(vsn, '/') && strcmp(vsn, ".") != 0 && strcmp(vsn, "..") != 0;
}

static int read_items(struct pkg_app *app, const struct pkg_term *items, struct rel_err *e)
{
    const struct pkg_term *vsn, *id = NULL;
    struct key k = {app, items, "id"};

    if (read_text(app, items, "vsn", &vsn, e) < 0 ||
        read_text(app, items, "description", &app->description, e) < 0 ||
        read_lists(app, items, e) < 0 || get_value(&k, &id, e) < 0)
        return -1;
    app->vsn = pkg_chars(vsn);
    k.name = "vsn";
    if (!usable_vsn(app->vsn))
        return wrong(&k, vsn->line, "cannot be a part of a folder name", e);
    k.name = "id";
    if (id && !is_string(id))
        return wrong(&k, id->line, "must be a string", e);
    app->id = id ? id : pkg_list(&app->arena, 0);
    app->env = pkg_list(&app->arena, 0);
    if (read_tuples(app, items, "env", &app->env, e) < 0 ||
        read_tuples(app, items, "start_phases", &app->start_phases, e) < 0 ||
        read_limit(app, items, "maxT", &app->max_t, e) < 0 ||
        read_limit(app, items, "maxP", &app->max_p, e) < 0)
        return -1;
    return read_mod(app, items, e);
}

static void set_folders(struct pkg_app *app, const char *file)
{
    const char *slash = strrchr(file, '/'), *above;
    char *ebin = slash ? pkg_arena_strndup(&app->arena, file, (size_t)(slash - file))
                       : pkg_arena_strndup(&app->arena, ".", 1);

    above = strrchr(ebin, '/');
    app->file = pkg_arena_strndup(&app->arena, file, strlen(file));
    app->ebin = ebin;
    app->dir = above ? pkg_arena_strndup(&app->arena, ebin, (size_t)(above - ebin))
                     : pkg_arena_strndup(&app->arena, strcmp(ebin, ".") != 0 ? "." : "..",
                                         strcmp(ebin, ".") != 0 ? 1 : 2);
}

static int read_app(struct pkg_app *app, const char *file, struct rel_err *e)
{
    const struct pkg_term *t;

    set_folders(app, file);
    if (pkg_term_read_one(&app->arena, AT_FDCWD, file, &t, e) < 0)
        return -1;
    if (!pkg_is_tagged(t, "application", 3) || !pkg_is_atom(t->seq.v[1], NULL) ||
        t->seq.v[2]->kind != PKG_LIST || t->seq.v[2]->seq.tail)
        return rel_fail(e, REL_E_INPUT, 0, "%s:%d: not {application, name, [...]}", file, t->line);
    app->term = t;
    app->name = pkg_atom_text(t->seq.v[1]);
    if (!app->name || !*app->name || strchr(app->name, '/'))
        return rel_fail(e, REL_E_INPUT, 0, "%s:%d: the application's name is not usable", file,
                        t->line);
    return read_items(app, t->seq.v[2], e);
}

int pkg_app_read(const char *file, struct pkg_app **app, struct rel_err *e)
{
    struct pkg_app *made = rel_xcalloc(1, sizeof(*made));

    if (read_app(made, file, e) < 0) {
        pkg_app_free(made);
        return -1;
    }
    *app = made;
    return 0;
}

/* The list without the atoms of `names`; the same one when none is in it. */
static const struct pkg_term *without(struct pkg_arena *a, const struct pkg_term *list,
                                      const struct pkg_names *names)
{
    struct pkg_list_build kept = {0};

    for (size_t i = 0; i < pkg_len(list); i++) {
        const char *name = pkg_atom_text(pkg_at(list, i));

        if (!name || !pkg_names_have(names, name))
            pkg_list_add(a, &kept, pkg_at(list, i));
    }
    return kept.n == pkg_len(list) ? list : pkg_list_done(a, &kept);
}

void pkg_app_leave_out(struct pkg_app *app, const struct pkg_names *apps,
                       const struct pkg_names *modules)
{
    const struct pkg_term *items = pkg_at(app->term, 2);
    struct pkg_list_build changed = {0};
    struct rel_err impossible = {0};

    for (size_t i = 0; i < pkg_len(items); i++) {
        const struct pkg_term *item = pkg_at(items, i), *list = pkg_at(item, 1), *kept = list;
        const char *key = pkg_atom_text(pkg_at(item, 0));

        if (key && !strcmp(key, "modules"))
            kept = without(&app->arena, list, modules);
        else if (key && (!strcmp(key, "applications") || !strcmp(key, "included_applications") ||
                         !strcmp(key, "optional_applications")))
            kept = without(&app->arena, list, apps);
        app->changed |= kept != list;
        pkg_list_add(&app->arena, &changed,
                     kept == list ? item : pkg_tuple(&app->arena, 2, pkg_at(item, 0), kept));
    }
    if (!app->changed)
        return;
    items = pkg_list_done(&app->arena, &changed);
    app->term = pkg_tuple(&app->arena, 3, pkg_at(app->term, 0), pkg_at(app->term, 1), items);
    if (read_items(app, items, &impossible) < 0)
        abort(); /* it was read before with more in it */
}

void pkg_app_free(struct pkg_app *app)
{
    if (!app)
        return;
    pkg_arena_fini(&app->arena);
    free(app);
}

bool pkg_names_have(const struct pkg_names *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++)
        if (!strcmp(names->v[i], name))
            return true;
    return false;
}

bool pkg_app_lies_in(const struct pkg_app *app, const char *dir)
{
    rel_autofree char *here = NULL;
    size_t n = strlen(dir);

    while (n && dir[n - 1] == '/')
        n--;
    here = rel_strf("%.*s/%s-%s/", (int)n, dir, app->name, app->vsn);
    return !strncmp(app->file, here, strlen(here));
}
