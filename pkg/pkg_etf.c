/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_etf.h"

#include <ei.h>
#include <string.h>

#include "pkg/pkg_scan.h"

enum { STRING_EXT_MAX = 65535 };

static int encode(ei_x_buff *x, const struct pkg_term *t);

/* The characters of a string that all fit a byte, Latin-1 encoded. */
static bool latin1_of(const struct pkg_term *t, struct rel_buf *out)
{
    const unsigned char *p = (const unsigned char *)t->text.p, *end = p + t->text.n;

    while (p < end) {
        char c = (char)p[0];

        if (p[0] > 0xc3)
            return false;
        if (p[0] >= 0x80)
            c = (char)((p[0] & 3) << 6 | (p[1] & 0x3f));
        p += p[0] >= 0x80 ? 2 : 1;
        rel_buf_add(out, &c, 1);
    }
    return true;
}

static bool bytes_of(const struct pkg_term *t, struct rel_buf *out)
{
    if (t->seq.tail)
        return false;
    for (size_t i = 0; i < t->seq.n; i++) {
        const struct pkg_term *item = t->seq.v[i];
        char c;

        if (item->kind != PKG_INT || item->i < 0 || item->i > 255)
            return false;
        c = (char)item->i;
        rel_buf_add(out, &c, 1);
    }
    return true;
}

static int encode_string(ei_x_buff *x, const struct pkg_term *t)
{
    rel_autobuf struct rel_buf bytes = {0};

    if (latin1_of(t, &bytes) && bytes.len <= STRING_EXT_MAX)
        return ei_x_encode_string_len(x, bytes.p, (int)bytes.len);
    if (ei_x_encode_list_header(x, (long)pkg_len(t)) < 0)
        return -1;
    for (size_t i = 0; i < t->text.n;) {
        size_t n = pkg_utf8_len(t->text.p + i, t->text.n - i);
        const unsigned char *s = (const unsigned char *)t->text.p + i;
        unsigned long c = n == 1 ? s[0] : s[0] & (0xffU >> (n + 1));

        for (size_t k = 1; k < n; k++)
            c = c << 6 | (s[k] & 0x3f);
        if (ei_x_encode_ulong(x, c) < 0)
            return -1;
        i += n;
    }
    return ei_x_encode_empty_list(x);
}

static int encode_list(ei_x_buff *x, const struct pkg_term *t)
{
    rel_autobuf struct rel_buf bytes = {0};

    if (!t->seq.n)
        return ei_x_encode_empty_list(x);
    if (t->seq.n <= STRING_EXT_MAX && bytes_of(t, &bytes))
        return ei_x_encode_string_len(x, bytes.p, (int)bytes.len);
    if (ei_x_encode_list_header(x, (long)t->seq.n) < 0)
        return -1;
    for (size_t i = 0; i < t->seq.n; i++)
        if (encode(x, t->seq.v[i]) < 0)
            return -1;
    return t->seq.tail ? encode(x, t->seq.tail) : ei_x_encode_empty_list(x);
}

/* Decimal text to the 16-bit digits, lowest first, that ei_x_encode_big takes. */
static int encode_big(ei_x_buff *x, const struct pkg_term *t)
{
    bool negative = t->text.p[0] == '-';
    size_t cap = t->text.n / 4 + 2;
    rel_autofree unsigned short *digit = rel_xcalloc(cap, sizeof(*digit));
    size_t n = 0;
    erlang_big big;

    for (const char *p = t->text.p + negative; *p; p++) {
        uint32_t carry = (uint32_t)(*p - '0');

        for (size_t i = 0; i < n; i++) {
            carry += digit[i] * 10U;
            digit[i] = (unsigned short)(carry & 0xffff);
            carry >>= 16;
        }
        if (carry)
            digit[n++] = (unsigned short)carry;
    }
    /* `arity` counts bytes; the top digit may hold one only. */
    big = (erlang_big){.arity = (unsigned)(2 * n - (n && digit[n - 1] < 256)),
                       .is_neg = negative,
                       .digits = digit};
    return ei_x_encode_big(x, &big);
}

static int encode_fun(ei_x_buff *x, const struct pkg_term *t)
{
    char tag = ERL_EXPORT_EXT;

    if (ei_x_append_buf(x, &tag, 1) < 0)
        return -1;
    for (int i = 0; i < 3; i++)
        if (encode(x, t->seq.v[i]) < 0)
            return -1;
    return 0;
}

static int encode_map(ei_x_buff *x, const struct pkg_term *t)
{
    if (ei_x_encode_map_header(x, (long)(t->seq.n / 2)) < 0)
        return -1;
    for (size_t i = 0; i < t->seq.n; i++)
        if (encode(x, t->seq.v[i]) < 0)
            return -1;
    return 0;
}

static int encode_tuple(ei_x_buff *x, const struct pkg_term *t)
{
    if (ei_x_encode_tuple_header(x, (long)t->seq.n) < 0)
        return -1;
    for (size_t i = 0; i < t->seq.n; i++)
        if (encode(x, t->seq.v[i]) < 0)
            return -1;
    return 0;
}

static int encode(ei_x_buff *x, const struct pkg_term *t)
{
    switch (t->kind) {
    case PKG_ATOM:
        return ei_x_encode_atom_len_as(x, t->text.p, (int)t->text.n, ERLANG_UTF8, ERLANG_UTF8);
    case PKG_INT:
        return ei_x_encode_longlong(x, t->i);
    case PKG_BIG:
        return encode_big(x, t);
    case PKG_FLOAT:
        return ei_x_encode_double(x, t->f);
    case PKG_STRING:
        return encode_string(x, t);
    case PKG_BINARY:
        return ei_x_encode_binary(x, t->text.p, (int)t->text.n);
    case PKG_LIST:
        return encode_list(x, t);
    case PKG_TUPLE:
        return encode_tuple(x, t);
    case PKG_MAP:
        return encode_map(x, t);
    default:
        return encode_fun(x, t);
    }
}

int pkg_etf_encode(const struct pkg_term *t, struct rel_buf *out, struct rel_err *e)
{
    ei_x_buff x;
    bool ok;

    if (ei_x_new_with_version(&x) < 0)
        return rel_fail(e, REL_E_INTERNAL, 0, "no memory for an encoded term");
    ok = encode(&x, t) >= 0;
    if (ok)
        rel_buf_add(out, x.buff, (size_t)x.index);
    ei_x_free(&x);
    return ok ? 0 : rel_fail(e, REL_E_INTERNAL, 0, "libei cannot encode a term");
}
