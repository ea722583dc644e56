/* SPDX-License-Identifier: Apache-2.0 */
#include "swap/swap_traffic.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/rel_diag.h"
#include "swap/swap_group.h"
#include "swap/swap_listen.h"

enum { WIDE_BACKLOG = 65535 }; /* the kernel cuts it to net.core.somaxconn */

struct swap_traffic *swap_traffic_new(struct in_addr preview, const struct swap_fetch *fetch)
{
    struct swap_traffic *t = rel_xcalloc(1, sizeof(*t));

    t->preview = preview;
    if (fetch)
        t->fetch = *fetch;
    return t;
}

static void add_index(struct swap_indices *set, size_t index)
{
    if (set->n < SWAP_SIDE_MAX)
        set->v[set->n++] = (uint8_t)index;
}

/* The open sockets of a side; where there is none, those that it closed. */
static struct swap_indices indices_of(const struct swap_group *g, enum swap_side side)
{
    struct swap_indices open = {.n = 0}, closed = {.n = 0};

    for (size_t i = 0; i < g->n; i++)
        if (g->v[i].side == side)
            add_index(g->v[i].closed ? &closed : &open, i);
    return open.n ? open : closed;
}

struct swap_route swap_group_route(const struct swap_traffic *t, const struct swap_group *g)
{
    struct swap_indices old = indices_of(g, SWAP_OLD_SIDE), new = indices_of(g, SWAP_NEW_SIDE);
    struct swap_route r = {.preview = new, .preview4 = t->preview, .main = old};
    struct sockaddr_storage target, source;

    if (new.n && (t->share == SWAP_SHARE_ALL || !old.n)) {
        r.main = new;
    } else if (new.n && t->share) {
        r.other = new;
        r.share = t->share;
    }
    swap_group_preview(t, g, &target, &source);
    if (source.ss_family == AF_INET6)
        r.preview6 = ((struct sockaddr_in6 *)&source)->sin6_addr;
    return r;
}

static bool listens(int fd)
{
    int yes = 0;
    socklen_t len = sizeof(yes);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &len) == 0 && yes;
}

/* On a socket that is bound but does not listen yet an attached program makes its listen() fail
 * (facts of the kernel), so that is asked first. */
int swap_group_attach(const struct swap_group *g, const struct swap_route *route, struct rel_err *e)
{
    rel_autofree char *text = swap_key_text(&g->key);

    for (size_t i = 0; i < g->n; i++)
        if (listens(g->v[i].sock.fd))
            return swap_bpf_attach(g->v[i].sock.fd, route, e) < 0 ? rel_wrap(e, "steering %s", text)
                                                                  : 0;
    return rel_fail(e, REL_E_IO, 0, "nobody listens on %s any more", text);
}

static struct swap_group *find_group(struct swap_traffic *t, const struct swap_key *key)
{
    for (size_t i = 0; i < t->group_n; i++)
        if (swap_key_equal(&t->groups[i]->key, key))
            return t->groups[i];
    t->groups = rel_xrealloc(t->groups, t->group_n + 1, sizeof(*t->groups));
    t->groups[t->group_n] = rel_xcalloc(1, sizeof(struct swap_group));
    t->groups[t->group_n]->key = *key;
    return t->groups[t->group_n++];
}

static bool is_held(const struct swap_traffic *t, uint64_t inode)
{
    for (size_t i = 0; i < t->group_n; i++)
        for (size_t j = 0; j < t->groups[i]->n; j++)
            if (t->groups[i]->v[j].sock.inode == inode)
                return true;
    return false;
}

static int join_one(struct swap_traffic *t, enum swap_side side, pid_t pid,
                    const struct swap_listener *l, struct rel_err *e)
{
    struct swap_member m = {.side = side};
    struct swap_group *g;

    if (is_held(t, l->inode))
        return 0;
    if (swap_sock_hold(pid, l, &t->fetch, &m.sock, e) < 0)
        return -1;
    g = find_group(t, &m.sock.key);
    if (g->n == SWAP_SIDE_MAX * SWAP_SIDE_COUNT) {
        rel_autofree char *text = swap_key_text(&g->key);

        close(m.sock.fd);
        return rel_fail(e, REL_E_UNSUPPORTED, 0, "%s has more than %d sockets", text,
                        SWAP_SIDE_MAX);
    }
    g->v[g->n++] = m;
    return 0;
}

int swap_traffic_join(struct swap_traffic *t, enum swap_side side, pid_t pid, int except_port,
                      struct rel_err *e)
{
    struct swap_listeners l = {0};
    int rc = swap_listeners_read(pid, except_port, &l, e);

    for (size_t i = 0; i < l.n && !rc; i++) {
        rc = join_one(t, side, pid, &l.v[i], e);
        if (rc && e->code == REL_E_IO) { /* closed since we read: not ours to hold */
            rel_err_clear(e);
            rc = 0;
        }
    }
    swap_listeners_fini(&l);
    return rc;
}

struct census {
    const struct swap_traffic *t;
    const struct swap_group *g;
    size_t strangers;
};

static bool same_group(const struct swap_group *g, const struct rel_diag_socket *s)
{
    const struct sockaddr_in *a4 = (const struct sockaddr_in *)&g->key.address;
    const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)&g->key.address;
    unsigned device = *g->key.device ? if_nametoindex(g->key.device) : 0;
    bool v4 = g->key.address.ss_family == AF_INET;

    return s->uid == g->key.uid && s->device == device && (v4 || s->v6only == g->key.v6only) &&
           !memcmp(&s->local, v4 ? (const void *)&a4->sin_addr : &a6->sin6_addr,
                   v4 ? sizeof(a4->sin_addr) : sizeof(a6->sin6_addr));
}

static void count_stranger(void *ctx, const struct rel_diag_socket *s)
{
    struct census *c = ctx;

    if (same_group(c->g, s) && !is_held(c->t, s->inode))
        c->strangers++;
}

int swap_traffic_check(const struct swap_traffic *t, struct rel_err *e)
{
    for (size_t i = 0; i < t->group_n; i++) {
        const struct swap_group *g = t->groups[i];
        struct census c = {.t = t, .g = g};

        if (rel_diag_dump(g->key.address.ss_family, swap_key_port(&g->key), REL_DIAG_LISTEN,
                          count_stranger, &c, e) < 0)
            return -1;
        if (c.strangers) {
            rel_autofree char *text = swap_key_text(&g->key);

            return rel_fail(e, REL_E_INPUT, 0,
                            "somebody else listens on %s too (%zu sockets), so its connections "
                            "cannot be steered: end that program",
                            text, c.strangers);
        }
    }
    return 0;
}

int swap_traffic_route(struct swap_traffic *t, unsigned share, struct rel_err *e)
{
    t->share = share;
    for (size_t i = 0; i < t->group_n; i++) {
        struct swap_route r = swap_group_route(t, t->groups[i]);

        if (r.main.n && swap_group_attach(t->groups[i], &r, e) < 0)
            return -1;
        t->routed = true;
    }
    return 0;
}

static void drop_empty_groups(struct swap_traffic *t)
{
    size_t n = 0;

    for (size_t i = 0; i < t->group_n; i++)
        if (t->groups[i]->n)
            t->groups[n++] = t->groups[i];
        else
            free(t->groups[i]);
    t->group_n = n;
}

void swap_traffic_leave(struct swap_traffic *t, enum swap_side side, size_t *lost_n)
{
    *lost_n = 0;
    for (size_t i = 0; i < t->group_n; i++) {
        struct swap_group *g = t->groups[i];

        for (size_t j = 0; j < g->n; j++)
            g->v[j].leaving = g->v[j].side == side;
        swap_group_leave(t, g, lost_n);
    }
    drop_empty_groups(t);
}

void swap_traffic_block(struct swap_traffic *t, enum swap_side side)
{
    for (size_t i = 0; i < t->group_n; i++)
        for (size_t j = 0; j < t->groups[i]->n; j++)
            if (t->groups[i]->v[j].side == side)
                swap_sock_set_backlog(&t->groups[i]->v[j].sock, 0);
}

static bool has_open(const struct swap_group *g, enum swap_side side)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->v[i].side == side && !g->v[i].closed)
            return true;
    return false;
}

/* How many were found closed just now. */
static size_t find_closed(struct swap_traffic *t, enum swap_side side, pid_t pid)
{
    size_t n = 0;

    for (size_t i = 0; i < t->group_n; i++)
        for (size_t j = 0; j < t->groups[i]->n; j++) {
            struct swap_member *m = &t->groups[i]->v[j];

            if (m->side != side || m->closed || swap_sock_is_open(&m->sock, pid))
                continue;
            m->closed = true;
            swap_sock_set_backlog(&m->sock, 0);
            n++;
        }
    return n;
}

static bool any_closed(const struct swap_traffic *t)
{
    for (size_t i = 0; i < t->group_n; i++)
        for (size_t j = 0; j < t->groups[i]->n; j++)
            if (t->groups[i]->v[j].closed)
                return true;
    return false;
}

static size_t member_n(const struct swap_traffic *t)
{
    size_t n = 0;

    for (size_t i = 0; i < t->group_n; i++)
        n += t->groups[i]->n;
    return n;
}

/* What was opened since lies behind all others, so it is taken in before anything leaves. */
static bool join_news(struct swap_traffic *t, const struct swap_process who[SWAP_SIDE_COUNT])
{
    size_t before = member_n(t);

    for (int side = 0; side < SWAP_SIDE_COUNT; side++) {
        struct rel_err e = {0};

        if (who[side].pid)
            (void)!swap_traffic_join(t, (enum swap_side)side, who[side].pid, who[side].except_port,
                                     &e); /* tried again the next time */
    }
    return member_n(t) != before;
}

static void let_closed_leave(struct swap_traffic *t)
{
    size_t lost_n = 0;

    for (size_t i = 0; i < t->group_n; i++) {
        struct swap_group *g = t->groups[i];

        for (size_t j = 0; j < g->n; j++)
            g->v[j].leaving = g->v[j].closed && has_open(g, g->v[j].side);
        swap_group_leave(t, g, &lost_n);
    }
}

bool swap_traffic_watch(struct swap_traffic *t, const struct swap_process who[SWAP_SIDE_COUNT],
                        bool thorough)
{
    struct rel_err e = {0};
    size_t closed = 0;
    bool news = false;

    for (int side = 0; side < SWAP_SIDE_COUNT; side++)
        if (who[side].pid)
            closed += find_closed(t, (enum swap_side)side, who[side].pid);
    if ((any_closed(t) || thorough) && swap_traffic_check(t, &e) < 0)
        news = join_news(t, who);
    if (!closed && !news)
        return false;
    let_closed_leave(t);
    rel_err_clear(&e);
    if (t->routed)
        (void)!swap_traffic_route(t, t->share, &e); /* it was permitted a moment ago */
    return true;
}

void swap_traffic_widen(struct swap_traffic *t, enum swap_side side)
{
    for (size_t i = 0; i < t->group_n; i++)
        for (size_t j = 0; j < t->groups[i]->n; j++) {
            struct swap_member *m = &t->groups[i]->v[j];

            if (m->side != side || m->closed || m->backlog)
                continue;
            m->backlog = swap_sock_backlog(&m->sock);
            if (m->backlog)
                swap_sock_set_backlog(&m->sock, WIDE_BACKLOG);
        }
}

void swap_traffic_free(struct swap_traffic *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->group_n; i++) {
        struct swap_group *g = t->groups[i];

        if (g->n)
            swap_bpf_detach(g->v[0].sock.fd);
        for (size_t j = 0; j < g->n; j++) {
            if (g->v[j].backlog && !g->v[j].closed)
                swap_sock_set_backlog(&g->v[j].sock, (int)g->v[j].backlog);
            close(g->v[j].sock.fd);
        }
        free(g);
    }
    free(t->groups);
    free(t);
}

size_t swap_traffic_group_n(const struct swap_traffic *t)
{
    return t->group_n;
}

void swap_traffic_view(const struct swap_traffic *t, size_t i, struct swap_group_view *view)
{
    const struct swap_group *g = t->groups[i];
    rel_autofree char *text = swap_key_text(&g->key);

    *view = (struct swap_group_view){.family = g->key.address.ss_family,
                                     .port = swap_key_port(&g->key)};
    snprintf(view->text, sizeof(view->text), "%s", text);
    for (size_t j = 0; j < g->n; j++) {
        view->n[g->v[j].side]++;
        view->queue[g->v[j].side] += swap_sock_queue(&g->v[j].sock);
    }
    swap_group_preview(t, g, &view->target, &view->source);
}

/* Where that side listens, one a group. */
static struct swap_listeners listeners_of(const struct swap_traffic *t, enum swap_side side)
{
    struct swap_listeners l = {.v = rel_xcalloc(t->group_n + 1, sizeof(*l.v))};

    for (size_t i = 0; i < t->group_n; i++)
        if (has_open(t->groups[i], side))
            l.v[l.n++] = swap_key_listener(&t->groups[i]->key);
    if (l.n)
        qsort(l.v, l.n, sizeof(*l.v), swap_listener_order);
    return l;
}

char *swap_traffic_missing(const struct swap_traffic *t, const struct swap_expect *x)
{
    struct swap_listeners old = listeners_of(t, SWAP_OLD_SIDE);
    struct swap_listeners new = listeners_of(t, SWAP_NEW_SIDE);
    struct swap_listener lacks;
    char *text = swap_expect_missing(x, &old, &new, &lacks) ? swap_listener_text(&lacks) : NULL;

    swap_listeners_fini(&old);
    swap_listeners_fini(&new);
    return text;
}
