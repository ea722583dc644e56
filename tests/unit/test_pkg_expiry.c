/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "pkg/pkg_expiry.h"

static void times_and_durations_are_read(void **state)
{
    static const struct {
        const char *text, *made;
    } good[] = {
        {"2026-12-31T23:59:59Z", "2026-12-31T23:59:59Z"},
        {"2026-12-31t23:59:59.123z", "2026-12-31T23:59:59Z"},
        {"2027-01-01T01:29:59+01:30", "2026-12-31T23:59:59Z"},
        {"2026-12-31T22:59:59-01:00", "2026-12-31T23:59:59Z"},
        {"2028-02-29T00:00:00Z", "2028-02-29T00:00:00Z"},
        {"90d", "1970-04-01T00:00:00Z"},
        {"1w", "1970-01-08T00:00:00Z"},
        {"10s", "1970-01-01T00:00:10Z"},
    };
    static const char *const bad[] = {"",
                                      "tomorrow",
                                      "90",
                                      "-1d",
                                      "0d",
                                      "1y",
                                      "2026-12-31",
                                      "2026-12-31T23:59:59",
                                      "1d ",
                                      "2026-02-30T00:00:00Z",
                                      "5d5",
                                      "2026-12-31 23:59:59Z",
                                      "999999999w",
                                      "2026-12-31T24:00:00Z",
                                      " 1d",
                                      "2026-12-31T23:59:59+1:00",
                                      "1969-12-31T23:59:59Z"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        char made[PKG_EXPIRY_LEN];
        struct rel_err e = {0};

        if (pkg_expiry_make(good[i].text, 0, made, &e) < 0)
            fail_msg("%s", e.msg);
        assert_string_equal(made, good[i].made);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char made[PKG_EXPIRY_LEN] = "";
        struct rel_err e = {0};

        if (pkg_expiry_make(bad[i], 0, made, &e) == 0)
            fail_msg("'%s' became %s", bad[i], made);
        assert_int_equal(e.code, REL_E_INPUT);
    }
}

static void what_is_past_is_refused(void **state)
{
    struct rel_err e = {0};

    (void)state;
    assert_int_equal(pkg_expiry_check("1970-01-01T00:01:00Z", 60, &e), 0);
    assert_int_equal(pkg_expiry_check("1970-01-01T00:01:00Z", 61, &e), -1);
    assert_non_null(strstr(e.msg, "it expired at 1970-01-01T00:01:00Z"));
    rel_err_clear(&e);
    assert_int_equal(pkg_expiry_check("90d", 0, &e), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_and_durations_are_read),
        cmocka_unit_test(what_is_past_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
