/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_app_changes.h"

#include <string.h>

struct finder {
    struct pkg_arena *a;
    const struct pkg_pair *pair;
    const char *app;
    const struct pkg_term *old_listed, *new_listed; /* modules of the .app files */
    struct pkg_app_changes *changes;
};

static int by_module(const void *x, const void *y)
{
    const struct pkg_module_facts *a = *(const struct pkg_module_facts *const *)x;
    const struct pkg_module_facts *b = *(const struct pkg_module_facts *const *)y;

    return strcmp(a->module, b->module);
}

struct pkg_module_set pkg_modules_in(struct pkg_arena *a, const struct pkg_side *side,
                                     const char *dir)
{
    const struct pkg_survey *s = &side->survey;
    struct pkg_module_set found = {.v = pkg_arena_alloc(a, (s->n + 1) * sizeof(*found.v))};
    size_t n = strlen(dir);

    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].module && !strncmp(s->v[i].path, dir, n) && s->v[i].path[n] == '/')
            found.v[found.n++] = s->v[i].module;
    if (found.n)
        qsort(found.v, found.n, sizeof(*found.v), by_module);
    return found;
}

static bool same_code(const struct pkg_module_facts *x, const struct pkg_module_facts *y)
{
    return !memcmp(x->md5, y->md5, sizeof(x->md5));
}

size_t pkg_modules_compare(struct pkg_arena *a, struct pkg_module_set old,
                           struct pkg_module_set new, struct pkg_module_change **differ)
{
    struct pkg_module_change *v = pkg_arena_alloc(a, (old.n + new.n + 1) * sizeof(*v));
    size_t i = 0, j = 0, n = 0;

    while (i < old.n || j < new.n) {
        int c = i == old.n ? 1 : j == new.n ? -1 : strcmp(old.v[i]->module, new.v[j]->module);

        if (c || !same_code(old.v[i], new.v[j]))
            v[n++] = (struct pkg_module_change){
                .name = c <= 0 ? old.v[i]->module : new.v[j]->module,
                .old = c <= 0 ? old.v[i] : NULL,
                .new = c >= 0 ? new.v[j] : NULL,
            };
        i += c <= 0;
        j += c >= 0;
    }
    *differ = v;
    return n;
}

/* The module on that side in another application than ours, and which one. */
static const struct pkg_module_facts *find_elsewhere(const struct finder *f,
                                                     const struct pkg_side *side,
                                                     const char *module, const char **app)
{
    for (size_t i = 0; i < side->outline.app_n; i++) {
        const struct pkg_outline_app *other = &side->outline.apps[i];
        const struct pkg_module_facts *found = pkg_side_module(side, other, module);

        if (found && strcmp(other->name, f->app) != 0) {
            *app = other->name;
            return found;
        }
    }
    return NULL;
}

static bool is_listed(const struct pkg_term *modules, const struct pkg_module_facts *m)
{
    for (size_t i = 0; m && i < pkg_len(modules); i++)
        if (pkg_is_atom(pkg_at(modules, i), m->module))
            return true;
    return !m;
}

/* The modules that an .app file names. */
static int read_listed(struct finder *f, const struct pkg_side *side,
                       const struct pkg_outline_app *app, const struct pkg_term **modules,
                       struct rel_err *e)
{
    const struct pkg_file *file = app->app_file;
    const char *text = file && file->text ? file->text : "";
    struct pkg_terms terms;

    if (pkg_terms_parse(f->a, text, strlen(text), file ? file->path : app->name, &terms, e) < 0)
        return rel_wrap(e, "%s", side->path);
    if (terms.n != 1 || !pkg_is_tagged(terms.v[0], "application", 3))
        return rel_fail(e, REL_E_INPUT, 0, "%s: %s/ebin/%s.app is no {application, Name, Keys}",
                        side->path, app->dir, app->name);
    *modules = pkg_get(pkg_at(terms.v[0], 2), "modules");
    return 0;
}

static struct pkg_names room_for(struct finder *f, size_t n)
{
    return (struct pkg_names){.v = pkg_arena_alloc(f->a, (n + 1) * sizeof(char *))};
}

static void add_name(struct pkg_names *names, const char *name)
{
    ((const char **)(uintptr_t)names->v)[names->n++] = name;
}

static void add_changed(struct finder *f, struct pkg_module_change *d)
{
    f->changes->changed[f->changes->changed_n++] = (struct pkg_ordered){
        .name = d->new->module, .imports = d->new->imports, .import_n = d->new->import_n, .of = d};
}

/* What comes from another application was loaded before, so it is not new. */
static void take_new(struct finder *f, struct pkg_module_change *d)
{
    d->old = find_elsewhere(f, &f->pair->old, d->name, &d->from);
    if (!d->old)
        add_name(&f->changes->added, d->name);
    else if (!same_code(d->old, d->new))
        add_changed(f, d);
}

static void take(struct finder *f, struct pkg_module_change *d)
{
    const char *to;

    if (!is_listed(f->old_listed, d->old) || !is_listed(f->new_listed, d->new))
        add_name(&f->changes->unlisted, d->name);
    else if (d->old && d->new)
        add_changed(f, d);
    else if (d->new)
        take_new(f, d);
    else if (!find_elsewhere(f, &f->pair->new, d->name, &to))
        add_name(&f->changes->removed, d->name);
}

int pkg_app_changes_find(struct pkg_arena *a, const struct pkg_pair *pair,
                         const struct pkg_outline_app *old, const struct pkg_outline_app *new,
                         struct pkg_app_changes *changes, struct rel_err *e)
{
    struct finder f = {.a = a, .pair = pair, .app = new->name, .changes = changes};
    const char *old_dir = pkg_arena_strf(a, "%s/ebin", old->dir);
    const char *new_dir = pkg_arena_strf(a, "%s/ebin", new->dir);
    struct pkg_module_change *differ;
    size_t n;

    if (read_listed(&f, &pair->old, old, &f.old_listed, e) < 0 ||
        read_listed(&f, &pair->new, new, &f.new_listed, e) < 0)
        return -1;
    n = pkg_modules_compare(a, pkg_modules_in(a, &pair->old, old_dir),
                            pkg_modules_in(a, &pair->new, new_dir), &differ);
    *changes = (struct pkg_app_changes){
        .changed = pkg_arena_alloc(a, (n + 1) * sizeof(*changes->changed)),
        .added = room_for(&f, n),
        .removed = room_for(&f, n),
        .unlisted = room_for(&f, n),
    };
    for (size_t i = 0; i < n; i++)
        take(&f, &differ[i]);
    pkg_modules_order(a, changes->changed, changes->changed_n);
    return 0;
}
