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

#include "swap/swap_expect.h"

static const struct swap_port_range range = {.low = 32768, .high = 60999};

static struct swap_listener at(const char *address, int port)
{
    struct swap_listener l = {.family = strchr(address, ':') ? AF_INET6 : AF_INET,
                              .port = (in_port_t)port};

    snprintf(l.address, sizeof(l.address), "%s", address);
    return l;
}

/* What `want` listens on and `have` does not, or NULL; at most three of each, up to port 0. */
static const char *missing(struct swap_expect *x, const int want[3], const int have[3])
{
    static char text[64];
    struct swap_listener v[2][3], lacks;
    struct swap_listeners l[2] = {{v[0], 0}, {v[1], 0}};
    const int *ports[2] = {want, have};
    char *got;

    x->range = range;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3 && ports[i][j]; j++)
            v[i][l[i].n++] = at("0.0.0.0", ports[i][j]);
    if (!swap_expect_missing(x, &l[0], &l[1], &lacks))
        return NULL;
    got = swap_listener_text(&lacks);
    snprintf(text, sizeof(text), "%s", got);
    free(got);
    return text;
}

static void what_serves_is_expected(void **state)
{
    struct swap_expect x = {0};

    (void)state;
    assert_null(missing(&x, (int[3]){80, 443}, (int[3]){80, 443}));
    assert_null(missing(&x, (int[3]){0}, (int[3]){80}));
    assert_string_equal(missing(&x, (int[3]){80, 443}, (int[3]){80}), "0.0.0.0:443");
    /* the kernel does not choose that one */
    assert_string_equal(missing(&x, (int[3]){80, 40000}, (int[3]){80, 40003}), "0.0.0.0:40000");
}

static void a_port_of_the_kernels_choice_is_met_by_another(void **state)
{
    struct swap_listener same = at("0.0.0.0", 40001);
    struct swap_expect x = {0};

    (void)state;
    assert_null(missing(&x, (int[3]){80, 40001}, (int[3]){80, 40003}));
    assert_null(missing(&x, (int[3]){40001, 40005}, (int[3]){40003, 40005}));
    assert_string_equal(missing(&x, (int[3]){80, 40001}, (int[3]){80}), "0.0.0.0:40001");
    assert_string_equal(missing(&x, (int[3]){80, 40001}, (int[3]){80, 40002}), "0.0.0.0:40001");
    assert_string_equal(missing(&x, (int[3]){40001, 40003}, (int[3]){40005}), "0.0.0.0:40001");
    /* seen in two runs: nobody's choice but the application's */
    same.same_n = 2;
    x.known = (struct swap_listeners){&same, 1};
    assert_string_equal(missing(&x, (int[3]){80, 40001}, (int[3]){80, 40003}), "0.0.0.0:40001");
    same.same_n = 1;
    assert_null(missing(&x, (int[3]){80, 40001}, (int[3]){80, 40003}));
}

static void what_the_settings_say_is_expected_and_nothing_else(void **state)
{
    int ports[] = {80, 40001};
    struct swap_expect x = {.ports = ports, .port_n = 2, .ports_set = true};
    struct swap_expect none = {.ports_set = true};

    (void)state;
    assert_null(missing(&x, (int[3]){80, 81}, (int[3]){80, 40001}));
    assert_string_equal(missing(&x, (int[3]){81}, (int[3]){80}), "port 40001");
    assert_string_equal(missing(&x, (int[3]){80}, (int[3]){40001}), "0.0.0.0:80");
    assert_string_equal(missing(&x, (int[3]){80, 40001}, (int[3]){80, 40003}), "0.0.0.0:40001");
    assert_null(missing(&none, (int[3]){80, 81}, (int[3]){0}));
}

/* inet_csk_find_open_port(): bind(2) with port 0 leaves the parity of the lower end to connect(2).
 * Where that changes, every port in the range may be the kernel's choice. */
static void the_kernel_chooses_where_we_believe_it_does(void **state)
{
    struct swap_expect x = {.range = swap_port_range_read()};

    (void)state;
    for (int i = 0; i < 200; i++) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(a);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct swap_listener l;

        assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
        l = at("127.0.0.1", ntohs(a.sin_port));
        assert_false(swap_expect_is_chosen(&x, &l));
        close(fd);
    }
}

/* A child that listens on `address`, port 0 or `*port`; its number in *port. */
static pid_t listen_in_child(const char *address, int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t pid;

    inet_pton(AF_INET, address, &a.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    close(fd);
    return pid;
}

static void a_stranger_is_found_and_named(void **state)
{
    struct swap_stranger s = {0};
    struct rel_err e = {0};
    bool found = true;
    int port = 0;
    pid_t pid = listen_in_child("127.0.0.1", &port), none = 0;
    struct swap_listener all = at("0.0.0.0", port), all6 = at("::", port);
    struct swap_listener other = at("127.0.0.2", port), any = {.port = (in_port_t)port};
    const struct swap_listener *meets[] = {&all, &all6, &any};
    char *text;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(swap_stranger_find(meets[i], &none, 1, &found, &s, &e), 0);
        assert_true(found);
        assert_int_equal(s.pid, pid);
        text = swap_stranger_text(&s);
        assert_non_null(strstr(text, " listens on 127.0.0.1:"));
        free(text);
        swap_stranger_fini(&s);
    }
    all6.v6only = true;
    assert_int_equal(swap_stranger_find(&all6, &none, 1, &found, &s, &e), 0);
    assert_false(found);
    assert_int_equal(swap_stranger_find(&other, &none, 1, &found, &s, &e), 0);
    assert_false(found);
    /* a peer of ours, or what one started */
    assert_int_equal(swap_stranger_find(&all, &pid, 1, &found, &s, &e), 0);
    assert_false(found);
    none = getpid();
    assert_int_equal(swap_stranger_find(&all, &none, 1, &found, &s, &e), 0);
    assert_false(found);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_serves_is_expected),
        cmocka_unit_test(a_port_of_the_kernels_choice_is_met_by_another),
        cmocka_unit_test(what_the_settings_say_is_expected_and_nothing_else),
        cmocka_unit_test(the_kernel_chooses_where_we_believe_it_does),
        cmocka_unit_test(a_stranger_is_found_and_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
