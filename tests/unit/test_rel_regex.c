/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/resource.h>

#include "base/rel_regex.h"

static int find(const char *regex, const char *text, struct rel_err *e)
{
    return rel_regex_find(regex, text, strlen(text), NULL, e);
}

static void test_finds(void **state)
{
    struct rel_err e = {0};
    size_t at[2] = {7, 7};

    (void)state;
    assert_int_equal(find("^\\d+\\.[[:alpha:]]$", "12.b", &e), 1);
    assert_int_equal(find("\"a\".*\"b\"", "{\"a\":\n \"b\"}", &e), 1);
    assert_int_equal(find("a$", "a\n", &e), 0);
    assert_int_equal(find("(a)\\1", "xaa", &e), 1);
    assert_int_equal(find("", "", &e), 1);
    assert_int_equal(rel_regex_find("b+", "abbc", 4, at, &e), 1);
    assert_int_equal(at[0], 1);
    assert_int_equal(at[1], 3);
    assert_int_equal(rel_regex_find("d", "abbc", 4, at, &e), 0);
    assert_int_equal(at[1], 3);
    assert_int_equal(rel_regex_find("a.b", "a\0b", 3, NULL, &e), 1);
}

static void test_says_what_is_wrong(void **state)
{
    struct rel_err e = {0};
    char longest[REL_REGEX_MAX + 2];

    (void)state;
    assert_int_equal(rel_regex_check("a(b", &e), -1);
    assert_int_equal(e.code, REL_E_INPUT);
    assert_string_equal(e.msg, "missing closing parenthesis at byte 3");
    memset(longest, 'a', sizeof longest);
    longest[REL_REGEX_MAX + 1] = 0;
    e = (struct rel_err){0};
    assert_int_equal(rel_regex_check(longest, &e), -1);
    assert_string_equal(e.msg, "longer than 500 bytes");
    longest[REL_REGEX_MAX] = 0;
    e = (struct rel_err){0};
    assert_int_equal(rel_regex_check(longest, &e), 0);
}

/* Each of these takes gigabytes or for ever in regcomp(3), regexec(3) or a matcher without limits.
 */
static void test_stays_modest(void **state)
{
    static const char *const greedy[] = {
        "(false9||||||||||||||||||9){999}",
        "((a{99}){99}){99}",
        "(((((a{0,32000}){0,32000}){0,32000}){0,32000}){0,32000})",
        "(a+)+$",
        "(a|a)*$",
        "(a*)*\\1b",
        "(?:(?=(a+))a*)*b",
        "(?R)*b|a",
        "(?:a?){200}a{200}b",
        "((((((((((a*)*)*)*)*)*)*)*)*)*b",
    };
    char text[4096];
    struct rusage before, after;

    (void)state;
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 'c';
    getrusage(RUSAGE_SELF, &before);
    for (size_t i = 0; i < sizeof(greedy) / sizeof(*greedy); i++) {
        struct rel_err e = {0};
        int rc = rel_regex_find(greedy[i], text, sizeof text, NULL, &e);

        assert_true(rc >= -1 && rc <= 1);
        assert_true(rc >= 0 || e.code == REL_E_INPUT);
    }
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 64 << 10);
    assert_true(after.ru_utime.tv_sec - before.ru_utime.tv_sec < 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds),
        cmocka_unit_test(test_says_what_is_wrong),
        cmocka_unit_test(test_stays_modest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
