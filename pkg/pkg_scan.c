/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_scan.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

/* Longer integers than this are not configuration, and turning one to base 10 is quadratic. */
enum { INTEGER_DIGITS_MAX = 4096, ATOM_CHARS_MAX = 255 };

size_t pkg_utf8_len(const char *p, size_t left)
{
    const unsigned char *s = (const unsigned char *)p;
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

    if (n > left || s[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, beyond U+10FFFF (RFC 3629). */
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

void pkg_utf8_add(struct rel_buf *b, uint32_t c)
{
    char out[4];
    size_t n = 0;

    if (c < 0x80) {
        out[n++] = (char)c;
    } else if (c < 0x800) {
        out[n++] = (char)(0xc0 | c >> 6);
        out[n++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        out[n++] = (char)(0xe0 | c >> 12);
        out[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        out[n++] = (char)(0x80 | (c & 0x3f));
    } else {
        out[n++] = (char)(0xf0 | c >> 18);
        out[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        out[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        out[n++] = (char)(0x80 | (c & 0x3f));
    }
    rel_buf_add(b, out, n);
}

static bool atom_char(const char *p)
{
    return isalnum((unsigned char)*p) || *p == '_' || *p == '@';
}

/* The two bytes of a Latin-1 letter that erl_scan takes in a plain atom: sharp s to y diaeresis, or
 * with `upper` also A grave to Thorn; not the signs for times and divided by. */
static bool latin_letter(const char *p, bool upper)
{
    unsigned char c;

    if ((unsigned char)p[0] != 0xc3) /* the NUL at the end, too: nothing lies behind it */
        return false;
    c = (unsigned char)p[1];
    if (c < 0x80 || c > 0xbf || c == 0x97 || c == 0xb7)
        return false;
    return upper || c >= 0x9f;
}

static size_t plain_atom_len(const char *p)
{
    size_t n = 0;

    if (!islower((unsigned char)p[0]) && !latin_letter(p, false))
        return 0;
    for (;;) {
        if (atom_char(p + n))
            n++;
        else if (latin_letter(p + n, true))
            n += 2;
        else
            return n;
    }
}

/* erl_scan:reserved_word/1. The last two are words by default only since OTP 27 (erl_features), so
 * with `quoting` they count and otherwise not: what an older OTP wrote is read. */
static bool reserved(const char *p, size_t n, bool quoting)
{
    static const char *const words[] = {
        "after", "begin", "case", "try",  "cond", "catch", "andalso", "orelse", "end",  "fun",
        "if",    "let",   "of",   "when", "bnot", "not",   "div",     "rem",    "band", "and",
        "bor",   "bxor",  "bsl",  "bsr",  "or",   "xor",   "receive", "maybe",  "else"};

    for (size_t i = 0; i < sizeof(words) / sizeof(*words) - (quoting ? 0 : 2); i++)
        if (strlen(words[i]) == n && !memcmp(words[i], p, n))
            return true;
    return false;
}

bool pkg_atom_needs_quotes(const char *p, size_t n)
{
    return !n || plain_atom_len(p) != n || reserved(p, n, true);
}

void pkg_scan_fini(struct pkg_scan *s)
{
    rel_buf_fini(&s->tok.text);
}

bool pkg_scan_is(const struct pkg_scan *s, const char *punct)
{
    return s->tok.kind == PKG_TOK_PUNCT && !strcmp(s->tok.text.p, punct);
}

int pkg_scan_fail_at(const struct pkg_scan *s, struct rel_err *e, const char *fmt, ...)
{
    rel_autofree char *what = NULL;
    int column = 1;
    va_list ap;

    va_start(ap, fmt);
    what = rel_vstrf(fmt, ap);
    va_end(ap);
    for (const char *p = s->tok.line_start; p < s->tok.at; p++)
        column += ((unsigned char)*p & 0xc0) != 0x80;
    return rel_fail(e, REL_E_INPUT, 0, "%s:%d:%d: %s", s->name, s->tok.line, column, what);
}

static void skip_blanks(struct pkg_scan *s)
{
    while (s->p < s->end) {
        if (*s->p == '%') {
            while (s->p < s->end && *s->p != '\n')
                s->p++;
        } else if (*s->p == '\n') {
            s->line_start = ++s->p;
            s->line++;
        } else if ((unsigned char)*s->p <= ' ') {
            s->p++;
        } else if (!strncmp(s->p, "\xc2\xa0", 2)) { /* erl_scan takes a no-break space as blank */
            s->p += 2;
        } else {
            return;
        }
    }
}

static void begin_token(struct pkg_scan *s)
{
    s->tok.line = s->line;
    s->tok.at = s->p;
    s->tok.line_start = s->line_start;
    s->tok.text.len = 0;
    rel_buf_add(&s->tok.text, "", 0);
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (isalpha((unsigned char)c))
        return tolower((unsigned char)c) - 'a' + 10;
    return 99;
}

static int take_code_point(struct pkg_scan *s, uint32_t c, struct rel_err *e)
{
    if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return pkg_scan_fail(s, e, "there is no character with the number 0x%x", c);
    pkg_utf8_add(&s->tok.text, c);
    return 0;
}

static int hex_escape(struct pkg_scan *s, struct rel_err *e)
{
    bool braces = *s->p == '{';
    uint32_t c = 0;
    int n = 0;

    s->p += braces;
    while (digit_value(*s->p) < 16 && (braces ? n < 8 : n < 2)) {
        c = c * 16 + (uint32_t)digit_value(*s->p++);
        n++;
    }
    if (!n || (!braces && n < 2) || (braces && *s->p != '}'))
        return pkg_scan_fail(s, e, "a \\x escape needs two hexadecimal digits, or braces");
    s->p += braces;
    return take_code_point(s, c, e);
}

/* The escape sequence behind a backslash. */
static int scan_escape(struct pkg_scan *s, struct rel_err *e)
{
    static const char from[] = "bdefnrstv", to[] = "\b\177\033\f\n\r \t\v";
    const char *known;
    char c;

    if (s->p >= s->end)
        return pkg_scan_fail(s, e, "the text ends in an escape sequence");
    c = *s->p;
    if (c >= '0' && c <= '7') {
        uint32_t value = 0;

        for (int i = 0; i < 3 && *s->p >= '0' && *s->p <= '7'; i++)
            value = value * 8 + (uint32_t)(*s->p++ - '0');
        return take_code_point(s, value, e);
    }
    s->p++;
    if (c == 'x')
        return hex_escape(s, e);
    if (c == '^' && s->p < s->end && (unsigned char)*s->p < 0x80) {
        pkg_utf8_add(&s->tok.text, (uint32_t)*s->p++ & 31);
        return 0;
    }
    known = c ? strchr(from, c) : NULL;
    if (known)
        rel_buf_add(&s->tok.text, &to[known - from], 1);
    else
        rel_buf_add(&s->tok.text, s->p - 1, 1); /* of a longer character the rest follows */
    if (c == '\n') {
        s->line++;
        s->line_start = s->p;
    }
    return 0;
}

static int scan_quoted(struct pkg_scan *s, struct rel_err *e)
{
    char quote = *s->p++;

    for (;;) {
        if (s->p >= s->end)
            return pkg_scan_fail(s, e, "the %s that begins here is never closed",
                                 quote == '"' ? "string" : "quoted atom");
        if (*s->p == quote) {
            s->p++;
            return 0;
        }
        if (*s->p == '\\') {
            s->p++;
            if (scan_escape(s, e) < 0)
                return -1;
            continue;
        }
        if (*s->p == '\n') {
            s->line++;
            s->line_start = s->p + 1;
        }
        rel_buf_add(&s->tok.text, s->p++, 1);
    }
}

static int check_atom(struct pkg_scan *s, struct rel_err *e)
{
    size_t n = 0;

    for (size_t i = 0; i < s->tok.text.len; i++)
        n += ((unsigned char)s->tok.text.p[i] & 0xc0) != 0x80;
    s->tok.kind = PKG_TOK_ATOM;
    return n > ATOM_CHARS_MAX ? pkg_scan_fail(s, e, "an atom of more than 255 characters") : 0;
}

static int scan_word(struct pkg_scan *s, struct rel_err *e)
{
    size_t n = plain_atom_len(s->p);

    rel_buf_add(&s->tok.text, s->p, n);
    s->p += n;
    s->tok.kind = PKG_TOK_FUN;
    if (!strcmp(s->tok.text.p, "fun"))
        return 0;
    if (reserved(s->tok.text.p, n, false))
        return pkg_scan_fail(s, e, "the reserved word %s must be quoted: '%s'", s->tok.text.p,
                             s->tok.text.p);
    return check_atom(s, e);
}

static int scan_char(struct pkg_scan *s, struct rel_err *e)
{
    uint32_t c = 0;
    const unsigned char *t;

    s->p++;
    if (s->p >= s->end)
        return pkg_scan_fail(s, e, "the text ends behind a $");
    if (*s->p == '\\') {
        s->p++;
        if (scan_escape(s, e) < 0)
            return -1;
    }
    if (!s->tok.text.len) {
        if (*s->p == '\n') {
            s->line++;
            s->line_start = s->p + 1;
        }
        rel_buf_add(&s->tok.text, s->p++, 1);
    }
    while (((unsigned char)*s->p & 0xc0) == 0x80)
        rel_buf_add(&s->tok.text, s->p++, 1);
    t = (const unsigned char *)s->tok.text.p;
    c = t[0] < 0x80 ? t[0] : t[0] < 0xe0 ? t[0] & 0x1fU : t[0] < 0xf0 ? t[0] & 0x0fU : t[0] & 7U;
    for (size_t i = 1; i < s->tok.text.len; i++)
        c = c << 6 | (t[i] & 0x3fU);
    s->tok.kind = PKG_TOK_INT;
    s->tok.text.len = 0;
    rel_buf_addf(&s->tok.text, "%u", c);
    return 0;
}

/* Digits of `base`, underscores between them dropped. */
static int take_digits(struct pkg_scan *s, int base, struct rel_err *e)
{
    size_t begin = s->tok.text.len;

    while (digit_value(*s->p) < base ||
           (*s->p == '_' && s->tok.text.len > begin && digit_value(s->p[1]) < base)) {
        if (*s->p != '_')
            rel_buf_add(&s->tok.text, s->p, 1);
        s->p++;
    }
    if (s->tok.text.len == begin)
        return pkg_scan_fail(s, e, "a number without digits");
    if (s->tok.text.len - begin > INTEGER_DIGITS_MAX)
        return pkg_scan_fail(s, e, "a number of more than %d digits", INTEGER_DIGITS_MAX);
    return 0;
}

/* Turns the digits of any base in the token to base 10 without leading zeros. */
static void to_decimal(struct rel_buf *digits, int base)
{
    size_t n = 0, cap = digits->len + 1;
    rel_autofree uint32_t *limb = rel_xcalloc(cap, sizeof(*limb)); /* base 1e9, lowest first */
    rel_autofree char *source = rel_buf_take(digits);

    for (const char *p = source; *p; p++) {
        uint64_t carry = (uint64_t)digit_value(*p);

        for (size_t i = 0; i < n; i++) {
            carry += (uint64_t)limb[i] * (uint64_t)base;
            limb[i] = (uint32_t)(carry % 1000000000);
            carry /= 1000000000;
        }
        if (carry)
            limb[n++] = (uint32_t)carry;
    }
    rel_buf_addf(digits, "%u", n ? limb[n - 1] : 0);
    for (size_t i = n ? n - 1 : 0; i > 0; i--)
        rel_buf_addf(digits, "%09u", limb[i - 1]);
}

static int scan_float(struct pkg_scan *s, struct rel_err *e)
{
    rel_buf_add(&s->tok.text, s->p++, 1);
    if (take_digits(s, 10, e) < 0)
        return -1;
    if (*s->p == 'e' || *s->p == 'E') {
        size_t sign = s->p[1] == '-' || s->p[1] == '+';

        rel_buf_add(&s->tok.text, s->p, 1 + sign);
        s->p += 1 + sign;
        if (take_digits(s, 10, e) < 0)
            return -1;
    }
    s->tok.kind = PKG_TOK_FLOAT;
    s->tok.f = strtod(s->tok.text.p, NULL);
    return isfinite(s->tok.f) ? 0 : pkg_scan_fail(s, e, "a float beyond the range of a double");
}

static int scan_number(struct pkg_scan *s, struct rel_err *e)
{
    int base = 10;

    if (take_digits(s, 10, e) < 0)
        return -1;
    if (*s->p == '.' && isdigit((unsigned char)s->p[1]))
        return scan_float(s, e);
    if (*s->p == '#') {
        base = s->tok.text.len > 2 ? 0 : (int)strtol(s->tok.text.p, NULL, 10);
        if (base < 2 || base > 36)
            return pkg_scan_fail(s, e, "a base must be 2 to 36");
        s->p++;
        s->tok.text.len = 0;
        if (take_digits(s, base, e) < 0)
            return -1;
    }
    s->tok.kind = PKG_TOK_INT;
    to_decimal(&s->tok.text, base);
    if (s->tok.text.len > INTEGER_DIGITS_MAX)
        return pkg_scan_fail(s, e, "a number of more than %d digits", INTEGER_DIGITS_MAX);
    return 0;
}

static int scan_punct(struct pkg_scan *s, struct rel_err *e)
{
    static const char *const puncts[] = {"<<", ">>", "=>", "#{", ",", "|", "/",
                                         ":",  "{",  "}",  "[",  "]", "-", "+"};

    for (size_t i = 0; i < sizeof(puncts) / sizeof(*puncts); i++) {
        size_t n = strlen(puncts[i]);

        if (!strncmp(s->p, puncts[i], n)) {
            s->tok.kind = PKG_TOK_PUNCT;
            rel_buf_add(&s->tok.text, s->p, n);
            s->p += n;
            return 0;
        }
    }
    if (isupper((unsigned char)*s->p) || *s->p == '_') {
        size_t n = 1;

        while (atom_char(s->p + n) && n < 40)
            n++;
        return pkg_scan_fail(s, e, "the variable %.*s: only plain terms are allowed here", (int)n,
                             s->p);
    }
    if (isprint((unsigned char)*s->p))
        return pkg_scan_fail(s, e, "unexpected '%c'", *s->p);
    return pkg_scan_fail(s, e, "unexpected character");
}

int pkg_scan_next(struct pkg_scan *s, struct rel_err *e)
{
    skip_blanks(s);
    begin_token(s);
    if (s->p >= s->end) {
        s->tok.kind = PKG_TOK_END;
        return 0;
    }
    if (*s->p == '"' || *s->p == '\'') {
        bool string = *s->p == '"';

        if (scan_quoted(s, e) < 0)
            return -1;
        s->tok.kind = PKG_TOK_STRING;
        return string ? 0 : check_atom(s, e);
    }
    if (*s->p == '$')
        return scan_char(s, e);
    if (isdigit((unsigned char)*s->p))
        return scan_number(s, e);
    if (plain_atom_len(s->p))
        return scan_word(s, e);
    if (*s->p == '.' && (s->p + 1 == s->end || (unsigned char)s->p[1] <= ' ' || s->p[1] == '%')) {
        s->tok.kind = PKG_TOK_DOT;
        s->p++;
        return 0;
    }
    return scan_punct(s, e);
}
