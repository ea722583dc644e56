/* SPDX-License-Identifier: Apache-2.0 */
#include "hotload/hot_frame.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/rel_clock.h"

enum { FIRST_CAP = 64 << 10, PIECES_MAX = 4 };

/* The deadline counts also where there is always something to read. */
static int wait_for(int fd, short events, int64_t until_ms, struct rel_err *e)
{
    struct pollfd p = {.fd = fd, .events = events};

    for (;;) {
        int left = rel_left_ms(until_ms), n = poll(&p, 1, left);

        if (n > 0 && left > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return rel_fail(e, REL_E_UNREACHABLE, errno, "it cannot be waited for");
        if (left == 0)
            return rel_fail(e, REL_E_TIMEOUT, 0, "it does not answer in time");
    }
}

/* Some of the `want` bytes; *got may be 0. */
static int receive(int fd, void *to, size_t want, int64_t until_ms, size_t *got, struct rel_err *e)
{
    ssize_t n;

    if (wait_for(fd, POLLIN, until_ms, e) < 0)
        return -1;
    n = recv(fd, to, want, MSG_DONTWAIT);
    if (n == 0)
        return rel_fail(e, REL_E_UNREACHABLE, 0, "it hung up");
    if (n < 0 && errno != EINTR && errno != EAGAIN)
        return rel_fail(e, REL_E_UNREACHABLE, errno, "it hung up");
    *got = n > 0 ? (size_t)n : 0;
    return 0;
}

int hot_read_exactly(int fd, void *to, size_t n, int64_t until_ms, struct rel_err *e)
{
    char *p = to;

    while (n) {
        size_t got;

        if (receive(fd, p, n, until_ms, &got, e) < 0)
            return -1;
        p += got;
        n -= got;
    }
    return 0;
}

static size_t head_value(const struct hot_reader *r)
{
    size_t value = 0;

    for (size_t i = 0; i < r->head_n; i++)
        value = value << 8 | r->head[i];
    return value;
}

static int read_head(struct hot_reader *r, int64_t until_ms, struct rel_err *e)
{
    size_t n;

    if (receive(r->fd, r->head + r->got, r->head_n - r->got, until_ms, &n, e) < 0)
        return -1;
    r->got += n;
    if (r->got < r->head_n)
        return 0;
    r->len = head_value(r);
    if (r->len > r->max)
        return rel_fail(e, REL_E_UNREACHABLE, 0, "it sends %zu bytes at once, more than %zu",
                        r->len, r->max);
    return 0;
}

/* Who announces a lot gets room as he sends it. */
static void make_room(struct hot_reader *r, size_t have)
{
    if (have < r->cap)
        return;
    r->cap = r->cap ? r->cap * 2 : FIRST_CAP;
    if (r->cap > r->len)
        r->cap = r->len;
    r->body = rel_xrealloc(r->body, r->cap, 1);
}

static int read_body(struct hot_reader *r, int64_t until_ms, struct rel_err *e)
{
    size_t n, have = r->got - r->head_n;

    make_room(r, have);
    if (receive(r->fd, r->body + have, r->cap - have, until_ms, &n, e) < 0)
        return -1;
    r->got += n;
    return 0;
}

int hot_reader_next(struct hot_reader *r, int64_t until_ms, char **body, size_t *len,
                    struct rel_err *e)
{
    while (r->got < r->head_n || r->got - r->head_n < r->len) {
        int rc = r->got < r->head_n ? read_head(r, until_ms, e) : read_body(r, until_ms, e);

        if (rc < 0)
            return -1;
    }
    *body = rel_steal(&r->body);
    *len = r->len;
    r->got = r->len = r->cap = 0;
    return 0;
}

void hot_reader_fini(struct hot_reader *r)
{
    free(r->body);
    r->body = NULL;
    r->got = r->len = r->cap = 0;
}

/* Leaves out the first `n` bytes. */
static void skip_sent(struct msghdr *m, size_t n)
{
    while (m->msg_iovlen && n >= m->msg_iov->iov_len) {
        n -= m->msg_iov->iov_len;
        m->msg_iov++;
        m->msg_iovlen--;
    }
    if (m->msg_iovlen) {
        m->msg_iov->iov_base = (char *)m->msg_iov->iov_base + n;
        m->msg_iov->iov_len -= n;
    }
}

int hot_send_packet(int fd, size_t head_n, const struct hot_piece *pieces, int n, int64_t until_ms,
                    struct rel_err *e)
{
    unsigned char head[4];
    struct iovec v[PIECES_MAX + 1] = {{.iov_base = head, .iov_len = head_n}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 1};
    size_t len = 0;

    for (int i = 0; i < n && i < PIECES_MAX; i++) {
        v[m.msg_iovlen++] =
            (struct iovec){.iov_base = (void *)pieces[i].bytes, .iov_len = pieces[i].len};
        len += pieces[i].len;
    }
    if (len > UINT32_MAX || (head_n == 2 && len > UINT16_MAX))
        return rel_fail(e, REL_E_INPUT, 0, "%zu bytes are too much for one message", len);
    for (size_t i = 0; i < head_n; i++)
        head[i] = (unsigned char)(len >> 8 * (head_n - 1 - i));
    while (m.msg_iovlen) {
        ssize_t sent;

        if (wait_for(fd, POLLOUT, until_ms, e) < 0)
            return -1;
        sent = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EINTR && errno != EAGAIN)
            return rel_fail(e, REL_E_UNREACHABLE, errno, "it hung up");
        skip_sent(&m, sent > 0 ? (size_t)sent : 0);
    }
    return 0;
}

void hot_send_tick(int fd)
{
    static const unsigned char tick[4];

    /* A stream socket with any room at all takes four bytes whole. */
    (void)!send(fd, tick, sizeof(tick), MSG_NOSIGNAL | MSG_DONTWAIT);
}
