/* SPDX-License-Identifier: Apache-2.0 */
/* The listening TCP sockets of a process, from /proc/PID/fd and /proc/PID/net/tcp{,6} (proc(5)).
 * Any thread; no state. */
#ifndef SWAP_LISTEN_H
#define SWAP_LISTEN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/rel_err.h"

struct swap_listener {
    int family; /* AF_INET or AF_INET6 */
    in_port_t port;
    char address[INET6_ADDRSTRLEN];
};

struct swap_listeners {
    struct swap_listener *v; /* sorted, each group once */
    size_t n;
};

void swap_listeners_fini(struct swap_listeners *l);

/* Those of `pid`, without loopback port `except_port` (its distribution; 0 for none). */
REL_MUST_USE int swap_listeners_read(pid_t pid, int except_port, struct swap_listeners *l,
                                     struct rel_err *e);

/* The first one of `wanted` that `have` lacks, or NULL. Lent by `wanted`. */
const struct swap_listener *swap_listeners_missing(const struct swap_listeners *wanted,
                                                   const struct swap_listeners *have);

/* "0.0.0.0:8080" or "[::]:8080", owned by the caller. */
char *swap_listener_text(const struct swap_listener *l);

#endif
