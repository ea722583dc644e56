/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>

#include "pkg/pkg_rel_internal.h"

const char *pkg_start_name(enum pkg_start type)
{
    static const char *const names[] = {
#define XX(constant, atom) #atom,
        PKG_START_MAP(XX)
#undef XX
    };

    return names[type];
}

int pkg_start_from_name(const char *name, enum pkg_start *type, struct rel_err *e)
{
    static const enum pkg_start types[] = {
#define XX(constant, atom) constant,
        PKG_START_MAP(XX)
#undef XX
    };

    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (!strcmp(name, pkg_start_name(types[i]))) {
            *type = types[i];
            return 0;
        }
    return rel_fail(e, REL_E_INPUT, 0,
                    "start type %s is not permanent, transient, temporary, load or none", name);
}

void pkg_rel_free(struct pkg_rel *rel)
{
    if (!rel)
        return;
    free(rel->apps);
    pkg_arena_fini(&rel->arena);
    free(rel);
}

void pkg_rel_free_p(struct pkg_rel **rel)
{
    pkg_rel_free(*rel);
    *rel = NULL;
}

long pkg_rel_index(const struct pkg_rel *rel, const char *name)
{
    for (size_t i = 0; i < rel->app_n; i++)
        if (!strcmp(rel->apps[i].app->name, name))
            return (long)i;
    return -1;
}

static const char *copy(struct pkg_rel *rel, const char *s)
{
    return pkg_arena_strndup(&rel->arena, s, strlen(s));
}

static void add_app(struct pkg_rel *rel, const struct pkg_app *app, enum pkg_start type)
{
    rel->apps = rel_xrealloc(rel->apps, rel->app_n + 1, sizeof(*rel->apps));
    rel->apps[rel->app_n++] = (struct pkg_rel_app){.app = app, .type = type};
}

/* How far an application gets in the running system, weakest first. */
enum reach { REACH_NONE, REACH_LOADED, REACH_STARTED };

struct node {
    const struct pkg_app *app;
    enum reach reach;
    bool wanted; /* `type` is what the user said */
    bool included, placed;
    enum pkg_start type;
    const char *needed_by;
};

struct closure {
    struct pkg_lib *lib;
    struct node *v;
    size_t n, cap;
};

static enum reach reach_of(enum pkg_start type)
{
    return type == PKG_START_NONE ? REACH_NONE
                                  : (type == PKG_START_LOAD ? REACH_LOADED : REACH_STARTED);
}

static struct node *find_node(const struct closure *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (!strcmp(c->v[i].app->name, name))
            return &c->v[i];
    return NULL;
}

static size_t add_node(struct closure *c, const struct node *node)
{
    if (c->n == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 32;
        c->v = rel_xrealloc(c->v, c->cap, sizeof(*c->v));
    }
    c->v[c->n] = *node;
    return c->n++;
}

static int add_wanted(struct closure *c, const char *name, enum pkg_start type, struct rel_err *e)
{
    struct node *known = find_node(c, name);
    struct node node = {.wanted = true, .type = type, .reach = reach_of(type)};

    if (known) {
        /* kernel and stdlib are put first by us and may be named by the user as well. */
        if (known->type != type)
            return rel_fail(e, REL_E_INPUT, 0, "application %s cannot be both %s and %s", name,
                            pkg_start_name(known->type), pkg_start_name(type));
        return 0;
    }
    if (pkg_lib_find(c->lib, name, NULL, &node.app, e) < 0)
        return -1;
    if (!node.app)
        return rel_fail(e, REL_E_INPUT, 0, "application %s is in none of %s", name,
                        pkg_lib_searched(c->lib));
    add_node(c, &node);
    return 0;
}

/* `user` needs or includes `name`: *again when that changes how far `name` gets. */
static int reach_node(struct closure *c, size_t user, const char *name, bool include, bool *again,
                      struct rel_err *e)
{
    struct node asker = c->v[user], *known = find_node(c, name);
    struct node node = {.reach = asker.reach, .included = include, .needed_by = asker.app->name};

    if (known) {
        known->included |= include;
        if (known->wanted && known->reach < asker.reach && !include)
            return rel_fail(e, REL_E_INPUT, 0,
                            "application %s is %s, but %s needs it to be started", name,
                            pkg_start_name(known->type), asker.app->name);
        if (known->reach < asker.reach) {
            known->reach = asker.reach;
            *again = true;
        }
        return 0;
    }
    if (pkg_lib_find(c->lib, name, NULL, &node.app, e) < 0)
        return rel_wrap(e, "needed by %s", asker.app->name);
    if (!node.app && !include && pkg_names_have(&asker.app->optional, name))
        return 0;
    if (!node.app)
        return rel_fail(e, REL_E_INPUT, 0, "application %s, needed by %s, is in none of %s", name,
                        asker.app->name, pkg_lib_searched(c->lib));
    add_node(c, &node);
    *again = true;
    return 0;
}

/* Until nothing changes: each round goes over all that is known. Rounds are few, as each one that
 * follows raises an application to one of three levels. */
static int spread(struct closure *c, struct rel_err *e)
{
    bool again = true;

    while (again) {
        again = false;
        for (size_t i = 0; i < c->n; i++) {
            const struct pkg_app *app = c->v[i].app;

            for (size_t k = 0; k < app->applications.n; k++)
                if (reach_node(c, i, app->applications.v[k], false, &again, e) < 0)
                    return -1;
            for (size_t k = 0; k < app->included.n; k++)
                if (reach_node(c, i, app->included.v[k], true, &again, e) < 0)
                    return -1;
        }
    }
    return 0;
}

static enum pkg_start type_of(const struct node *node)
{
    static const enum pkg_start types[] = {
        [REACH_NONE] = PKG_START_NONE,
        [REACH_LOADED] = PKG_START_LOAD,
        [REACH_STARTED] = PKG_START_PERMANENT,
    };

    if (node->wanted)
        return node->type;
    /* Whoever includes it starts it. */
    if (node->included && node->reach == REACH_STARTED)
        return PKG_START_LOAD;
    return types[node->reach];
}

/* Depth first: what is needed, then what is included, then the application itself. */
static void place(struct pkg_rel *rel, const struct closure *c, struct node *node)
{
    if (!node || node->placed)
        return;
    node->placed = true;
    for (size_t k = 0; k < node->app->applications.n; k++)
        place(rel, c, find_node(c, node->app->applications.v[k]));
    for (size_t k = 0; k < node->app->included.n; k++)
        place(rel, c, find_node(c, node->app->included.v[k]));
    add_app(rel, node->app, type_of(node));
}

static int close_over(struct closure *c, const struct pkg_want *want, size_t want_n,
                      struct pkg_rel *rel, struct rel_err *e)
{
    if (add_wanted(c, "kernel", PKG_START_PERMANENT, e) < 0 ||
        add_wanted(c, "stdlib", PKG_START_PERMANENT, e) < 0)
        return -1;
    for (size_t i = 0; i < want_n; i++)
        if (add_wanted(c, want[i].name, want[i].type, e) < 0)
            return -1;
    if (spread(c, e) < 0)
        return -1;
    for (size_t i = 0; i < c->n; i++)
        place(rel, c, &c->v[i]);
    return pkg_rel_resolve(rel, e);
}

static struct pkg_rel *rel_new(const char *name, const char *vsn, const char *erts_vsn)
{
    struct pkg_rel *rel = rel_xcalloc(1, sizeof(*rel));

    rel->name = copy(rel, name);
    rel->vsn = copy(rel, vsn);
    rel->erts_vsn = copy(rel, erts_vsn);
    return rel;
}

int pkg_rel_close(struct pkg_lib *lib, const struct pkg_rel_id *id, const struct pkg_want *want,
                  size_t want_n, struct pkg_rel **rel, struct rel_err *e)
{
    pkg_autorel struct pkg_rel *made = rel_new(id->name, id->vsn, id->erts_vsn);
    struct closure c = {.lib = lib};
    int status = close_over(&c, want, want_n, made, e);

    free(c.v);
    if (status < 0)
        return -1;
    *rel = rel_steal(&made);
    return 0;
}

static int check_override(struct pkg_rel *rel, struct pkg_rel_app *a, const char *path,
                          struct rel_err *e)
{
    const struct pkg_term *list = a->includes_override;
    const char **v = pkg_arena_alloc(&rel->arena, (pkg_len(list) + 1) * sizeof(*v));

    for (size_t i = 0; i < list->seq.n; i++) {
        v[i] = pkg_atom_text(list->seq.v[i]);
        if (!v[i] || !pkg_names_have(&a->app->included, v[i]))
            return rel_fail(e, REL_E_INPUT, 0,
                            "%s:%d: %s is said to include an application that its .app file does "
                            "not name",
                            path, list->line, a->app->name);
    }
    a->includes = (struct pkg_names){v, list->seq.n};
    return 0;
}

/* {App, Vsn}, {App, Vsn, Type}, {App, Vsn, Included} or {App, Vsn, Type, Included} */
static int read_row(struct pkg_rel *rel, struct pkg_lib *lib, const struct pkg_term *row,
                    const char *path, struct rel_err *e)
{
    size_t n = row->kind == PKG_TUPLE ? row->seq.n : 0;
    const char *name = pkg_atom_text(pkg_at(row, 0)), *vsn = pkg_chars(pkg_at(row, 1));
    const struct pkg_term *included = n > 2 ? row->seq.v[n - 1] : NULL;
    enum pkg_start type = PKG_START_PERMANENT;
    const struct pkg_app *app;

    if (n < 2 || n > 4 || !name || !vsn || (n == 4 && included->kind != PKG_LIST))
        return rel_fail(e, REL_E_INPUT, 0, "%s:%d: not {application, \"version\", type}", path,
                        row->line);
    if (n > 2 && pkg_is_atom(row->seq.v[2], NULL) &&
        pkg_start_from_name(row->seq.v[2]->text.p, &type, e) < 0)
        return rel_wrap(e, "%s:%d", path, row->line);
    if (pkg_rel_index(rel, name) >= 0)
        return rel_fail(e, REL_E_INPUT, 0, "%s:%d: application %s is there twice", path, row->line,
                        name);
    if (pkg_lib_find(lib, name, vsn, &app, e) < 0)
        return rel_wrap(e, "%s:%d", path, row->line);
    if (!app)
        return rel_fail(e, REL_E_INPUT, 0, "%s:%d: application %s %s is in none of %s", path,
                        row->line, name, vsn, pkg_lib_searched(lib));
    add_app(rel, app, type);
    if (!included || included->kind != PKG_LIST)
        return 0;
    rel->apps[rel->app_n - 1].includes_override = included;
    return check_override(rel, &rel->apps[rel->app_n - 1], path, e);
}

static int check_mandatory(const struct pkg_rel *rel, const char *path, struct rel_err *e)
{
    static const char *const names[] = {"kernel", "stdlib"};

    for (size_t i = 0; i < 2; i++) {
        long at = pkg_rel_index(rel, names[i]);

        if (at < 0 || rel->apps[at].type != PKG_START_PERMANENT)
            return rel_fail(e, REL_E_INPUT, 0, "%s: application %s must be there and permanent",
                            path, names[i]);
    }
    return 0;
}

bool pkg_is_path_part(const char *s)
{
    return s && *s && !strchr(s, '/') && strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

int pkg_rel_read_head(const struct pkg_term *t, const char *file, struct pkg_rel_head *head,
                      struct rel_err *e)
{
    struct pkg_rel_head read = {.name = pkg_chars(pkg_at(pkg_at(t, 1), 0)),
                                .vsn = pkg_chars(pkg_at(pkg_at(t, 1), 1)),
                                .erts_vsn = pkg_chars(pkg_at(pkg_at(t, 2), 1)),
                                .rows = pkg_at(t, 3)};

    if (!pkg_is_tagged(t, "release", 4) || !pkg_is_tagged(pkg_at(t, 2), "erts", 2) ||
        !pkg_is_path_part(read.name) || !pkg_is_path_part(read.vsn) ||
        !pkg_is_path_part(read.erts_vsn) || read.rows->kind != PKG_LIST || read.rows->seq.tail)
        return rel_fail(e, REL_E_INPUT, 0,
                        "%s:%d: not {release, {name, version}, {erts, version}, [...]}", file,
                        t ? t->line : 1);
    *head = read;
    return 0;
}

int pkg_rel_read(struct pkg_lib *lib, const char *path, struct pkg_rel **rel, struct rel_err *e)
{
    pkg_autorel struct pkg_rel *made = rel_xcalloc(1, sizeof(*made));
    const struct pkg_term *t;
    struct pkg_rel_head head;

    if (pkg_term_read_one(&made->arena, AT_FDCWD, path, &t, e) < 0 ||
        pkg_rel_read_head(t, path, &head, e) < 0)
        return -1;
    made->name = head.name;
    made->vsn = head.vsn;
    made->erts_vsn = head.erts_vsn;
    for (size_t i = 0; i < head.rows->seq.n; i++)
        if (read_row(made, lib, head.rows->seq.v[i], path, e) < 0)
            return -1;
    if (check_mandatory(made, path, e) < 0)
        return -1;
    if (pkg_rel_resolve(made, e) < 0)
        return rel_wrap(e, "%s", path);
    *rel = rel_steal(&made);
    return 0;
}

struct pkg_rel *pkg_rel_clean(const struct pkg_rel *rel)
{
    struct pkg_rel *clean = rel_new(rel->name, rel->vsn, rel->erts_vsn);

    for (size_t i = 0; i < rel->app_n; i++) {
        const struct pkg_rel_app *a = &rel->apps[i];
        bool base = !strcmp(a->app->name, "kernel") || !strcmp(a->app->name, "stdlib");

        add_app(clean, a->app, base ? a->type : PKG_START_NONE);
        clean->apps[i].uses = a->uses;
        clean->apps[i].includes = a->includes;
    }
    clean->order = pkg_arena_alloc(&clean->arena, (rel->app_n + 1) * sizeof(*clean->order));
    if (rel->app_n)
        memcpy(clean->order, rel->order, rel->app_n * sizeof(*clean->order));
    return clean;
}

const struct pkg_term *pkg_rel_term(const struct pkg_rel *rel, struct pkg_arena *a)
{
    struct pkg_list_build rows = {0};

    for (size_t i = 0; i < rel->app_n; i++) {
        const struct pkg_rel_app *r = &rel->apps[i];
        const struct pkg_term *name = pkg_atom(a, r->app->name), *vsn = pkg_string(a, r->app->vsn);
        const struct pkg_term *type = pkg_atom(a, pkg_start_name(r->type));

        pkg_list_add(a, &rows,
                     r->includes_override ? pkg_tuple(a, 4, name, vsn, type, r->includes_override)
                                          : pkg_tuple(a, 3, name, vsn, type));
    }
    return pkg_tuple(a, 4, pkg_atom(a, "release"),
                     pkg_tuple(a, 2, pkg_string(a, rel->name), pkg_string(a, rel->vsn)),
                     pkg_tuple(a, 2, pkg_atom(a, "erts"), pkg_string(a, rel->erts_vsn)),
                     pkg_list_done(a, &rows));
}
