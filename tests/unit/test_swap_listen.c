/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "swap/swap_listen.h"

static int listen_on(int family, const char *address, int v6only, int *port)
{
    struct sockaddr_storage a = {.ss_family = (sa_family_t)family};
    struct sockaddr_in *a4 = (struct sockaddr_in *)&a;
    struct sockaddr_in6 *a6 = (struct sockaddr_in6 *)&a;
    int one = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = family == AF_INET ? sizeof(*a4) : sizeof(*a6);

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
    if (family == AF_INET6)
        assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)), 0);
    assert_int_equal(inet_pton(family, address,
                               family == AF_INET ? (void *)&a4->sin_addr : (void *)&a6->sin6_addr),
                     1);
    a4->sin_port = htons((uint16_t)*port); /* at the same place in both (ip(7), ipv6(7)) */
    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a4->sin_port);
    return fd;
}

static const struct swap_listener *find(const struct swap_listeners *l, int port)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].port == port)
            return &l->v[i];
    return NULL;
}

static void what_listens_is_found(void **state)
{
    struct swap_listeners l = {0};
    struct rel_err e = {0};
    int port4 = 0, port6 = 0, any = 0;
    int fd4 = listen_on(AF_INET, "127.0.0.1", 0, &port4);
    int fd6 = listen_on(AF_INET6, "::1", 1, &port6);
    int fda = listen_on(AF_INET, "0.0.0.0", 0, &any);
    char *text;

    (void)state;
    assert_int_equal(swap_listeners_read(getpid(), 0, &l, &e), 0);
    assert_non_null(find(&l, port4));
    text = swap_listener_text(find(&l, port6));
    assert_true(!strncmp(text, "[::1]:", 6) && (int)strtol(text + 6, NULL, 10) == port6);
    free(text);
    text = swap_listener_text(find(&l, any));
    assert_int_equal(strncmp(text, "0.0.0.0:", 8), 0);
    free(text);
    swap_listeners_fini(&l);
    close(fd4);
    close(fd6);
    close(fda);
    assert_int_equal(swap_listeners_read(getpid(), 0, &l, &e), 0);
    assert_null(find(&l, port4));
    swap_listeners_fini(&l);
}

static void every_socket_is_there_and_the_distribution_is_left_out(void **state)
{
    struct swap_listeners l = {0};
    struct rel_err e = {0};
    int port = 0, dist = 0;
    int fd = listen_on(AF_INET, "127.0.0.1", 0, &port);
    int twin = listen_on(AF_INET, "127.0.0.1", 0, &port);
    int fdd = listen_on(AF_INET, "127.0.0.1", 0, &dist);
    struct swap_open_sockets open = {0};
    size_t n = 0;

    (void)state;
    assert_int_equal(swap_open_sockets_read(getpid(), &open, &e), 0);
    assert_int_equal(swap_listeners_read(getpid(), dist, &l, &e), 0);
    for (size_t i = 0; i < l.n; i++)
        if (l.v[i].port == port) {
            n++;
            assert_true(l.v[i].fd == fd || l.v[i].fd == twin);
            assert_int_equal(swap_open_sockets_fd(&open, l.v[i].inode), l.v[i].fd);
        }
    assert_int_equal(n, 2);
    assert_null(find(&l, dist));
    assert_int_equal(swap_open_sockets_fd(&open, 0), -1);
    swap_open_sockets_fini(&open);
    swap_listeners_fini(&l);
    close(fd);
    close(twin);
    close(fdd);
}

/* A socket that is bound, or connected, does not listen; one of a child is not the parent's. */
static void only_listeners_of_that_process_count(void **state)
{
    struct swap_listeners l = {0};
    struct rel_err e = {0};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int port = 0, fd = listen_on(AF_INET, "127.0.0.1", 0, &port);
    int bound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        pause();
        _exit(0);
    }
    close(fd);
    assert_int_equal(bind(bound, (struct sockaddr *)&a, len), 0);
    assert_int_equal(getsockname(bound, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(swap_listeners_read(getpid(), 0, &l, &e), 0);
    assert_null(find(&l, port));
    assert_null(find(&l, ntohs(a.sin_port)));
    swap_listeners_fini(&l);
    assert_int_equal(swap_listeners_read(child, 0, &l, &e), 0);
    assert_non_null(find(&l, port));
    swap_listeners_fini(&l);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(bound);
    assert_int_equal(swap_listeners_read(child, 0, &l, &e), -1);
    assert_int_equal(e.code, REL_E_IO);
}

static void the_same_and_another_form_are_found(void **state)
{
    struct swap_listener any4 = {AF_INET, 80, "0.0.0.0", 3, 1, false, 0};
    struct swap_listener any6 = {AF_INET6, 80, "::", 4, 2, false, 0};
    struct swap_listener local = {AF_INET, 80, "127.0.0.1", 5, 3, false, 0};
    struct swap_listener both_v[] = {any4, any6}, local_v[] = {local};
    struct swap_listeners both = {both_v, 2}, one = {both_v, 1}, other = {local_v, 1}, none = {0};

    (void)state;
    assert_ptr_equal(swap_listeners_find(&both, &any6), &both_v[1]);
    assert_null(swap_listeners_find(&one, &any6));
    assert_null(swap_listeners_find(&none, &any4));
    assert_ptr_equal(swap_listeners_other_form(&any4, &other), &local_v[0]);
    assert_null(swap_listeners_other_form(&any4, &one));
}

static void a_bound_udp_port_is_found(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int bound = -1;

    (void)state;
    assert_int_equal(swap_udp_port(getpid()), 0);
    for (int port = 20000; bound < 0 && port < 20100; port++) {
        a.sin_port = htons((uint16_t)port);
        if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
            bound = port;
    }
    assert_int_equal(swap_udp_port(getpid()), bound);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_listens_is_found),
        cmocka_unit_test(every_socket_is_there_and_the_distribution_is_left_out),
        cmocka_unit_test(only_listeners_of_that_process_count),
        cmocka_unit_test(the_same_and_another_form_are_found),
        cmocka_unit_test(a_bound_udp_port_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
