/* SPDX-License-Identifier: Apache-2.0 */
#include "hotload/hot_port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/rel_io.h"

#define RANGE_FILE "/proc/sys/net/ipv4/ip_local_port_range"

enum {
    PORT_LOW = 10240, /* below it people put their servers */
    PORT_END = 65536,
    FEW = 256, /* with less than that outside of the kernel's range we take from all */
    TRIES = 128
};

/* The ports from which the kernel takes for outgoing connections: [low, end). */
struct range {
    int low, end;
};

static struct range read_range(void)
{
    rel_autofree char *text = NULL;
    struct range r = {.low = 32768, .end = 61000}; /* the kernel's default */
    struct rel_err e = {0};
    long low, high;
    char *rest;
    size_t len;

    if (rel_read_file(AT_FDCWD, RANGE_FILE, 64, &text, &len, &e) < 0)
        return r;
    low = strtol(text, &rest, 10);
    high = strtol(rest, NULL, 10);
    if (low > 0 && low <= high && high < PORT_END)
        r = (struct range){.low = (int)low, .end = (int)high + 1};
    return r;
}

/* The n-th port that may be taken; *count is how many there are. */
static int nth_port(const struct range *r, uint32_t n, uint32_t *count)
{
    uint32_t below = r->low > PORT_LOW ? (uint32_t)(r->low - PORT_LOW) : 0;
    int from = r->end > PORT_LOW ? r->end : PORT_LOW;
    uint32_t above = (uint32_t)(PORT_END - from);

    *count = below + above;
    return n < below ? PORT_LOW + (int)n : from + (int)(n - below);
}

static int random_port(const struct range *r, int *port, struct rel_err *e)
{
    static const struct range none = {.low = PORT_END, .end = PORT_END};
    uint32_t count, n;

    if (rel_random(&n, sizeof(n), e) < 0)
        return -1;
    (void)nth_port(r, 0, &count);
    if (count < FEW) {
        r = &none;
        (void)nth_port(r, 0, &count);
    }
    *port = nth_port(r, n % count, &count);
    return 0;
}

/* Bound without SO_REUSEPORT, which would let another socket of the same user have the port
 * already; that comes afterwards, when it is ours alone (facts of the kernel). */
static int bind_alone(int port, uid_t owner, int *fd, bool *taken, struct rel_err *e)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    rel_autoclose int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;

    if (s < 0)
        return rel_fail(e, REL_E_IO, errno, "make a socket for the distribution");
    if (owner != geteuid() && fchown(s, owner, (gid_t)-1) < 0)
        return rel_fail(e, REL_E_IO, errno, "give a socket to user %u", (unsigned)owner);
    *taken = bind(s, (struct sockaddr *)&a, sizeof(a)) < 0;
    if (*taken && errno != EADDRINUSE)
        return rel_fail(e, REL_E_IO, errno, "bind port %d of 127.0.0.1 for the distribution", port);
    if (*taken)
        return 0;
    if (setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0)
        return rel_fail(e, REL_E_IO, errno, "share port %d of 127.0.0.1", port);
    *fd = rel_steal_fd(&s);
    return 0;
}

int hot_port_take(uid_t owner, int *port, int *fd, struct rel_err *e)
{
    struct range range = read_range();

    for (int i = 0; i < TRIES; i++) {
        bool taken = true;
        int candidate;

        if (random_port(&range, &candidate, e) < 0 ||
            bind_alone(candidate, owner, fd, &taken, e) < 0)
            return -1;
        if (!taken) {
            *port = candidate;
            return 0;
        }
    }
    return rel_fail(e, REL_E_IO, 0, "no free port on 127.0.0.1 for the distribution");
}
