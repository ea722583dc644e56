/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "cmd/cmd_vars.h"

static const char *get(void *ctx, const char *name)
{
    static const char *const rows[][2] = {
        {"A", "one"}, {"EMPTY", ""}, {"LOOP", "${LOOP}"}, {"BRACE", "}{"}};

    (void)ctx;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (!strcmp(rows[i][0], name))
            return rows[i][1];
    return NULL;
}

static const struct cmd_vars vars = {.get = get};

static void filled_in(void **state)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"plain $ {} ${} ${1} $A ${A-x} ${A", "plain $ {} ${} ${1} $A ${A-x} ${A"},
        {"${A}", "one"},
        {"<${A}${A}>", "<oneone>"},
        {"${EMPTY}|${EMPTY:-x}|${NO:-}", "|x|"},
        {"${A:-two}", "one"},
        {"${NO:-two}", "two"},
        {"[{port, ${NO:-{1,2,3}}}].", "[{port, {1,2,3}}]."},
        {"${NO:-${ALSO:-${A}}}", "one"},
        {"${NO:-:${ALSO:-x}:}", ":x:"},
        {"${A:-{${NO}}}", "one"}, /* a default that is not taken is not looked at */
        {"${LOOP} ${NO:-${LOOP}}", "${LOOP} ${LOOP}"},
        {"${BRACE}${A}", "}{one"},
        {"é${A}é", "éoneé"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        rel_autobuf struct rel_buf out = {0};
        struct rel_err e = {0};

        assert_int_equal(cmd_vars_expand(rows[i][0], "f", &vars, &out, &e), 0);
        assert_string_equal(out.p, rows[i][1]);
    }
}

static void refused(void **state)
{
    static const char *const rows[][2] = {
        {"a\nb ${NO}",
         "f:2: ${NO: the variable is not set; give it, or a default: ${NAME:-DEFAULT}"},
        {"${NO:-{1,2}", "f:1: ${NO: its brace is not closed"},
        {"${A:-", "f:1: ${A: its brace is not closed"},
        {"${NO:-${ALSO}}", "f:1: ${ALSO: the variable is not set; give it, or a default: "
                           "${NAME:-DEFAULT}"},
    };
    rel_autobuf struct rel_buf deep = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        rel_autobuf struct rel_buf out = {0};
        struct rel_err e = {0};

        assert_int_equal(cmd_vars_expand(rows[i][0], "f", &vars, &out, &e), -1);
        assert_int_equal(e.code, REL_E_INPUT);
        assert_string_equal(e.msg, rows[i][1]);
    }
    for (int i = 0; i < 100; i++)
        rel_buf_adds(&deep, "${NO:-");
    for (int i = 0; i < 100; i++)
        rel_buf_adds(&deep, "}");
    {
        rel_autobuf struct rel_buf out = {0};
        struct rel_err e = {0};

        assert_int_equal(cmd_vars_expand(deep.p, "f", &vars, &out, &e), -1);
        assert_non_null(strstr(e.msg, "too deep"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(filled_in), cmocka_unit_test(refused)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
