/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pkg/pkg_entries.h"

static void a_folder_that_begins_alike_is_another_one(void **state)
{
    (void)state;
    assert_true(pkg_lies_below("/usr/lib/erlang", "/usr/lib/erlang"));
    assert_true(pkg_lies_below("/usr/lib/erlang/lib/x", "/usr/lib/erlang"));
    assert_true(pkg_lies_below("/usr/lib/erlang/lib/x", "/usr/lib/erlang/"));
    assert_true(pkg_lies_below("/x", "/"));
    assert_false(pkg_lies_below("/usr/lib/erlang-x/lib", "/usr/lib/erlang"));
    assert_false(pkg_lies_below("/usr/lib/erlang-x/lib", "/usr/lib/erlang/"));
    assert_false(pkg_lies_below("/usr/lib", "/usr/lib/erlang"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_that_begins_alike_is_another_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
