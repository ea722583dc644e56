/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_version.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct part {
    const char *p;
    size_t n;
};

static bool is_number(struct part a)
{
    for (size_t i = 0; i < a.n; i++)
        if (!isdigit((unsigned char)a.p[i]))
            return false;
    return a.n > 0;
}

static int order_texts(struct part a, struct part b)
{
    int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

    return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* Of any size: the one with more digits, but for zeros in front, is the larger. */
static int order_numbers(struct part a, struct part b)
{
    for (; a.n > 1 && *a.p == '0'; a.p++)
        a.n--;
    for (; b.n > 1 && *b.p == '0'; b.p++)
        b.n--;
    return a.n != b.n ? (a.n > b.n) - (a.n < b.n) : order_texts(a, b);
}

/* A number is earlier than a word. */
static int order_parts(struct part a, struct part b)
{
    if (is_number(a) && is_number(b))
        return order_numbers(a, b);
    if (is_number(a) != is_number(b))
        return is_number(a) ? -1 : 1;
    return order_texts(a, b);
}

/* Up to the next dot; *rest moves behind it. An end yields `none`. */
static struct part next(struct part *rest, const char *none)
{
    const char *dot = memchr(rest->p, '.', rest->n);
    struct part a = {rest->p, dot ? (size_t)(dot - rest->p) : rest->n};

    if (!rest->n)
        return (struct part){none, strlen(none)};
    rest->p += a.n + (dot ? 1 : 0);
    rest->n -= a.n + (dot ? 1 : 0);
    return a;
}

/* 1.2 is 1.2.0; in what follows a '-' the longer one is the later. */
static int order_lists(struct part x, struct part y, const char *none)
{
    int c = 0;

    while (!c && (x.n || y.n)) {
        struct part a = next(&x, none), b = next(&y, none);

        c = a.n && b.n ? order_parts(a, b) : (a.n > b.n) - (a.n < b.n);
    }
    return c;
}

static void split(const char *text, struct part *numbers, struct part *pre)
{
    size_t n = strcspn(text, "+"), dash = strcspn(text, "-+");

    *numbers = (struct part){text, dash};
    *pre = (struct part){text + (dash < n ? dash + 1 : n), dash < n ? n - dash - 1 : 0};
}

int sup_version_order(const char *x, const char *y)
{
    struct part xn, xp, yn, yp;
    int c;

    if (!isdigit((unsigned char)*x) || !isdigit((unsigned char)*y))
        return 0;
    split(x, &xn, &xp);
    split(y, &yn, &yp);
    c = order_lists(xn, yn, "0");
    if (c)
        return c;
    if (!xp.n || !yp.n) /* 1.0.0-rc.1 comes before 1.0.0 */
        return (yp.n > 0) - (xp.n > 0);
    return order_lists(xp, yp, "");
}
