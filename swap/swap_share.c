/* SPDX-License-Identifier: Apache-2.0 */
/* A listener that was bound without SO_REUSEPORT becomes a group of one: a candidate may join it,
 * and a program says who gets the connections.
 *
 * The option can be set on a socket that listens, through any copy of it, but the kernel makes a
 * group only when a second socket joins (reuseport_add_sock()), and lets a program be attached only
 * to a group. So a spare of ours joins and leaves again. For the microseconds in between, SYNs that
 * are hashed to it are dropped by a filter, and come again. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "swap/swap_group.h"

static void set(int fd, int level, int option, int value)
{
    (void)!setsockopt(fd, level, option, &value, sizeof(value));
}

static int drop_all(int fd)
{
    struct sock_filter program[] = {{.code = BPF_RET | BPF_K, .k = 0}};
    struct sock_fprog prog = {.len = 1, .filter = program};

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
}

/* What the kernel compares is all the same. */
static int open_spare(const struct swap_key *key)
{
    int family = key->address.ss_family;
    socklen_t len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    rel_autoclose int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1); /* beside connections that the peer has accepted */
    if (family == AF_INET6)
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY, key->v6only);
    if ((*key->device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, key->device,
                                    (socklen_t)strlen(key->device)) < 0) ||
        fchown(fd, key->uid, (gid_t)-1) < 0 || drop_all(fd) < 0 ||
        bind(fd, (const struct sockaddr *)&key->address, len) < 0 || listen(fd, 1) < 0)
        return -1;
    return rel_steal_fd(&fd);
}

static int form(const struct swap_traffic *t, const struct swap_group *g, struct rel_err *e)
{
    struct swap_route route = swap_group_route(t, g);
    rel_autofree char *text = swap_key_text(&g->key);
    rel_autoclose int spare = open_spare(&g->key);

    if (spare < 0)
        return rel_fail(e, REL_E_UNSUPPORTED, errno, "make a listener group of %s", text);
    return swap_group_attach(g, &route, e);
}

int swap_traffic_share(struct swap_traffic *t, struct rel_err *e)
{
    for (size_t i = 0; i < t->group_n; i++) {
        struct swap_group *g = t->groups[i];
        struct swap_route route = swap_group_route(t, g);

        for (size_t j = 0; j < g->n; j++)
            set(g->v[j].sock.fd, SOL_SOCKET, SO_REUSEPORT, 1);
        if (swap_group_attach(g, &route, e) == 0)
            continue;
        if (e->sys != EINVAL)
            return -1;
        rel_err_clear(e);
        if (form(t, g, e) < 0)
            return -1;
    }
    return 0;
}
