/* SPDX-License-Identifier: Apache-2.0 */
/* A translation of the checks and the sorting of OTP's systools_make (OTP 25, lib/sasl): boot
 * scripts must come out the same, so must each step. Function names of OTP stand at ours. */
#include <string.h>

#include "pkg/pkg_rel_internal.h"

/* A name with the application that brings it. */
struct claim {
    const char *name;
    size_t app;
};

static int compare_claims(const void *x, const void *y)
{
    const struct claim *a = x, *b = y;
    int order = strcmp(a->name, b->name);

    return order ? order : (a->app > b->app) - (a->app < b->app);
}

static const struct pkg_names *names_of(const struct pkg_rel_app *a, int which)
{
    switch (which) {
    case 0:
        return &a->app->registered;
    case 1:
        return &a->includes;
    default:
        return &a->app->modules;
    }
}

/* dupl_regs, dupl_incls and the head of check_modules: nothing may be claimed twice. */
static int check_unique(const struct pkg_rel *rel, int which, const char *verb, struct rel_err *e)
{
    size_t n = 0, at = 0;
    rel_autofree struct claim *claims = NULL;

    for (size_t i = 0; i < rel->app_n; i++)
        n += names_of(&rel->apps[i], which)->n;
    claims = rel_xcalloc(n + 1, sizeof(*claims));
    for (size_t i = 0; i < rel->app_n; i++) {
        const struct pkg_names *names = names_of(&rel->apps[i], which);

        for (size_t k = 0; k < names->n; k++)
            claims[at++] = (struct claim){names->v[k], i};
    }
    qsort(claims, n, sizeof(*claims), compare_claims);
    for (size_t i = 1; i < n; i++) {
        const char *first = rel->apps[claims[i - 1].app].app->name;
        const char *second = rel->apps[claims[i].app].app->name;

        if (strcmp(claims[i - 1].name, claims[i].name) != 0)
            continue;
        if (claims[i - 1].app == claims[i].app)
            return rel_fail(e, REL_E_INPUT, 0, "application %s %s %s twice", first, verb,
                            claims[i].name);
        return rel_fail(e, REL_E_INPUT, 0, "applications %s and %s both %.*s %s", first, second,
                        (int)strlen(verb) - 1, verb, claims[i].name);
    }
    return 0;
}

/* undefined_applications */
static int check_defined(const struct pkg_rel *rel, struct rel_err *e)
{
    for (size_t i = 0; i < rel->app_n; i++) {
        const struct pkg_rel_app *a = &rel->apps[i];

        for (size_t k = 0; k < a->app->applications.n; k++) {
            const char *used = a->app->applications.v[k];

            if (pkg_rel_index(rel, used) < 0 && !pkg_names_have(&a->app->optional, used))
                return rel_fail(e, REL_E_INPUT, 0,
                                "application %s needs %s, which is not in the release",
                                a->app->name, used);
        }
        for (size_t k = 0; k < a->includes.n; k++)
            if (pkg_rel_index(rel, a->includes.v[k]) < 0)
                return rel_fail(e, REL_E_INPUT, 0,
                                "application %s includes %s, which is not in the release",
                                a->app->name, a->includes.v[k]);
    }
    return 0;
}

/* The application that includes `name`, or NULL. */
static const char *includer(const struct pkg_rel *rel, const char *name)
{
    for (size_t i = 0; i < rel->app_n; i++)
        if (pkg_names_have(&rel->apps[i].includes, name))
            return rel->apps[i].app->name;
    return NULL;
}

/* find_top_app. NULL when the inclusions go in a circle. */
static const char *top_of(const struct pkg_rel *rel, const char *name)
{
    const char *above;

    for (size_t steps = 0; steps <= rel->app_n; steps++) {
        above = includer(rel, name);
        if (!above)
            return name;
        name = above;
    }
    return NULL;
}

static int check_inclusions(const struct pkg_rel *rel, struct rel_err *e)
{
    for (size_t i = 0; i < rel->app_n; i++)
        if (!top_of(rel, rel->apps[i].app->name))
            return rel_fail(e, REL_E_INPUT, 0, "application %s includes itself through others",
                            rel->apps[i].app->name);
    return 0;
}

/* List -- [Name] */
static void drop_first(const char **v, size_t *n, const char *name)
{
    for (size_t i = 0; i < *n; i++) {
        if (strcmp(v[i], name) != 0)
            continue;
        memmove(v + i, v + i + 1, (*n - i - 1) * sizeof(*v));
        --*n;
        return;
    }
}

static bool has(const char *const *v, size_t n, const char *name)
{
    return pkg_names_have(&(struct pkg_names){v, n}, name);
}

/* add_top_apps_to_uses: who needs an included application needs the one at the top that includes
 * it; nobody waits for the one that includes himself. */
static void rewrite_uses(struct pkg_rel *rel, struct pkg_rel_app *a)
{
    const struct pkg_names *given = &a->app->applications;
    const char *my_top = top_of(rel, a->app->name);
    const char **v = pkg_arena_alloc(&rel->arena, (given->n + 1) * sizeof(*v));
    size_t n = given->n;

    if (n)
        memcpy(v, given->v, n * sizeof(*v));
    for (size_t i = 0; i < given->n; i++) {
        const char *used = given->v[i], *above, *top;

        if (!strcmp(used, my_top)) {
            drop_first(v, &n, my_top);
            continue;
        }
        above = includer(rel, used);
        if (!above)
            continue;
        top = top_of(rel, above);
        if (has(v, n, top)) {
            drop_first(v, &n, used);
        } else if (strcmp(top, my_top) != 0) {
            drop_first(v, &n, used);
            v[n++] = top;
        }
    }
    a->uses = (struct pkg_names){v, n};
}

/* sort_used_and_incl_appls: by the position in the .rel, stable, what is absent last. */
static void sort_names(struct pkg_rel *rel, struct pkg_names *names)
{
    const char **v = pkg_arena_alloc(&rel->arena, (names->n + 1) * sizeof(*v));
    size_t n = 0;

    for (size_t pos = 0; pos <= rel->app_n; pos++)
        for (size_t i = 0; i < names->n; i++) {
            long at = pkg_rel_index(rel, names->v[i]);

            if (at < 0 ? pos == rel->app_n : (size_t)at == pos)
                v[n++] = names->v[i];
        }
    names->v = v;
}

/* sort_appls, with its lists as arrays of indices into rel->apps. */
struct sorter {
    struct pkg_rel *rel;
    size_t *list, list_n; /* what is still to be put in order */
    bool *visited;
};

static bool list_take(struct sorter *s, size_t app)
{
    for (size_t i = 0; i < s->list_n; i++) {
        if (s->list[i] != app)
            continue;
        memmove(s->list + i, s->list + i + 1, (s->list_n - i - 1) * sizeof(*s->list));
        s->list_n--;
        return true;
    }
    return false;
}

/* find_all: takes those of `names` that are still in the list out of it, in their order. One that
 * includes the asker comes after him, not before. */
static size_t take_all(struct sorter *s, const char *asker, const struct pkg_names *names,
                       size_t *taken)
{
    size_t n = 0;

    for (size_t k = names->n; k-- > 0;) {
        long at = pkg_rel_index(s->rel, names->v[k]);

        if (at < 0 || pkg_names_have(&s->rel->apps[at].includes, asker))
            continue;
        if (!list_take(s, (size_t)at))
            continue;
        memmove(taken + 1, taken, n * sizeof(*taken));
        taken[0] = (size_t)at;
        n++;
    }
    return n;
}

/* Follows what is needed from `at`; true when the way comes back to `goal`. */
static bool find_way(const struct pkg_rel *rel, size_t at, size_t goal, bool *seen,
                     struct rel_buf *way)
{
    const struct pkg_rel_app *a = &rel->apps[at];
    size_t len = way->len;

    for (size_t k = 0; k < a->uses.n + a->includes.n; k++) {
        const char *name = k < a->uses.n ? a->uses.v[k] : a->includes.v[k - a->uses.n];
        long next = pkg_rel_index(rel, name);

        if (next < 0 || pkg_names_have(&rel->apps[next].includes, a->app->name))
            continue;
        rel_buf_addf(way, " -> %s", name);
        if ((size_t)next == goal)
            return true;
        if (!seen[next]) {
            seen[next] = true;
            if (find_way(rel, (size_t)next, goal, seen, way))
                return true;
        }
        way->len = len;
        way->p[len] = '\0';
    }
    return false;
}

static int fail_circle(const struct pkg_rel *rel, size_t app, struct rel_err *e)
{
    rel_autofree bool *seen = rel_xcalloc(rel->app_n, sizeof(*seen));
    rel_autobuf struct rel_buf way = {0};

    rel_buf_adds(&way, rel->apps[app].app->name);
    find_way(rel, app, app, seen, &way);
    return rel_fail(e, REL_E_INPUT, 0, "applications need each other in a circle: %s", way.p);
}

static int sort_step(struct sorter *s, size_t *order_n, size_t *taken, struct rel_err *e)
{
    size_t app = s->list[0], n;
    const struct pkg_rel_app *a = &s->rel->apps[app];

    list_take(s, app);
    n = take_all(s, a->app->name, &a->uses, taken);
    n += take_all(s, a->app->name, &a->includes, taken + n);
    s->visited[app] = true;
    if (!n) {
        s->rel->order[(*order_n)++] = app;
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        if (s->visited[taken[i]])
            return fail_circle(s->rel, taken[i], e);
    memmove(s->list + n + 1, s->list, s->list_n * sizeof(*s->list));
    memcpy(s->list, taken, n * sizeof(*s->list));
    s->list[n] = app;
    s->list_n += n + 1;
    return 0;
}

static int sort_apps(struct pkg_rel *rel, struct rel_err *e)
{
    size_t n = rel->app_n, order_n = 0;
    rel_autofree size_t *list = rel_xcalloc(n + 1, sizeof(*list));
    rel_autofree size_t *taken = rel_xcalloc(n + 1, sizeof(*taken));
    rel_autofree bool *visited = rel_xcalloc(n + 1, sizeof(*visited));
    struct sorter s = {.rel = rel, .list = list, .list_n = n, .visited = visited};

    rel->order = pkg_arena_alloc(&rel->arena, (n + 1) * sizeof(*rel->order));
    for (size_t i = 0; i < n; i++)
        list[i] = i;
    while (s.list_n)
        if (sort_step(&s, &order_n, taken, e) < 0)
            return -1;
    return 0;
}

int pkg_rel_resolve(struct pkg_rel *rel, struct rel_err *e)
{
    for (size_t i = 0; i < rel->app_n; i++)
        if (!rel->apps[i].includes_override)
            rel->apps[i].includes = rel->apps[i].app->included;
    if (check_defined(rel, e) < 0 || check_unique(rel, 0, "registers", e) < 0 ||
        check_unique(rel, 1, "includes", e) < 0 || check_inclusions(rel, e) < 0)
        return -1;
    for (size_t i = 0; i < rel->app_n; i++)
        rewrite_uses(rel, &rel->apps[i]);
    for (size_t i = 0; i < rel->app_n; i++) {
        sort_names(rel, &rel->apps[i].includes);
        sort_names(rel, &rel->apps[i].uses);
    }
    if (check_unique(rel, 2, "contains", e) < 0)
        return -1;
    return sort_apps(rel, e);
}
