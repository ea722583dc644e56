/* SPDX-License-Identifier: Apache-2.0 */
/* The listener groups of a swap, and who of the two peers gets the new connections.
 *
 * From the moment the old peer's sockets are held (swap_traffic_join) until it is gone, every
 * group has a program that names sockets, never the kernel's hash. The order that the kernel keeps
 * is followed here: sockets join at the end and leave by swap_plan's order, because our copies
 * keep them in until we close them.
 *
 * One thread at a time; the owner sees to that. Nothing outlives the process: a crash closes the
 * copies, and the program of a group stays until its last socket is closed. */
#ifndef SWAP_TRAFFIC_H
#define SWAP_TRAFFIC_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/rel_err.h"
#include "swap/swap_bpf.h"
#include "swap/swap_expect.h"
#include "swap/swap_listen.h"
#include "swap/swap_sock.h"

enum swap_side { SWAP_OLD_SIDE, SWAP_NEW_SIDE, SWAP_SIDE_COUNT };

struct swap_traffic;

/* `preview` is the source address that preview connections come from; `fetch` may be NULL. Owned by
 * the caller. */
struct swap_traffic *swap_traffic_new(struct in_addr preview, const struct swap_fetch *fetch);

/* Takes what routes nothing any more out of the groups and lets go of all copies. Where both sides
 * still listen, the one that does not get the connections must have been left before. */
void swap_traffic_free(struct swap_traffic *t);

/* Holds the listening sockets of the process that are not held yet; may be called again and again.
 * `except_port`: loopback port
 * of its distribution. REL_E_UNSUPPORTED: we may not hold them. */
REL_MUST_USE int swap_traffic_join(struct swap_traffic *t, enum swap_side side, pid_t pid,
                                   int except_port, struct rel_err *e);

/* Are exactly the held sockets in the groups, nobody else's? Else REL_E_INPUT with who is. */
REL_MUST_USE int swap_traffic_check(const struct swap_traffic *t, struct rel_err *e);

/* Before another side listens: every held socket may be joined in its group, also one that was
 * bound without SO_REUSEPORT, and gets all connections of it. REL_E_UNSUPPORTED: that is not
 * permitted here. */
REL_MUST_USE int swap_traffic_share(struct swap_traffic *t, struct rel_err *e);

/* Every group: `share` of SWAP_SHARE_ALL new connections go to the new side, the others to the
 * old one; preview connections to the new side as soon as it listens. A side that has no socket in
 * a group gets nothing there. REL_E_UNSUPPORTED: programs are not permitted here; nothing is
 * changed, and the kernel hashes over all. */
REL_MUST_USE int swap_traffic_route(struct swap_traffic *t, unsigned share, struct rel_err *e);

/* A peer as the kernel sees it. pid 0: there is none. */
struct swap_process {
    pid_t pid;
    int except_port; /* loopback port of its distribution */
};

/* Connects through a preview to every socket of the new side and waits until its process has
 * accepted: so the order is what we believe, and somebody is there. Blocks, at most timeout_ms a
 * socket. REL_E_TIMEOUT: nobody accepts. REL_E_INPUT: the old peer does. */
REL_MUST_USE int swap_traffic_verify(struct swap_traffic *t,
                                     const struct swap_process who[SWAP_SIDE_COUNT], int timeout_ms,
                                     struct rel_err *e);

/* The process of that side is gone, or gives its sockets up: they leave every group, in an order
 * in which no connection meets one that leaves. What still waits in their queues is lost:
 * *lost_n. */
void swap_traffic_leave(struct swap_traffic *t, enum swap_side side, size_t *lost_n);

/* The process of that side died unexpectedly while it is routed to and the other side is not
 * proved: clients are made to try again (their SYNs are dropped) rather than wait in its queue. */
void swap_traffic_block(struct swap_traffic *t, enum swap_side side);

/* Looks whether a peer closed a socket that we hold (a microsecond each) or, if `thorough` or while
 * one is closed, opened one that we do not hold (a dump of the listeners of its port). Then the new
 * ones are held, and what was closed leaves as soon as its peer has another one in the group; until
 * then it is blocked. True: something changed, for the log. */
bool swap_traffic_watch(struct swap_traffic *t, const struct swap_process who[SWAP_SIDE_COUNT],
                        bool thorough);

/* Lets the sockets of that side queue more connections, because all of them come at once now. What
 * the application asked for comes back with swap_traffic_free. */
void swap_traffic_widen(struct swap_traffic *t, enum swap_side side);

/* The groups, for who drains them, previews them and shows them. */
size_t swap_traffic_group_n(const struct swap_traffic *t);
struct swap_group_view {
    int family;
    in_port_t port;
    char text[64];                   /* "0.0.0.0:8080" */
    size_t n[SWAP_SIDE_COUNT];       /* sockets of each side */
    unsigned queue[SWAP_SIDE_COUNT]; /* connections that wait to be accepted */
    struct sockaddr_storage target;  /* connect there ... */
    struct sockaddr_storage source;  /* ... from there (port 0: one of the preview ports) */
};
void swap_traffic_view(const struct swap_traffic *t, size_t i, struct swap_group_view *view);

/* The same of a listener that nobody holds: any source will do, and nobody is steered. */
void swap_listener_view(const struct swap_listener *l, struct swap_group_view *view);

/* The address without its port, "::1". */
void swap_address_text(const struct sockaddr_storage *address, char text[INET6_ADDRSTRLEN]);

/* Where the new side is expected to listen beside the old one and does not (swap_expect.h), as text
 * owned by the caller; NULL: nothing is missing. */
char *swap_traffic_missing(const struct swap_traffic *t, const struct swap_expect *x);

/* Connects to a listener that nobody steers, and waits until that process has accepted. Blocks, at
 * most twice timeout_ms. REL_E_TIMEOUT: nobody accepts. */
REL_MUST_USE int swap_listener_accepts(const struct swap_listener *l,
                                       const struct swap_process *who, int timeout_ms,
                                       struct rel_err *e);

/* A connected, non-blocking preview connection, for the caller to close. Any thread. */
REL_MUST_USE int swap_preview_connect(const struct swap_group_view *view, int timeout_ms, int *fd,
                                      struct rel_err *e);

#endif
