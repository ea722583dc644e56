/* SPDX-License-Identifier: Apache-2.0 */
/* When a keep-alive connection may be ended: the pure half of swap_gap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "swap/swap_gap.h"

enum { LOOK_US = 250 };

static enum swap_speech speech(const char *text)
{
    return swap_speech_of(text, strlen(text));
}

static void a_plain_request_is_known(void **state)
{
    static const char *const http[] = {
        "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST /a?b=c HTTP/1.0\r\ncontent-length: 3\r\n\r\nabc",
        "M-SEARCH * HTTP/1.1\r\n\r\n",
        "GET /upgrade: HTTP/1.1\r\nx-upgrade: 1\r\naccept: */*\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(http) / sizeof(*http); i++)
        assert_int_equal(speech(http[i]), i == 2 ? SWAP_SPEECH_OTHER : SWAP_SPEECH_HTTP);
}

static void what_goes_on_or_is_no_http_is_left_alone(void **state)
{
    static const char *const other[] = {
        "GET /ws HTTP/1.1\r\nhost: x\r\nUpgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        "GET /ws HTTP/1.1\r\nUPGRADE:websocket\r\n\r\n",
        "GET /events HTTP/1.1\r\nAccept: text/event-stream\r\n\r\n",
        "PUT / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n",
        "CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET key\r\n",
        "GET a b HTTP/1.1\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02",
        "\x81\x85masked",
        "get / http/1.1\r\n\r\n",
        " HTTP/1.1\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(other) / sizeof(*other); i++)
        assert_int_equal(speech(other[i]), SWAP_SPEECH_OTHER);
}

/* Whole heads only: every shorter one is waited for. Exact buffers, so that a sanitizer sees what
 * reads beyond. */
static void a_part_of_a_head_tells_nothing(void **state)
{
    static const char head[] = "GET /a HTTP/1.1\r\nhost: x\r\n\r\n";

    (void)state;
    for (size_t n = 0; n < sizeof(head) - 1; n++) {
        char *part = test_malloc(n + 1);

        memcpy(part + 1, head, n);
        assert_int_equal(swap_speech_of(part + 1, n), SWAP_SPEECH_UNKNOWN);
        test_free(part);
    }
}

/* A connection of which we see one look after the other. */
struct world {
    struct swap_gap gap;
    struct swap_look look;
};

/* Nothing happens for so long; true when it would have been ended, at *at after the beginning. */
static bool quiet(struct world *w, int64_t us, int64_t *at)
{
    w->look.speech = SWAP_SPEECH_UNKNOWN;
    for (int64_t t = LOOK_US; t <= us; t += LOOK_US) {
        w->look.now_us += LOOK_US;
        if (swap_gap_step(&w->gap, &w->look)) {
            *at = t;
            return true;
        }
    }
    return false;
}

static bool still(struct world *w, int64_t us)
{
    int64_t at;

    return !quiet(w, us, &at);
}

static void asks(struct world *w, enum swap_speech what)
{
    w->look.now_us += LOOK_US;
    w->look.received += 100;
    w->look.speech = what;
    assert_false(swap_gap_step(&w->gap, &w->look));
}

static void answers(struct world *w)
{
    w->look.now_us += LOOK_US;
    w->look.sent += 100;
    w->look.speech = SWAP_SPEECH_UNKNOWN;
    assert_false(swap_gap_step(&w->gap, &w->look));
}

static void a_busy_one_is_ended_early_in_its_second_gap(void **state)
{
    struct world w = {.look.now_us = 1};
    int64_t at;

    (void)state;
    asks(&w, SWAP_SPEECH_HTTP);
    assert_true(still(&w, 50000)); /* it takes its time */
    answers(&w);
    assert_true(still(&w, 20000)); /* we do not know how long its gaps are */
    asks(&w, SWAP_SPEECH_HTTP);
    assert_true(still(&w, 50000));
    answers(&w);
    assert_true(quiet(&w, 20000, &at));
    assert_in_range(at, 5000, 10000);
}

static void an_idle_one_is_ended_after_a_second(void **state)
{
    struct world w = {.look.now_us = 1};
    int64_t at;

    (void)state;
    assert_true(still(&w, 3000000)); /* nothing is known of it */
    asks(&w, SWAP_SPEECH_HTTP);
    assert_true(still(&w, 3000000)); /* a request is under way */
    answers(&w);
    assert_true(quiet(&w, 2000000, &at));
    assert_in_range(at, 1000000, 1000000 + LOOK_US);
}

static void what_streams_is_left_alone(void **state)
{
    struct world w = {.look.now_us = 1};

    (void)state;
    asks(&w, SWAP_SPEECH_HTTP);
    answers(&w);
    assert_true(still(&w, 40000)); /* a client with gaps of 40 ms ... */
    asks(&w, SWAP_SPEECH_HTTP);
    for (int i = 0; i < 100;
         i++) { /* ... and an answer in parts, with pauses shorter than a quarter of that */
        answers(&w);
        assert_true(still(&w, 8000));
    }
    assert_true(still(&w, 900000)); /* the pauses tell that its end is not to be guessed */
}

static void an_upgraded_one_is_left_alone(void **state)
{
    struct world w = {.look.now_us = 1};

    (void)state;
    asks(&w, SWAP_SPEECH_HTTP);
    answers(&w);
    assert_true(still(&w, 20000));
    asks(&w, SWAP_SPEECH_OTHER);
    for (int i = 0; i < 100; i++) {
        answers(&w);
        assert_true(still(&w, 1500000));
        asks(&w, SWAP_SPEECH_UNKNOWN);
    }
}

static void a_client_without_gaps_is_left_alone(void **state)
{
    struct world w = {.look.now_us = 1};

    (void)state;
    for (int i = 0; i < 1000; i++) {
        asks(&w, SWAP_SPEECH_HTTP);
        answers(&w);
        assert_true(still(&w, 1000));
    }
}

static void what_is_to_be_sent_is_waited_for(void **state)
{
    struct world w = {.look.now_us = 1};
    int64_t at;

    (void)state;
    asks(&w, SWAP_SPEECH_HTTP);
    answers(&w);
    w.look.unsent = true;
    assert_true(still(&w, 3000000));
    w.look.unsent = false;
    assert_true(quiet(&w, 3000000, &at));
}

/* Too late is never: the next request may be on its way already. */
static void who_looks_too_late_waits_for_the_next_gap(void **state)
{
    struct world w = {.look.now_us = 1};
    int64_t at;

    (void)state;
    asks(&w, SWAP_SPEECH_HTTP);
    answers(&w);
    assert_true(still(&w, 20000));
    asks(&w, SWAP_SPEECH_HTTP);
    answers(&w);
    w.look.now_us += 14000; /* we were not run */
    assert_true(still(&w, 5000));
    asks(&w, SWAP_SPEECH_HTTP);
    answers(&w);
    assert_true(quiet(&w, 20000, &at));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_request_is_known),
        cmocka_unit_test(what_goes_on_or_is_no_http_is_left_alone),
        cmocka_unit_test(a_part_of_a_head_tells_nothing),
        cmocka_unit_test(a_busy_one_is_ended_early_in_its_second_gap),
        cmocka_unit_test(an_idle_one_is_ended_after_a_second),
        cmocka_unit_test(what_streams_is_left_alone),
        cmocka_unit_test(an_upgraded_one_is_left_alone),
        cmocka_unit_test(a_client_without_gaps_is_left_alone),
        cmocka_unit_test(what_is_to_be_sent_is_waited_for),
        cmocka_unit_test(who_looks_too_late_waits_for_the_next_gap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
