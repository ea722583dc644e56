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
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

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
    int low = 0, high = 0;
    FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

    (void)state;
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d %d", &low, &high), 2);
    fclose(f);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_held_for_who_shares),
        cmocka_unit_test(is_given_once),
        cmocka_unit_test(lies_outside_of_the_kernels_range),
        cmocka_unit_test(belongs_to_its_owner_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
