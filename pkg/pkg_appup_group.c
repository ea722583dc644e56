/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_appup_group.h"

#include <stdlib.h>
#include <string.h>

#include "pkg/pkg_appup_kind.h"

/* Owners that are no index of a process module. */
#define NOBODY  SIZE_MAX
#define SEVERAL (SIZE_MAX - 1)

struct place {
    const char *name;
    size_t i;
};

struct grouper {
    struct pkg_arena *a;
    struct pkg_ordered *v;
    size_t n;
    struct place *places;    /* of `v`, by name */
    struct pkg_names *calls; /* of each module: all that it calls */
    size_t *owner; /* of each module: the one process module that reaches it, NOBODY or SEVERAL */
    size_t *group; /* of each module: the first one of its group */
    size_t *stack;
};

static size_t *numbers(struct grouper *g)
{
    return pkg_arena_alloc(g->a, (g->n + 1) * sizeof(size_t));
}

static bool is_process(const struct pkg_ordered *o)
{
    const struct pkg_module_change *c = o->of;

    return pkg_update_of(c->old, c->new) != PKG_UPDATE_LOAD;
}

static int by_name(const void *x, const void *y)
{
    return strcmp(((const struct place *)x)->name, ((const struct place *)y)->name);
}

/* Of one that is there. */
static size_t place_of(const struct grouper *g, const char *name)
{
    struct place key = {.name = name};
    const struct place *found = bsearch(&key, g->places, g->n, sizeof(key), by_name);

    return found->i;
}

/* All that `process` reaches without passing through another process module. */
static void claim(struct grouper *g, size_t process)
{
    size_t depth = 0;

    g->stack[depth++] = process;
    while (depth) {
        const struct pkg_names *calls = &g->calls[g->stack[--depth]];

        for (size_t i = 0; i < calls->n; i++) {
            size_t called = place_of(g, calls->v[i]);
            size_t owner = g->owner[called];

            if (is_process(&g->v[called]) || owner == process || owner == SEVERAL)
                continue;
            g->owner[called] = owner == NOBODY ? process : SEVERAL;
            g->stack[depth++] = called;
        }
    }
}

static void join(struct grouper *g, size_t x, size_t y)
{
    size_t from = g->group[x] > g->group[y] ? g->group[x] : g->group[y];
    size_t to = g->group[x] > g->group[y] ? g->group[y] : g->group[x];

    for (size_t i = 0; i < g->n; i++)
        if (g->group[i] == from)
            g->group[i] = to;
}

/* Keeps the calls inside of a group, and makes the groups of them. */
static void limit(struct grouper *g)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct pkg_names *calls = &g->calls[i];
        const char **kept = pkg_arena_alloc(g->a, (calls->n + 1) * sizeof(*kept));
        size_t n = 0;

        for (size_t k = 0; k < calls->n; k++) {
            size_t called = place_of(g, calls->v[k]);

            if (g->owner[i] != g->owner[called])
                continue;
            kept[n++] = calls->v[k];
            join(g, i, called);
        }
        g->v[i].calls = (struct pkg_names){kept, n};
    }
}

/* A group as a module that calls what its members call. */
static struct pkg_ordered as_module(struct grouper *g, size_t group)
{
    struct pkg_ordered all = {.name = g->v[group].name};
    struct pkg_beam_mfa *calls;

    for (size_t i = 0; i < g->n; i++)
        all.import_n += g->group[i] == group ? g->calls[i].n : 0;
    calls = pkg_arena_alloc(g->a, (all.import_n + 1) * sizeof(*calls));
    all.import_n = 0;
    for (size_t i = 0; i < g->n; i++)
        for (size_t k = 0; g->group[i] == group && k < g->calls[i].n; k++)
            calls[all.import_n++] =
                (struct pkg_beam_mfa){.m = g->v[g->group[place_of(g, g->calls[i].v[k])]].name};
    all.imports = calls;
    return all;
}

static void sort(struct grouper *g)
{
    struct pkg_ordered *groups = pkg_arena_alloc(g->a, (g->n + 1) * sizeof(*groups));
    struct pkg_ordered *sorted = pkg_arena_alloc(g->a, (g->n + 1) * sizeof(*sorted));
    size_t group_n = 0, n = 0;

    for (size_t i = 0; i < g->n; i++)
        if (g->group[i] == i)
            groups[group_n++] = as_module(g, i);
    pkg_modules_order(g->a, groups, group_n);
    for (size_t k = 0; k < group_n; k++) {
        size_t group = place_of(g, groups[k].name);

        for (size_t i = 0; i < g->n; i++)
            if (g->group[i] == group)
                sorted[n++] = g->v[i];
    }
    if (n)
        memcpy(g->v, sorted, n * sizeof(*sorted));
}

static struct grouper begin(struct pkg_arena *a, struct pkg_ordered *changed, size_t n)
{
    struct grouper g = {.a = a, .v = changed, .n = n};

    g.owner = numbers(&g);
    g.group = numbers(&g);
    g.stack = pkg_arena_alloc(a, (2 * n + 1) * sizeof(*g.stack));
    g.places = pkg_arena_alloc(a, (n + 1) * sizeof(*g.places));
    g.calls = pkg_arena_alloc(a, (n + 1) * sizeof(*g.calls));
    for (size_t i = 0; i < n; i++) {
        g.group[i] = i;
        g.owner[i] = is_process(&changed[i]) ? i : NOBODY;
        g.calls[i] = changed[i].calls;
        g.places[i] = (struct place){changed[i].name, i};
    }
    if (n)
        qsort(g.places, n, sizeof(*g.places), by_name);
    return g;
}

void pkg_appup_group(struct pkg_arena *a, struct pkg_ordered *changed, size_t n)
{
    struct grouper g = begin(a, changed, n);

    for (size_t i = 0; i < n; i++)
        if (is_process(&changed[i]))
            claim(&g, i);
    limit(&g);
    sort(&g);
}
