/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd_vars.h"

#include <ctype.h>
#include <string.h>

enum { DEPTH_MAX = 32, OUT_MAX = 16 << 20 };

struct expansion {
    const char *whole, *name; /* for messages */
    const struct cmd_vars *vars;
    struct rel_buf *out;
};

static int wrong(const struct expansion *x, const char *at, const char *what, struct rel_err *e)
{
    int line = 1;

    for (const char *p = x->whole; p < at; p++)
        line += *p == '\n';
    return rel_fail(e, REL_E_INPUT, 0, "%s:%d: %.*s: %s", x->name, line, (int)strcspn(at, "\n:}"),
                    at, what);
}

/* Length of the name behind "${", 0 if there is none. */
static size_t name_len(const char *p)
{
    size_t n = 0;

    if (!isalpha((unsigned char)*p) && *p != '_')
        return 0;
    while (isalnum((unsigned char)p[n]) || p[n] == '_')
        n++;
    return n;
}

/* The brace that closes what was opened before `p`; braces in between come in pairs. */
static const char *closing(const char *p, const char *end)
{
    int depth = 1;

    for (; p < end; p++) {
        depth += *p == '{';
        depth -= *p == '}';
        if (!depth)
            return p;
    }
    return NULL;
}

static int expand(struct expansion *x, const char *p, const char *end, int depth,
                  struct rel_err *e);

/* `p` is behind "${"; *next is behind the whole variable. */
static int expand_one(struct expansion *x, const char *p, const char *end, int depth,
                      const char **next, struct rel_err *e)
{
    size_t n = name_len(p);
    rel_autofree char *name = rel_xstrndup(p, n);
    const char *value = x->vars->get(x->vars->ctx, name);
    const char *fallback = !strncmp(p + n, ":-", 2) ? p + n + 2 : NULL;
    const char *close = closing(fallback ? fallback : p + n, end);

    if (!close)
        return wrong(x, p - 2, "its brace is not closed", e);
    *next = close + 1;
    if (value && (*value || !fallback)) {
        rel_buf_adds(x->out, value);
        return 0;
    }
    if (!fallback)
        return wrong(x, p - 2, "the variable is not set; give it, or a default: ${NAME:-DEFAULT}",
                     e);
    return expand(x, fallback, close, depth + 1, e);
}

static int expand(struct expansion *x, const char *p, const char *end, int depth, struct rel_err *e)
{
    if (depth > DEPTH_MAX)
        return wrong(x, p, "defaults in defaults are too deep", e);
    while (p < end) {
        const char *at = memmem(p, (size_t)(end - p), "${", 2);
        size_t n = at ? name_len(at + 2) : 0;

        if (!at || !n || (at[2 + n] != '}' && strncmp(at + 2 + n, ":-", 2) != 0)) {
            const char *stop = at ? at + 2 : end;

            rel_buf_add(x->out, p, (size_t)(stop - p));
            p = stop;
            continue;
        }
        rel_buf_add(x->out, p, (size_t)(at - p));
        if (expand_one(x, at + 2, end, depth, &p, e) < 0)
            return -1;
        if (x->out->len > OUT_MAX)
            return wrong(x, at, "it becomes too long", e);
    }
    return 0;
}

int cmd_vars_expand(const char *text, const char *name, const struct cmd_vars *vars,
                    struct rel_buf *out, struct rel_err *e)
{
    struct expansion x = {.whole = text, .name = name, .vars = vars, .out = out};

    rel_buf_adds(out, "");
    return expand(&x, text, text + strlen(text), 0, e);
}
