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
    REL_DIAG_FIN_WAIT1 = 1 << 4,
    REL_DIAG_FIN_WAIT2 = 1 << 5,
    REL_DIAG_CLOSE_WAIT = 1 << 8,
    REL_DIAG_LAST_ACK = 1 << 9,
    REL_DIAG_LISTEN = 1 << 10,
    REL_DIAG_CLOSING = 1 << 11,
    /* closed by its process */
    REL_DIAG_CLOSED = REL_DIAG_FIN_WAIT1 | REL_DIAG_FIN_WAIT2 | REL_DIAG_LAST_ACK | REL_DIAG_CLOSING
};

struct rel_diag_socket {
    int family;
    uint32_t state;                  /* a bit, of those above or another of the kernel's */
    in_port_t local_port, peer_port; /* host order */
    struct in6_addr local, peer;     /* IPv4: the first four bytes */
    uint64_t cookie;                 /* SO_COOKIE */
    uint32_t inode;                  /* 0: half-open, not accepted yet, or closed */
    uid_t uid;
    unsigned device; /* bound to that interface; 0: none. Of listeners */
    bool v6only;
    uint32_t unread,
        unsent; /* bytes in the two queues; of a listener: connections, and the limit */
    /* ms since; of established ones (TCP_INFO) */
    uint32_t last_sent_ms, last_received_ms, last_ack_ms;
    uint64_t bytes_received, bytes_sent; /* a FIN that came counts as one byte, also as unread */
    uint32_t segments;                   /* with data that came, accepted or not */
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

/* A socket on which the kernel tells of each TCP socket of this network namespace that ends, with
 * its last counts. No privilege is needed. The caller closes *fd. */
REL_MUST_USE int rel_diag_ends_open(int *fd, struct rel_err *e);

/* Calls `each` for those that have ended since the last time; does not wait. *missed becomes true
 * when there were more than the socket could keep. */
void rel_diag_ends_read(int fd, void (*each)(void *ctx, const struct rel_diag_socket *s), void *ctx,
                        bool *missed);

#endif
