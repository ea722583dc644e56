/* SPDX-License-Identifier: Apache-2.0 */
/* Real sockets of real processes in the kernel's own groups. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "swap/swap_drain.h"
#include "swap/swap_traffic.h"

enum { LISTEN_MAX = 6, WAIT_MS = 5000 };

static const struct in_addr preview = {.s_addr = 0x0100537f}; /* 127.83.0.1 */

/* A process that listens on some sockets of a port and answers each connection with its letter. */
struct peer {
    pid_t pid;
    int orders; /* 'r': closes its first socket and opens another; 'd': deaf from now on */
    int answers;
};

/* The next peer binds its sockets without SO_REUSEPORT, as an application does by itself. */
static bool alone;

static int listen_on(int family, int port)
{
    struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    int one = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool v4 = family == AF_INET;

    a4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        (!alone && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0) ||
        bind(fd, v4 ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6,
             v4 ? sizeof(a4) : sizeof(a6)) < 0 ||
        listen(fd, 16) < 0)
        _exit(3);
    return fd;
}

static void serve(int family, int port, int n, char letter, int in, int out)
{
    struct pollfd p[LISTEN_MAX + 1] = {{.fd = in, .events = POLLIN}};
    int deaf = 0;

    for (int i = 1; i <= n; i++)
        p[i] = (struct pollfd){.fd = listen_on(family, port), .events = POLLIN};
    (void)!write(out, "+", 1);
    while (poll(p, deaf ? 1 : (nfds_t)n + 1, -1) > 0) {
        char order;

        for (int i = 1; i <= n && !deaf; i++) {
            int fd = p[i].revents ? accept4(p[i].fd, NULL, NULL, SOCK_CLOEXEC) : -1;

            if (fd < 0)
                continue;
            (void)!write(fd, &letter, 1);
            close(fd);
        }
        if (!p[0].revents)
            continue;
        if (read(in, &order, 1) != 1)
            _exit(0);
        if (order == 'r') {
            close(p[1].fd);
            p[1].fd = listen_on(family, port);
        } else if (order == 'c') {
            close(p[1].fd);
            p[1].fd = -1;
        }
        deaf = order == 'd';
        (void)!write(out, "+", 1);
    }
}

static void wait_answer(const struct peer *peer)
{
    struct pollfd p = {.fd = peer->answers, .events = POLLIN};
    char c;

    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    assert_int_equal(read(peer->answers, &c, 1), 1);
}

static struct peer start(int family, int port, int n, char letter)
{
    int in[2], out[2];
    struct peer peer;

    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    peer.pid = fork();
    assert_true(peer.pid >= 0);
    if (peer.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* a copy of a listener that we hold would keep it in its group */
        dup2(in[0], 3);
        dup2(out[1], 4);
        close_range(5, ~0U, 0);
        serve(family, port, n, letter, 3, 4);
        _exit(0);
    }
    close(in[0]);
    close(out[1]);
    peer.orders = in[1];
    peer.answers = out[0];
    wait_answer(&peer);
    return peer;
}

static void order(const struct peer *peer, char what)
{
    assert_int_equal(write(peer->orders, &what, 1), 1);
    wait_answer(peer);
}

static void end(struct peer *peer)
{
    kill(peer->pid, SIGKILL);
    waitpid(peer->pid, NULL, 0);
    close(peer->orders);
    close(peer->answers);
}

static int free_port(int family)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4; /* the port is at the same place in both (ipv6(7)) */
        struct sockaddr_in6 v6;
    } a = {.any.sa_family = (sa_family_t)family};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(a);

    assert_int_equal(bind(fd, &a.any, family == AF_INET ? sizeof(a.v4) : sizeof(a.v6)), 0);
    assert_int_equal(getsockname(fd, &a.any, &len), 0);
    close(fd);
    return ntohs(a.v4.sin_port);
}

/* Whose letter? '-' for a connection that was lost. */
static char ask(int family, int port)
{
    struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct linger reset = {.l_onoff = 1};
    struct timeval patience = {.tv_sec = WAIT_MS / 1000};
    bool v4 = family == AF_INET;
    char c = '-';

    a4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a6.sin6_addr = in6addr_loopback;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, v4 ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6,
                v4 ? sizeof(a4) : sizeof(a6)) < 0 ||
        recv(fd, &c, 1, 0) != 1)
        c = '-';
    close(fd);
    return c;
}

static char ask_preview(struct swap_traffic *t)
{
    struct pollfd p = {.events = POLLIN};
    struct swap_group_view view;
    struct rel_err e = {0};
    char c = '-';

    swap_traffic_view(t, 0, &view);
    assert_int_equal(swap_preview_connect(&view, WAIT_MS, &p.fd, &e), 0);
    if (poll(&p, 1, WAIT_MS) != 1 || recv(p.fd, &c, 1, 0) != 1)
        c = '-';
    close(p.fd);
    return c;
}

static void all_answer(int family, int port, char letter)
{
    for (int i = 0; i < 60; i++)
        assert_int_equal(ask(family, port), letter);
}

static void verify(struct swap_traffic *t, const struct peer *old, const struct peer *new)
{
    struct swap_process who[SWAP_SIDE_COUNT] = {{.pid = old->pid}, {.pid = new->pid}};
    struct rel_err e = {0};

    if (swap_traffic_verify(t, who, WAIT_MS, &e) < 0)
        fail_msg("%s", e.msg);
}

/* One swap of old_n sockets by new_n, looked at from outside at each stage. */
static void swap_once(int family, int old_n, int new_n)
{
    struct swap_traffic *t = swap_traffic_new(preview, NULL);
    struct rel_err e = {0};
    int port = free_port(family);
    struct peer old = start(family, port, old_n, 'o'), new;
    struct swap_expect expect = {.range = swap_port_range_read()};
    size_t lost;

    alone = false;
    all_answer(family, port, 'o'); /* accepted, and closed: their port is still in use */
    assert_int_equal(swap_traffic_join(t, SWAP_OLD_SIDE, old.pid, 0, &e), 0);
    assert_int_equal(swap_traffic_check(t, &e), 0);
    if (swap_traffic_share(t, &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(swap_traffic_route(t, 0, &e), 0);
    new = start(family, port, new_n, 'n');
    all_answer(family, port, 'o');
    assert_int_equal(swap_traffic_join(t, SWAP_NEW_SIDE, new.pid, 0, &e), 0);
    assert_int_equal(swap_traffic_check(t, &e), 0);
    assert_int_equal(swap_traffic_route(t, 0, &e), 0);
    assert_null(swap_traffic_missing(t, &expect));
    verify(t, &old, &new);
    assert_int_equal(ask_preview(t), 'n');
    all_answer(family, port, 'o');
    assert_int_equal(swap_traffic_route(t, SWAP_SHARE_ALL, &e), 0);
    all_answer(family, port, 'n');
    end(&old);
    all_answer(family, port, 'n');
    swap_traffic_leave(t, SWAP_OLD_SIDE, &lost);
    assert_int_equal(lost, 0);
    all_answer(family, port, 'n');
    swap_traffic_free(t);
    all_answer(family, port, 'n');
    end(&new);
}

static void a_swap_of_any_numbers_of_sockets_goes_to_one_peer_at_a_time(void **state)
{
    (void)state;
    for (int old = 1; old <= 3; old++)
        for (int new = 1; new <= 3; new ++)
            swap_once(AF_INET, old, new);
    swap_once(AF_INET6, 1, 1);
    swap_once(AF_INET6, 3, 1);
}

/* Bound without SO_REUSEPORT, so nobody else can take connections before it is shared. */
static void a_listener_that_shares_with_nobody_is_swapped(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        alone = true;
        swap_once(i % 2 ? AF_INET6 : AF_INET, 1, 1 + i % 3);
        alone = false;
    }
}

static void the_way_back_leaves_the_old_peer_alone(void **state)
{
    struct swap_traffic *t = swap_traffic_new(preview, NULL);
    struct rel_err e = {0};
    int port = free_port(AF_INET);
    struct peer old = start(AF_INET, port, 2, 'o'), new;
    size_t lost;

    (void)state;
    assert_int_equal(swap_traffic_join(t, SWAP_OLD_SIDE, old.pid, 0, &e), 0);
    assert_int_equal(swap_traffic_route(t, 0, &e), 0);
    new = start(AF_INET, port, 3, 'n');
    assert_int_equal(swap_traffic_join(t, SWAP_NEW_SIDE, new.pid, 0, &e), 0);
    assert_int_equal(swap_traffic_route(t, SWAP_SHARE_ALL, &e), 0);
    all_answer(AF_INET, port, 'n');
    end(&new);
    assert_int_equal(swap_traffic_route(t, 0, &e), 0);
    all_answer(AF_INET, port, 'o');
    swap_traffic_leave(t, SWAP_NEW_SIDE, &lost);
    all_answer(AF_INET, port, 'o');
    swap_traffic_free(t);
    all_answer(AF_INET, port, 'o');
    end(&old);
}

static void a_share_goes_to_the_new_peer(void **state)
{
    enum { ASKED = 4000, SHARE = 25 };
    struct swap_traffic *t = swap_traffic_new(preview, NULL);
    struct rel_err e = {0};
    int port = free_port(AF_INET), new_n = 0;
    struct peer old = start(AF_INET, port, 2, 'o'), new = start(AF_INET, port, 2, 'n');

    (void)state;
    assert_int_equal(swap_traffic_join(t, SWAP_OLD_SIDE, old.pid, 0, &e), 0);
    assert_int_equal(swap_traffic_join(t, SWAP_NEW_SIDE, new.pid, 0, &e), 0);
    assert_int_equal(swap_traffic_route(t, SHARE * SWAP_SHARE_ALL / 100, &e), 0);
    for (int i = 0; i < ASKED; i++)
        new_n += ask(AF_INET, port) == 'n';
    assert_in_range(new_n, ASKED * (SHARE - 3) / 100, ASKED * (SHARE + 3) / 100);
    swap_traffic_free(t);
    end(&old);
    end(&new);
}

/* The application closes a socket and opens another, at a bad time. */
static void a_reopened_listener_is_followed(void **state)
{
    struct swap_traffic *t = swap_traffic_new(preview, NULL);
    struct rel_err e = {0};
    int port = free_port(AF_INET);
    struct peer old = start(AF_INET, port, 2, 'o'), new;
    struct swap_process who[SWAP_SIDE_COUNT] = {{.pid = old.pid}};

    (void)state;
    assert_int_equal(swap_traffic_join(t, SWAP_OLD_SIDE, old.pid, 0, &e), 0);
    assert_int_equal(swap_traffic_route(t, 0, &e), 0);
    assert_false(swap_traffic_watch(t, who, true));
    new = start(AF_INET, port, 1, 'n');
    who[SWAP_NEW_SIDE].pid = new.pid;
    assert_true(swap_traffic_watch(t, who, true)); /* the candidate's */
    order(&old, 'r');
    assert_true(swap_traffic_watch(t, who, false));
    all_answer(AF_INET, port, 'o');
    assert_int_equal(swap_traffic_check(t, &e), 0);
    verify(t, &old, &new);
    assert_int_equal(ask_preview(t), 'n');
    order(&new, 'r');
    assert_true(swap_traffic_watch(t, who, false));
    all_answer(AF_INET, port, 'o');
    verify(t, &old, &new);
    assert_false(swap_traffic_watch(t, who, true));
    swap_traffic_free(t);
    end(&old);
    end(&new);
}

/* Calls of read(2) by this process so far (proc(5)). */
static long reads(void)
{
    FILE *f = fopen("/proc/self/io", "re");
    char line[100];
    long n = -1;

    assert_non_null(f);
    while (n < 0 && fgets(line, sizeof(line), f))
        if (!strncmp(line, "syscr: ", 7))
            n = strtol(line + 7, NULL, 10);
    fclose(f);
    return n;
}

/* It is watched many times a second, for as long as the swap goes on: without reading in /proc. */
static void watching_a_closed_listener_is_cheap(void **state)
{
    struct swap_traffic *t = swap_traffic_new(preview, NULL);
    struct rel_err e = {0};
    int port = free_port(AF_INET);
    struct peer old = start(AF_INET, port, 1, 'o');
    struct swap_process who[SWAP_SIDE_COUNT] = {{.pid = old.pid}};
    long before;

    (void)state;
    assert_int_equal(swap_traffic_join(t, SWAP_OLD_SIDE, old.pid, 0, &e), 0);
    assert_int_equal(swap_traffic_route(t, 0, &e), 0);
    order(&old, 'c');
    assert_true(swap_traffic_watch(t, who, false));
    before = reads();
    for (int i = 0; i < 100; i++)
        assert_false(swap_traffic_watch(t, who, false));
    assert_in_range(reads() - before, 0, 10);
    swap_traffic_free(t);
    end(&old);
}

static void a_stranger_in_the_group_is_seen(void **state)
{
    struct swap_traffic *t = swap_traffic_new(preview, NULL);
    struct rel_err e = {0};
    int port = free_port(AF_INET);
    struct peer old = start(AF_INET, port, 1, 'o'), stranger = start(AF_INET, port, 1, 's');

    (void)state;
    assert_int_equal(swap_traffic_join(t, SWAP_OLD_SIDE, old.pid, 0, &e), 0);
    assert_int_equal(swap_traffic_check(t, &e), -1);
    assert_int_equal(e.code, REL_E_INPUT);
    swap_traffic_free(t);
    end(&old);
    end(&stranger);
}

static void a_deaf_candidate_is_not_verified(void **state)
{
    struct swap_traffic *t = swap_traffic_new(preview, NULL);
    struct rel_err e = {0};
    int port = free_port(AF_INET);
    struct peer old = start(AF_INET, port, 1, 'o'), new = start(AF_INET, port, 1, 'n');

    struct swap_process who[SWAP_SIDE_COUNT] = {{.pid = old.pid}, {.pid = new.pid}};

    (void)state;
    order(&new, 'd');
    assert_int_equal(swap_traffic_join(t, SWAP_OLD_SIDE, old.pid, 0, &e), 0);
    assert_int_equal(swap_traffic_join(t, SWAP_NEW_SIDE, new.pid, 0, &e), 0);
    assert_int_equal(swap_traffic_route(t, 0, &e), 0);
    assert_int_equal(swap_traffic_verify(t, who, 100, &e), -1);
    assert_int_equal(e.code, REL_E_TIMEOUT);
    all_answer(AF_INET, port, 'o');
    swap_traffic_free(t);
    end(&old);
    end(&new);
}

static void what_is_left_is_counted(void **state)
{
    struct swap_traffic *t = swap_traffic_new(preview, NULL);
    struct swap_census census;
    struct swap_drain *d = NULL;
    struct rel_err e = {0};
    int port = 0, server, client, listener;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    (void)state;
    port = free_port(AF_INET);
    listener = listen_on(AF_INET, port);
    a.sin_port = htons((uint16_t)port);
    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&a, sizeof(a)), 0);
    server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(server >= 0);
    assert_int_equal(swap_traffic_join(t, SWAP_OLD_SIDE, getpid(), 0, &e), 0);
    assert_int_equal(swap_drain_begin(t, &d, &e), 0);
    assert_int_equal(write(client, "x", 1), 1);
    assert_int_equal(swap_drain_look(d, getpid(), &census, &e), 0);
    assert_int_equal(census.established, 1);
    assert_int_equal(census.half_open, 0);
    assert_int_equal(census.idle, 0);
    close(server);
    close(client);
    assert_int_equal(swap_drain_look(d, getpid(), &census, &e), 0);
    assert_int_equal(census.established, 0);
    close(listener);
    swap_drain_free(d);
    swap_traffic_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_swap_of_any_numbers_of_sockets_goes_to_one_peer_at_a_time),
        cmocka_unit_test(a_listener_that_shares_with_nobody_is_swapped),
        cmocka_unit_test(the_way_back_leaves_the_old_peer_alone),
        cmocka_unit_test(a_share_goes_to_the_new_peer),
        cmocka_unit_test(a_reopened_listener_is_followed),
        cmocka_unit_test(watching_a_closed_listener_is_cheap),
        cmocka_unit_test(a_stranger_in_the_group_is_seen),
        cmocka_unit_test(a_deaf_candidate_is_not_verified),
        cmocka_unit_test(what_is_left_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
