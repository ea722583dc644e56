/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_term.h"

#include <stdarg.h>
#include <string.h>

enum { BLOCK_MIN = 1 << 10, BLOCK_MAX = 32 << 10 };

struct pkg_arena_block {
    struct pkg_arena_block *next;
    size_t used, size;
    max_align_t data[];
};

void pkg_arena_fini(struct pkg_arena *a)
{
    while (a->head) {
        struct pkg_arena_block *b = a->head;

        a->head = b->next;
        free(b);
    }
}

void *pkg_arena_alloc(struct pkg_arena *a, size_t n)
{
    struct pkg_arena_block *b = a->head;
    void *p;

    n = (n + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (!b || n > b->size - b->used) {
        size_t size = b && b->size < BLOCK_MAX ? 2 * b->size : b ? BLOCK_MAX : BLOCK_MIN;

        size = n > size ? n : size;

        b = rel_xcalloc(1, sizeof(*b) + size);
        b->size = size;
        b->next = a->head;
        a->head = b;
    }
    p = (char *)b->data + b->used;
    b->used += n;
    return p;
}

char *pkg_arena_strndup(struct pkg_arena *a, const char *s, size_t n)
{
    char *p = pkg_arena_alloc(a, n + 1);

    if (n)
        memcpy(p, s, n);
    return p;
}

char *pkg_arena_vstrf(struct pkg_arena *a, const char *fmt, va_list ap)
{
    rel_autofree char *s = rel_vstrf(fmt, ap);

    return pkg_arena_strndup(a, s, strlen(s));
}

char *pkg_arena_strf(struct pkg_arena *a, const char *fmt, ...)
{
    va_list ap;
    char *s;

    va_start(ap, fmt);
    s = pkg_arena_vstrf(a, fmt, ap);
    va_end(ap);
    return s;
}

static struct pkg_term *term_new(struct pkg_arena *a, enum pkg_term_kind kind)
{
    struct pkg_term *t = pkg_arena_alloc(a, sizeof(*t));

    t->kind = kind;
    return t;
}

const struct pkg_term *pkg_text(struct pkg_arena *a, enum pkg_term_kind kind, const char *p,
                                size_t n)
{
    struct pkg_term *t = term_new(a, kind);

    t->text.p = pkg_arena_strndup(a, p, n);
    t->text.n = n;
    return t;
}

const struct pkg_term *pkg_atom(struct pkg_arena *a, const char *name)
{
    return pkg_text(a, PKG_ATOM, name, strlen(name));
}

const struct pkg_term *pkg_int(struct pkg_arena *a, int64_t i)
{
    struct pkg_term *t = term_new(a, PKG_INT);

    t->i = i;
    return t;
}

const struct pkg_term *pkg_float(struct pkg_arena *a, double f)
{
    struct pkg_term *t = term_new(a, PKG_FLOAT);

    t->f = f;
    return t;
}

const struct pkg_term *pkg_stringn(struct pkg_arena *a, const char *utf8, size_t n)
{
    return n ? pkg_text(a, PKG_STRING, utf8, n) : term_new(a, PKG_LIST);
}

const struct pkg_term *pkg_string(struct pkg_arena *a, const char *utf8)
{
    return pkg_stringn(a, utf8, strlen(utf8));
}

const struct pkg_term *pkg_binary(struct pkg_arena *a, const void *p, size_t n)
{
    return pkg_text(a, PKG_BINARY, p, n);
}

static struct pkg_term *seq_new(struct pkg_arena *a, enum pkg_term_kind kind,
                                const struct pkg_term *const *v, size_t n)
{
    struct pkg_term *t = term_new(a, kind);

    if (n) {
        const struct pkg_term **copy = pkg_arena_alloc(a, n * sizeof(*copy));

        memcpy(copy, v, n * sizeof(*copy));
        t->seq.v = copy;
        t->seq.n = n;
    }
    return t;
}

/* The last value of a key counts, as in the text #{a => 1, a => 2}. */
static struct pkg_term *map_new(struct pkg_arena *a, const struct pkg_term *const *v, size_t n)
{
    struct pkg_term *t = seq_new(a, PKG_MAP, v, n);
    const struct pkg_term **kept = pkg_arena_alloc(a, n * sizeof(*kept));
    size_t kept_n = 0;

    for (size_t i = 0; i + 1 < n; i += 2) {
        size_t at = 0;

        while (at < kept_n && !pkg_equal(kept[at], v[i]))
            at += 2;
        kept[at] = v[i];
        kept[at + 1] = v[i + 1];
        if (at == kept_n)
            kept_n += 2;
    }
    t->seq.v = kept;
    t->seq.n = kept_n;
    return t;
}

const struct pkg_term *pkg_seq(struct pkg_arena *a, enum pkg_term_kind kind,
                               const struct pkg_term *const *v, size_t n)
{
    return kind == PKG_MAP ? map_new(a, v, n) : seq_new(a, kind, v, n);
}

/* One character of valid UTF-8. */
static uint32_t next_char(const char **p)
{
    const unsigned char *s = (const unsigned char *)*p;

    if (s[0] < 0x80) {
        *p += 1;
        return s[0];
    }
    if (s[0] < 0xe0) {
        *p += 2;
        return (s[0] & 0x1fU) << 6 | (s[1] & 0x3fU);
    }
    if (s[0] < 0xf0) {
        *p += 3;
        return (s[0] & 0x0fU) << 12 | (s[1] & 0x3fU) << 6 | (s[2] & 0x3fU);
    }
    *p += 4;
    return (s[0] & 0x07U) << 18 | (s[1] & 0x3fU) << 12 | (s[2] & 0x3fU) << 6 | (s[3] & 0x3fU);
}

static void add_chars(struct pkg_arena *a, struct pkg_list_build *b, const struct pkg_term *string)
{
    const char *p = string->text.p, *end = p + string->text.n;

    while (p < end)
        pkg_list_add(a, b, pkg_int(a, next_char(&p)));
}

const struct pkg_term *pkg_list_tail(struct pkg_arena *a, const struct pkg_term *const *v, size_t n,
                                     const struct pkg_term *tail)
{
    struct pkg_list_build b = {0};
    struct pkg_term *t;

    if (!n && tail)
        return tail;
    for (size_t i = 0; i < n; i++)
        pkg_list_add(a, &b, v[i]);
    if (tail && tail->kind == PKG_STRING) {
        add_chars(a, &b, tail);
        tail = NULL;
    } else if (tail && tail->kind == PKG_LIST) {
        for (size_t i = 0; i < tail->seq.n; i++)
            pkg_list_add(a, &b, tail->seq.v[i]);
        tail = tail->seq.tail;
    }
    t = seq_new(a, PKG_LIST, b.v, b.n);
    t->seq.tail = tail;
    return t;
}

static const struct pkg_term *seq_of(struct pkg_arena *a, enum pkg_term_kind kind, size_t n,
                                     va_list ap)
{
    struct pkg_list_build b = {0};

    for (size_t i = 0; i < n; i++)
        pkg_list_add(a, &b, va_arg(ap, const struct pkg_term *));
    return seq_new(a, kind, b.v, b.n);
}

const struct pkg_term *pkg_tuple(struct pkg_arena *a, size_t n, ...)
{
    const struct pkg_term *t;
    va_list ap;

    va_start(ap, n);
    t = seq_of(a, PKG_TUPLE, n, ap);
    va_end(ap);
    return t;
}

const struct pkg_term *pkg_list(struct pkg_arena *a, size_t n, ...)
{
    const struct pkg_term *t;
    va_list ap;

    va_start(ap, n);
    t = seq_of(a, PKG_LIST, n, ap);
    va_end(ap);
    return t;
}

void pkg_list_add(struct pkg_arena *a, struct pkg_list_build *b, const struct pkg_term *t)
{
    if (b->n == b->cap) {
        size_t cap = b->cap ? 2 * b->cap : 8;
        const struct pkg_term **v = pkg_arena_alloc(a, cap * sizeof(*v));

        if (b->n)
            memcpy(v, b->v, b->n * sizeof(*v));
        b->v = v;
        b->cap = cap;
    }
    b->v[b->n++] = t;
}

const struct pkg_term *pkg_list_done(struct pkg_arena *a, const struct pkg_list_build *b)
{
    struct pkg_term *t = term_new(a, PKG_LIST);

    t->seq.v = b->v;
    t->seq.n = b->n;
    return t;
}

static bool text_is(const struct pkg_term *t, const char *s)
{
    return t->text.n == strlen(s) && !memcmp(t->text.p, s, t->text.n);
}

bool pkg_is_atom(const struct pkg_term *t, const char *name)
{
    return t && t->kind == PKG_ATOM && (!name || text_is(t, name));
}

bool pkg_is_list(const struct pkg_term *t)
{
    return t && (t->kind == PKG_STRING || (t->kind == PKG_LIST && !t->seq.tail));
}

bool pkg_is_tuple(const struct pkg_term *t, size_t arity)
{
    return t && t->kind == PKG_TUPLE && t->seq.n == arity;
}

bool pkg_is_tagged(const struct pkg_term *t, const char *tag, size_t arity)
{
    return pkg_is_tuple(t, arity) && arity && pkg_is_atom(t->seq.v[0], tag);
}

const struct pkg_term *pkg_at(const struct pkg_term *t, size_t i)
{
    if (!t || (t->kind != PKG_TUPLE && t->kind != PKG_LIST) || i >= t->seq.n)
        return NULL;
    return t->seq.v[i];
}

size_t pkg_len(const struct pkg_term *t)
{
    size_t n = 0;

    if (!t)
        return 0;
    if (t->kind == PKG_TUPLE || (t->kind == PKG_LIST && !t->seq.tail))
        return t->seq.n;
    if (t->kind == PKG_STRING)
        for (size_t i = 0; i < t->text.n; i++)
            n += ((unsigned char)t->text.p[i] & 0xc0) != 0x80;
    return n;
}

static const char *text_without_nul(const struct pkg_term *t)
{
    return memchr(t->text.p, 0, t->text.n) ? NULL : t->text.p;
}

const char *pkg_atom_text(const struct pkg_term *t)
{
    return t && t->kind == PKG_ATOM ? text_without_nul(t) : NULL;
}

const char *pkg_chars(const struct pkg_term *t)
{
    if (!t)
        return NULL;
    if (t->kind == PKG_STRING || t->kind == PKG_BINARY)
        return text_without_nul(t);
    return t->kind == PKG_LIST && !t->seq.n && !t->seq.tail ? "" : NULL;
}

const struct pkg_term *pkg_keyfind(const struct pkg_term *list, const char *key)
{
    if (!list || list->kind != PKG_LIST)
        return NULL;
    for (size_t i = 0; i < list->seq.n; i++) {
        const struct pkg_term *t = list->seq.v[i];

        if (t->kind == PKG_TUPLE && t->seq.n && pkg_is_atom(t->seq.v[0], key))
            return t;
    }
    return NULL;
}

const struct pkg_term *pkg_get(const struct pkg_term *list, const char *key)
{
    static const struct pkg_term yes = {.kind = PKG_ATOM, .text = {.p = "true", .n = 4}};

    if (!list || list->kind != PKG_LIST)
        return NULL;
    for (size_t i = 0; i < list->seq.n; i++) {
        const struct pkg_term *t = list->seq.v[i];

        if (pkg_is_atom(t, key))
            return &yes;
        if (pkg_is_tagged(t, key, 2))
            return t->seq.v[1];
    }
    return NULL;
}

static bool text_equal(const struct pkg_term *x, const struct pkg_term *y)
{
    return x->text.n == y->text.n && !memcmp(x->text.p, y->text.p, x->text.n);
}

static bool string_equals_list(const struct pkg_term *string, const struct pkg_term *list)
{
    const char *p = string->text.p, *end = p + string->text.n;
    size_t i = 0;

    if (list->kind != PKG_LIST || list->seq.tail)
        return false;
    for (; p < end && i < list->seq.n; i++) {
        const struct pkg_term *t = list->seq.v[i];

        if (t->kind != PKG_INT || t->i != (int64_t)next_char(&p))
            return false;
    }
    return p == end && i == list->seq.n;
}

static bool map_equal(const struct pkg_term *x, const struct pkg_term *y)
{
    if (x->seq.n != y->seq.n)
        return false;
    for (size_t i = 0; i < x->seq.n; i += 2) {
        size_t at = 0;

        while (at < y->seq.n && !pkg_equal(x->seq.v[i], y->seq.v[at]))
            at += 2;
        if (at == y->seq.n || !pkg_equal(x->seq.v[i + 1], y->seq.v[at + 1]))
            return false;
    }
    return true;
}

static bool seq_equal(const struct pkg_term *x, const struct pkg_term *y)
{
    if (x->seq.n != y->seq.n || !x->seq.tail != !y->seq.tail)
        return false;
    for (size_t i = 0; i < x->seq.n; i++)
        if (!pkg_equal(x->seq.v[i], y->seq.v[i]))
            return false;
    return !x->seq.tail || pkg_equal(x->seq.tail, y->seq.tail);
}

bool pkg_equal(const struct pkg_term *x, const struct pkg_term *y)
{
    if (x->kind == PKG_STRING && y->kind != PKG_STRING)
        return string_equals_list(x, y);
    if (y->kind == PKG_STRING && x->kind != PKG_STRING)
        return string_equals_list(y, x);
    if (x->kind != y->kind)
        return false;
    switch (x->kind) {
    case PKG_INT:
        return x->i == y->i;
    case PKG_FLOAT: /* 0.0 and -0.0 are =:= in OTP 25 and bytes differ from 27 on: compare values */
        return x->f == y->f;
    case PKG_ATOM:
    case PKG_BIG:
    case PKG_STRING:
    case PKG_BINARY:
        return text_equal(x, y);
    case PKG_MAP:
        return map_equal(x, y);
    default:
        return seq_equal(x, y);
    }
}
