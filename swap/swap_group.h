/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of swap/: what swap_traffic.c (who gets the connections), swap_leave.c (leaving a group)
 * and swap_preview.c (looking through a preview) share. Never included from outside. */
#ifndef SWAP_GROUP_H
#define SWAP_GROUP_H

#include "swap/swap_plan.h"
#include "swap/swap_sock.h"
#include "swap/swap_traffic.h"

struct swap_member {
    struct swap_sock sock;
    enum swap_side side;
    bool closed;      /* by its peer; only our copy keeps it in */
    bool leaving;     /* is to be closed now */
    unsigned backlog; /* what the application asked for, where we changed it; else 0 */
};

struct swap_group {
    struct swap_key key;
    struct swap_member v[SWAP_PLAN_MAX]; /* in the order of the kernel */
    size_t n;
};

struct swap_traffic {
    struct in_addr preview;
    struct swap_fetch fetch;
    struct swap_group **groups;
    size_t group_n;
    unsigned share;
    bool routed; /* programs are attached */
};

/* What the program of the group is to be while nothing special goes on. main.n == 0: nobody. */
struct swap_route swap_group_route(const struct swap_traffic *t, const struct swap_group *g);

/* Through whichever member listens. */
REL_MUST_USE int swap_group_attach(const struct swap_group *g, const struct swap_route *route,
                                   struct rel_err *e);

/* Those that are `leaving` leave; *lost_n is raised by what waited for them. */
void swap_group_leave(struct swap_traffic *t, struct swap_group *g, size_t *lost_n);

/* A preview connection whose SYN the program `route` sees. */
REL_MUST_USE int swap_group_connect(const struct swap_traffic *t, const struct swap_group *g,
                                    int timeout_ms, int *fd, struct rel_err *e);

/* Where a preview of the group connects to, and from where. */
void swap_group_preview(const struct swap_traffic *t, const struct swap_group *g,
                        struct sockaddr_storage *target, struct sockaddr_storage *source);

#endif
