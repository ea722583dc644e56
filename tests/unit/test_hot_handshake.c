/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake with an other end whose words are written beforehand: what it hears of us. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/rel_clock.h"
#include "hotload/hot_handshake.h"

enum { WAIT_MS = 10000, HEARD_MAX = 4096 };

#define NAMED             \
    "\0\x18snamed:\0\x0b" \
    "1@localhost\0\0\0\7"
#define CHALLENGE(name) "\0\x1eN\0\0\0\0\0\7\xff\xff\0\0\x04\xd2\0\0\0\1\0\x0b" name
#define PROOF \
    "\0\x11"  \
    "a0123456789abcdef"

struct talk {
    char heard[HEARD_MAX];
    size_t heard_n;
    erlang_pid self;
    struct rel_err e;
    int rc;
};

static struct talk talk_to(const char *words, size_t len)
{
    const struct hot_greeting g = {.node = "a@localhost",
                                   .port = 4711,
                                   .cookie = "chocolate",
                                   .cookie_file = "/x/cookie",
                                   .until_ms = rel_mono_ms() + WAIT_MS};
    struct talk t = {.rc = 1};
    int pair[2];
    ssize_t n;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(write(pair[1], words, len), len);
    assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
    t.rc = hot_greet(pair[0], &g, &t.self, &t.e);
    close(pair[0]);
    while ((n = read(pair[1], t.heard + t.heard_n, sizeof(t.heard) - t.heard_n)) > 0)
        t.heard_n += (size_t)n;
    close(pair[1]);
    return t;
}

#define TALK_TO(words) talk_to(words, sizeof(words) - 1)

/* Our first packet, and behind it nothing or our challenge with the digest. */
static void expect(const struct talk *t, bool told_digest, const char *text)
{
    size_t first = t->heard_n > 2 ? 2 + (size_t)(t->heard[0] << 8 | t->heard[1]) : 0;

    assert_int_equal(t->rc, -1);
    assert_int_equal(t->e.code, REL_E_UNREACHABLE);
    if (!strstr(t->e.msg, text))
        fail_msg("wanted '%s', got '%s'", text, t->e.msg);
    assert_true(first > 2 && t->heard[2] == 'N');
    assert_int_equal(t->heard_n, first + (told_digest ? 2 + 1 + 4 + 16 : 0));
    assert_true(t->heard_n < HEARD_MAX);
}

static void another_name_gets_no_digest(void **state)
{
    struct talk t = TALK_TO(NAMED CHALLENGE("b@localhost") PROOF);

    (void)state;
    expect(&t, false, "node a@localhost is not running: node b@localhost answers there");
    t = TALK_TO(NAMED CHALLENGE("a@localhosT") PROOF);
    expect(&t, false, "a@localhosT answers there");
    t = TALK_TO(NAMED CHALLENGE("a@loc\0lhost") PROOF);
    expect(&t, false, "does not tell its name");
}

static void strangers_get_no_digest(void **state)
{
    struct talk t = TALK_TO("");

    (void)state;
    expect(&t, false, "what listens on port 4711 is not node a@localhost: it hung up");
    t = TALK_TO("HTTP/1.1 400 Bad Request\r\n\r\n");
    expect(&t, false, "what listens on port 4711 is not node a@localhost: it sends 18516 bytes");
    t = TALK_TO("\0\0");
    expect(&t, false, "does not speak the distribution protocol");
    t = TALK_TO("\0\x0csnot_allowed");
    expect(&t, false, "does not let us in: not_allowed");
    t = TALK_TO("\0\3sok");
    expect(&t, false, "does not let us in: ok");
    t = TALK_TO("\0\x0bsnamed:\xff\xffzz");
    expect(&t, false, "does not give us a name");
    t = TALK_TO(NAMED "\0\1N");
    expect(&t, false, "does not tell its name");
    t = TALK_TO(NAMED "\0\x0en\0\5\0\0\0\0\0\0\4\xd2"
                      "a@l");
    expect(&t, false, "does not speak the distribution protocol of OTP 23");
}

static void who_does_not_know_the_cookie_is_told_from_a_wrong_one(void **state)
{
    struct talk t = TALK_TO(NAMED CHALLENGE("a@localhost"));

    (void)state;
    expect(&t, true, "node a@localhost refuses the cookie in /x/cookie");
    t = TALK_TO(NAMED CHALLENGE("a@localhost") PROOF);
    expect(&t, true, "it does not know the cookie");
    t = TALK_TO(NAMED CHALLENGE("a@localhost") "\0\2ab");
    expect(&t, true, "does not prove");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_name_gets_no_digest),
        cmocka_unit_test(strangers_get_no_digest),
        cmocka_unit_test(who_does_not_know_the_cookie_is_told_from_a_wrong_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
