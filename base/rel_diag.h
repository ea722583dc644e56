/* SPDX-License-Identifier: Apache-2.0 */
/* The TCP sockets of this network namespace, as the kernel lists them (sock_diag(7)). No privilege
 * is needed. Any thread; no state. */
#ifndef REL_DIAG_H
#define REL_DIAG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rel_err.h"

/* States, as bits of `states` (include/net/tcp_states.h). */
enum {
    REL_DIAG_ESTABLISHED = 1 << 1,
    REL_DIAG_SYN_RECV = 1 << 3,
    REL_DIAG_CLOSE_WAIT = 1 << 8,
    REL_DIAG_LISTEN = 1 << 10
};

struct rel_diag_socket {
    int family;
    uint32_t state;                  /* a bit, of those above or another of the kernel's */
    in_port_t local_port, peer_port; /* host order */
    struct in6_addr local, peer;     /* IPv4: the first four bytes */
    uint32_t inode;                  /* 0: half-open, or not accepted yet */
    uid_t uid;
    unsigned device; /* bound to that interface; 0: none. Of listeners */
    bool v6only;
    uint32_t unread,
        unsent; /* bytes in the two queues; of a listener: connections, and the limit */
    /* ms since; of established ones (TCP_INFO) */
    uint32_t last_sent_ms, last_received_ms, last_ack_ms;
    uint64_t bytes_received, bytes_sent;
};

/* Calls `each` for every TCP socket of that family on local port `port` in one of `states`. A v4
 * connection of a dual-stack listener is in AF_INET6 only (facts of the kernel). */
REL_MUST_USE int rel_diag_dump(int family, in_port_t port, uint32_t states,
                               void (*each)(void *ctx, const struct rel_diag_socket *s), void *ctx,
                               struct rel_err *e);

/* The other end of a connection on this host, of which we have `local` and `peer` (as
 * getsockname(2) and getpeername(2) tell them, both of one family): the socket that gets what we
 * send. *s is of state REL_DIAG_LISTEN where the connection has no socket of its own there. Not
 * found: REL_E_UNREACHABLE. */
REL_MUST_USE int rel_diag_other_end(const struct sockaddr_storage *local,
                                    const struct sockaddr_storage *peer, struct rel_diag_socket *s,
                                    struct rel_err *e);

/* Bytes that the socket of descriptor `fd` has sent, with those sent again (TCP_INFO, tcp(7)). */
REL_MUST_USE int rel_diag_bytes_sent(int fd, uint64_t *n);

#endif
