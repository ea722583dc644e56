/* SPDX-License-Identifier: Apache-2.0 */
#include "swap/swap_gap.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/rel_clock.h"

enum {
    IDLE_US = 1000000,
    MIN_WAIT_US = 500,
    MIN_GAP_US = 2000,
    LOOK_US = 250,      /* between two looks */
    HOLD_BYTES = 16384, /* far less than a receive buffer, or it would be made larger */
    HEAD_MAX = 8192
};

/* Does one of the lines of the head begin so, in any case of letters? */
static bool has_line(const char *head, size_t n, const char *start)
{
    size_t len = strlen(start);

    for (const char *p = memmem(head, n, "\r\n", 2); p;
         p = memmem(p + 2, n - (size_t)(p + 2 - head), "\r\n", 2))
        if (n - (size_t)(p + 2 - head) >= len && !strncasecmp(p + 2, start, len))
            return true;
    return false;
}

/* "METHOD target HTTP/1.x" */
static bool is_request_line(const char *line, size_t n)
{
    size_t method = 0;
    const char *tail = " HTTP/1.";

    while (method < n && line[method] >= 'A' && line[method] <= 'Z')
        method++;
    return method > 1 && method < 20 && n > method + 10 && line[method] == ' ' &&
           !memcmp(line + n - 9, tail, 8) && !memchr(line + method + 1, ' ', n - method - 10);
}

enum swap_speech swap_speech_of(const char *data, size_t n)
{
    static const char *const others[] = {"upgrade:", "expect:", "accept: text/event-stream"};
    const char *line_end = memmem(data, n, "\r\n", 2);
    const char *end = memmem(data, n, "\r\n\r\n", 4);

    if (line_end
            ? !is_request_line(data, (size_t)(line_end - data)) || !strncmp(data, "CONNECT ", 8)
            : n && !(*data >= 'A' && *data <= 'Z'))
        return SWAP_SPEECH_OTHER;
    if (!end)
        return SWAP_SPEECH_UNKNOWN;
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        if (has_line(data, (size_t)(end - data), others[i]))
            return SWAP_SPEECH_OTHER;
    return SWAP_SPEECH_HTTP;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool is_the_moment(const struct swap_gap *g, const struct swap_look *l)
{
    int64_t quiet = l->now_us - g->late_us, wait = g->shortest_us / 4;

    if (g->speech != SWAP_SPEECH_HTTP || g->phase != SWAP_PHASE_ANSWERED || l->unsent)
        return false;
    if (quiet >= IDLE_US)
        return true;
    if (g->shortest_us < MIN_GAP_US || g->rest_us > wait / 2)
        return false;
    return quiet >= (wait > MIN_WAIT_US ? wait : MIN_WAIT_US) &&
           l->now_us - g->early_us <= g->shortest_us / 2;
}

/* A request, or a part of one. */
static void take_request(struct swap_gap *g, const struct swap_look *l)
{
    int64_t gap = l->now_us - g->early_us;

    if (g->phase == SWAP_PHASE_ANSWERED)
        g->shortest_us = g->shortest_us ? least(g->shortest_us * 2, gap) : gap;
    g->rest_us /= 2;
    if (l->speech != SWAP_SPEECH_UNKNOWN)
        g->speech = l->speech;
    g->phase = SWAP_PHASE_ASKED;
}

static void take_answer(struct swap_gap *g, const struct swap_look *l)
{
    if (g->phase == SWAP_PHASE_ANSWERED && l->now_us - g->late_us > g->rest_us)
        g->rest_us = l->now_us - g->late_us;
    g->phase = SWAP_PHASE_ANSWERED;
    g->early_us = g->looked_us;
    g->late_us = l->now_us;
}

bool swap_gap_step(struct swap_gap *g, const struct swap_look *l)
{
    bool came = l->received != g->received, went = l->sent != g->sent;

    if (came && g->phase != SWAP_PHASE_ASKED)
        take_request(g, l);
    else if (went && g->phase != SWAP_PHASE_UNSEEN)
        take_answer(g, l);
    g->received = l->received;
    g->sent = l->sent;
    g->looked_us = l->now_us;
    return !came && is_the_moment(g, l);
}

/* A connection under watch, with our copy of its descriptor. */
struct watched {
    struct swap_gap *gap;
    int fd, mark; /* mark: SO_RCVLOWAT as we found it */
    bool held;
};

static int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void set_mark(struct watched *w, bool held)
{
    int bytes = held ? HOLD_BYTES : w->mark;

    if (w->held != held && setsockopt(w->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes)) == 0)
        w->held = held;
}

static void let_go(struct watched *w)
{
    set_mark(w, false);
    close(w->fd);
    w->fd = -1;
}

/* -1: it is over by itself. */
static int look_at(struct watched *w, struct swap_look *l, uint32_t *segments)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    char head[HEAD_MAX];
    ssize_t n;

    if (getsockopt(w->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
        info.tcpi_state != 1 /* TCP_ESTABLISHED */)
        return -1;
    *l = (struct swap_look){.now_us = now_us(),
                            .received = info.tcpi_bytes_received,
                            .sent = info.tcpi_bytes_sent,
                            .unsent = info.tcpi_notsent_bytes != 0};
    *segments = info.tcpi_data_segs_in;
    if (!w->held || l->received == w->gap->received)
        return 0;
    n = recv(w->fd, head, sizeof(head), MSG_PEEK | MSG_DONTWAIT);
    if (n > 0)
        l->speech = swap_speech_of(head, (size_t)n);
    return 0;
}

/* SHUT_RD: what came is still read by the process, then comes the end (tcp(7)). */
static void end_it(struct watched *w, uint32_t segments)
{
    set_mark(w, false);
    (void)!shutdown(w->fd, SHUT_RD);
    w->gap->ended = true;
    w->gap->segments = segments;
}

/* Returns whether it was ended; w->fd is -1 when there is no more to watch. */
static bool watch(struct watched *w, bool may_end)
{
    struct swap_look l;
    uint32_t segments;
    bool moment;

    if (look_at(w, &l, &segments) < 0) {
        let_go(w);
        return false;
    }
    moment = swap_gap_step(w->gap, &l);
    if (moment && may_end)
        end_it(w, segments);
    if (w->gap->ended || w->gap->speech == SWAP_SPEECH_OTHER)
        let_go(w);
    else
        set_mark(w, w->gap->phase != SWAP_PHASE_ASKED);
    return w->gap->ended;
}

/* From where it was left; what has come or gone meanwhile is nobody's gap. Bytes that are unread
 * now were announced to the process before our mark was up. */
static void begin(struct watched *w)
{
    struct swap_look l;
    socklen_t len = sizeof(w->mark);
    uint32_t segments;

    if (getsockopt(w->fd, SOL_SOCKET, SO_RCVLOWAT, &w->mark, &len) < 0 ||
        look_at(w, &l, &segments) < 0) {
        close(w->fd);
        w->fd = -1;
        return;
    }
    if (l.received != w->gap->received || l.sent != w->gap->sent)
        w->gap->phase = SWAP_PHASE_UNSEEN;
    w->gap->received = l.received;
    w->gap->sent = l.sent;
    w->gap->looked_us = l.now_us;
    set_mark(w, w->gap->phase != SWAP_PHASE_ASKED);
}

static int take_copy(int pidfd, const struct swap_gap_target *t, int *fd, struct rel_err *e)
{
    int copy = (int)syscall(SYS_pidfd_getfd, pidfd, t->vm_fd, 0);
    struct stat st;

    *fd = -1;
    if (copy < 0 && (errno == EPERM || errno == EACCES || errno == ENOSYS))
        return rel_fail(e, REL_E_UNSUPPORTED, errno, "take a copy of a connection");
    if (copy >= 0 && fstat(copy, &st) == 0 && st.st_ino == t->inode)
        *fd = copy;
    else if (copy >= 0) /* closed, and another one has its number */
        close(copy);
    return 0;
}

static int take_copies(pid_t pid, const struct swap_gap_target *v, size_t n, struct watched *w,
                       struct rel_err *e)
{
    rel_autoclose int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

    for (size_t i = 0; i < n; i++)
        w[i] = (struct watched){.gap = v[i].gap, .fd = -1};
    if (pidfd < 0)
        return rel_fail(e, REL_E_IO, errno, "look at process %d", (int)pid);
    for (size_t i = 0; i < n; i++) {
        if (take_copy(pidfd, &v[i], &w[i].fd, e) < 0)
            return -1;
        if (w[i].fd >= 0)
            begin(&w[i]);
    }
    return 0;
}

int swap_gap_end(const struct swap_gap_order *o, size_t *done_n, struct rel_err *e)
{
    rel_autofree struct watched *w = rel_xcalloc(o->n + 1, sizeof(*w));
    int64_t until = now_us() + (int64_t)o->ms * 1000;
    int rc = take_copies(o->pid, o->v, o->n, w, e);
    size_t done = 0, open = rc ? 0 : o->n;

    while (open && done < o->max_n && now_us() < until && !*o->hurry) {
        usleep(LOOK_US);
        open = 0;
        for (size_t i = 0; i < o->n; i++) {
            if (w[i].fd >= 0)
                done += watch(&w[i], done < o->max_n);
            open += w[i].fd >= 0;
        }
    }
    for (size_t i = 0; i < o->n; i++)
        if (w[i].fd >= 0)
            let_go(&w[i]);
    if (!rc)
        *done_n = done;
    return rc;
}
