/* SPDX-License-Identifier: Apache-2.0 */
/* load: a bounded, paced HTTP/1.1 client for the tests and the demo.
 *
 * Requests leave at fixed times whether or not answers come (open loop): a client that waits for
 * its answer before it asks again slows down together with the server and hides what was lost.
 * Without --keepalive every request has a connection of its own; with --keepalive N they are spread
 * over N open ones. Latency counts from the time the request was due. It speaks only to loopback.
 *
 * Exit: 0 every request was answered with 200, 1 some were not, 2 usage. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONN_MAX = 1000, BODY_KIND_MAX = 16, BUFFER = 4096, RATE_MAX = 20000, SECONDS_MAX = 600 };
enum { NS_PER_MS = 1000000, NS_PER_S = 1000000000, SWEEP_NS = 5000000 };

enum failure { REFUSED, RESET, CLOSED, TIMED_OUT, BAD_STATUS, BAD_ANSWER, OVERLOAD, FAILURE_N };
static const char *const failure_name[FAILURE_N] = {
    "refused", "reset", "closed", "timeout", "bad_status", "bad_answer", "overload"};

/* ENDING: answered, waiting for the server's end of the connection. */
enum state { FREE, CONNECTING, WAITING, IDLE, ENDING };

struct conn {
    enum state state;
    int fd;
    int64_t due_ns; /* of the request under way */
    int64_t last_ns;
    size_t len;
    char buf[BUFFER];
};

struct body_kind {
    char line[64];
    uint64_t n;
};

struct options {
    struct sockaddr_in address;
    char path[512], host[128];
    int rate, seconds, keepalive, timeout_ms;
    const char *until_file;
    bool json;
};

struct load {
    struct options opt;
    int ep, signal_fd;
    struct conn *conns;
    size_t conn_n; /* usable slots */
    char request[1024];
    size_t request_len;
    int64_t start_ns, last_ok_ns, gap_ns, took_ns;
    uint64_t request_n, sent, ok, failed[FAILURE_N];
    struct body_kind bodies[BODY_KIND_MAX];
    size_t body_n;
    uint32_t *latency_us;
    bool stopping;
};

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

__attribute__((noreturn)) static void usage(const char *why)
{
    fprintf(stderr,
            "load: %s\nusage: load --url http://127.0.0.1:PORT/PATH [--rate N] [--seconds N]"
            " [--keepalive N] [--timeout-ms N] [--until-file F] [--json]\n",
            why);
    exit(2);
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
    conn_fail(l, c, sys == ECONNREFUSED ? REFUSED : sys == ETIMEDOUT ? TIMED_OUT : RESET);
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

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || epoll_ctl(l->ep, EPOLL_CTL_ADD, c->fd, &ev) < 0) {
        l->failed[OVERLOAD]++;
        if (c->fd >= 0)
            conn_close(c);
        return;
    }
    c->state = CONNECTING;
    if (connect(c->fd, (struct sockaddr *)&l->opt.address, sizeof l->opt.address) < 0 &&
        errno != EINPROGRESS)
        conn_error(l, c, errno);
}

/* Answers are counted by their first line; kinds beyond the table (a counter's, say) are not. */
static void count_body(struct load *l, const char *body, size_t len)
{
    struct body_kind kind = {.n = 1};
    size_t i;

    for (i = 0; i < len && i < sizeof kind.line - 1 && body[i] != '\n' && body[i] != '\r'; i++)
        kind.line[i] = body[i] >= ' ' && body[i] != '"' && body[i] != '\\' ? body[i] : '?';
    for (i = 0; i < l->body_n; i++)
        if (!strcmp(l->bodies[i].line, kind.line)) {
            l->bodies[i].n++;
            return;
        }
    if (l->body_n < BODY_KIND_MAX)
        l->bodies[l->body_n++] = kind;
}

static void count_ok(struct load *l, const struct conn *c)
{
    if (l->ok && c->last_ns - l->last_ok_ns > l->gap_ns)
        l->gap_ns = c->last_ns - l->last_ok_ns;
    l->last_ok_ns = c->last_ns;
    l->latency_us[l->ok++] = (uint32_t)((c->last_ns - c->due_ns) / 1000);
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
            conn_fail(l, c, at_end ? CLOSED : BAD_ANSWER);
        return;
    }
    if (length < 0 || !http || strncmp(c->buf + 8, " 200 ", 5) != 0) {
        conn_fail(l, c, length < 0 || !http ? BAD_ANSWER : BAD_STATUS);
        return;
    }
    count_ok(l, c);
    count_body(l, body, (size_t)length);
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

static struct conn *find_conn(struct load *l, enum state state)
{
    for (size_t i = 0; i < l->conn_n; i++)
        if (l->conns[i].state == state)
            return &l->conns[i];
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

static void run(struct load *l)
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
            send_due(l, now);
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

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static double latency_ms(const struct load *l, int percent)
{
    size_t at = l->ok ? (l->ok - 1) * (size_t)percent / 100 : 0;

    return l->ok ? l->latency_us[at] / 1000.0 : 0;
}

static uint64_t failed_sum(const struct load *l)
{
    uint64_t sum = 0;

    for (int i = 0; i < FAILURE_N; i++)
        sum += l->failed[i];
    return sum;
}

static void print_json(const struct load *l)
{
    printf("{\"sent\":%" PRIu64 ",\"ok\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"failures\":{",
           l->sent, l->ok, failed_sum(l));
    for (int i = 0; i < FAILURE_N; i++)
        printf("%s\"%s\":%" PRIu64, i ? "," : "", failure_name[i], l->failed[i]);
    fputs("},\"answers\":{", stdout);
    for (size_t i = 0; i < l->body_n; i++)
        printf("%s\"%s\":%" PRIu64, i ? "," : "", l->bodies[i].line, l->bodies[i].n);
    printf("},\"seconds\":%.3f,\"longest_gap_ms\":%.3f,\"latency_ms\":{\"p50\":%.3f,\"p99\":%.3f,"
           "\"max\":%.3f}}\n",
           (double)l->took_ns / NS_PER_S, (double)l->gap_ns / NS_PER_MS, latency_ms(l, 50),
           latency_ms(l, 99), latency_ms(l, 100));
}

static void print_table(const struct load *l)
{
    printf("%-24s %" PRIu64 " in %.1f s\n", "requests", l->sent, (double)l->took_ns / NS_PER_S);
    for (size_t i = 0; i < l->body_n; i++)
        printf("  %-22s %" PRIu64 "\n", l->bodies[i].line, l->bodies[i].n);
    printf("%-24s %" PRIu64 "\n", "failed", failed_sum(l));
    for (int i = 0; i < FAILURE_N; i++)
        if (l->failed[i])
            printf("  %-22s %" PRIu64 "\n", failure_name[i], l->failed[i]);
    printf("%-24s %.1f ms\n", "longest gap", (double)l->gap_ns / NS_PER_MS);
    printf("%-24s %.1f / %.1f / %.1f ms\n", "latency p50, p99, max", latency_ms(l, 50),
           latency_ms(l, 99), latency_ms(l, 100));
}

static int number(const char *text, int high)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (end == text || *end || n < 1 || n > high)
        usage("a number is missing, not one or too large");
    return (int)n;
}

static void set_url(struct options *o, const char *url)
{
    char host[16] = "", none[1] = "", *path = none;
    const char *colon = strchr(url + strcspn(url, "."), ':');
    long port = colon ? strtol(colon + 1, &path, 10) : 0;

    if (port > 0 && port <= 65535 && (!*path || *path == '/') && !strncmp(url, "http://", 7))
        snprintf(host, sizeof host, "%.*s", (int)(colon - url - 7), url + 7);
    if (inet_pton(AF_INET, host, &o->address.sin_addr) != 1)
        usage("--url is http://ADDRESS:PORT/PATH");
    if (ntohl(o->address.sin_addr.s_addr) >> 24 != 127)
        usage("only a loopback address is loaded");
    o->address.sin_family = AF_INET;
    o->address.sin_port = htons((uint16_t)port);
    snprintf(o->path, sizeof o->path, "%s", *path ? path : "/");
    snprintf(o->host, sizeof o->host, "%s:%ld", host, port);
}

static void read_options(struct options *o, int argc, char **argv)
{
    static const struct option table[] = {
        {"url", 1, NULL, 'u'},        {"rate", 1, NULL, 'r'},
        {"seconds", 1, NULL, 's'},    {"keepalive", 1, NULL, 'k'},
        {"timeout-ms", 1, NULL, 't'}, {"until-file", 1, NULL, 'f'},
        {"json", 0, NULL, 'j'},       {0}};
    int c;

    while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (c == 'u')
            set_url(o, optarg);
        else if (c == 'r')
            o->rate = number(optarg, RATE_MAX);
        else if (c == 's')
            o->seconds = number(optarg, SECONDS_MAX);
        else if (c == 'k')
            o->keepalive = number(optarg, CONN_MAX);
        else if (c == 't')
            o->timeout_ms = number(optarg, 60000);
        else if (c == 'f')
            o->until_file = optarg;
        else if (c == 'j')
            o->json = true;
        else
            usage("unknown option");
    }
    if (!o->address.sin_port || optind != argc)
        usage("--url is needed, and nothing beside the options");
}

static int prepare(struct load *l)
{
    sigset_t stop;

    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    l->signal_fd = signalfd(-1, &stop, SFD_NONBLOCK | SFD_CLOEXEC);
    l->ep = epoll_create1(EPOLL_CLOEXEC);
    l->conn_n = l->opt.keepalive ? (size_t)l->opt.keepalive : CONN_MAX;
    l->conns = calloc(l->conn_n, sizeof *l->conns);
    l->request_n = (uint64_t)l->opt.rate * (uint64_t)l->opt.seconds;
    l->latency_us = calloc(l->request_n, sizeof *l->latency_us);
    l->request_len = (size_t)snprintf(
        l->request, sizeof l->request, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\n\r\n",
        l->opt.path, l->opt.host, l->opt.keepalive ? "keep-alive" : "close");
    return l->signal_fd < 0 || l->ep < 0 || !l->conns || !l->latency_us ? -1 : 0;
}

int main(int argc, char **argv)
{
    struct load l = {.opt = {.rate = 100, .seconds = 10, .timeout_ms = 5000}};

    read_options(&l.opt, argc, argv);
    if (prepare(&l) < 0) {
        perror("load");
        return 1;
    }
    run(&l);
    qsort(l.latency_us, l.ok, sizeof *l.latency_us, by_size);
    if (l.opt.json)
        print_json(&l);
    else
        print_table(&l);
    free(l.conns);
    free(l.latency_us);
    return failed_sum(&l) ? 1 : 0;
}
