/* SPDX-License-Identifier: Apache-2.0 */
/* The bounds of terms that others wrote. libei's decoders trust the lengths that they read (facts
 * of OTP), so every term is walked here before one of them sees it. */
#include "hotload/hot_agent.h"

/* Terms inside of terms that are not their last ones. Nothing here recurses; it is the size of the
 * stack of counts. */
enum { DEPTH_MAX = 4096, LATIN1_MAX = 255, UTF8_MAX = 4 * 255 };

/* What is behind the tag, in this order: `fixed` bytes; a number of `count` bytes; the name of a
 * node; `after` bytes; so many times `unit` bytes; so many times `terms` terms; `more` terms
 * (erl_ext_dist, "External Term Format"). */
struct shape {
    bool known, node;
    unsigned char fixed, count, after, unit, terms, more;
    uint16_t most; /* that the number may be, of atoms */
};

#define ATOM(bytes, limit)                                          \
    {                                                               \
        .known = true, .count = (bytes), .unit = 1, .most = (limit) \
    }

static const struct shape shapes[256] = {
    [ERL_SMALL_INTEGER_EXT] = {.known = true, .fixed = 1},
    [ERL_INTEGER_EXT] = {.known = true, .fixed = 4},
    [ERL_SMALL_BIG_EXT] = {.known = true, .count = 1, .after = 1, .unit = 1},
    [ERL_LARGE_BIG_EXT] = {.known = true, .count = 4, .after = 1, .unit = 1},
    [ERL_FLOAT_EXT] = {.known = true, .fixed = 31},
    [NEW_FLOAT_EXT] = {.known = true, .fixed = 8},
    [ERL_ATOM_EXT] = ATOM(2, LATIN1_MAX),
    [ERL_SMALL_ATOM_EXT] = ATOM(1, LATIN1_MAX),
    [ERL_ATOM_UTF8_EXT] = ATOM(2, UTF8_MAX),
    [ERL_SMALL_ATOM_UTF8_EXT] = ATOM(1, UTF8_MAX),
    [ERL_STRING_EXT] = {.known = true, .count = 2, .unit = 1},
    [ERL_BINARY_EXT] = {.known = true, .count = 4, .unit = 1},
    [ERL_BIT_BINARY_EXT] = {.known = true, .count = 4, .after = 1, .unit = 1},
    [ERL_NIL_EXT] = {.known = true},
    [ERL_LIST_EXT] = {.known = true, .count = 4, .terms = 1, .more = 1},
    [ERL_SMALL_TUPLE_EXT] = {.known = true, .count = 1, .terms = 1},
    [ERL_LARGE_TUPLE_EXT] = {.known = true, .count = 4, .terms = 1},
    [ERL_MAP_EXT] = {.known = true, .count = 4, .terms = 2},
    [ERL_EXPORT_EXT] = {.known = true, .more = 3},
    [ERL_NEW_FUN_EXT] = {.known = true, .fixed = 25, .count = 4, .terms = 1, .more = 4},
    [ERL_PID_EXT] = {.known = true, .node = true, .after = 9},
    [ERL_NEW_PID_EXT] = {.known = true, .node = true, .after = 12},
    [ERL_PORT_EXT] = {.known = true, .node = true, .after = 5},
    [ERL_NEW_PORT_EXT] = {.known = true, .node = true, .after = 8},
    [ERL_V4_PORT_EXT] = {.known = true, .node = true, .after = 12},
    [ERL_REFERENCE_EXT] = {.known = true, .node = true, .after = 5},
    [ERL_NEW_REFERENCE_EXT] = {.known = true, .count = 2, .node = true, .after = 1, .unit = 4},
    [ERL_NEWER_REFERENCE_EXT] = {.known = true, .count = 2, .node = true, .after = 4, .unit = 4},
};

struct walk {
    const unsigned char *p;
    size_t left;
};

static bool skip(struct walk *w, uint64_t n)
{
    if (n > w->left)
        return false;
    w->p += n;
    w->left -= n;
    return true;
}

static bool take_number(struct walk *w, size_t bytes, uint64_t *n)
{
    *n = 0;
    if (bytes > w->left)
        return false;
    for (size_t i = 0; i < bytes; i++)
        *n = *n << 8 | w->p[i];
    return skip(w, bytes);
}

static const struct shape *take_shape(struct walk *w)
{
    const struct shape *s = w->left ? &shapes[*w->p] : NULL;

    return s && s->known && skip(w, 1) ? s : NULL;
}

static bool skip_node(struct walk *w)
{
    const struct shape *s = take_shape(w);
    uint64_t n;

    return s && s->most && take_number(w, s->count, &n) && n <= s->most && skip(w, n);
}

/* The term without those inside of it, of which there are *inside. */
static bool skip_one(struct walk *w, uint64_t *inside)
{
    const struct shape *s = take_shape(w);
    uint64_t n;

    if (!s || !skip(w, s->fixed) || !take_number(w, s->count, &n) || (s->most && n > s->most) ||
        (s->node && !skip_node(w)) || !skip(w, s->after) || !skip(w, n * s->unit))
        return false;
    *inside = n * s->terms + s->more;
    return *inside <= w->left; /* each of them is a byte at least */
}

bool hot_term_end(const char *buf, size_t len, size_t at, size_t *end)
{
    uint64_t open[DEPTH_MAX], inside;
    struct walk w = {.p = (const unsigned char *)buf + at, .left = len - at};
    size_t depth = 1;

    if (at > len)
        return false;
    open[0] = 1;
    while (depth) {
        if (!skip_one(&w, &inside))
            return false;
        if (--open[depth - 1] == 0)
            depth--;
        if (inside && depth == DEPTH_MAX)
            return false;
        if (inside)
            open[depth++] = inside;
    }
    *end = len - w.left;
    return true;
}
