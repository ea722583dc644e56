/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rel_diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { CHUNK = 32768, TIMEOUT_S = 2, ENDS_BYTES = 1 << 20 };

struct dump {
    void (*each)(void *ctx, const struct rel_diag_socket *s);
    void *ctx;
    in_port_t port; /* 0: any */
};

/* A socket to the kernel, on which that was asked; `flags` is 0 or NLM_F_DUMP. */
static int ask(const struct inet_diag_req_v2 *what, int flags, int *fd, struct rel_err *e)
{
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 body;
    } q = {.head = {.nlmsg_len = sizeof(q),
                    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                    .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)},
           .body = *what};
    rel_autoclose int s = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct timeval patience = {.tv_sec = TIMEOUT_S};

    if (s < 0 || setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
        return rel_fail(e, REL_E_IO, errno, "open a socket to ask for sockets");
    if (sendto(s, &q, sizeof(q), 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
        return rel_fail(e, REL_E_IO, errno, "ask for the sockets of port %d",
                        (int)ntohs(what->id.idiag_sport));
    *fd = rel_steal_fd(&s);
    return 0;
}

static int hear(int fd, void *chunk, size_t *len, struct rel_err *e)
{
    ssize_t n;

    do
        n = recv(fd, chunk, CHUNK, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return rel_fail(e, REL_E_IO, errno, "hear about the sockets of a port");
    *len = (size_t)n;
    return 0;
}

static void take_info(struct rel_diag_socket *s, const struct rtattr *a)
{
    struct tcp_info info = {0};
    size_t len = RTA_PAYLOAD(a);

    memcpy(&info, RTA_DATA(a), len < sizeof(info) ? len : sizeof(info));
    s->last_sent_ms = info.tcpi_last_data_sent;
    s->last_received_ms = info.tcpi_last_data_recv;
    s->last_ack_ms = info.tcpi_last_ack_recv;
    s->bytes_received = info.tcpi_bytes_received;
    s->bytes_sent = info.tcpi_bytes_sent;
    s->segments = info.tcpi_data_segs_in;
}

static void take(const struct dump *d, const struct nlmsghdr *head)
{
    const struct inet_diag_msg *m = NLMSG_DATA(head);
    struct rel_diag_socket s = {.family = m->idiag_family,
                                .state = 1U << m->idiag_state,
                                .local_port = ntohs(m->id.idiag_sport),
                                .peer_port = ntohs(m->id.idiag_dport),
                                .cookie =
                                    (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0],
                                .inode = m->idiag_inode,
                                .uid = m->idiag_uid,
                                .device = m->id.idiag_if,
                                .unread = m->idiag_rqueue,
                                .unsent = m->idiag_wqueue};
    int left = (int)(head->nlmsg_len - NLMSG_LENGTH(sizeof(*m)));

    if (d->port && s.local_port != d->port)
        return;
    memcpy(&s.local, m->id.idiag_src, sizeof(s.local));
    memcpy(&s.peer, m->id.idiag_dst, sizeof(s.peer));
    for (struct rtattr *a = (struct rtattr *)(m + 1); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == INET_DIAG_INFO)
            take_info(&s, a);
        else if (a->rta_type == INET_DIAG_SKV6ONLY)
            s.v6only = *(uint8_t *)RTA_DATA(a);
    }
    d->each(d->ctx, &s);
}

static int take_chunk(const struct dump *d, struct nlmsghdr *head, size_t len, bool *more,
                      struct rel_err *e)
{
    for (; NLMSG_OK(head, len); head = NLMSG_NEXT(head, len)) {
        if (head->nlmsg_type == NLMSG_DONE) {
            *more = false;
            return 0;
        }
        if (head->nlmsg_type == NLMSG_ERROR) {
            const struct nlmsgerr *error = NLMSG_DATA(head);

            return rel_fail(e, REL_E_IO, -error->error, "list the sockets of port %d",
                            (int)d->port);
        }
        if (head->nlmsg_type == SOCK_DIAG_BY_FAMILY &&
            head->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
            take(d, head);
    }
    return 0;
}

int rel_diag_dump(int family, in_port_t port, uint32_t states,
                  void (*each)(void *ctx, const struct rel_diag_socket *s), void *ctx,
                  struct rel_err *e)
{
    const struct inet_diag_req_v2 what = {.sdiag_family = (uint8_t)family,
                                          .sdiag_protocol = IPPROTO_TCP,
                                          .idiag_ext = 1 << (INET_DIAG_INFO - 1),
                                          .idiag_states = states,
                                          .id.idiag_sport = htons(port)};
    struct dump d = {.each = each, .ctx = ctx, .port = port};
    rel_autofree char *chunk = rel_xcalloc(1, CHUNK);
    rel_autoclose int fd = -1;
    bool more = true;

    if (ask(&what, NLM_F_DUMP, &fd, e) < 0)
        return -1;
    while (more) {
        size_t n;

        if (hear(fd, chunk, &n, e) < 0 || take_chunk(&d, (struct nlmsghdr *)chunk, n, &more, e) < 0)
            return -1;
    }
    return 0;
}

/* The four bytes of an IPv4 address, or sixteen; yields the port as it is on the wire. */
static uint16_t put_address(const struct sockaddr_storage *a, uint32_t out[4])
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;

    if (a->ss_family == AF_INET)
        memcpy(out, &v4->sin_addr, sizeof(v4->sin_addr));
    else
        memcpy(out, &v6->sin6_addr, sizeof(v6->sin6_addr));
    return a->ss_family == AF_INET ? v4->sin_port : v6->sin6_port;
}

struct found {
    struct rel_diag_socket s;
    bool any;
};

static void keep(void *ctx, const struct rel_diag_socket *s)
{
    struct found *f = ctx;

    f->s = *s;
    f->any = true;
}

/* Asked for one socket the kernel looks it up as it would for a packet that comes in, so our two
 * addresses are exchanged (inet_diag.c: inet_diag_find_one_icsk). */
int rel_diag_other_end(const struct sockaddr_storage *local, const struct sockaddr_storage *peer,
                       struct rel_diag_socket *s, struct rel_err *e)
{
    struct inet_diag_req_v2 what = {.sdiag_family = (uint8_t)peer->ss_family,
                                    .sdiag_protocol = IPPROTO_TCP,
                                    .idiag_states = ~0U,
                                    .id.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}};
    rel_autofree char *chunk = rel_xcalloc(1, CHUNK);
    struct found f = {.any = false};
    struct dump d = {.each = keep, .ctx = &f};
    rel_autoclose int fd = -1;
    bool more;
    size_t n;

    what.id.idiag_sport = put_address(peer, what.id.idiag_src);
    what.id.idiag_dport = put_address(local, what.id.idiag_dst);
    d.port = ntohs(what.id.idiag_sport);
    if (ask(&what, 0, &fd, e) < 0 || hear(fd, chunk, &n, e) < 0)
        return -1;
    if (take_chunk(&d, (struct nlmsghdr *)chunk, n, &more, e) < 0) {
        if (e->sys == ENOENT)
            e->code = REL_E_UNREACHABLE;
        return -1;
    }
    if (!f.any)
        return rel_fail(e, REL_E_UNREACHABLE, 0, "nothing has port %d", (int)d.port);
    *s = f.s;
    return 0;
}

int rel_diag_ends_open(int *fd, struct rel_err *e)
{
    struct sockaddr_nl us = {.nl_family = AF_NETLINK,
                             .nl_groups = 1 << (SKNLGRP_INET_TCP_DESTROY - 1) |
                                          1 << (SKNLGRP_INET6_TCP_DESTROY - 1)};
    rel_autoclose int s =
        socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
    int size = ENDS_BYTES;

    if (s < 0 || bind(s, (struct sockaddr *)&us, sizeof(us)) < 0)
        return rel_fail(e, REL_E_UNSUPPORTED, errno, "listen to the ends of connections");
    if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
        (void)!setsockopt(s, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)); /* up to rmem_max */
    *fd = rel_steal_fd(&s);
    return 0;
}

void rel_diag_ends_read(int fd, void (*each)(void *ctx, const struct rel_diag_socket *s), void *ctx,
                        bool *missed)
{
    struct dump d = {.each = each, .ctx = ctx};
    rel_autofree char *chunk = rel_xcalloc(1, CHUNK);
    struct rel_err e = {0};
    bool more;

    for (;;) {
        ssize_t n = recv(fd, chunk, CHUNK, 0);

        if (n < 0 && errno == ENOBUFS)
            *missed = true;
        else if (n < 0 && errno != EINTR)
            return;
        else if (n >= 0 && take_chunk(&d, (struct nlmsghdr *)chunk, (size_t)n, &more, &e) < 0)
            rel_err_clear(&e);
    }
}
