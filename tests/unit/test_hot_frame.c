/* SPDX-License-Identifier: Apache-2.0 */
/* Packets from somebody who floods, drips, announces too much or does not read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/rel_clock.h"
#include "hotload/hot_frame.h"

enum { SHORT_MS = 100, LONG_MS = 20000, MAX = 1 << 20 };

struct line {
    int far;
    struct hot_reader near;
};

static struct line open_line(void)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    return (struct line){.far = pair[1], .near = {.fd = pair[0], .head_n = 4, .max = MAX}};
}

static void close_line(struct line *l)
{
    hot_reader_fini(&l->near);
    close(l->near.fd);
    close(l->far);
}

static void put(const struct line *l, const char *bytes, size_t len)
{
    assert_int_equal(write(l->far, bytes, len), len);
}

static void expect(struct line *l, const char *want)
{
    rel_autofree char *body = NULL;
    struct rel_err e = {0};
    size_t len;

    if (hot_reader_next(&l->near, rel_mono_ms() + LONG_MS, &body, &len, &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(len, strlen(want));
    if (len)
        assert_memory_equal(body, want, len);
    else
        assert_null(body);
}

static void expect_error(struct line *l, int64_t ms, enum rel_code code, const char *text)
{
    struct rel_err e = {0};
    char *body;
    size_t len;

    assert_int_equal(hot_reader_next(&l->near, rel_mono_ms() + ms, &body, &len, &e), -1);
    assert_int_equal(e.code, code);
    assert_non_null(strstr(e.msg, text));
}

static void packets_come_whole(void **state)
{
    struct line l = open_line();

    (void)state;
    put(&l, "\0\0\0\3abc\0\0\0\0\0\0\0\1d", 16);
    expect(&l, "abc");
    expect(&l, "");
    expect(&l, "d");
    close(l.far);
    l.far = -1;
    expect_error(&l, LONG_MS, REL_E_UNREACHABLE, "hung up");
    close_line(&l);
}

/* A deadline in the middle of one loses nothing. */
static void a_late_rest_is_taken(void **state)
{
    static const char bytes[] = "\0\0\0\6abcdef";
    struct line l = open_line();

    (void)state;
    for (size_t i = 0; i < 10; i++) {
        put(&l, bytes + i, 1);
        if (i < 9)
            expect_error(&l, 5, REL_E_TIMEOUT, "in time");
    }
    expect(&l, "abcdef");
    close_line(&l);
}

static void too_much_is_refused(void **state)
{
    struct line l = open_line();

    (void)state;
    put(&l, "\xff\xff\xff\xff", 4); /* a negative length, for who reads it so */
    expect_error(&l, LONG_MS, REL_E_UNREACHABLE, "4294967295 bytes");
    assert_null(l.near.body);
    close_line(&l);
    l = open_line();
    put(&l, "\0\x10\0\1", 4);
    expect_error(&l, LONG_MS, REL_E_UNREACHABLE, "more than 1048576");
    close_line(&l);
}

/* Who announces the most and sends little costs little. */
static void room_comes_with_the_bytes(void **state)
{
    struct line l = open_line();

    (void)state;
    put(&l, "\0\x10\0\0ab", 6);
    expect_error(&l, 50, REL_E_TIMEOUT, "in time");
    assert_true(l.near.cap <= 64 << 10);
    close_line(&l);
}

/* There is always something to read, and yet the wait ends. */
static void a_flood_ends_in_time(void **state)
{
    static const char ticks[4096];
    struct line l = open_line();

    (void)state;
    put(&l, ticks, sizeof(ticks));
    expect(&l, "");
    expect_error(&l, -1, REL_E_TIMEOUT, "in time");
    expect(&l, "");
    close_line(&l);
}

/* Nobody reads our ticks: they are left out when there is no room. */
static void ticks_wait_for_nobody(void **state)
{
    struct line l = open_line();
    int64_t began_ms = rel_mono_ms();

    (void)state;
    for (int i = 0; i < 20000; i++)
        hot_send_tick(l.near.fd);
    assert_true(rel_mono_ms() - began_ms < LONG_MS);
    close_line(&l);
}

static void who_does_not_read_is_given_up(void **state)
{
    struct line l = open_line();
    rel_autofree char *much = rel_xcalloc(MAX * 4, 1);
    const struct hot_piece pieces[] = {{"a", 1}, {"", 0}, {much, MAX * 4}};
    struct rel_err e = {0};

    (void)state;
    assert_int_equal(hot_send_packet(l.near.fd, 4, pieces, 3, rel_mono_ms() + SHORT_MS, &e), -1);
    assert_int_equal(e.code, REL_E_TIMEOUT);
    rel_err_clear(&e);
    close(l.far);
    l.far = -1;
    assert_int_equal(hot_send_packet(l.near.fd, 4, pieces, 3, rel_mono_ms() + LONG_MS, &e), -1);
    assert_int_equal(e.code, REL_E_UNREACHABLE); /* and no SIGPIPE */
    close_line(&l);
}

static void *read_slowly(void *arg)
{
    const struct line *l = arg;
    static char got[MAX + 16];
    size_t n = 0;
    ssize_t some;

    while (n < sizeof(got) && (some = read(l->far, got + n, 1000)) > 0)
        n += (size_t)some;
    return n == MAX + 5 && !memcmp(got, "\0\x10\0\1a", 5) && got[MAX + 4] == 'z' ? got : NULL;
}

static void pieces_go_out_as_one(void **state)
{
    struct line l = open_line();
    rel_autofree char *much = rel_xcalloc(MAX, 1);
    const struct hot_piece pieces[] = {{"a", 1}, {"", 0}, {much, MAX}};
    struct rel_err e = {0};
    pthread_t thread;
    void *right;

    (void)state;
    much[MAX - 1] = 'z';
    assert_int_equal(pthread_create(&thread, NULL, read_slowly, &l), 0);
    assert_int_equal(hot_send_packet(l.near.fd, 4, pieces, 3, rel_mono_ms() + LONG_MS, &e), 0);
    shutdown(l.near.fd, SHUT_WR);
    pthread_join(thread, &right);
    assert_non_null(right);
    assert_int_equal(hot_send_packet(l.near.fd, 2, pieces, 3, rel_mono_ms() + LONG_MS, &e), -1);
    assert_int_equal(e.code, REL_E_INPUT); /* its length has two bytes only */
    close_line(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_come_whole),
        cmocka_unit_test(a_late_rest_is_taken),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(room_comes_with_the_bytes),
        cmocka_unit_test(a_flood_ends_in_time),
        cmocka_unit_test(ticks_wait_for_nobody),
        cmocka_unit_test(who_does_not_read_is_given_up),
        cmocka_unit_test(pieces_go_out_as_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
