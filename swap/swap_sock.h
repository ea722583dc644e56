/* SPDX-License-Identifier: Apache-2.0 */
/* A listening socket of a peer, held: a copy of its descriptor (pidfd_getfd(2), or sent by the
 * peer), by which the parent sees and steers what the kernel gives to it. Any thread; no state.
 *
 * A copy keeps the socket in its group even when the peer has closed its own, or is gone: then it
 * is a black hole, so whoever holds one asks swap_sock_is_open again and again (a microsecond).
 */
#ifndef SWAP_SOCK_H
#define SWAP_SOCK_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/rel_err.h"
#include "swap/swap_listen.h"

/* What the kernel joins in one group (facts of the kernel: SO_REUSEPORT compares all of these). */
struct swap_key {
    struct sockaddr_storage address; /* of bind(2), zero behind its end */
    bool v6only;
    char device[IFNAMSIZ];
    uid_t uid;
};

bool swap_key_equal(const struct swap_key *a, const struct swap_key *b);
in_port_t swap_key_port(const struct swap_key *key);
/* "0.0.0.0:8080" or "[::]:8080", owned by the caller. */
char *swap_key_text(const struct swap_key *key);
/* The same without what only the group has. */
struct swap_listener swap_key_listener(const struct swap_key *key);

struct swap_sock {
    int fd;    /* ours */
    int vm_fd; /* its number in the peer */
    uint64_t inode;
    struct swap_key key;
};

/* Has the process send a copy of its descriptor, where we may not take one: a sandbox without
 * pidfd_getfd, as containers have it. `fetch` may be NULL; *fd is owned by the caller. */
struct swap_fetch {
    int (*fetch)(void *ctx, pid_t pid, int vm_fd, int *fd, struct rel_err *e);
    void *ctx;
};

/* Takes a copy of descriptor vm_fd of the process, if it is still the socket of that inode.
 * REL_E_UNSUPPORTED: neither way is open. The caller closes sock->fd. */
REL_MUST_USE int swap_sock_hold(pid_t pid, const struct swap_listener *listener,
                                const struct swap_fetch *fetch, struct swap_sock *sock,
                                struct rel_err *e);

/* Has the process still that socket open, under the same number? True also where it cannot be told.
 * Our copy keeps the inode, so nobody else can have got its number. */
bool swap_sock_is_open(const struct swap_sock *sock, pid_t pid);

/* Connections that wait to be accepted. */
unsigned swap_sock_queue(const struct swap_sock *sock);

/* The most that may wait; 0 where it cannot be told. */
unsigned swap_sock_backlog(const struct swap_sock *sock);

/* From now on no more than `backlog` + 1 connections wait; further ones are dropped and come again
 * (listen(2) on a listening socket changes that only). */
void swap_sock_set_backlog(const struct swap_sock *sock, int backlog);

#endif
