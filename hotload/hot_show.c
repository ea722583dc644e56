/* SPDX-License-Identifier: Apache-2.0 */
/* Terms for people: the beginning of one, in a line of an error. */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/rel_out.h"
#include "hotload/hot_agent.h"

enum { DEPTH_MAX = 12 };

const char *hot_reason(const char *text)
{
    return *text ? text : "it failed without a reason";
}

struct show {
    const struct hot_term *t;
    struct rel_buf out;
    size_t max;
};

static bool show_term(struct show *s, int *at, int depth);

static bool show_text(struct show *s, const char *text, size_t len)
{
    size_t room = s->max - s->out.len;

    rel_buf_add(&s->out, text, len < room ? len : room);
    return len < room;
}

static bool shows(struct show *s, const char *text)
{
    return show_text(s, text, strlen(text));
}

static bool is_plain_atom(const char *name)
{
    if (!islower((unsigned char)*name))
        return false;
    while (*name && (isalnum((unsigned char)*name) || *name == '_' || *name == '@'))
        name++;
    return !*name;
}

static bool show_atom(struct show *s, int *at)
{
    char name[MAXATOMLEN_UTF8];
    const char *quote;

    if (!hot_take_atom(s->t, at, name))
        return false;
    quote = is_plain_atom(name) ? "" : "'";
    return shows(s, quote) && shows(s, name) && shows(s, quote);
}

static bool show_int(struct show *s, int *at)
{
    char text[32];
    int64_t n;

    if (!hot_take_int(s->t, at, &n))
        return hot_take_skip(s->t, at) && shows(s, "...");
    snprintf(text, sizeof(text), "%" PRId64, n);
    return shows(s, text);
}

static bool show_bytes(struct show *s, int *at, size_t head, const char *const quotes[2])
{
    int begin = *at;

    return hot_take_skip(s->t, at) && shows(s, quotes[0]) &&
           show_text(s, s->t->buf + begin + head, (size_t)(*at - begin) - head) &&
           shows(s, quotes[1]);
}

static bool show_some(struct show *s, int *at, int n, int depth)
{
    for (int i = 0; i < n; i++)
        if ((i && !shows(s, ",")) || !show_term(s, at, depth + 1))
            return false;
    return true;
}

static bool show_list(struct show *s, int *at, int depth)
{
    int n = hot_take_list(s->t, at), end;

    if (n < 0 || !shows(s, "[") || !show_some(s, at, n, depth))
        return false;
    end = *at;
    if (n && hot_take_list(s->t, at) != 0) { /* an improper one has a tail */
        *at = end;
        if (!shows(s, "|") || !show_term(s, at, depth + 1))
            return false;
    }
    return shows(s, "]");
}

static bool show_tuple(struct show *s, int *at, int depth)
{
    int n = hot_take_any_tuple(s->t, at);

    return n >= 0 && shows(s, "{") && show_some(s, at, n, depth) && shows(s, "}");
}

/* False ends the whole: there is no more room. */
static bool show_term(struct show *s, int *at, int depth)
{
    static const char *const string[2] = {"\"", "\""}, *const binary[2] = {"<<\"", "\">>"};

    if (depth > DEPTH_MAX)
        return hot_take_skip(s->t, at) && shows(s, "...");
    switch (hot_term_tag(s->t, *at)) {
    case ERL_SMALL_INTEGER_EXT:
    case ERL_INTEGER_EXT:
    case ERL_SMALL_BIG_EXT:
        return show_int(s, at);
    case ERL_ATOM_EXT:
    case ERL_SMALL_ATOM_EXT:
    case ERL_ATOM_UTF8_EXT:
    case ERL_SMALL_ATOM_UTF8_EXT:
        return show_atom(s, at);
    case ERL_STRING_EXT:
        return show_bytes(s, at, 3, string);
    case ERL_BINARY_EXT:
        return show_bytes(s, at, 5, binary);
    case ERL_NIL_EXT:
    case ERL_LIST_EXT:
        return show_list(s, at, depth);
    case ERL_SMALL_TUPLE_EXT:
    case ERL_LARGE_TUPLE_EXT:
        return show_tuple(s, at, depth);
    default:
        return hot_take_skip(s->t, at) && shows(s, "...");
    }
}

char *hot_term_text(const struct hot_term *t, int at, size_t max)
{
    struct show s = {.t = t, .max = max};
    rel_autofree char *text = NULL;

    (void)!show_term(&s, &at, 0);
    text = rel_buf_take(&s.out);
    return rel_escape(text);
}
