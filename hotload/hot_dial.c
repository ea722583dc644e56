/* SPDX-License-Identifier: Apache-2.0 */
#include "hotload/hot_dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/rel_clock.h"
#include "hotload/hot_frame.h"

enum { EPMD_PORT = 4369, EPMD_PORT2_REQ = 122, EPMD_PORT2_RESP = 119 };

/* errno of connect(2), ETIMEDOUT at the deadline, 0 when it is made. */
static int connect_until(int fd, const struct sockaddr_in *a, int64_t until_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int err = 0, n;
    socklen_t len = sizeof(err);

    if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return errno;
    do
        n = poll(&p, 1, rel_left_ms(until_ms));
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return ETIMEDOUT;
    return n < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? errno : err;
}

static int dial(const struct sockaddr_in *a, int64_t until_ms, int *fd)
{
    rel_autoclose int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1, err = s < 0 ? errno : connect_until(s, a, until_ms);

    if (err)
        return err;
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* small messages, one at a time */
    *fd = rel_steal_fd(&s);
    return 0;
}

static int find_host(const struct hot_contact *c, struct sockaddr_in *a, struct rel_err *e)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
    const char *host = strchr(c->node, '@') + 1;
    int rc = getaddrinfo(host, NULL, &hints, &found);

    if (rc || !found)
        return rel_fail(e, REL_E_UNREACHABLE, 0, "the host of node %s is not known: %s", c->node,
                        rc ? gai_strerror(rc) : "no address");
    memcpy(a, found->ai_addr, sizeof(*a));
    freeaddrinfo(found);
    return 0;
}

static in_port_t epmd_port(void)
{
    const char *own = getenv("ERL_EPMD_PORT");
    long port = own ? strtol(own, NULL, 10) : 0;

    return port > 0 && port < 65536 ? (in_port_t)port : EPMD_PORT;
}

/* PORT_PLEASE2_REQ (the distribution protocol). Who answers is anybody who listens there, so only
 * so many bytes of him are read. */
static int ask_epmd(int fd, const struct hot_contact *c, int64_t until_ms, in_port_t *port,
                    struct rel_err *e)
{
    static const unsigned char tag = EPMD_PORT2_REQ;
    const struct hot_piece request[] = {{&tag, 1}, {c->node, strcspn(c->node, "@")}};
    unsigned char answer[4];
    struct rel_err why = {0};

    if (hot_send_packet(fd, 2, request, 2, until_ms, &why) < 0 ||
        hot_read_exactly(fd, answer, 2, until_ms, &why) < 0)
        return rel_fail(e, REL_E_UNREACHABLE, 0, "the epmd of node %s: %s", c->node, why.msg);
    if (answer[0] != EPMD_PORT2_RESP || answer[1] != 0)
        return rel_fail(e, REL_E_UNREACHABLE, 0,
                        "node %s is not running: its epmd does not know it", c->node);
    if (hot_read_exactly(fd, answer + 2, 2, until_ms, &why) < 0)
        return rel_fail(e, REL_E_UNREACHABLE, 0, "the epmd of node %s: %s", c->node, why.msg);
    *port = (in_port_t)(answer[2] << 8 | answer[3]);
    return 0;
}

/* Leaves the node's address in *a. */
static int look_up(const struct hot_contact *c, int64_t until_ms, struct sockaddr_in *a,
                   struct rel_err *e)
{
    rel_autoclose int fd = -1;
    in_port_t port;
    int err;

    if (find_host(c, a, e) < 0)
        return -1;
    a->sin_port = htons(epmd_port());
    err = dial(a, until_ms, &fd);
    if (err)
        return rel_fail(e, REL_E_UNREACHABLE, err,
                        "node %s is not running: no epmd answers on its host", c->node);
    if (ask_epmd(fd, c, until_ms, &port, e) < 0)
        return -1;
    a->sin_port = htons(port);
    return 0;
}

int hot_dial(const struct hot_contact *c, int64_t until_ms, int *fd, int *port, struct rel_err *e)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)c->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int err;

    if (!c->port && look_up(c, until_ms, &a, e) < 0)
        return -1;
    *port = ntohs(a.sin_port);
    err = dial(&a, until_ms, fd);
    if (err == ECONNREFUSED)
        return rel_fail(e, REL_E_UNREACHABLE, 0,
                        "node %s is not running: nothing listens on port %d", c->node, *port);
    if (err == ETIMEDOUT)
        return rel_fail(e, REL_E_UNREACHABLE, 0, "node %s does not answer in time", c->node);
    if (err)
        return rel_fail(e, REL_E_UNREACHABLE, err, "connect to node %s on port %d", c->node, *port);
    return 0;
}
