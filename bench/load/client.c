/* SPDX-License-Identifier: Apache-2.0 */
/* The connections. Paced (an open loop), requests leave at fixed times whether or not answers come:
 * a client that waits for its answer before it asks again slows down together with the server and
 * hides what was lost. In a closed loop each client asks again as soon as it has its answer.
 * Without --keepalive every request has a connection of its own. Latency counts from the time the
 * request was due. */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "bench/load/load.h"

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* The server has ended or is given up, so a reset harms nobody and leaves no TIME_WAIT behind, of
 * which a long run would otherwise gather more than there are ports. */
static void conn_close(struct conn *c)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(c->fd);
    c->fd = -1;
    c->state = FREE;
    c->len = 0;
}

static void conn_fail(struct load *l, struct conn *c, enum failure why)
{
    l->failed[why]++;
    conn_close(c);
}

static void conn_error(struct load *l, struct conn *c, int sys)
{
    conn_fail(l, c,
              sys == ECONNREFUSED ? REFUSED
              : sys == ETIMEDOUT  ? TIMED_OUT
              : c->len            ? RESET_LATE
                                  : RESET_EARLY);
}

static void conn_send(struct load *l, struct conn *c)
{
    ssize_t n = send(c->fd, l->request, l->request_len, MSG_NOSIGNAL);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};

    /* A fresh send buffer always takes so short a request whole. */
    if (n != (ssize_t)l->request_len) {
        conn_error(l, c, n < 0 ? errno : ECONNRESET);
        return;
    }
    c->state = WAITING;
    c->len = 0;
    if (epoll_ctl(l->ep, EPOLL_CTL_MOD, c->fd, &ev) < 0)
        conn_fail(l, c, OVERLOAD);
}

static void conn_open(struct load *l, struct conn *c)
{
    struct epoll_event ev = {.events = EPOLLOUT, .data.ptr = c};

    c->fd = socket(l->opt.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || epoll_ctl(l->ep, EPOLL_CTL_ADD, c->fd, &ev) < 0) {
        l->failed[OVERLOAD]++;
        if (c->fd >= 0)
            conn_close(c);
        return;
    }
    c->state = CONNECTING;
    c->len = 0;
    if (connect(c->fd, (struct sockaddr *)&l->opt.address, l->opt.address_len) < 0 &&
        errno != EINPROGRESS)
        conn_error(l, c, errno);
}

/* The length that the head names, or -1. */
static long content_length(const char *head)
{
    static const char name[] = "content-length:";
    const char *line;

    for (line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, name, sizeof name - 1))
            return strtol(line + 2 + sizeof name - 1, NULL, 10);
    return -1;
}

/* The body, once it is there as long as the head says; NULL before. */
static const char *whole_body(const struct conn *c, long *length)
{
    const char *end = strstr(c->buf, "\r\n\r\n");

    if (!end)
        return NULL;
    *length = content_length(c->buf);
    return c->buf + c->len - (end + 4) >= *length ? end + 4 : NULL;
}

static void take_answer(struct load *l, struct conn *c, bool at_end)
{
    const char *body;
    long length = 0;
    bool http;

    c->buf[c->len] = 0;
    http = !strncmp(c->buf, "HTTP/1.", 7);
    body = whole_body(c, &length);
    if (!body) {
        if (at_end || c->len == BUFFER - 1)
            conn_fail(l, c, !at_end ? BAD_ANSWER : c->len ? CLOSED_LATE : CLOSED_EARLY);
        return;
    }
    if (length < 0 || !http || strncmp(c->buf + 8, " 200 ", 5) != 0) {
        conn_fail(l, c, length < 0 || !http ? BAD_ANSWER : BAD_STATUS);
        return;
    }
    load_count_ok(l, c);
    load_count_body(l, body, (size_t)length);
    c->state = l->opt.keepalive ? IDLE : ENDING;
    c->len = 0;
}

static void on_readable(struct load *l, struct conn *c)
{
    ssize_t n = recv(c->fd, c->buf + c->len, BUFFER - 1 - c->len, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    /* Between two requests either end may close; the next request opens a new connection. */
    if (n <= 0 && (c->state == IDLE || c->state == ENDING)) {
        conn_close(c);
        return;
    }
    if (n < 0) {
        conn_error(l, c, errno);
        return;
    }
    if (c->state != WAITING) {
        conn_fail(l, c, BAD_ANSWER);
        return;
    }
    c->len += (size_t)n;
    c->last_ns = now_ns();
    take_answer(l, c, n == 0);
}

static void on_event(struct load *l, struct conn *c)
{
    int sys = 0;
    socklen_t len = sizeof sys;

    if (c->state == FREE)
        return;
    if (c->state != CONNECTING)
        return on_readable(l, c);
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &sys, &len) < 0)
        sys = errno;
    sys ? conn_error(l, c, sys) : conn_send(l, c);
}

/* By turns, so that with --keepalive all connections are equally busy. */
static struct conn *find_conn(struct load *l, enum state state)
{
    for (size_t i = 0; i < l->conn_n; i++) {
        struct conn *c = &l->conns[(l->turn + i) % l->conn_n];

        if (c->state != state)
            continue;
        l->turn = (size_t)(c - l->conns + 1) % l->conn_n;
        return c;
    }
    return NULL;
}

static int64_t due_at(const struct load *l, uint64_t i)
{
    return l->start_ns + (int64_t)(i * NS_PER_S / (uint64_t)l->opt.rate);
}

/* With --keepalive a request waits for a connection; one that got none is a failure in the end. */
static void send_due(struct load *l, int64_t now)
{
    while (l->sent < l->request_n && due_at(l, l->sent) <= now) {
        struct conn *c = l->opt.keepalive ? find_conn(l, IDLE) : NULL;
        bool idle = c != NULL;

        if (!c)
            c = find_conn(l, FREE);
        if (!c && l->opt.keepalive && !l->stopping)
            return;
        l->sent++;
        if (!c) {
            l->failed[OVERLOAD]++;
            continue;
        }
        c->due_ns = due_at(l, l->sent - 1);
        c->last_ns = now;
        idle ? conn_send(l, c) : conn_open(l, c);
    }
}

/* Whoever has nothing under way asks. */
static void send_again(struct load *l, int64_t now)
{
    for (size_t i = 0; i < l->conn_n; i++) {
        struct conn *c = &l->conns[i];
        bool idle = c->state == IDLE;

        if (!idle && c->state != FREE)
            continue;
        l->sent++;
        c->due_ns = c->last_ns = now;
        idle ? conn_send(l, c) : conn_open(l, c);
    }
}

static size_t sweep(struct load *l, int64_t now)
{
    size_t busy = 0;

    for (size_t i = 0; i < l->conn_n; i++) {
        struct conn *c = &l->conns[i];
        bool late = now - c->last_ns > (int64_t)l->opt.timeout_ms * NS_PER_MS;

        if (c->state == ENDING && (late || l->stopping))
            conn_close(c);
        else if ((c->state == CONNECTING || c->state == WAITING) && late)
            conn_fail(l, c, TIMED_OUT);
        busy += c->state == CONNECTING || c->state == WAITING;
    }
    return busy;
}

static bool time_to_stop(const struct load *l, int64_t now)
{
    struct signalfd_siginfo info;

    if (now - l->start_ns >= (int64_t)l->opt.seconds * NS_PER_S)
        return true;
    if (l->opt.until_file && access(l->opt.until_file, F_OK) == 0)
        return true;
    return read(l->signal_fd, &info, sizeof info) > 0;
}

void load_run(struct load *l)
{
    struct epoll_event events[256];
    int64_t now, swept_ns = 0;
    size_t busy = 1;

    l->start_ns = now_ns();
    while (!l->stopping || busy) {
        struct timespec wait = {.tv_nsec = NS_PER_MS};
        int n = epoll_pwait2(l->ep, events, 256, &wait, NULL);

        for (int i = 0; i < n; i++)
            on_event(l, events[i].data.ptr);
        now = now_ns();
        if (!l->stopping) {
            l->stopping = now - swept_ns > SWEEP_NS && time_to_stop(l, now);
            l->opt.closed_loop ? send_again(l, now) : send_due(l, now);
        }
        if (now - swept_ns > SWEEP_NS) {
            busy = sweep(l, now);
            swept_ns = now;
        }
    }
    l->took_ns = now_ns() - l->start_ns;
    if (l->ok && l->start_ns + l->took_ns - l->last_ok_ns > l->gap_ns)
        l->gap_ns = l->start_ns + l->took_ns - l->last_ok_ns;
}

int load_prepare(struct load *l)
{
    sigset_t stop;

    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    l->signal_fd = signalfd(-1, &stop, SFD_NONBLOCK | SFD_CLOEXEC);
    l->ep = epoll_create1(EPOLL_CLOEXEC);
    l->conn_n = l->opt.closed_loop ? (size_t)l->opt.closed_loop
                : l->opt.keepalive ? (size_t)l->opt.keepalive
                                   : CONN_MAX;
    l->conns = calloc(l->conn_n, sizeof *l->conns);
    l->request_n = (uint64_t)l->opt.rate * (uint64_t)l->opt.seconds;
    l->request_len = (size_t)snprintf(
        l->request, sizeof l->request, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\n\r\n",
        l->opt.path, l->opt.host, l->opt.keepalive ? "keep-alive" : "close");
    return l->signal_fd < 0 || l->ep < 0 || !l->conns ? -1 : 0;
}
