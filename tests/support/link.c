/* SPDX-License-Identifier: Apache-2.0 */
/* link: a slow and lossy link between two network namespaces, for tests: two TUN devices (one here,
 * one in the namespace of another process) and what lies between them. A drain over loopback proves
 * nothing: there a handshake is over before anybody could close a listener (facts of the kernel).
 *
 *   link --peer PID --delay-ms N --loss PERCENT [--seed N]
 *
 * makes the devices `near` here and `far` there, prints "ready" and relays until SIGTERM. Addresses
 * are given by who calls it. Both directions are delayed and lose alike. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { PACKET = 2048, QUEUE = 16384, NS_PER_MS = 1000000 };

struct packet {
    int64_t due_ns;
    size_t len;
    unsigned char bytes[PACKET];
};

/* First in, first out: the delay is the same for all. A full queue drops, as links do. */
struct lane {
    int from, to;
    struct packet ring[QUEUE];
    size_t head, n;
};

struct link {
    struct lane lanes[2];
    int64_t delay_ns;
    uint32_t loss; /* of 2^32 */
    uint64_t random;
};

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* xorshift64: the same losses for the same seed. */
static bool is_lost(struct link *l)
{
    l->random ^= l->random << 13;
    l->random ^= l->random >> 7;
    l->random ^= l->random << 17;
    return (uint32_t)l->random < l->loss;
}

static void take_in(struct link *l, struct lane *lane)
{
    struct packet *p = &lane->ring[(lane->head + lane->n) % QUEUE];
    ssize_t n;

    while (lane->n < QUEUE) {
        p = &lane->ring[(lane->head + lane->n) % QUEUE];
        n = read(lane->from, p->bytes, PACKET);
        if (n <= 0)
            return;
        if (is_lost(l))
            continue;
        p->len = (size_t)n;
        p->due_ns = now_ns() + l->delay_ns;
        lane->n++;
    }
}

static void pass_on(struct lane *lane)
{
    int64_t now = now_ns();

    while (lane->n && lane->ring[lane->head].due_ns <= now) {
        struct packet *p = &lane->ring[lane->head];

        (void)!write(lane->to, p->bytes, p->len); /* a device that is down loses it: a link */
        lane->head = (lane->head + 1) % QUEUE;
        lane->n--;
    }
}

static int open_tun(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (fd >= 0 && ioctl(fd, TUNSETIFF, &request) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int enter(const char *namespace)
{
    int fd = open(namespace, O_RDONLY | O_CLOEXEC), rc;

    if (fd < 0)
        return -1;
    rc = setns(fd, CLONE_NEWNET);
    close(fd);
    return rc;
}

static int prepare(struct link *l, const char *pid)
{
    char there[64];
    int near, far;

    snprintf(there, sizeof there, "/proc/%s/ns/net", pid);
    near = open_tun("near");
    if (near < 0 || enter(there) < 0)
        return -1;
    far = open_tun("far");
    if (far < 0)
        return -1;
    l->lanes[0].from = l->lanes[1].to = near;
    l->lanes[1].from = l->lanes[0].to = far;
    return 0;
}

static int relay(struct link *l)
{
    struct epoll_event event = {.events = EPOLLIN}, events[3];
    int ep = epoll_create1(EPOLL_CLOEXEC), signals;
    sigset_t stop;

    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    signals = signalfd(-1, &stop, SFD_CLOEXEC);
    event.data.u32 = 2;
    if (ep < 0 || signals < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, signals, &event) < 0)
        return -1;
    for (uint32_t i = 0; i < 2; i++) {
        event.data.u32 = i;
        if (epoll_ctl(ep, EPOLL_CTL_ADD, l->lanes[i].from, &event) < 0)
            return -1;
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(ep, events, 3, 1);

        for (int i = 0; i < n; i++) {
            if (events[i].data.u32 == 2)
                return 0;
            take_in(l, &l->lanes[events[i].data.u32]);
        }
        pass_on(&l->lanes[0]);
        pass_on(&l->lanes[1]);
    }
}

int main(int argc, char **argv)
{
    static const struct option table[] = {{"peer", 1, NULL, 'p'},
                                          {"delay-ms", 1, NULL, 'd'},
                                          {"loss", 1, NULL, 'l'},
                                          {"seed", 1, NULL, 's'},
                                          {0}};
    static struct link l = {.random = 88172645463325252}; /* too large for a stack */
    const char *pid = NULL;
    int c, rc;

    while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (c == 'p')
            pid = optarg;
        else if (c == 'd')
            l.delay_ns = strtol(optarg, NULL, 10) * NS_PER_MS;
        else if (c == 'l')
            l.loss = (uint32_t)(strtod(optarg, NULL) / 100 * 4294967295.0);
        else if (c == 's')
            l.random = (uint64_t)strtoull(optarg, NULL, 10) * 2654435769 + 1;
        else
            return 2;
    }
    if (!pid) {
        fputs("usage: link --peer PID --delay-ms N --loss PERCENT [--seed N]\n", stderr);
        return 2;
    }
    rc = prepare(&l, pid) < 0 || relay(&l) < 0;
    if (rc)
        perror("link");
    return rc;
}
