/* SPDX-License-Identifier: Apache-2.0 */
/* Leaving a group: see swap_plan.h for why the order matters. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/rel_clock.h"
#include "swap/swap_group.h"

enum { CONNECT_MS = 200 };

/* What waits for a socket that nobody accepts from any more is lost; it is told so at once. */
static size_t empty_queue(const struct swap_member *m)
{
    size_t n = 0;

    while (swap_sock_queue(&m->sock)) {
        int fd = accept4(m->sock.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0)
            break;
        close(fd);
        n++;
    }
    return n;
}

/* Ordinary connections to `main` alone, preview connections to `preview` alone. */
static int attach(const struct swap_traffic *t, const struct swap_group *g, size_t main,
                  size_t preview, struct rel_err *e)
{
    struct swap_route r = swap_group_route(t, g);

    r.share = 0;
    r.main = (struct swap_indices){.v = {(uint8_t)main}, .n = 1};
    r.preview = (struct swap_indices){.v = {(uint8_t)preview}, .n = 1};
    return swap_group_attach(g, &r, e);
}

static size_t member_with_queue(const struct swap_group *g)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->v[i].leaving && swap_sock_queue(&g->v[i].sock))
            return i;
    return g->n;
}

static void exchange(struct swap_group *g, size_t i, size_t j)
{
    struct swap_member m = g->v[i];

    g->v[i] = g->v[j];
    g->v[j] = m;
}

/* Of several sockets that one peer opened we do not know which came first. Nobody accepts from
 * those that leave, so a preview connection to an index is seen in the queue of whoever is there.
 */
static void learn_order(struct swap_traffic *t, struct swap_group *g, enum swap_side side,
                        size_t main)
{
    for (size_t i = 0; i < g->n; i++) {
        struct rel_err e = {0};
        rel_autoclose int fd = -1;
        size_t at;

        if (g->v[i].side != side || attach(t, g, main, i, &e) < 0 ||
            swap_group_connect(t, g, CONNECT_MS, &fd, &e) < 0)
            continue;
        at = member_with_queue(g);
        if (at == g->n)
            continue;
        (void)empty_queue(&g->v[at]);
        exchange(g, i, at);
    }
}

/* Full at once, so that what still comes is dropped and sent again (listen(2), tcp_conn_request():
 * a SYN for a full queue is dropped). The connections that fill it go to fds, for later. */
static size_t block(struct swap_traffic *t, struct swap_group *g, size_t main,
                    int fds[SWAP_PLAN_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < g->n; i++) {
        struct rel_err e = {0};

        if (!g->v[i].leaving)
            continue;
        swap_sock_set_backlog(&g->v[i].sock, 0);
        if (attach(t, g, main, i, &e) == 0 &&
            swap_group_connect(t, g, CONNECT_MS, &fds[n], &e) == 0)
            n++;
    }
    return n;
}

static void close_at(struct swap_group *g, size_t index)
{
    close(g->v[index].sock.fd);
    g->v[index] = g->v[--g->n];
}

static bool gets_connections(const struct swap_route *r, size_t index)
{
    for (size_t i = 0; i < r->main.n; i++)
        if (r->main.v[i] == index)
            return true;
    for (size_t i = 0; i < r->other.n; i++)
        if (r->other.v[i] == index)
            return true;
    return false;
}

/* Returns how many leave; *target is somebody who gets connections (g->n: nobody). */
static size_t parts_of(const struct swap_traffic *t, const struct swap_group *g,
                       enum swap_part *part, size_t *target)
{
    struct swap_route r = swap_group_route(t, g);
    size_t leaving = 0;

    *target = g->n;
    for (size_t i = 0; i < g->n; i++) {
        part[i] = g->v[i].leaving           ? SWAP_LEAVING
                  : gets_connections(&r, i) ? SWAP_TARGET
                                            : SWAP_BYSTANDER;
        leaving += part[i] == SWAP_LEAVING;
        if (part[i] == SWAP_TARGET)
            *target = i;
    }
    return leaving;
}

static void follow_plan(struct swap_traffic *t, struct swap_group *g, size_t target)
{
    struct swap_leave steps[SWAP_PLAN_MAX];
    enum swap_part part[SWAP_PLAN_MAX];
    int fillers[SWAP_PLAN_MAX];
    size_t filler_n = 0, n;
    bool blocked = false;

    (void)parts_of(t, g, part, &target);
    n = swap_plan(part, g->n, steps);
    for (size_t i = 0; i < n; i++) {
        struct swap_route r = {.main = {.v = {(uint8_t)steps[i].index}, .n = 1}};
        struct rel_err e = {0};

        if (steps[i].must_block && !blocked) {
            filler_n = block(t, g, target, fillers);
            blocked = true;
        }
        (void)!swap_group_attach(g, &r, &e); /* refused now: it was permitted a moment ago */
        close_at(g, steps[i].closes);
    }
    for (size_t i = 0; i < filler_n; i++)
        close(fillers[i]);
}

/* The leaving ones may lie in front of those that stay, whose order then changes. */
static bool order_matters(const enum swap_part *part, size_t n)
{
    bool leaving = false;

    for (size_t i = 0; i < n; i++) {
        leaving |= part[i] == SWAP_LEAVING;
        if (leaving && part[i] != SWAP_LEAVING)
            return true;
    }
    return false;
}

static size_t of_side(const struct swap_group *g, enum swap_side side)
{
    size_t n = 0;

    for (size_t i = 0; i < g->n; i++)
        n += g->v[i].side == side;
    return n;
}

static enum swap_side leaving_side(const struct swap_group *g)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->v[i].leaving)
            return g->v[i].side;
    return SWAP_OLD_SIDE;
}

void swap_group_leave(struct swap_traffic *t, struct swap_group *g, size_t *lost_n)
{
    enum swap_part part[SWAP_PLAN_MAX];
    enum swap_side side = leaving_side(g);
    size_t target, leaving = parts_of(t, g, part, &target);
    struct swap_route route;
    struct rel_err e = {0};

    if (!leaving)
        return;
    for (size_t i = 0; i < g->n; i++)
        if (g->v[i].leaving)
            *lost_n += empty_queue(&g->v[i]);
    if (t->routed && target < g->n) {
        if (of_side(g, side) > 1 && order_matters(part, g->n))
            learn_order(t, g, side, target);
        follow_plan(t, g, target);
    }
    for (size_t i = g->n; i-- > 0;)
        if (g->v[i].leaving)
            close_at(g, i);
    route = swap_group_route(t, g);
    if (t->routed && route.main.n)
        (void)!swap_group_attach(g, &route, &e); /* as above */
}
