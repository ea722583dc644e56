/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "pkg/pkg_scan.h"

enum { FILE_WIDTH = 100 };

struct printer {
    struct rel_buf *out;
    int width; /* 0: one line */
};

static void print(const struct printer *p, const struct pkg_term *t, int indent);

/* Control characters as escapes that erl_scan reads back; everything else as it is. */
static void print_quoted(struct rel_buf *out, const char *s, size_t n, char quote)
{
    rel_buf_add(out, &quote, 1);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c == (unsigned char)quote || c == '\\')
            rel_buf_addf(out, "\\%c", c);
        else if (c == '\n')
            rel_buf_adds(out, "\\n");
        else if (c == '\t')
            rel_buf_adds(out, "\\t");
        else if (c < ' ' || c == 127)
            rel_buf_addf(out, "\\x{%x}", c);
        else
            rel_buf_add(out, &s[i], 1);
    }
    rel_buf_add(out, &quote, 1);
}

static void print_atom(struct rel_buf *out, const struct pkg_term *t)
{
    if (pkg_atom_needs_quotes(t->text.p, t->text.n))
        print_quoted(out, t->text.p, t->text.n, '\'');
    else
        rel_buf_add(out, t->text.p, t->text.n);
}

/* The shortest text that reads back as the same double, with the point that Erlang asks for. */
static void print_float(struct rel_buf *out, double f)
{
    char s[40];
    char *mark;

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(s, sizeof(s), "%.*g", digits, f);
        if (strtod(s, NULL) == f)
            break;
    }
    mark = strchr(s, 'e');
    if (strchr(s, '.') || !mark)
        rel_buf_addf(out, "%s%s", s, strchr(s, '.') ? "" : ".0");
    else
        rel_buf_addf(out, "%.*s.0%s", (int)(mark - s), s, mark);
}

static bool printable(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t len = pkg_utf8_len(s + i, n - i);
        unsigned char c = (unsigned char)s[i];

        if (!len || (c < ' ' && c != '\n' && c != '\t' && c != '\r') || c == 127)
            return false;
        i += len;
    }
    return true;
}

static bool ascii(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] > 127)
            return false;
    return true;
}

static void print_binary(struct rel_buf *out, const struct pkg_term *t)
{
    rel_buf_adds(out, "<<");
    if (t->text.n && printable(t->text.p, t->text.n)) {
        print_quoted(out, t->text.p, t->text.n, '"');
        rel_buf_adds(out, ascii(t->text.p, t->text.n) ? "" : "/utf8");
    } else {
        for (size_t i = 0; i < t->text.n; i++)
            rel_buf_addf(out, "%s%u", i ? "," : "", (unsigned char)t->text.p[i]);
    }
    rel_buf_adds(out, ">>");
}

static void print_leaf(struct rel_buf *out, const struct pkg_term *t)
{
    switch (t->kind) {
    case PKG_ATOM:
        print_atom(out, t);
        break;
    case PKG_INT:
        rel_buf_addf(out, "%lld", (long long)t->i);
        break;
    case PKG_BIG:
        rel_buf_add(out, t->text.p, t->text.n);
        break;
    case PKG_FLOAT:
        print_float(out, t->f);
        break;
    case PKG_STRING:
        print_quoted(out, t->text.p, t->text.n, '"');
        break;
    case PKG_BINARY:
        print_binary(out, t);
        break;
    default: /* fun M:F/A */
        rel_buf_adds(out, "fun ");
        print_atom(out, t->seq.v[0]);
        rel_buf_adds(out, ":");
        print_atom(out, t->seq.v[1]);
        rel_buf_addf(out, "/%lld", (long long)t->seq.v[2]->i);
    }
}

static bool is_leaf(const struct pkg_term *t)
{
    return t->kind != PKG_LIST && t->kind != PKG_TUPLE && t->kind != PKG_MAP;
}

static size_t chars_n(const char *s, size_t n)
{
    size_t chars = 0;

    for (size_t i = 0; i < n; i++)
        chars += ((unsigned char)s[i] & 0xc0) != 0x80;
    return chars;
}

/* Columns of `t` in one line, or more than `limit`. */
static size_t flat_width(const struct pkg_term *t, size_t limit)
{
    size_t n = 2;

    if (is_leaf(t)) {
        rel_autobuf struct rel_buf one = {0};

        if ((t->kind == PKG_STRING || t->kind == PKG_BINARY) && t->text.n > 4 * limit)
            return limit + 1;
        print_leaf(&one, t);
        return chars_n(one.p, one.len);
    }
    for (size_t i = 0; i < t->seq.n && n <= limit; i++)
        n += flat_width(t->seq.v[i], limit) + (t->kind == PKG_MAP ? 3 : 1);
    if (t->seq.tail && n <= limit)
        n += flat_width(t->seq.tail, limit) + 1;
    return n;
}

static int column(const struct rel_buf *out)
{
    size_t begin = out->len;

    while (begin && out->p[begin - 1] != '\n')
        begin--;
    return (int)chars_n(out->p + begin, out->len - begin);
}

static void line_break(const struct printer *p, int indent)
{
    rel_buf_addf(p->out, "\n%*s", indent, "");
}

/* Leaves fill a line, e.g. a list of modules; anything that holds others begins its own. */
static void before_element(const struct printer *p, const struct pkg_term *seq, size_t i,
                           int indent)
{
    const struct pkg_term *t = seq->seq.v[i];

    if (!i)
        return;
    if (seq->kind == PKG_MAP && i % 2) {
        rel_buf_adds(p->out, " => ");
        return;
    }
    rel_buf_adds(p->out, ",");
    if (!p->width)
        return;
    if (is_leaf(t) && is_leaf(seq->seq.v[i - 1]) && seq->kind != PKG_MAP) {
        size_t room = (size_t)p->width;

        if ((size_t)column(p->out) + flat_width(t, room) + 1 <= room)
            return;
    }
    line_break(p, indent);
}

static void print_seq(const struct printer *p, const struct pkg_term *t, int indent)
{
    static const char *const open[] = {[PKG_LIST] = "[", [PKG_TUPLE] = "{", [PKG_MAP] = "#{"};
    struct printer inner = *p;

    indent = p->width ? column(p->out) : indent;
    rel_buf_adds(p->out, open[t->kind]);
    if (p->width) {
        size_t room = p->width > indent ? (size_t)(p->width - indent) : 0;

        if (flat_width(t, room) <= room)
            inner.width = 0;
    }
    indent += (int)strlen(open[t->kind]);
    for (size_t i = 0; i < t->seq.n; i++) {
        before_element(&inner, t, i, indent);
        print(&inner, t->seq.v[i], indent);
    }
    if (t->seq.tail) {
        rel_buf_adds(p->out, "|");
        print(&inner, t->seq.tail, indent);
    }
    rel_buf_adds(p->out, t->kind == PKG_LIST ? "]" : "}");
}

static void print(const struct printer *p, const struct pkg_term *t, int indent)
{
    if (is_leaf(t))
        print_leaf(p->out, t);
    else
        print_seq(p, t, indent);
}

void pkg_term_format(const struct pkg_term *t, int indent, int width, struct rel_buf *out)
{
    struct printer p = {.out = out, .width = width};

    print(&p, t, indent);
}

void pkg_term_format_file(const struct pkg_term *t, struct rel_buf *out)
{
    rel_buf_adds(out, "%% coding: utf-8\n");
    pkg_term_format(t, 0, FILE_WIDTH, out);
    rel_buf_adds(out, ".\n");
}
