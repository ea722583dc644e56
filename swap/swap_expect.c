/* SPDX-License-Identifier: Apache-2.0 */
#include "swap/swap_expect.h"

#include <string.h>

struct swap_port_range swap_port_range_read(void)
{
    struct swap_port_range r = {.low = 32768, .high = 60999};
    rel_autofclose FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    char line[64] = "", *rest = line;

    if (!f || !fgets(line, sizeof(line), f))
        return r;
    r.low = (int)strtol(line, &rest, 10);
    r.high = (int)strtol(rest, NULL, 10);
    return r;
}

struct swap_expect swap_expect_copy(const struct swap_expect *x)
{
    struct swap_expect copy = *x;

    copy.ports = rel_xcalloc(x->port_n + 1, sizeof(*copy.ports));
    if (x->port_n)
        memcpy(copy.ports, x->ports, x->port_n * sizeof(*copy.ports));
    copy.known = swap_listeners_copy(&x->known);
    return copy;
}

void swap_expect_fini(struct swap_expect *x)
{
    free(x->ports);
    swap_listeners_fini(&x->known);
    *x = (struct swap_expect){0};
}

bool swap_expect_is_chosen(const struct swap_expect *x, const struct swap_listener *l)
{
    const struct swap_listener *known = swap_listeners_find(&x->known, l);

    return l->port < x->range.low || l->port > x->range.high || l->port % 2 == x->range.low % 2 ||
           (known && known->same_n > 1);
}

static bool has_port(const struct swap_expect *x, in_port_t port)
{
    for (size_t i = 0; i < x->port_n; i++)
        if (x->ports[i] == port)
            return true;
    return false;
}

static bool listens_on(const struct swap_listeners *have, int port)
{
    for (size_t i = 0; i < have->n; i++)
        if (have->v[i].port == port)
            return true;
    return false;
}

static bool same_form(const struct swap_listener *a, const struct swap_listener *b)
{
    return a->family == b->family && !strcmp(a->address, b->address);
}

/* Of the ports in the form of `l` that may be the kernel's choice, how many has `v` that `other`
 * has not? */
static size_t count_own(const struct swap_expect *x, const struct swap_listener *l,
                        const struct swap_listeners *v, const struct swap_listeners *other)
{
    size_t n = 0;

    for (size_t i = 0; i < v->n; i++)
        n += same_form(&v->v[i], l) && !swap_expect_is_chosen(x, &v->v[i]) &&
             !swap_listeners_find(other, &v->v[i]);
    return n;
}

static bool is_met(const struct swap_expect *x, const struct swap_listener *l,
                   const struct swap_listeners *wanted, const struct swap_listeners *have)
{
    if (swap_listeners_find(have, l) || (x->ports_set && !has_port(x, l->port)))
        return true;
    return !x->ports_set && !swap_expect_is_chosen(x, l) &&
           count_own(x, l, have, wanted) >= count_own(x, l, wanted, have);
}

bool swap_expect_missing(const struct swap_expect *x, const struct swap_listeners *wanted,
                         const struct swap_listeners *have, struct swap_listener *lacks)
{
    for (size_t i = 0; i < wanted->n; i++)
        if (!is_met(x, &wanted->v[i], wanted, have)) {
            *lacks = wanted->v[i];
            return true;
        }
    for (size_t i = 0; x->ports_set && i < x->port_n; i++)
        if (!listens_on(have, x->ports[i])) {
            *lacks = (struct swap_listener){.port = (in_port_t)x->ports[i]};
            return true;
        }
    return false;
}
