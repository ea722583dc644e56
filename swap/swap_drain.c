/* SPDX-License-Identifier: Apache-2.0 */
#include "swap/swap_drain.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rel_diag.h"
#include "swap/swap_gap.h"
#include "swap/swap_listen.h"

/* How long a connection must be quiet to count as idle. Where the kernel's time stamps, 4 ms
 * apart, do not tell whether the answer or the next request came last, longer; and where nothing
 * has come at all, because the first request may have been lost on its way and come again. */
enum { IDLE_MS = 1000, IDLE_UNSURE_MS = 5000, TARGET_MAX = 256 };

struct half_open {
    int family;
    in_port_t local_port, peer_port;
    struct in6_addr peer;
    bool still;
};

struct connection {
    uint64_t cookie, inode;
    int vm_fd;
    struct rel_diag_socket last; /* as last seen */
    bool open, over;             /* the process has it; the kernel has no more of it */
    struct swap_gap gap;
};

struct port {
    int family;
    in_port_t port;
};

struct swap_drain {
    pthread_mutex_t lock; /* of all below but `stopped` */
    _Atomic bool stopped;
    struct port *ports;
    struct half_open *half;
    struct connection *v; /* by cookie */
    size_t port_n, half_n, n, turn;
    int ends; /* -1: the kernel does not tell of ends */
    struct swap_cut cut;
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
    struct rel_err none = {0};

    pthread_mutex_init(&d->lock, NULL);
    d->ends = -1;
    (void)!rel_diag_ends_open(&d->ends, &none); /* then it is less exact */
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
    if (d->ends >= 0)
        close(d->ends);
    pthread_mutex_destroy(&d->lock);
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

static bool is_unanswered(const struct rel_diag_socket *s)
{
    return s->unread > 1 ||
           (s->bytes_received > 1 && (!s->bytes_sent || s->last_sent_ms > s->last_received_ms));
}

/* Nothing under way, and the last thing that happened was our answer, a while ago. A client's pure
 * acknowledgement behind the last data in either direction shows that the data was ours. */
static bool is_idle(const struct rel_diag_socket *s)
{
    uint32_t quiet_ms =
        s->last_sent_ms < s->last_received_ms ? s->last_sent_ms : s->last_received_ms;
    bool unsure = s->last_sent_ms == s->last_received_ms && s->last_ack_ms == s->last_received_ms;

    if (s->unread || s->unsent || is_unanswered(s))
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
    d->found[d->found_n++] =
        (struct connection){.cookie = s->cookie, .inode = s->inode, .last = *s, .open = true};
}

static int by_cookie(const void *x, const void *y)
{
    const struct connection *a = x, *b = y;

    return a->cookie < b->cookie ? -1 : a->cookie > b->cookie;
}

static struct connection *find(struct connection *v, size_t n, uint64_t cookie)
{
    struct connection key = {.cookie = cookie};

    return n ? bsearch(&key, v, n, sizeof(key), by_cookie) : NULL;
}

/* Of all connections on the ports, those that the process accepted, with what is known of them. */
static void keep_those_of(struct swap_drain *d, const struct swap_open_sockets *open)
{
    size_t n = 0;

    for (size_t i = 0; i < d->found_n; i++) {
        const struct connection *before = find(d->v, d->n, d->found[i].cookie);
        int fd = swap_open_sockets_fd(open, d->found[i].inode);

        if (fd < 0)
            continue;
        d->found[i].vm_fd = fd;
        if (before)
            d->found[i].gap = before->gap;
        d->found[n++] = d->found[i];
    }
    d->found_n = n;
    if (n)
        qsort(d->found, n, sizeof(*d->found), by_cookie);
}

/* Those that the process has closed, and whose end the kernel has not told of yet. */
static void keep_closed(struct swap_drain *d)
{
    size_t n = d->found_n;

    for (size_t i = 0; i < d->n; i++) {
        struct connection c = d->v[i];

        if (c.over || find(d->found, d->found_n, c.cookie))
            continue;
        c.open = false;
        d->found = rel_xrealloc(d->found, n + 1, sizeof(*d->found));
        d->found[n++] = c;
    }
    if (n > d->found_n)
        qsort(d->found, n, sizeof(*d->found), by_cookie);
    free(d->v);
    d->v = rel_steal(&d->found);
    d->n = n;
}

/* What came when it was closed already raises the number of segments, but no other. On a WebSocket
 * that is the client's goodbye, so it counts only where we know better. */
static bool was_cut(const struct connection *c, const struct rel_diag_socket *s)
{
    uint32_t segments = c->gap.ended ? c->gap.segments : c->last.segments;
    uint64_t received = c->gap.ended ? c->gap.received : c->last.bytes_received;

    if (c->gap.speech == SWAP_SPEECH_OTHER)
        return false;
    return is_unanswered(s) || (c->gap.speech == SWAP_SPEECH_HTTP && s->segments != segments &&
                                s->bytes_received <= received + 1);
}

static void see_end(void *ctx, const struct rel_diag_socket *s)
{
    struct swap_drain *d = ctx;
    struct connection *c = find(d->v, d->n, s->cookie);

    if (!c || c->over)
        return;
    c->over = true;
    d->cut.n += (d->stopped || c->gap.ended) && was_cut(c, s);
}

static void read_ends(struct swap_drain *d)
{
    if (d->ends >= 0)
        rel_diag_ends_read(d->ends, see_end, d, &d->cut.more);
}

static int look(struct swap_drain *d, pid_t pid, struct rel_err *e)
{
    struct swap_open_sockets open = {0};
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
    read_ends(d);
    keep_those_of(d, &open);
    swap_open_sockets_fini(&open);
    keep_closed(d);
    return 0;
}

int swap_drain_look(struct swap_drain *d, pid_t pid, struct swap_census *census, struct rel_err *e)
{
    struct swap_census c = {0};
    int rc;

    pthread_mutex_lock(&d->lock);
    rc = look(d, pid, e);
    c.half_open = d->half_n;
    for (size_t i = 0; i < d->n; i++) {
        c.established += d->v[i].open;
        c.idle += d->v[i].open && is_idle(&d->v[i].last);
    }
    pthread_mutex_unlock(&d->lock);
    if (!rc)
        *census = c;
    return rc;
}

/* Another part of them each time, where they are many. */
static size_t take_turn(struct swap_drain *d, struct swap_gap_target v[TARGET_MAX])
{
    size_t n = 0, i = 0;

    for (; i < d->n && n < TARGET_MAX; i++) {
        struct connection *c = &d->v[(d->turn + i) % d->n];

        if (c->open && !c->gap.ended && c->gap.speech != SWAP_SPEECH_OTHER)
            v[n++] = (struct swap_gap_target){.vm_fd = c->vm_fd, .inode = c->inode, .gap = &c->gap};
    }
    d->turn += i;
    return n;
}

int swap_drain_end_idle(struct swap_drain *d, pid_t pid, size_t max_n, int ms, size_t *done_n,
                        struct rel_err *e)
{
    struct swap_gap_target v[TARGET_MAX];
    size_t n, done = 0;
    int rc = 0;

    pthread_mutex_lock(&d->lock);
    n = take_turn(d, v);
    if (n && max_n)
        rc = swap_gap_end(
            &(struct swap_gap_order){
                .pid = pid, .v = v, .n = n, .max_n = max_n, .ms = ms, .hurry = &d->stopped},
            &done, e);
    read_ends(d);
    pthread_mutex_unlock(&d->lock);
    if (!rc)
        *done_n = done;
    return rc;
}

void swap_drain_stop(struct swap_drain *d)
{
    d->stopped = true;
}

struct swap_cut swap_drain_finish(struct swap_drain *d)
{
    struct rel_err none = {0};

    swap_drain_stop(d);
    pthread_mutex_lock(&d->lock);
    read_ends(d);
    if (d->ends >= 0) /* nobody's, and not over: their last data is still to be acknowledged */
        (void)!dump(d, REL_DIAG_CLOSED, see_end, &none);
    for (size_t i = 0; i < d->n && d->ends < 0; i++)
        d->cut.n += d->v[i].open && is_unanswered(&d->v[i].last);
    pthread_mutex_unlock(&d->lock);
    return d->cut;
}
