/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of Erlang text, as erl_scan makes them; used by pkg_term_read.c only. The text is lent and
 * must be valid UTF-8 followed by a NUL that `end` points at. */
#ifndef PKG_SCAN_H
#define PKG_SCAN_H

#include "pkg/pkg_term.h"

enum pkg_token_kind {
    PKG_TOK_END,
    PKG_TOK_DOT,
    PKG_TOK_ATOM,
    PKG_TOK_STRING,
    PKG_TOK_INT, /* its digits, base 10 */
    PKG_TOK_FLOAT,
    PKG_TOK_FUN,
    PKG_TOK_PUNCT, /* in text: one of , | / : { } [ ] - + << >> #{ => */
};

struct pkg_token {
    enum pkg_token_kind kind;
    int line;
    const char *at, *line_start;
    struct rel_buf text;
    double f;
};

struct pkg_scan {
    const char *name; /* for messages */
    const char *p, *end;
    const char *line_start;
    int line;
    struct pkg_token tok; /* the current one */
};

REL_MUST_USE int pkg_scan_next(struct pkg_scan *s, struct rel_err *e);
bool pkg_scan_is(const struct pkg_scan *s, const char *punct);
/* "NAME:LINE:COLUMN: ..." at the current token. */
int pkg_scan_fail_at(const struct pkg_scan *s, struct rel_err *e, const char *fmt, ...)
    REL_PRINTF(3, 4);
#define pkg_scan_fail(...) rel_minus_one(pkg_scan_fail_at(__VA_ARGS__))
void pkg_scan_fini(struct pkg_scan *s);

/* What text must be quoted to be that atom: not [a-z][A-Za-z0-9_@]*, or a reserved word. */
bool pkg_atom_needs_quotes(const char *p, size_t n);
/* Length of the valid UTF-8 sequence at `p`, 0 if there is none. */
size_t pkg_utf8_len(const char *p, size_t left);
/* Appends a code point; the caller has checked its range. */
void pkg_utf8_add(struct rel_buf *b, uint32_t c);

#endif
