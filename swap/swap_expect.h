/* SPDX-License-Identifier: Apache-2.0 */
/* On what a peer is expected to listen, and who else does. Pure but for swap_strangers_find and
 * swap_expect_range. Any thread; no state.
 *
 * The kernel does not tell whether a port was asked for or was its own choice (bind(2) with port
 * 0). What it does tell: it chooses within net.ipv4.ip_local_port_range only, and there leaves
 * every port of the parity of the range's lower end to connect(2) while others are free
 * (inet_csk_find_open_port()). Whatever else is in that range may be its choice, until it is seen
 * to be the same in another run. */
#ifndef SWAP_EXPECT_H
#define SWAP_EXPECT_H

#include "swap/swap_listen.h"

struct swap_port_range {
    int low, high;
};
struct swap_port_range swap_port_range_read(void);

struct swap_expect {
    int *ports; /* exactly these, in any address form; of the settings */
    size_t port_n;
    bool ports_set;              /* false: where `wanted` does */
    struct swap_listeners known; /* of earlier runs; `same_n` says how often the same */
    struct swap_port_range range;
};

/* The caller releases the copy. */
struct swap_expect swap_expect_copy(const struct swap_expect *x);
void swap_expect_fini(struct swap_expect *x);

/* Is it certain that the application chose that port, and not the kernel? */
bool swap_expect_is_chosen(const struct swap_expect *x, const struct swap_listener *l);

/* What is expected beside `wanted`, the listeners of whoever serves or did, and `have` lacks: a
 * port that the settings name; or one of `wanted` that the settings do not give up. A port that may
 * be the kernel's choice is met by another such port in the same address form that `wanted` has
 * not. False: nothing is missing. *lacks has family 0 where only its port is wanted. */
bool swap_expect_missing(const struct swap_expect *x, const struct swap_listeners *wanted,
                         const struct swap_listeners *have, struct swap_listener *lacks);

/* A listening socket that is none of ours. */
struct swap_stranger {
    struct swap_listener l;
    uid_t uid;
    pid_t pid;  /* 0: we may not see which process has it */
    char *home; /* that it or a process above it serves (RELSUP_HOME); NULL: none known */
};
void swap_stranger_fini(struct swap_stranger *s);

/* Looks for one that listens where `l` does, or would take connections from it (wildcard
 * addresses, IPv6 for IPv4); l->family 0: any on that port. Ours are the sockets of the processes
 * `own`, which may be 0, of what they started, and of this process; where those cannot be seen, all
 * are taken for ours. */
REL_MUST_USE int swap_stranger_find(const struct swap_listener *l, const pid_t *own, size_t own_n,
                                    bool *found, struct swap_stranger *s, struct rel_err *e);

/* "0.0.0.0:8080 is listened on by process 17 of mallory, of the home /srv/x", by the caller. */
char *swap_stranger_text(const struct swap_stranger *s);

#endif
