/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/rel_io.h"
#include "pkg/pkg_scan.h"

struct reader {
    struct pkg_scan scan;
    struct pkg_arena *arena;
    int depth;
    bool first; /* what stands behind the first term is not looked at */
};

static int read_term(struct reader *r, const struct pkg_term **t, struct rel_err *e);

static int next(struct reader *r, struct rel_err *e)
{
    return pkg_scan_next(&r->scan, e);
}

static int unexpected(struct reader *r, const char *wanted, struct rel_err *e)
{
    const struct pkg_token *tok = &r->scan.tok;

    if (tok->kind == PKG_TOK_END)
        return pkg_scan_fail(&r->scan, e, "the file ends where %s is expected", wanted);
    if (tok->kind == PKG_TOK_DOT)
        return pkg_scan_fail(&r->scan, e, "the term ends where %s is expected", wanted);
    return pkg_scan_fail(&r->scan, e, "expected %s instead of %.40s", wanted, tok->text.p);
}

static int expect(struct reader *r, const char *punct, struct rel_err *e)
{
    if (!pkg_scan_is(&r->scan, punct))
        return unexpected(r, punct, e);
    return next(r, e);
}

/* Elements up to the punctuation `end` ("#}" for a map, whose keys and values are parted by =>),
 * which becomes the current token; a list may also stop at "|". */
static int read_elements(struct reader *r, const char *end, struct pkg_list_build *b,
                         struct rel_err *e)
{
    bool map = !strcmp(end, "#}");
    const char *close = map ? "}" : end;

    if (pkg_scan_is(&r->scan, close))
        return 0;
    for (;;) {
        const struct pkg_term *t;

        if (read_term(r, &t, e) < 0)
            return -1;
        pkg_list_add(r->arena, b, t);
        if (map && b->n % 2) {
            if (expect(r, "=>", e) < 0)
                return -1;
            continue;
        }
        if (pkg_scan_is(&r->scan, close) || (*end == ']' && pkg_scan_is(&r->scan, "|")))
            return 0;
        if (!pkg_scan_is(&r->scan, ","))
            return unexpected(r, map ? ", or }" : *end == ']' ? ", or ]" : ", or }", e);
        if (next(r, e) < 0)
            return -1;
    }
}

static int read_list(struct reader *r, const struct pkg_term **t, struct rel_err *e)
{
    const struct pkg_term *tail = NULL;
    struct pkg_list_build b = {0};

    if (next(r, e) < 0 || read_elements(r, "]", &b, e) < 0)
        return -1;
    if (pkg_scan_is(&r->scan, "|") && (next(r, e) < 0 || read_term(r, &tail, e) < 0))
        return -1;
    if (expect(r, "]", e) < 0)
        return -1;
    *t = tail ? pkg_list_tail(r->arena, b.v, b.n, tail) : pkg_list_done(r->arena, &b);
    return 0;
}

static int read_braced(struct reader *r, bool map, const struct pkg_term **t, struct rel_err *e)
{
    struct pkg_list_build b = {0};

    if (next(r, e) < 0 || read_elements(r, map ? "#}" : "}", &b, e) < 0 || expect(r, "}", e) < 0)
        return -1;
    *t = pkg_seq(r->arena, map ? PKG_MAP : PKG_TUPLE, b.v, b.n);
    return 0;
}

static const struct pkg_term *integer(struct reader *r, bool negative)
{
    const struct rel_buf *text = &r->scan.tok.text;
    rel_autofree char *number = rel_strf("%s%s", negative ? "-" : "", text->p);
    long long i;

    errno = 0;
    i = strtoll(number, NULL, 10);
    if (errno == ERANGE)
        return pkg_text(r->arena, PKG_BIG, number, strlen(number));
    return pkg_int(r->arena, i);
}

static int read_number(struct reader *r, const struct pkg_term **t, struct rel_err *e)
{
    bool negative = pkg_scan_is(&r->scan, "-");

    if (r->scan.tok.kind == PKG_TOK_PUNCT && next(r, e) < 0)
        return -1;
    if (r->scan.tok.kind == PKG_TOK_INT)
        *t = integer(r, negative);
    else if (r->scan.tok.kind == PKG_TOK_FLOAT)
        *t = pkg_float(r->arena, negative ? -r->scan.tok.f : r->scan.tok.f);
    else
        return unexpected(r, "a number", e);
    return next(r, e);
}

static int read_string(struct reader *r, const struct pkg_term **t, struct rel_err *e)
{
    rel_autobuf struct rel_buf text = {0};

    while (r->scan.tok.kind == PKG_TOK_STRING) {
        rel_buf_add(&text, r->scan.tok.text.p, r->scan.tok.text.len);
        if (next(r, e) < 0)
            return -1;
    }
    *t = pkg_stringn(r->arena, text.p, text.len);
    return 0;
}

/* fun Module:Function/Arity, e.g. a logger filter in a sys.config. */
static int read_fun(struct reader *r, const struct pkg_term **t, struct rel_err *e)
{
    const struct pkg_term *part[3];
    static const char *const then[] = {":", "/", NULL};

    if (next(r, e) < 0)
        return -1;
    for (int i = 0; i < 3; i++) {
        if (r->scan.tok.kind != (i < 2 ? PKG_TOK_ATOM : PKG_TOK_INT))
            return unexpected(r, "fun Module:Function/Arity", e);
        if (read_term(r, &part[i], e) < 0)
            return -1;
        if (then[i] && expect(r, then[i], e) < 0)
            return -1;
    }
    if (part[2]->kind != PKG_INT || part[2]->i > 255)
        return pkg_scan_fail(&r->scan, e, "an arity of more than 255");
    *t = pkg_seq(r->arena, PKG_FUN, part, 3);
    return 0;
}

struct segment {
    int64_t value;
    int size; /* bits */
    bool utf8, little;
};

static int read_specifiers(struct reader *r, struct segment *seg, struct rel_err *e)
{
    static const char *const known[] = {"utf8", "integer", "big", "little", "signed", "unsigned"};

    do {
        size_t i = 0;

        if (next(r, e) < 0)
            return -1;
        while (i < sizeof(known) / sizeof(*known) && strcmp(r->scan.tok.text.p, known[i]) != 0)
            i++;
        if (r->scan.tok.kind != PKG_TOK_ATOM || i == sizeof(known) / sizeof(*known))
            return unexpected(r, "utf8, integer, big, little, signed or unsigned", e);
        seg->utf8 |= i == 0;
        seg->little |= i == 3;
        if (next(r, e) < 0)
            return -1;
    } while (pkg_scan_is(&r->scan, "-"));
    return 0;
}

/* ":Size" and "/Specifiers" behind the value of a segment. */
static int read_segment_type(struct reader *r, struct segment *seg, struct rel_err *e)
{
    seg->size = 8;
    if (pkg_scan_is(&r->scan, ":")) {
        if (next(r, e) < 0)
            return -1;
        seg->size = r->scan.tok.kind == PKG_TOK_INT && r->scan.tok.text.len < 4
                        ? (int)strtol(r->scan.tok.text.p, NULL, 10)
                        : 0;
        if (seg->size < 8 || seg->size > 64 || seg->size % 8)
            return pkg_scan_fail(&r->scan, e, "the size of a segment must be 8, 16, ... or 64");
        if (next(r, e) < 0)
            return -1;
    }
    return pkg_scan_is(&r->scan, "/") ? read_specifiers(r, seg, e) : 0;
}

static void add_integer(const struct segment *seg, struct rel_buf *out)
{
    int bytes = seg->size / 8;

    for (int i = 0; i < bytes; i++) {
        int shift = 8 * (seg->little ? i : bytes - 1 - i);
        char byte = (char)((uint64_t)seg->value >> shift & 0xff);

        rel_buf_add(out, &byte, 1);
    }
}

/* A string in <<...>> is one segment a character. */
static int add_string(struct reader *r, const struct pkg_term *t, struct segment *seg,
                      struct rel_buf *out, struct rel_err *e)
{
    const char *p = pkg_len(t) ? t->text.p : "", *end = pkg_len(t) ? p + t->text.n : p;

    if (seg->utf8) {
        rel_buf_add(out, p, (size_t)(end - p));
        return 0;
    }
    while (p < end) {
        size_t n = pkg_utf8_len(p, (size_t)(end - p));
        unsigned char c = (unsigned char)*p;

        if (n > 2 || (n == 2 && c > 0xc3))
            return pkg_scan_fail(&r->scan, e, "characters above 255 in a binary need /utf8");
        seg->value = n == 1 ? c : (c & 3) << 6 | (p[1] & 0x3f);
        add_integer(seg, out);
        p += n;
    }
    return 0;
}

static int read_segment(struct reader *r, struct rel_buf *out, struct rel_err *e)
{
    struct segment seg = {0};
    const struct pkg_term *t;

    if (r->scan.tok.kind == PKG_TOK_STRING) {
        if (read_string(r, &t, e) < 0 || read_segment_type(r, &seg, e) < 0)
            return -1;
        return add_string(r, t, &seg, out, e);
    }
    if (read_number(r, &t, e) < 0 || read_segment_type(r, &seg, e) < 0)
        return -1;
    if (t->kind != PKG_INT)
        return pkg_scan_fail(&r->scan, e, "only integers and strings are read in a binary");
    seg.value = t->i;
    if (!seg.utf8) {
        add_integer(&seg, out);
        return 0;
    }
    if (t->i < 0 || t->i > 0x10ffff || (t->i >= 0xd800 && t->i <= 0xdfff))
        return pkg_scan_fail(&r->scan, e, "no character has that number");
    pkg_utf8_add(out, (uint32_t)t->i);
    return 0;
}

static int read_binary(struct reader *r, const struct pkg_term **t, struct rel_err *e)
{
    rel_autobuf struct rel_buf bytes = {0};

    if (next(r, e) < 0)
        return -1;
    while (!pkg_scan_is(&r->scan, ">>")) {
        if (read_segment(r, &bytes, e) < 0)
            return -1;
        if (pkg_scan_is(&r->scan, ">>"))
            break;
        if (expect(r, ",", e) < 0)
            return -1;
        if (pkg_scan_is(&r->scan, ">>"))
            return unexpected(r, "a segment", e);
    }
    *t = pkg_binary(r->arena, bytes.p, bytes.len);
    return next(r, e);
}

static int read_by_token(struct reader *r, const struct pkg_term **t, struct rel_err *e)
{
    const struct pkg_token *tok = &r->scan.tok;

    switch (tok->kind) {
    case PKG_TOK_ATOM:
        *t = pkg_text(r->arena, PKG_ATOM, tok->text.p, tok->text.len);
        return next(r, e);
    case PKG_TOK_STRING:
        return read_string(r, t, e);
    case PKG_TOK_INT:
    case PKG_TOK_FLOAT:
        return read_number(r, t, e);
    case PKG_TOK_FUN:
        return read_fun(r, t, e);
    default:
        break;
    }
    if (pkg_scan_is(&r->scan, "["))
        return read_list(r, t, e);
    if (pkg_scan_is(&r->scan, "{"))
        return read_braced(r, false, t, e);
    if (pkg_scan_is(&r->scan, "#{"))
        return read_braced(r, true, t, e);
    if (pkg_scan_is(&r->scan, "<<"))
        return read_binary(r, t, e);
    if (pkg_scan_is(&r->scan, "-") || pkg_scan_is(&r->scan, "+"))
        return read_number(r, t, e);
    return unexpected(r, "a term", e);
}

static int read_term(struct reader *r, const struct pkg_term **t, struct rel_err *e)
{
    int line = r->scan.tok.line;

    if (r->depth >= PKG_TERM_DEPTH)
        return pkg_scan_fail(&r->scan, e, "terms are nested deeper than %d", PKG_TERM_DEPTH);
    r->depth++;
    if (read_by_token(r, t, e) < 0)
        return -1;
    /* The reader made it a moment ago in its own arena; nobody else has seen it yet. */
    ((struct pkg_term *)*t)->line = line;
    r->depth--;
    return 0;
}

static int read_terms(struct reader *r, struct pkg_terms *terms, struct rel_err *e)
{
    struct pkg_list_build b = {0};

    if (next(r, e) < 0)
        return -1;
    while (r->scan.tok.kind != PKG_TOK_END) {
        const struct pkg_term *t;

        if (read_term(r, &t, e) < 0)
            return -1;
        pkg_list_add(r->arena, &b, t);
        if (r->scan.tok.kind != PKG_TOK_DOT)
            return unexpected(r, "a dot at the end of the term", e);
        if (r->first)
            break;
        if (next(r, e) < 0)
            return -1;
    }
    terms->v = b.v;
    terms->n = b.n;
    return 0;
}

/* epp:read_encoding/1: "coding: latin-1" in a comment in one of the first two lines. */
static bool says_latin1(const char *text, size_t len)
{
    const char *end = memchr(text, '\n', len), *at;
    rel_autofree char *head = NULL;

    if (end)
        end = memchr(end + 1, '\n', len - (size_t)(end + 1 - text));
    head = rel_xstrndup(text, end ? (size_t)(end - text) : len);
    at = strchr(head, '%') ? strstr(head, "coding") : NULL;
    if (!at)
        return false;
    at += strlen("coding");
    at += strspn(at, ":= \t");
    return !strncasecmp(at, "latin-1", 7) || !strncasecmp(at, "latin1", 6);
}

static int check_utf8(const char *text, size_t len, const char *name, struct rel_err *e)
{
    int line = 1;

    for (size_t i = 0; i < len;) {
        size_t n = pkg_utf8_len(text + i, len - i);

        if (!n)
            return rel_fail(e, REL_E_INPUT, 0,
                            "%s:%d: not UTF-8; if it is Latin-1, say %%%% coding: latin-1 in its "
                            "first line",
                            name, line);
        line += text[i] == '\n';
        i += n;
    }
    return 0;
}

static int parse(struct reader r, const char *text, size_t len, struct pkg_terms *terms,
                 struct rel_err *e)
{
    rel_autobuf struct rel_buf utf8 = {0};
    int status;

    if (says_latin1(text, len)) {
        for (size_t i = 0; i < len; i++)
            pkg_utf8_add(&utf8, (unsigned char)text[i]);
    } else {
        if (check_utf8(text, len, r.scan.name, e) < 0)
            return -1;
        if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) { /* a byte order mark */
            text += 3;
            len -= 3;
        }
        rel_buf_add(&utf8, text, len); /* a copy: the scanner looks for the NUL behind it */
    }
    r.scan.p = r.scan.line_start = utf8.p;
    r.scan.end = utf8.p + utf8.len;
    status = read_terms(&r, terms, e);
    pkg_scan_fini(&r.scan);
    return status;
}

int pkg_terms_parse(struct pkg_arena *a, const char *text, size_t len, const char *name,
                    struct pkg_terms *terms, struct rel_err *e)
{
    return parse((struct reader){.arena = a, .scan = {.name = name, .line = 1}}, text, len, terms,
                 e);
}

int pkg_terms_parse_first(struct pkg_arena *a, const char *text, size_t len, const char *name,
                          struct pkg_terms *terms, struct rel_err *e)
{
    return parse((struct reader){.arena = a, .scan = {.name = name, .line = 1}, .first = true},
                 text, len, terms, e);
}

int pkg_terms_read(struct pkg_arena *a, int dir_fd, const char *path, struct pkg_terms *terms,
                   struct rel_err *e)
{
    rel_autofree char *text = NULL;
    size_t len;

    if (rel_read_file(dir_fd, path, PKG_TERM_FILE_MAX, &text, &len, e) < 0)
        return -1;
    return pkg_terms_parse(a, text, len, path, terms, e);
}

int pkg_term_read_one(struct pkg_arena *a, int dir_fd, const char *path,
                      const struct pkg_term **term, struct rel_err *e)
{
    struct pkg_terms terms;

    if (pkg_terms_read(a, dir_fd, path, &terms, e) < 0)
        return -1;
    if (terms.n != 1)
        return rel_fail(e, REL_E_INPUT, 0, "%s: holds %zu terms instead of one", path, terms.n);
    *term = terms.v[0];
    return 0;
}
