/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_past.h"

#include <string.h>

#include "supervisor/sup_history.h"

/* past->n: it is not there. */
static size_t find(const struct sup_past *past, const char *dir)
{
    size_t i = 0;

    while (i < past->n && strcmp(past->v[i], dir) != 0)
        i++;
    return i;
}

static void push(struct sup_past *past, const char *dir)
{
    past->v = rel_xrealloc(past->v, past->n + 1, sizeof(*past->v));
    past->v[past->n++] = rel_xstrdup(dir);
}

static void take_out(struct sup_past *past, const char *dir)
{
    size_t i = find(past, dir);

    if (i == past->n)
        return;
    free(past->v[i]);
    past->n--;
    memmove(past->v + i, past->v + i + 1, (past->n - i) * sizeof(*past->v));
}

void sup_past_serves(struct sup_past *past, const char *dir)
{
    size_t i = find(past, dir);

    if (i == past->n)
        push(past, dir);
    while (past->n > i + 1)
        free(past->v[--past->n]);
}

void sup_past_add(struct sup_past *past, const json_t *entry)
{
    const char *what = json_string_value(json_object_get(entry, "what"));
    const char *outcome = json_string_value(json_object_get(entry, "outcome"));
    const char *from = json_string_value(json_object_get(entry, "from"));
    const char *to = json_string_value(json_object_get(entry, "to"));
    bool forward = json_is_true(json_object_get(entry, "forward"));

    if (!to || !outcome || strcmp(outcome, "done") != 0)
        return;
    if (from)
        sup_past_serves(past, from);
    if (what && (!strcmp(what, "upgrade") || forward)) {
        take_out(past, to);
        push(past, to);
        return;
    }
    /* back to what this history does not reach: never again to what was left */
    if (what && from && !strcmp(what, "rollback") && !sup_past_has(past, to))
        take_out(past, from);
    sup_past_serves(past, to);
}

bool sup_past_has(const struct sup_past *past, const char *dir)
{
    return find(past, dir) < past->n;
}

void sup_past_fini(struct sup_past *past)
{
    for (size_t i = 0; i < past->n; i++)
        free(past->v[i]);
    free(past->v);
    *past = (struct sup_past){0};
}

static void on_entry(void *past, json_t *entry)
{
    sup_past_add(past, entry);
}

int sup_past_read(const char *home, struct sup_past *past, struct rel_err *e)
{
    *past = (struct sup_past){0};
    return sup_history_each(home, on_entry, past, e);
}
