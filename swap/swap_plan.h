/* SPDX-License-Identifier: Apache-2.0 */
/* In which order sockets leave a listener group, and which constant index the group's program
 * returns meanwhile. Pure.
 *
 * Facts of the kernel (net/core/sock_reuseport.c): the index of a socket is its place in the order
 * of listen(); when socket i leaves, the last one takes its place; an index out of range falls
 * back to a hash over all. So an unchanged program is wrong for every order of leaving, but a
 * constant that names a target both before and after one leaving is right at every instant.
 *
 * Where there is none (a single target, last behind several that leave) the target itself has to
 * move: the constant then names the leaving socket, whose place the target takes. The caller makes
 * that one drop what comes in its last microseconds, so that the client sends it again a second
 * later and meets the target. docs/swap.md says why.
 */
#ifndef SWAP_PLAN_H
#define SWAP_PLAN_H

#include <stdbool.h>
#include <stddef.h>

enum { SWAP_PLAN_MAX = 128 };

enum swap_part {
    SWAP_TARGET,   /* gets the new connections */
    SWAP_LEAVING,  /* to be closed, gets none */
    SWAP_BYSTANDER /* stays, gets none */
};

struct swap_leave {
    size_t index;    /* what the program returns before and after this leaving */
    size_t closes;   /* index of the socket that leaves, at that time */
    bool must_block; /* the leaving ones must drop new connections before this step */
};

/* Plans for `part[0..n)`, in the order of the group, n <= SWAP_PLAN_MAX. Returns the number of
 * steps, one for each that leaves; 0 when none leaves or nobody would be left to take the
 * connections (then the order does not matter). */
size_t swap_plan(const enum swap_part *part, size_t n, struct swap_leave steps[SWAP_PLAN_MAX]);

/* What happens to the order when the socket at index `closes` leaves. */
void swap_plan_close(enum swap_part *part, size_t *n, size_t closes);

#endif
