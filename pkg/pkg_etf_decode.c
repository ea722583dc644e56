/* SPDX-License-Identifier: Apache-2.0 */
/* The ei_decode functions take no length and trust their input, which here comes from files of
 * others; so reading is done by hand, with every byte counted. */
#include <ei.h>
#include <fcntl.h>
#include <string.h>
#include <zlib.h>

#include "base/rel_io.h"
#include "pkg/pkg_etf.h"
#include "pkg/pkg_scan.h"

enum { ETF_MAX = 16 << 20, VERSION_MAGIC = 131, COMPRESSED = 'P' };
enum { ATOM_CHARS_MAX = 255, ARITY_MAX = 255 };
enum { BIG_DIGITS_MAX = 4096 }; /* as for text */
enum { BIG_BYTES_MAX = 2048 };  /* turning one to base 10 is quadratic */

struct decoder {
    struct pkg_arena *arena;
    const unsigned char *p;
    size_t left;
    int depth;
    struct rel_err *e;
};

static int decode(struct decoder *d, const struct pkg_term **t);

static int broken(struct decoder *d, const char *what)
{
    return rel_fail(d->e, REL_E_INPUT, 0, "broken term in external format: %s", what);
}

/* The next `n` bytes, or NULL with the error made. */
static const unsigned char *take(struct decoder *d, size_t n)
{
    const unsigned char *p = d->p;

    if (n > d->left) {
        broken(d, "it is cut short");
        return NULL;
    }
    d->p += n;
    d->left -= n;
    return p;
}

/* A big-endian number of `bytes` bytes. */
static int take_uint(struct decoder *d, int bytes, uint64_t *n)
{
    const unsigned char *p = take(d, (size_t)bytes);

    if (!p)
        return -1;
    *n = 0;
    for (int i = 0; i < bytes; i++)
        *n = *n << 8 | p[i];
    return 0;
}

static int decode_text(struct decoder *d, enum pkg_term_kind kind, int len_bytes, bool latin1,
                       const struct pkg_term **t)
{
    rel_autobuf struct rel_buf utf8 = {0};
    const unsigned char *p;
    uint64_t n;
    int chars = 0;

    if (take_uint(d, len_bytes, &n) < 0 || !(p = take(d, n)))
        return -1;
    rel_buf_add(&utf8, "", 0);
    for (size_t i = 0; i < n && latin1; i++)
        pkg_utf8_add(&utf8, p[i]);
    if (!latin1)
        rel_buf_add(&utf8, p, n);
    for (size_t i = 0; kind == PKG_ATOM && i < utf8.len;) {
        size_t len = pkg_utf8_len(utf8.p + i, utf8.len - i);

        if (!len)
            return broken(d, "an atom is not UTF-8");
        if (++chars > ATOM_CHARS_MAX)
            return broken(d, "an atom of more than 255 characters");
        i += len;
    }
    *t = kind == PKG_STRING ? pkg_stringn(d->arena, utf8.p, utf8.len)
                            : pkg_text(d->arena, kind, utf8.p, utf8.len);
    return 0;
}

/* The bytes, lowest first, as decimal text. */
static const struct pkg_term *big_term(struct decoder *d, const unsigned char *p, size_t n,
                                       bool negative)
{
    rel_autofree unsigned char *rest = rel_xmalloc(n + 1);
    size_t cap = 3 * n + 3, at = cap;
    rel_autofree char *text = rel_xcalloc(1, cap + 1);

    memcpy(rest, p, n);
    while (n) {
        unsigned int carry = 0;

        for (size_t i = n; i-- > 0;) {
            carry = carry << 8 | rest[i];
            rest[i] = (unsigned char)(carry / 10);
            carry %= 10;
        }
        text[--at] = (char)('0' + carry);
        while (n && !rest[n - 1])
            n--;
    }
    if (negative)
        text[--at] = '-';
    return pkg_text(d->arena, PKG_BIG, text + at, cap - at);
}

static int decode_big(struct decoder *d, int len_bytes, const struct pkg_term **t)
{
    const unsigned char *sign, *p;
    uint64_t n, value = 0;

    if (take_uint(d, len_bytes, &n) < 0 || !(sign = take(d, 1)))
        return -1;
    if (n > BIG_BYTES_MAX)
        return broken(d, "an integer of more than 2048 bytes");
    if (!(p = take(d, n)))
        return -1;
    while (n && !p[n - 1])
        n--;
    for (size_t i = n < 8 ? n : 8; i-- > 0;)
        value = value << 8 | p[i];
    if (n < 8 || (n == 8 && value <= INT64_MAX))
        *t = pkg_int(d->arena, *sign ? -(int64_t)value : (int64_t)value);
    else if (n == 8 && *sign && value == (uint64_t)INT64_MAX + 1)
        *t = pkg_int(d->arena, INT64_MIN);
    else
        *t = big_term(d, p, n, *sign);
    if ((*t)->kind == PKG_BIG && (*t)->text.n - (*sign != 0) > BIG_DIGITS_MAX)
        return broken(d, "an integer of more than 4096 digits");
    return 0;
}

static int decode_float(struct decoder *d, const struct pkg_term **t)
{
    uint64_t bits;
    double f;

    if (take_uint(d, 8, &bits) < 0)
        return -1;
    memcpy(&f, &bits, sizeof(f));
    if (!__builtin_isfinite(f))
        return broken(d, "a float that is no number");
    *t = pkg_float(d->arena, f);
    return 0;
}

static int decode_seq(struct decoder *d, enum pkg_term_kind kind, uint64_t n,
                      const struct pkg_term **t)
{
    struct pkg_list_build b = {0};
    const struct pkg_term *item;

    if (n > d->left) /* every element takes a byte at least */
        return broken(d, "it is cut short");
    for (uint64_t i = 0; i < n; i++) {
        if (decode(d, &item) < 0)
            return -1;
        pkg_list_add(d->arena, &b, item);
    }
    if (kind == PKG_LIST) {
        if (decode(d, &item) < 0)
            return -1;
        *t = pkg_list_tail(d->arena, b.v, b.n, item);
    } else {
        *t = pkg_seq(d->arena, kind, b.v, b.n);
    }
    return 0;
}

static int decode_counted(struct decoder *d, enum pkg_term_kind kind, int len_bytes,
                          const struct pkg_term **t)
{
    uint64_t n;

    if (take_uint(d, len_bytes, &n) < 0)
        return -1;
    return decode_seq(d, kind, kind == PKG_MAP ? 2 * n : n, t);
}

static int decode_fun(struct decoder *d, const struct pkg_term **t)
{
    const struct pkg_term *fun = NULL;

    if (decode_seq(d, PKG_FUN, 3, &fun) < 0)
        return -1;
    if (!pkg_is_atom(fun->seq.v[0], NULL) || !pkg_is_atom(fun->seq.v[1], NULL) ||
        fun->seq.v[2]->kind != PKG_INT || fun->seq.v[2]->i < 0 || fun->seq.v[2]->i > ARITY_MAX)
        return broken(d, "a fun without module, function and arity");
    *t = fun;
    return 0;
}

static int decode_int(struct decoder *d, int bytes, const struct pkg_term **t)
{
    uint64_t n;

    if (take_uint(d, bytes, &n) < 0)
        return -1;
    *t = pkg_int(d->arena, bytes == 4 ? (int32_t)(uint32_t)n : (int64_t)n);
    return 0;
}

static int decode_tagged(struct decoder *d, unsigned char tag, const struct pkg_term **t)
{
    switch (tag) {
    case ERL_SMALL_INTEGER_EXT:
        return decode_int(d, 1, t);
    case ERL_INTEGER_EXT:
        return decode_int(d, 4, t);
    case ERL_SMALL_BIG_EXT:
        return decode_big(d, 1, t);
    case ERL_LARGE_BIG_EXT:
        return decode_big(d, 4, t);
    case NEW_FLOAT_EXT:
        return decode_float(d, t);
    case ERL_ATOM_EXT:
        return decode_text(d, PKG_ATOM, 2, true, t);
    case ERL_SMALL_ATOM_EXT:
        return decode_text(d, PKG_ATOM, 1, true, t);
    case ERL_ATOM_UTF8_EXT:
        return decode_text(d, PKG_ATOM, 2, false, t);
    case ERL_SMALL_ATOM_UTF8_EXT:
        return decode_text(d, PKG_ATOM, 1, false, t);
    case ERL_STRING_EXT:
        return decode_text(d, PKG_STRING, 2, true, t);
    case ERL_BINARY_EXT:
        return decode_text(d, PKG_BINARY, 4, false, t);
    case ERL_NIL_EXT:
        *t = pkg_list(d->arena, 0);
        return 0;
    case ERL_LIST_EXT:
        return decode_counted(d, PKG_LIST, 4, t);
    case ERL_SMALL_TUPLE_EXT:
        return decode_counted(d, PKG_TUPLE, 1, t);
    case ERL_LARGE_TUPLE_EXT:
        return decode_counted(d, PKG_TUPLE, 4, t);
    case ERL_MAP_EXT:
        return decode_counted(d, PKG_MAP, 4, t);
    case ERL_EXPORT_EXT:
        return decode_fun(d, t);
    default:
        return broken(d, "a kind of term that has no text");
    }
}

static int decode(struct decoder *d, const struct pkg_term **t)
{
    const unsigned char *tag = take(d, 1);

    if (!tag)
        return -1;
    if (d->depth >= PKG_TERM_DEPTH)
        return broken(d, "it is nested too deep");
    d->depth++;
    if (decode_tagged(d, *tag, t) < 0)
        return -1;
    d->depth--;
    return 0;
}

/* term_to_binary(T, [compressed]): the unpacked size, then a zlib stream. */
static int inflate_term(struct decoder *d, unsigned char **unpacked)
{
    rel_autofree unsigned char *data = NULL;
    uLongf len;
    uint64_t size;

    if (take_uint(d, 4, &size) < 0)
        return -1;
    if (size > ETF_MAX || size > 1100 * (uint64_t)d->left) /* deflate packs 1032 to 1 at most */
        return broken(d, "its unpacked size is impossible");
    data = rel_xmalloc(size + 1);
    len = size;
    if (uncompress(data, &len, d->p, d->left) != Z_OK || len != size)
        return broken(d, "it does not unpack");
    d->p = data;
    d->left = size;
    *unpacked = rel_steal(&data);
    return 0;
}

int pkg_etf_decode(struct pkg_arena *a, const void *data, size_t len, const struct pkg_term **t,
                   struct rel_err *e)
{
    struct decoder d = {.arena = a, .p = data, .left = len, .e = e};
    rel_autofree unsigned char *unpacked = NULL;
    const unsigned char *magic = take(&d, 1);

    if (!magic)
        return -1;
    if (*magic != VERSION_MAGIC)
        return broken(&d, "it does not begin with 131");
    if (d.left && *d.p == COMPRESSED && (!take(&d, 1) || inflate_term(&d, &unpacked) < 0))
        return -1;
    return decode(&d, t);
}

int pkg_etf_read(struct pkg_arena *a, const char *path, const struct pkg_term **t,
                 struct rel_err *e)
{
    rel_autofree char *data = NULL;
    size_t len;

    if (rel_read_file(AT_FDCWD, path, ETF_MAX, &data, &len, e) < 0)
        return -1;
    if (pkg_etf_decode(a, data, len, t, e) < 0)
        return rel_wrap(e, "%s", path);
    return 0;
}
