/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "supervisor/sup_version.h"

static int sign(int c)
{
    return (c > 0) - (c < 0);
}

static void versions_have_an_order(void **state)
{
    static const char *const rising[] = {"0.1.0",
                                         "0.2.0",
                                         "0.10.0-alpha",
                                         "0.10.0-alpha.1",
                                         "0.10.0-alpha.beta",
                                         "0.10.0-rc1",
                                         "0.10.0",
                                         "0.10.0.1",
                                         "1.0.0-1",
                                         "1.0.0-2",
                                         "1.0.0-10",
                                         "1.0.0-x",
                                         "1",
                                         "1.2",
                                         "1.2.3",
                                         "01.10",
                                         "2026.11.26a",
                                         "20000000000000000000000.0"};
    size_t n = sizeof(rising) / sizeof(*rising);

    (void)state;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            assert_int_equal(sign(sup_version_order(rising[i], rising[j])), (i > j) - (i < j));
}

static void the_same_is_the_same(void **state)
{
    static const char *const same[][2] = {{"1.2.0", "1.2"},
                                          {"1.2.0+0123abcd", "1.2.0"},
                                          {"1.2.0+build.5.ref", "1.2.0+build.4.ref"},
                                          {"1.2.0-rc.1+x", "1.2.0-rc.1"},
                                          {"01.2.0", "1.02.0"},
                                          {"abc", "1.0.0"},
                                          {"deadbee", "0ddba11x"},
                                          {"", "1"}};

    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
        assert_int_equal(sup_version_order(same[i][0], same[i][1]), 0);
        assert_int_equal(sup_version_order(same[i][1], same[i][0]), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_have_an_order),
        cmocka_unit_test(the_same_is_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
