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

enum { CHUNK = 32768, TIMEOUT_S = 2 };

struct dump {
    void (*each)(void *ctx, const struct rel_diag_socket *s);
    void *ctx;
    in_port_t port;
};

static int ask(int fd, int family, in_port_t port, uint32_t states, struct rel_err *e)
{
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 body;
    } q = {.head = {.nlmsg_len = sizeof(q),
                    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
           .body = {.sdiag_family = (uint8_t)family,
                    .sdiag_protocol = IPPROTO_TCP,
                    .idiag_ext = 1 << (INET_DIAG_INFO - 1),
                    .idiag_states = states,
                    .id.idiag_sport = htons(port)}};
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

    if (sendto(fd, &q, sizeof(q), 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
        return rel_fail(e, REL_E_IO, errno, "ask for the sockets of port %d", (int)port);
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
}

static void take(const struct dump *d, const struct nlmsghdr *head)
{
    const struct inet_diag_msg *m = NLMSG_DATA(head);
    struct rel_diag_socket s = {.family = m->idiag_family,
                                .local_port = ntohs(m->id.idiag_sport),
                                .peer_port = ntohs(m->id.idiag_dport),
                                .inode = m->idiag_inode,
                                .uid = m->idiag_uid,
                                .device = m->id.idiag_if,
                                .unread = m->idiag_rqueue,
                                .unsent = m->idiag_wqueue};
    int left = (int)(head->nlmsg_len - NLMSG_LENGTH(sizeof(*m)));

    if (s.local_port != d->port)
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
    rel_autoclose int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    struct dump d = {.each = each, .ctx = ctx, .port = port};
    struct timeval patience = {.tv_sec = TIMEOUT_S};
    rel_autofree char *chunk = rel_xcalloc(1, CHUNK);
    bool more = true;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
        return rel_fail(e, REL_E_IO, errno, "open a socket to ask for sockets");
    if (ask(fd, family, port, states, e) < 0)
        return -1;
    while (more) {
        ssize_t n = recv(fd, chunk, CHUNK, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return rel_fail(e, REL_E_IO, errno, "list the sockets of port %d", (int)port);
        if (take_chunk(&d, (struct nlmsghdr *)chunk, (size_t)n, &more, e) < 0)
            return -1;
    }
    return 0;
}

int rel_diag_bytes_sent(int fd, uint64_t *n)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        return -1;
    *n = info.tcpi_bytes_sent;
    return 0;
}
