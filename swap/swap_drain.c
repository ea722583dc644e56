/* SPDX-License-Identifier: Apache-2.0 */
#include "swap/swap_drain.h"

#include <stdlib.h>
#include <string.h>

#include "base/rel_diag.h"
#include "swap/swap_listen.h"

/* How long a connection must be quiet to count as idle. Where the kernel's time stamps, 4 ms
 * apart, do not tell whether the answer or the next request came last, longer; and where nothing
 * has come at all, because the first request may have been lost on its way and come again. */
enum { IDLE_MS = 1000, IDLE_UNSURE_MS = 5000 };

struct half_open {
    int family;
    in_port_t local_port, peer_port;
    struct in6_addr peer;
    bool still;
};

struct connection {
    uint64_t inode;
    int vm_fd;
    bool idle;
};

struct port {
    int family;
    in_port_t port;
};

struct swap_drain {
    struct port *ports;
    struct half_open *half;
    struct connection *v;
    size_t port_n, half_n, n;
    /* of the look under way */
    struct connection *found;
    size_t found_n;
};

static void add_half_open(void *ctx, const struct rel_diag_socket *s)
{
    struct swap_drain *d = ctx;

    d->half = rel_xrealloc(d->half, d->half_n + 1, sizeof(*d->half));
    d->half[d->half_n++] = (struct half_open){.family = s->family,
                                              .local_port = s->local_port,
                                              .peer_port = s->peer_port,
                                              .peer = s->peer};
}

static void add_port(struct swap_drain *d, int family, in_port_t port)
{
    for (size_t i = 0; i < d->port_n; i++)
        if (d->ports[i].family == family && d->ports[i].port == port)
            return;
    d->ports = rel_xrealloc(d->ports, d->port_n + 1, sizeof(*d->ports));
    d->ports[d->port_n++] = (struct port){.family = family, .port = port};
}

static int dump(struct swap_drain *d, uint32_t states,
                void (*each)(void *ctx, const struct rel_diag_socket *s), struct rel_err *e)
{
    for (size_t i = 0; i < d->port_n; i++)
        if (rel_diag_dump(d->ports[i].family, d->ports[i].port, states, each, d, e) < 0)
            return -1;
    return 0;
}

int swap_drain_begin(const struct swap_traffic *t, struct swap_drain **drain, struct rel_err *e)
{
    struct swap_drain *d = rel_xcalloc(1, sizeof(*d));

    for (size_t i = 0; i < swap_traffic_group_n(t); i++) {
        struct swap_group_view view;

        swap_traffic_view(t, i, &view);
        add_port(d, view.family, view.port);
    }
    if (dump(d, REL_DIAG_SYN_RECV, add_half_open, e) < 0) {
        swap_drain_free(d);
        return -1;
    }
    *drain = d;
    return 0;
}

void swap_drain_free(struct swap_drain *d)
{
    if (!d)
        return;
    free(d->ports);
    free(d->half);
    free(d->v);
    free(d);
}

static void see_half_open(void *ctx, const struct rel_diag_socket *s)
{
    struct swap_drain *d = ctx;

    for (size_t i = 0; i < d->half_n; i++) {
        struct half_open *h = &d->half[i];

        if (h->family == s->family && h->local_port == s->local_port &&
            h->peer_port == s->peer_port && !memcmp(&h->peer, &s->peer, sizeof(h->peer)))
            h->still = true;
    }
}

/* Forgets those that have left the state: a later one with the same name is another connection. */
static int look_at_half_open(struct swap_drain *d, struct rel_err *e)
{
    size_t n = 0;

    for (size_t i = 0; i < d->half_n; i++)
        d->half[i].still = false;
    if (d->half_n && dump(d, REL_DIAG_SYN_RECV, see_half_open, e) < 0)
        return -1;
    for (size_t i = 0; i < d->half_n; i++)
        if (d->half[i].still)
            d->half[n++] = d->half[i];
    d->half_n = n;
    return 0;
}

/* Nothing under way, and the last thing that happened was our answer, a while ago. A client's pure
 * acknowledgement behind the last data in either direction shows that the data was ours. */
static bool is_idle(const struct rel_diag_socket *s)
{
    uint32_t quiet_ms =
        s->last_sent_ms < s->last_received_ms ? s->last_sent_ms : s->last_received_ms;
    bool unsure = s->last_sent_ms == s->last_received_ms && s->last_ack_ms == s->last_received_ms;

    if (s->unread || s->unsent ||
        (s->bytes_received && (!s->bytes_sent || s->last_sent_ms > s->last_received_ms)))
        return false;
    return quiet_ms >= (unsure || !s->bytes_received ? IDLE_UNSURE_MS : IDLE_MS);
}

static void add_connection(void *ctx, const struct rel_diag_socket *s)
{
    struct swap_drain *d = ctx;

    if (!s->inode)
        return;
    if ((d->found_n & (d->found_n - 1)) == 0) /* at each power of two */
        d->found = rel_xrealloc(d->found, d->found_n ? d->found_n * 2 : 1, sizeof(*d->found));
    d->found[d->found_n++] = (struct connection){.inode = s->inode, .idle = is_idle(s)};
}

static int by_inode(const void *x, const void *y)
{
    const struct connection *a = x, *b = y;

    return a->inode < b->inode ? -1 : a->inode > b->inode;
}

/* Of all connections on the ports, those that the process accepted. */
static void keep_those_of(struct swap_drain *d, const struct swap_open_sockets *open)
{
    size_t n = 0;

    for (size_t i = 0; i < d->found_n; i++) {
        int fd = swap_open_sockets_fd(open, d->found[i].inode);

        if (fd < 0)
            continue;
        d->found[i].vm_fd = fd;
        d->found[n++] = d->found[i];
    }
    d->found_n = n;
}

int swap_drain_look(struct swap_drain *d, pid_t pid, struct swap_census *census, struct rel_err *e)
{
    struct swap_open_sockets open = {0};
    struct swap_census c = {0};
    int rc;

    d->found = NULL;
    d->found_n = 0;
    rc = look_at_half_open(d, e);
    if (!rc)
        rc = dump(d, REL_DIAG_ESTABLISHED | REL_DIAG_CLOSE_WAIT, add_connection, e);
    if (!rc)
        rc = swap_open_sockets_read(pid, &open, e);
    if (rc) {
        free(d->found);
        return -1;
    }
    keep_those_of(d, &open);
    swap_open_sockets_fini(&open);
    if (d->found_n)
        qsort(d->found, d->found_n, sizeof(*d->found), by_inode);
    free(d->v);
    d->v = d->found;
    d->n = d->found_n;
    c.half_open = d->half_n;
    c.established = d->n;
    for (size_t i = 0; i < d->n; i++)
        c.idle += d->v[i].idle;
    *census = c;
    return 0;
}
