/* SPDX-License-Identifier: Apache-2.0 */
/* The classic BPF program of a listener group (SO_ATTACH_REUSEPORT_CBPF, socket(7)): it returns the
 * index of the socket that gets a new connection. Pure, but for swap_bpf_attach.
 *
 * The program may read the network header at SKF_NET_OFF, the protocol and a random number
 * (linux/filter.h); of a dual-stack group it sees both families. A load beyond the packet returns
 * 0, so index 0 must belong to somebody who accepts. */
#ifndef SWAP_BPF_H
#define SWAP_BPF_H

#include <linux/filter.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rel_err.h"

enum { SWAP_SHARE_ALL = 10000, SWAP_SIDE_MAX = 64, SWAP_BPF_MAX = 8 * SWAP_SIDE_MAX + 64 };

/* Of IPv6 a preview connection is known by its source port, one of these, coming from the very
 * host. */
enum { SWAP_PREVIEW_PORT = 8320, SWAP_PREVIEW_PORTS = 64 };

/* Indices of the sockets that take connections by turns, at random. */
struct swap_indices {
    uint8_t v[SWAP_SIDE_MAX];
    size_t n;
};

struct swap_route {
    struct swap_indices main, other; /* ordinary connections: `share` of 10,000 go to `other` */
    unsigned share;
    struct swap_indices preview; /* preview connections; n == 0: they are ordinary */
    struct in_addr preview4;     /* source address of IPv4 preview connections */
    struct in6_addr preview6;    /* source address of IPv6 preview connections */
};

/* Writes the program; returns its length. main.n must not be 0, nor other.n where share is not. */
size_t swap_bpf_build(const struct swap_route *route, struct sock_filter program[SWAP_BPF_MAX]);

/* Replaces the program of the group that `fd` listens in; atomic for the kernel. REL_E_UNSUPPORTED:
 * this kernel or sandbox does not let us. */
REL_MUST_USE int swap_bpf_attach(int fd, const struct swap_route *route, struct rel_err *e);

/* From now on the kernel hashes over all sockets again. Nothing where there is no program. */
void swap_bpf_detach(int fd);

#endif
