/* SPDX-License-Identifier: Apache-2.0 */
/* Preview connections: how they are made, and what they prove. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/rel_clock.h"
#include "base/rel_diag.h"
#include "swap/swap_group.h"
#include "swap/swap_listen.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum { POLL_MS = 1 };

static void preview4(const struct swap_traffic *t, const struct swap_group *g,
                     struct sockaddr_storage *target, struct sockaddr_storage *source)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(swap_key_port(&g->key))};
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = t->preview};

    to.sin_addr = t->preview; /* no other group that is bound to an address can be meant */
    if (g->key.address.ss_family == AF_INET &&
        ((const struct sockaddr_in *)&g->key.address)->sin_addr.s_addr != htonl(INADDR_ANY))
        to = *(const struct sockaddr_in *)&g->key.address;
    memcpy(target, &to, sizeof(to));
    memcpy(source, &from, sizeof(from));
}

/* A v6 host may be without ::1 and its dual-stack listeners are reached by v4 then. */
static bool has_loopback6(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    rel_autoclose int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
}

void swap_group_preview(const struct swap_traffic *t, const struct swap_group *g,
                        struct sockaddr_storage *target, struct sockaddr_storage *source)
{
    struct sockaddr_in6 to, from;

    *target = *source = (struct sockaddr_storage){0};
    if (g->key.address.ss_family == AF_INET) {
        preview4(t, g, target, source);
        return;
    }
    memcpy(&to, &g->key.address, sizeof(to));
    if (IN6_IS_ADDR_UNSPECIFIED(&to.sin6_addr)) {
        if (!g->key.v6only && !has_loopback6()) {
            preview4(t, g, target, source);
            return;
        }
        to.sin6_addr = in6addr_loopback;
    }
    from = to;
    from.sin6_port = 0;
    memcpy(target, &to, sizeof(to));
    memcpy(source, &from, sizeof(from));
}

void swap_listener_view(const struct swap_listener *l, struct swap_group_view *view)
{
    rel_autofree char *text = swap_listener_text(l);
    struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons(l->port)};
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(l->port)};
    bool by_v4 = l->family == AF_INET;

    *view = (struct swap_group_view){.family = l->family, .port = l->port, .n = {0, 1}};
    snprintf(view->text, sizeof(view->text), "%s", text);
    inet_pton(l->family, l->address, l->family == AF_INET ? (void *)&to4.sin_addr : &to6.sin6_addr);
    if (to4.sin_addr.s_addr == htonl(INADDR_ANY))
        to4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (l->family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&to6.sin6_addr)) {
        to6.sin6_addr = in6addr_loopback;
        to4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        by_v4 = !l->v6only && !has_loopback6();
    }
    if (by_v4)
        memcpy(&view->target, &to4, sizeof(to4));
    else
        memcpy(&view->target, &to6, sizeof(to6));
    view->source.ss_family = view->target.ss_family;
}

void swap_address_text(const struct sockaddr_storage *address, char text[INET6_ADDRSTRLEN])
{
    const struct sockaddr_in *a4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)address;

    *text = '\0';
    inet_ntop(address->ss_family,
              address->ss_family == AF_INET ? (const void *)&a4->sin_addr : &a6->sin6_addr, text,
              INET6_ADDRSTRLEN);
}

/* IPv6 previews are known by their port: the next that is free. A reset at the end, because one
 * that lingers in TIME_WAIT would use it up. */
static int bind_source6(int fd, struct sockaddr_in6 *from)
{
    struct linger reset = {.l_onoff = 1};
    unsigned first = arc4random();
    int one = 1;

    (void)!setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    (void)!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    for (unsigned i = 0; i < SWAP_PREVIEW_PORTS; i++) {
        from->sin6_port = htons((uint16_t)(SWAP_PREVIEW_PORT + (first + i) % SWAP_PREVIEW_PORTS));
        if (bind(fd, (struct sockaddr *)from, sizeof(*from)) == 0)
            return 0;
    }
    return -1;
}

static int bind_source(int fd, struct sockaddr_storage *from)
{
    int one = 1;

    if (from->ss_family == AF_INET6)
        return bind_source6(fd, (struct sockaddr_in6 *)from);
    (void)!setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    return bind(fd, (struct sockaddr *)from, sizeof(struct sockaddr_in));
}

static int wait_connected(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof(error);

    if (poll(&p, 1, timeout_ms) <= 0)
        error = ETIMEDOUT;
    else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    errno = error;
    return error ? -1 : 0;
}

int swap_preview_connect(const struct swap_group_view *view, int timeout_ms, int *fd,
                         struct rel_err *e)
{
    struct sockaddr_storage source = view->source;
    bool v4 = view->target.ss_family == AF_INET;
    rel_autoclose int s =
        socket(view->target.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (s < 0 || bind_source(s, &source) < 0)
        return rel_fail(e, REL_E_IO, errno, "make a preview connection to %s", view->text);
    if (connect(s, (const struct sockaddr *)&view->target,
                v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)) < 0 &&
        (errno != EINPROGRESS || wait_connected(s, timeout_ms) < 0))
        return rel_fail(e, errno == ETIMEDOUT ? REL_E_TIMEOUT : REL_E_IO, errno,
                        "make a preview connection to %s", view->text);
    *fd = rel_steal_fd(&s);
    return 0;
}

int swap_group_connect(const struct swap_traffic *t, const struct swap_group *g, int timeout_ms,
                       int *fd, struct rel_err *e)
{
    rel_autofree char *text = swap_key_text(&g->key);
    struct swap_group_view view = {.family = g->key.address.ss_family};

    snprintf(view.text, sizeof(view.text), "%s", text);
    swap_group_preview(t, g, &view.target, &view.source);
    return swap_preview_connect(&view, timeout_ms, fd, e);
}

struct accepted {
    struct sockaddr_storage own;
    const struct swap_process *who;
    bool by_new, by_old;
};

/* A v4 connection of a dual-stack listener is listed with its mapped address. */
static bool is_ours(const struct accepted *a, const struct rel_diag_socket *s)
{
    const struct sockaddr_in *a4 = (const struct sockaddr_in *)&a->own;
    const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)&a->own;
    size_t at = s->family == AF_INET ? 0 : 12;

    if (s->peer_port != ntohs(a4->sin_port))
        return false;
    return a->own.ss_family == AF_INET
               ? !memcmp(s->peer.s6_addr + at, &a4->sin_addr, sizeof(a4->sin_addr))
               : !memcmp(&s->peer, &a6->sin6_addr, sizeof(a6->sin6_addr));
}

static bool has(pid_t pid, uint64_t inode)
{
    struct swap_open_sockets open = {0};
    struct rel_err e = {0};
    bool yes = pid && swap_open_sockets_read(pid, &open, &e) == 0 &&
               swap_open_sockets_fd(&open, inode) >= 0;

    swap_open_sockets_fini(&open);
    return yes;
}

/* Neither has one that was accepted and closed since the kernel listed it. */
static void look_at(void *ctx, const struct rel_diag_socket *s)
{
    struct accepted *a = ctx;

    if (!s->inode || !is_ours(a, s))
        return;
    a->by_new = has(a->who[SWAP_NEW_SIDE].pid, s->inode);
    a->by_old = has(a->who[SWAP_OLD_SIDE].pid, s->inode);
}

/* Somebody answered, or ended it, and may have closed it on that side by now. */
static bool was_served(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

/* Where a connection went to. */
struct listened {
    int family;
    in_port_t port;
    const char *text;
};

/* Who accepted what we connected by `fd`? Of one that was over before we looked it is not known,
 * and the order of joining is believed. */
static int wait_accepted(const struct listened *l, int fd, const struct swap_process *who,
                         int timeout_ms, struct rel_err *e)
{
    int64_t until = rel_mono_ms() + timeout_ms;
    const char *text = l->text;
    struct accepted start = {.who = who};
    socklen_t len = sizeof(start.own);

    if (getsockname(fd, (struct sockaddr *)&start.own, &len) < 0)
        return rel_fail(e, REL_E_IO, errno, "look at a preview connection to %s", text);
    for (;;) {
        struct accepted a = start;
        bool served = was_served(fd);

        if (rel_diag_dump(l->family, l->port, REL_DIAG_ESTABLISHED | REL_DIAG_CLOSE_WAIT, look_at,
                          &a, e) < 0)
            return -1;
        if (a.by_new)
            return 0;
        if (a.by_old)
            return rel_fail(e, REL_E_INPUT, 0,
                            "a preview connection to %s was accepted by the old peer", text);
        if (served)
            return 0;
        if (rel_mono_ms() > until)
            return rel_fail(e, REL_E_TIMEOUT, 0, "it listens on %s but accepts no connection",
                            text);
        poll(NULL, 0, POLL_MS);
    }
}

static int verify_group(struct swap_traffic *t, struct swap_group *g,
                        const struct swap_process *who, int timeout_ms, struct rel_err *e)
{
    rel_autofree char *text = swap_key_text(&g->key);
    struct listened l = {g->key.address.ss_family, swap_key_port(&g->key), text};

    for (size_t i = 0; i < g->n; i++) {
        struct swap_route r = swap_group_route(t, g);
        rel_autoclose int fd = -1;

        if (g->v[i].side != SWAP_NEW_SIDE || g->v[i].closed)
            continue;
        r.preview = (struct swap_indices){.v = {(uint8_t)i}, .n = 1};
        if (swap_group_attach(g, &r, e) < 0 || swap_group_connect(t, g, timeout_ms, &fd, e) < 0 ||
            wait_accepted(&l, fd, who, timeout_ms, e) < 0)
            return -1;
    }
    return 0;
}

int swap_traffic_verify(struct swap_traffic *t, const struct swap_process who[SWAP_SIDE_COUNT],
                        int timeout_ms, struct rel_err *e)
{
    for (size_t i = 0; i < t->group_n && t->routed; i++) {
        struct swap_route r = swap_group_route(t, t->groups[i]);

        /* what is bound to a device hears nothing from this host itself */
        if (!r.main.n || !r.preview.n || *t->groups[i]->key.device)
            continue;
        if (verify_group(t, t->groups[i], who, timeout_ms, e) < 0 ||
            swap_group_attach(t->groups[i], &r, e) < 0)
            return -1;
    }
    return 0;
}

struct bound {
    uint64_t inode;
    bool yes;
};

/* What is bound to a device hears nothing from this host, and a link-local address is reached
 * through its link alone. */
static void find_device(void *ctx, const struct rel_diag_socket *s)
{
    struct bound *b = ctx;

    if (s->inode == b->inode)
        b->yes = s->device || (s->family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&s->local));
}

int swap_listener_accepts(const struct swap_listener *l, const struct swap_process *who,
                          int timeout_ms, struct rel_err *e)
{
    struct swap_process both[SWAP_SIDE_COUNT] = {[SWAP_NEW_SIDE] = *who};
    struct bound b = {.inode = l->inode};
    struct listened where = {.family = l->family, .port = l->port};
    struct swap_group_view view;
    rel_autoclose int fd = -1;

    swap_listener_view(l, &view);
    where.text = view.text;
    if (rel_diag_dump(l->family, l->port, REL_DIAG_LISTEN, find_device, &b, e) < 0)
        return -1;
    if (b.yes)
        return 0;
    if (swap_preview_connect(&view, timeout_ms, &fd, e) < 0)
        return -1;
    return wait_accepted(&where, fd, both, timeout_ms, e);
}
