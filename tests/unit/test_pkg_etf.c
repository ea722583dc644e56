/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pkg/pkg_etf.h"

static const struct pkg_term *text(struct pkg_arena *a, const char *text)
{
    struct rel_err e = {0};
    struct pkg_terms terms;

    if (pkg_terms_parse(a, text, strlen(text), "x", &terms, &e) < 0)
        fail_msg("%s: %s", text, e.msg);
    return terms.v[0];
}

static const char all[] =
    "[a, 'B c', 0, 255, 256, -1, 2147483647, -2147483648, 2147483648, 134217728, -134217729,"
    " 9223372036854775807, -9223372036854775808, 9223372036854775808, -18446744073709551616,"
    " 340282366920938463463374607431768211455, 1.5, -0.25, \"string\", \"gr\xc3\xbc\xc3\x9f\","
    " \"\xe6\x97\xa5\xe6\x9c\xac\", [1,2,3], [1,2,300], <<1,2,3>>, <<>>, {}, {a,{b}}, [],"
    " [a|b], #{a => #{}, <<\"k\">> => \"v\"}, fun lists:map/2, \xc3\xa9t\xc3\xa9].";

static void test_round_trip(void **state)
{
    pkg_autoarena struct pkg_arena a = {0};
    rel_autobuf struct rel_buf bytes = {0};
    const struct pkg_term *t = text(&a, all), *back;
    struct rel_err e = {0};

    (void)state;
    assert_int_equal(pkg_etf_encode(t, &bytes, &e), 0);
    assert_int_equal(pkg_etf_decode(&a, bytes.p, bytes.len, &back, &e), 0);
    for (size_t i = 0; i < pkg_len(t); i++)
        assert_true(pkg_equal(pkg_at(t, i), pkg_at(back, i)));
    assert_true(pkg_equal(t, back));
}

/* The bytes of term_to_binary/1 (OTP 26, where atoms are UTF-8). */
static void test_bytes_are_those_of_otp(void **state)
{
    static const struct {
        const char *text;
        const char *bytes;
        size_t n;
    } rows[] = {
#define ROW(text, bytes) {text, bytes, sizeof(bytes) - 1}
        ROW("ok.", "\x83w\x02ok"),
        ROW("{1,-1}.", "\x83h\x02"
                       "a\x01"
                       "b\xff\xff\xff\xff"),
        ROW("[1,2].", "\x83k\x00\x02\x01\x02"),
        ROW("\"\xc3\xbc\".", "\x83k\x00\x01\xfc"),
        ROW("[a].", "\x83l\x00\x00\x00\x01w\x01"
                    "aj"),
        ROW("[300].", "\x83l\x00\x00\x00\x01"
                      "b\x00\x00\x01\x2cj"),
        ROW("1.5.", "\x83"
                    "F\x3f\xf8\x00\x00\x00\x00\x00\x00"),
        ROW("<<\"b\">>.", "\x83m\x00\x00\x00\x01"
                          "b"),
        ROW("18446744073709551616.", "\x83n\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"),
        ROW("fun l:m/2.", "\x83qw\x01lw\x01ma\x02"),
#undef ROW
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        pkg_autoarena struct pkg_arena a = {0};
        rel_autobuf struct rel_buf bytes = {0};
        struct rel_err e = {0};

        assert_int_equal(pkg_etf_encode(text(&a, rows[i].text), &bytes, &e), 0);
        assert_int_equal(bytes.len, rows[i].n);
        assert_memory_equal(bytes.p, rows[i].bytes, bytes.len);
    }
}

/* Every beginning of a whole term is refused, wherever it is cut. */
static void test_cut_input_is_refused(void **state)
{
    pkg_autoarena struct pkg_arena a = {0};
    rel_autobuf struct rel_buf bytes = {0};
    struct rel_err e = {0};

    (void)state;
    assert_int_equal(pkg_etf_encode(text(&a, all), &bytes, &e), 0);
    for (size_t n = 0; n < bytes.len; n++) {
        rel_autofree char *part = rel_xmalloc(n + 1);
        const struct pkg_term *t;

        memcpy(part, bytes.p, n);
        rel_err_clear(&e);
        assert_int_equal(pkg_etf_decode(&a, part, n, &t, &e), -1);
        assert_int_equal(e.code, REL_E_INPUT);
    }
}

static void test_hostile_input_is_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *message;
    } rows[] = {
#define ROW(bytes, message) {bytes, sizeof(bytes) - 1, message}
        ROW("\x82w\x02ok", "begin with 131"),
        ROW("\x83l\xff\xff\xff\xff", "cut short"),
        ROW("\x83t\xff\xff\xff\xff", "cut short"),
        ROW("\x83m\xff\xff\xff\xff", "cut short"),
        ROW("\x83o\xff\xff\xff\xff\x00", "2048 bytes"),
        ROW("\x83P\xff\xff\xff\xffx", "impossible"),
        ROW("\x83P\x00\x00\x00\x05xxxxx", "does not unpack"),
        ROW("\x83w\x01\xff", "not UTF-8"),
        ROW("\x83"
            "F\x7f\xf8\x00\x00\x00\x00\x00\x00",
            "no number"),
        ROW("\x83g", "has no text"),
#undef ROW
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        pkg_autoarena struct pkg_arena a = {0};
        const struct pkg_term *t;
        struct rel_err e = {0};

        assert_int_equal(pkg_etf_decode(&a, rows[i].bytes, rows[i].n, &t, &e), -1);
        if (!strstr(e.msg, rows[i].message))
            fail_msg("\"%s\" instead of \"%s\"", e.msg, rows[i].message);
    }
}

/* A list of no elements is its tail. */
static void test_empty_list_with_a_tail(void **state)
{
    static const char bytes[] = "\x83l\x00\x00\x00\x00"
                                "a\x01";
    pkg_autoarena struct pkg_arena a = {0};
    const struct pkg_term *t;
    struct rel_err e = {0};

    (void)state;
    assert_int_equal(pkg_etf_decode(&a, bytes, sizeof(bytes) - 1, &t, &e), 0);
    assert_int_equal(t->kind, PKG_INT);
}

static void test_depth_is_bounded(void **state)
{
    pkg_autoarena struct pkg_arena a = {0};
    rel_autobuf struct rel_buf bytes = {0};
    const struct pkg_term *t;
    struct rel_err e = {0};

    (void)state;
    rel_buf_adds(&bytes, "\x83");
    for (int i = 0; i < 100000; i++)
        rel_buf_adds(&bytes, "h\x01");
    assert_int_equal(pkg_etf_decode(&a, bytes.p, bytes.len, &t, &e), -1);
    assert_non_null(strstr(e.msg, "nested too deep"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_bytes_are_those_of_otp),
        cmocka_unit_test(test_cut_input_is_refused),
        cmocka_unit_test(test_hostile_input_is_refused),
        cmocka_unit_test(test_empty_list_with_a_tail),
        cmocka_unit_test(test_depth_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
