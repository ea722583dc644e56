/* SPDX-License-Identifier: Apache-2.0 */
/* Erlang terms as text: what file:consult/1 reads (.app, .rel, rebar.config, sys.config) and what
 * it reads back equal to what was written.
 *
 * A term is immutable and lives in an arena; pkg_arena_fini frees all terms of it at once. A term
 * may point at terms of another arena that lives at least as long. Text is UTF-8 throughout,
 * NUL-terminated, with its length beside it, because an atom or a string may hold a NUL.
 * Nesting is bounded on reading (PKG_TERM_DEPTH), so walking a term by recursion is safe.
 * One thread an arena. */
#ifndef PKG_TERM_H
#define PKG_TERM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rel_err.h"

enum { PKG_TERM_DEPTH = 200 };
enum { PKG_TERM_FILE_MAX = 64 << 20 }; /* bytes of a file of terms */

struct pkg_arena {
    struct pkg_arena_block *head;
};

/* A zeroed arena is empty and ready. */
void pkg_arena_fini(struct pkg_arena *a);
#define pkg_autoarena __attribute__((cleanup(pkg_arena_fini)))
void *pkg_arena_alloc(struct pkg_arena *a, size_t n); /* zeroed, aligned for any type */
char *pkg_arena_strndup(struct pkg_arena *a, const char *s, size_t n);
char *pkg_arena_strf(struct pkg_arena *a, const char *fmt, ...) REL_PRINTF(2, 3);
char *pkg_arena_vstrf(struct pkg_arena *a, const char *fmt, va_list ap) REL_PRINTF(2, 0);

enum pkg_term_kind {
    PKG_ATOM,
    PKG_INT,
    PKG_BIG, /* an integer beyond int64_t */
    PKG_FLOAT,
    PKG_STRING, /* a list of characters written "..." (or STRING_EXT); never empty: "" is [] */
    PKG_BINARY,
    PKG_LIST, /* [] has n == 0 */
    PKG_TUPLE,
    PKG_MAP,
    PKG_FUN, /* fun M:F/A */
};

struct pkg_term {
    enum pkg_term_kind kind;
    int line; /* in its file, 0 for a term that was made */
    union {
        struct {
            const char *p;
            size_t n; /* bytes */
        } text;       /* PKG_ATOM, PKG_STRING: UTF-8. PKG_BINARY: the bytes. PKG_BIG: decimal */
        int64_t i;
        double f;
        struct {
            const struct pkg_term *const
                *v;                      /* PKG_MAP: key, value, key, value...; PKG_FUN: M F A */
            size_t n;                    /* of v */
            const struct pkg_term *tail; /* PKG_LIST: NULL for a proper list */
        } seq;
    };
};

/* The dot-terminated terms of a file, in order. */
struct pkg_terms {
    const struct pkg_term *const *v;
    size_t n;
};

/* REL_E_INPUT is "NAME:LINE:COLUMN: what is wrong". Terms read before the error stay in the arena.
 * `dir_fd` as in openat(2). */
REL_MUST_USE int pkg_terms_read(struct pkg_arena *a, int dir_fd, const char *path,
                                struct pkg_terms *terms, struct rel_err *e);
REL_MUST_USE int pkg_terms_parse(struct pkg_arena *a, const char *text, size_t len,
                                 const char *name, struct pkg_terms *terms, struct rel_err *e);
/* No more than the first, as io:read/2 has it: what follows may be anything. */
REL_MUST_USE int pkg_terms_parse_first(struct pkg_arena *a, const char *text, size_t len,
                                       const char *name, struct pkg_terms *terms,
                                       struct rel_err *e);
/* For a file that must hold exactly one term (.app, .rel, sys.config). */
REL_MUST_USE int pkg_term_read_one(struct pkg_arena *a, int dir_fd, const char *path,
                                   const struct pkg_term **term, struct rel_err *e);

/* Making terms. Text is copied, element terms are lent. */
const struct pkg_term *pkg_atom(struct pkg_arena *a, const char *name);
const struct pkg_term *pkg_int(struct pkg_arena *a, int64_t i);
const struct pkg_term *pkg_float(struct pkg_arena *a, double f);
/* A string of UTF-8 text; "" gives []. */
const struct pkg_term *pkg_string(struct pkg_arena *a, const char *utf8);
const struct pkg_term *pkg_stringn(struct pkg_arena *a, const char *utf8, size_t n);
const struct pkg_term *pkg_binary(struct pkg_arena *a, const void *p, size_t n);
/* PKG_ATOM, PKG_BINARY or PKG_BIG from text as it is. */
const struct pkg_term *pkg_text(struct pkg_arena *a, enum pkg_term_kind kind, const char *p,
                                size_t n);
/* Lists, tuples, maps and funs from an array that is copied. */
const struct pkg_term *pkg_seq(struct pkg_arena *a, enum pkg_term_kind kind,
                               const struct pkg_term *const *v, size_t n);
/* A list with a tail (NULL: proper); a tail that is a list itself is joined on. */
const struct pkg_term *pkg_list_tail(struct pkg_arena *a, const struct pkg_term *const *v, size_t n,
                                     const struct pkg_term *tail);
/* pkg_tuple(a, 3, x, y, z) */
const struct pkg_term *pkg_tuple(struct pkg_arena *a, size_t n, ...);
const struct pkg_term *pkg_list(struct pkg_arena *a, size_t n, ...);

/* A list being made. Zeroed is empty; the arena owns everything. */
struct pkg_list_build {
    const struct pkg_term **v;
    size_t n, cap;
};
void pkg_list_add(struct pkg_arena *a, struct pkg_list_build *b, const struct pkg_term *t);
const struct pkg_term *pkg_list_done(struct pkg_arena *a, const struct pkg_list_build *b);

/* Asking. All take NULL for the term and then say no. */
bool pkg_is_atom(const struct pkg_term *t, const char *name); /* name NULL: any atom */
bool pkg_is_list(const struct pkg_term *t);                   /* proper, strings included */
bool pkg_is_tuple(const struct pkg_term *t, size_t arity);
/* A tuple of that arity whose first element is the atom `tag`. */
bool pkg_is_tagged(const struct pkg_term *t, const char *tag, size_t arity);
/* Element of a PKG_TUPLE, PKG_LIST (not PKG_STRING), counted from 0; NULL beyond the end. */
const struct pkg_term *pkg_at(const struct pkg_term *t, size_t i);
/* Elements of a proper list or a tuple; of a string its characters; 0 for anything else. */
size_t pkg_len(const struct pkg_term *t);
/* UTF-8 of an atom, without a NUL inside; else NULL. Lent. */
const char *pkg_atom_text(const struct pkg_term *t);
/* UTF-8 of a string, [] ("") or binary of UTF-8, without a NUL inside; else NULL. Lent. A list of
 * character numbers is no string here: the caller of a reader gets what was written. */
const char *pkg_chars(const struct pkg_term *t);
/* The value of {Key, Value} in a property list, or `true` for a bare Key; the first one counts, as
 * proplists:get_value/2. NULL when absent or `list` is no list. */
const struct pkg_term *pkg_get(const struct pkg_term *list, const char *key);
/* The tuple {Key, ...} of any arity, as lists:keyfind/3. */
const struct pkg_term *pkg_keyfind(const struct pkg_term *list, const char *key);

/* =:=, so "ab" equals [97,98], 1 does not equal 1.0, maps have no order. */
bool pkg_equal(const struct pkg_term *x, const struct pkg_term *y);

/* Valid Erlang text at the end of `out`, indented and broken at `width` columns (0: one line), no
 * dot at the end. `indent` is the column where it begins. */
struct rel_buf;
void pkg_term_format(const struct pkg_term *t, int indent, int width, struct rel_buf *out);
/* A whole file: "%% coding: utf-8", the term, a dot. */
void pkg_term_format_file(const struct pkg_term *t, struct rel_buf *out);

#endif
