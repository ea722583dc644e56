/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rel_clock.h"
#include "hotload/hot_port.h"

enum { NOBODY = 65534, OTHER = 65533 };

/* errno of a bind to the port, 0 when it worked; a listening socket then lies in *fd. */
static int bind_to(int port, bool reuse_port, int *fd)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(s >= 0);
    if (reuse_port)
        assert_int_equal(setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
    /* as every server does */
    assert_int_equal(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
    if (bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, 5) < 0) {
        int err = errno;

        close(s);
        return err;
    }
    *fd = s;
    return 0;
}

/* The same in a process of that user. */
static int bind_as(uid_t uid, int port, bool reuse_port)
{
    pid_t child = fork();
    int status, fd;

    if (child == 0)
        _exit(setresuid(uid, uid, uid) < 0 ? 255 : bind_to(port, reuse_port, &fd));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int take(uid_t owner, int *port)
{
    struct rel_err e = {0};
    int fd = -1;

    if (hot_port_take(owner, port, &fd, &e) < 0)
        fail_msg("%s", e.msg);
    return fd;
}

static void is_held_for_who_shares(void **state)
{
    int port = 0, other = -1, fd = take(geteuid(), &port);

    (void)state;
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(bind_to(port, false, &other), EADDRINUSE);
    assert_int_equal(bind_to(port, true, &other), 0);
    close(fd);
    close(other);
    assert_int_equal(bind_to(port, false, &other), 0); /* and nothing of it is left */
    close(other);
}

/* Two that look at the same time never get the same. */
static void is_given_once(void **state)
{
    enum { N = 64 };
    int ports[N], fds[N];

    (void)state;
    for (int i = 0; i < N; i++) {
        fds[i] = take(geteuid(), &ports[i]);
        for (int j = 0; j < i; j++)
            assert_int_not_equal(ports[i], ports[j]);
    }
    for (int i = 0; i < N; i++)
        close(fds[i]);
}

static void lies_outside_of_the_kernels_range(void **state)
{
    FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    char line[64], *rest;
    long low, high;

    (void)state;
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof(line), f));
    fclose(f);
    low = strtol(line, &rest, 10);
    high = strtol(rest, NULL, 10);
    assert_true(low > 0 && high >= low);
    if (low <= 10240 + 256 && high >= 65535 - 256)
        skip(); /* it leaves nothing */
    for (int i = 0; i < 200; i++) {
        int port = 0, fd = take(geteuid(), &port);

        close(fd);
        assert_true(port < low || port > high);
        assert_true(port >= 10240 && port <= 65535);
    }
}

static void belongs_to_its_owner_alone(void **state)
{
    int port = 0, fd;

    (void)state;
    if (geteuid() != 0)
        skip();
    fd = take(NOBODY, &port);
    assert_int_equal(bind_as(OTHER, port, true), EADDRINUSE);
    assert_int_equal(bind_as(OTHER, port, false), EADDRINUSE);
    assert_int_equal(bind_as(0, port, true), EADDRINUSE);
    assert_int_equal(bind_as(NOBODY, port, false), EADDRINUSE);
    assert_int_equal(bind_as(NOBODY, port, true), 0);
    close(fd);
}

/* ---- who is at the other end ---- */

enum { WAIT_MS = 10000 };

/* A listener of this process at `address`, or a dual-stack one for NULL; its port in *port. */
static int listen_at(const char *address, int *port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
    int s = socket(address ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, off = 0;
    socklen_t len = address ? sizeof(v4) : sizeof(v6);
    struct sockaddr *a = address ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;

    assert_true(s >= 0);
    assert_int_equal(setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
    if (address)
        assert_int_equal(inet_pton(AF_INET, address, &v4.sin_addr), 1);
    else
        assert_int_equal(setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)), 0);
    assert_int_equal(bind(s, a, len), 0);
    assert_int_equal(listen(s, 5), 0);
    assert_int_equal(getsockname(s, a, &len), 0);
    *port = ntohs(address ? v4.sin_port : v6.sin6_port);
    return s;
}

/* Connects, and asks whether it is that process; fails with `want`, or not at all. */
static void expect_owner(int port, pid_t pid, const char *want)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct hot_contact c = {.node = (char *)"n@localhost", .name = (char *)"n", .pid = pid};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;
    struct rel_err e = {0};

    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    rc = hot_port_check(fd, &c, rel_mono_ms() + WAIT_MS, &e);
    close(fd);
    if (!want && rc < 0)
        fail_msg("%s", e.msg);
    if (want && (rc == 0 || e.code != REL_E_UNREACHABLE || !strstr(e.msg, want)))
        fail_msg("wanted '%s', got '%s'", want, e.msg);
}

/* A process of `uid` that waits; with `port`, listening there too. Ended by end_child. */
static pid_t start_child(uid_t uid, int port)
{
    int ready[2], fd;
    char byte;
    pid_t pid;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        byte = setresuid(uid, uid, uid) < 0 || (port && bind_to(port, true, &fd)) ? 'n' : 'y';
        if (write(ready[1], &byte, 1) == 1 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
            for (;;)
                pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    close(ready[0]);
    return pid;
}

static void end_child(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void its_own_process_is_known(void **state)
{
    static const char *const addresses[] = {"127.0.0.1", "0.0.0.0", NULL};
    int port;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        int s = listen_at(addresses[i], &port), accepted;

        expect_owner(port, getpid(), NULL); /* whether it is accepted or not */
        accepted = accept(s, NULL, NULL);
        expect_owner(port, getpid(), NULL);
        close(accepted);
        close(s);
    }
}

static void another_process_is_refused(void **state)
{
    int port, s = listen_at("127.0.0.1", &port);
    pid_t child = start_child(geteuid(), 0);
    char text[64];

    (void)state;
    close(s);
    s = listen_at("127.0.0.1", &port); /* of which it got no copy by the fork */
    snprintf(text, sizeof(text), "(process %d)", (int)getpid());
    expect_owner(port, child, text);
    end_child(child);
    expect_owner(port, child, "has ended");
    close(s);
}

/* Half of the connections would be another's. */
static void a_shared_port_is_refused(void **state)
{
    int port = 0, fd = take(geteuid(), &port), s = -1;
    pid_t child;

    (void)state;
    assert_int_equal(bind_to(port, true, &s), 0);
    expect_owner(port, getpid(), NULL); /* who only keeps it does not count */
    close(fd);
    child = start_child(geteuid(), port);
    expect_owner(port, getpid(), "it belongs to user");
    end_child(child);
    expect_owner(port, getpid(), NULL);
    close(s);
}

static void another_user_is_refused(void **state)
{
    int port, fd;
    pid_t thief, node;

    (void)state;
    if (geteuid() != 0)
        skip();
    fd = take(NOBODY, &port);
    thief = start_child(NOBODY, port);
    node = start_child(OTHER, 0);
    expect_owner(port, thief, NULL);
    expect_owner(port, node, "it belongs to user nobody (process ");
    end_child(thief);
    end_child(node);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_held_for_who_shares),
        cmocka_unit_test(is_given_once),
        cmocka_unit_test(lies_outside_of_the_kernels_range),
        cmocka_unit_test(belongs_to_its_owner_alone),
        cmocka_unit_test(its_own_process_is_known),
        cmocka_unit_test(another_process_is_refused),
        cmocka_unit_test(a_shared_port_is_refused),
        cmocka_unit_test(another_user_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
