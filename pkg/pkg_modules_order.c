/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_modules_order.h"

#include <string.h>

/* A module by its place in the sorted array, and the places of those that it calls. */
struct node {
    size_t *calls;
    size_t call_n;
    size_t next; /* call to follow */
    bool seen;
};

static int by_name(const void *x, const void *y)
{
    return strcmp(((const struct pkg_ordered *)x)->name, ((const struct pkg_ordered *)y)->name);
}

static int by_number(const void *x, const void *y)
{
    size_t a = *(const size_t *)x, b = *(const size_t *)y;

    return (a > b) - (a < b);
}

static void find_calls(struct pkg_arena *a, const struct pkg_ordered *v, size_t n, size_t at,
                       struct node *node)
{
    size_t *calls = pkg_arena_alloc(a, (v[at].import_n + 1) * sizeof(*calls)), kept = 0;

    for (size_t i = 0; i < v[at].import_n; i++) {
        struct pkg_ordered key = {.name = v[at].imports[i].m};
        const struct pkg_ordered *called = bsearch(&key, v, n, sizeof(*v), by_name);

        if (called && called != &v[at])
            calls[node->call_n++] = (size_t)(called - v);
    }
    if (node->call_n)
        qsort(calls, node->call_n, sizeof(*calls), by_number);
    for (size_t i = 0; i < node->call_n; i++)
        if (!i || calls[i] != calls[i - 1])
            calls[kept++] = calls[i];
    node->calls = calls;
    node->call_n = kept;
}

static void name_calls(struct pkg_arena *a, struct pkg_ordered *v, size_t at,
                       const struct node *node)
{
    const char **names = pkg_arena_alloc(a, (node->call_n + 1) * sizeof(*names));

    for (size_t i = 0; i < node->call_n; i++)
        names[i] = v[node->calls[i]].name;
    v[at].calls = (struct pkg_names){names, node->call_n};
}

/* Depth first: a module is done when all that it calls are. The stack is our own, because nobody
 * vouches for how deep the calls go. */
static size_t *walk(struct pkg_arena *a, struct node *nodes, size_t n)
{
    size_t *order = pkg_arena_alloc(a, (n + 1) * sizeof(*order)), order_n = 0;
    size_t *stack = pkg_arena_alloc(a, (n + 1) * sizeof(*stack)), depth = 0;

    for (size_t root = 0; root < n; root++) {
        if (!nodes[root].seen)
            stack[depth++] = root;
        nodes[root].seen = true;
        while (depth) {
            struct node *top = &nodes[stack[depth - 1]];
            size_t called = top->next < top->call_n ? top->calls[top->next++] : n;

            if (called == n) {
                order[order_n++] = stack[--depth];
            } else if (!nodes[called].seen) {
                nodes[called].seen = true;
                stack[depth++] = called;
            }
        }
    }
    return order;
}

void pkg_modules_order(struct pkg_arena *a, struct pkg_ordered *v, size_t n)
{
    struct node *nodes = pkg_arena_alloc(a, (n + 1) * sizeof(*nodes));
    struct pkg_ordered *sorted = pkg_arena_alloc(a, (n + 1) * sizeof(*sorted));
    size_t *order;

    if (n)
        qsort(v, n, sizeof(*v), by_name);
    for (size_t i = 0; i < n; i++)
        find_calls(a, v, n, i, &nodes[i]);
    for (size_t i = 0; i < n; i++)
        name_calls(a, v, i, &nodes[i]);
    order = walk(a, nodes, n);
    for (size_t i = 0; i < n; i++)
        sorted[i] = v[order[i]];
    if (n)
        memcpy(v, sorted, n * sizeof(*v));
}
