/* SPDX-License-Identifier: Apache-2.0 */
/* The listening TCP sockets of a process, from /proc/PID/fd and /proc/PID/net/tcp{,6} (proc(5)).
 * Any thread; no state. */
#ifndef SWAP_LISTEN_H
#define SWAP_LISTEN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/rel_err.h"

struct swap_listener {
    int family; /* AF_INET or AF_INET6 */
    in_port_t port;
    char address[INET6_ADDRSTRLEN];
    int fd; /* its number in the process; of several the last one read */
    uint64_t inode;
    bool v6only;     /* IPV6_V6ONLY; false where it is not known */
    unsigned same_n; /* seen in so many runs, one after the other; of those that are remembered */
};

struct swap_listeners {
    struct swap_listener *v; /* sorted by address form and port; each socket once */
    size_t n;
};

void swap_listeners_fini(struct swap_listeners *l);

/* Those of `pid`, without loopback port `except_port` (its distribution; 0 for none). */
REL_MUST_USE int swap_listeners_read(pid_t pid, int except_port, struct swap_listeners *l,
                                     struct rel_err *e);

/* The one on the same family, address and port, lent, or NULL. */
const struct swap_listener *swap_listeners_find(const struct swap_listeners *have,
                                                const struct swap_listener *like);

/* The order in which the lists are kept. */
int swap_listener_order(const void *x, const void *y);

/* The caller releases the copy. */
struct swap_listeners swap_listeners_copy(const struct swap_listeners *l);

/* Which of them are for IPv6 alone, as far as the kernel tells. */
void swap_listeners_ask_v6only(struct swap_listeners *l);

/* One of `have` on the same port in another address form, which is another group for the kernel,
 * or NULL. Lent by `have`. */
const struct swap_listener *swap_listeners_other_form(const struct swap_listener *wanted,
                                                      const struct swap_listeners *have);

/* All sockets that the process has open, for questions about many. */
struct swap_open_sockets {
    struct swap_open_socket *v; /* sorted by inode */
    size_t n, cap;
};

/* REL_E_UNSUPPORTED: we may not look into that process (proc(5)), REL_E_IO: there is none. */
REL_MUST_USE int swap_open_sockets_read(pid_t pid, struct swap_open_sockets *sockets,
                                        struct rel_err *e);
void swap_open_sockets_fini(struct swap_open_sockets *sockets);
/* Its number in the process; -1: it does not have that one. */
int swap_open_sockets_fd(const struct swap_open_sockets *sockets, uint64_t inode);

/* UDP port outside of the range that the kernel hands out by itself (ip_local_port_range) that the
 * process is bound to: two peers cannot share it. 0: none. */
int swap_udp_port(pid_t pid);

/* "0.0.0.0:8080" or "[::]:8080", or "port 8080" without a family; owned by the caller. */
char *swap_listener_text(const struct swap_listener *l);

#endif
