/* SPDX-License-Identifier: Apache-2.0 */
/* The table of checks: its document tells of each, and lists of codes are read strictly. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/rel_io.h"
#include "pkg/pkg_check.h"

/* Line ends and the marks of Markdown count for nothing. */
static char *plain(const char *text)
{
    rel_autobuf struct rel_buf b = {0};

    for (; text && *text; text++)
        if (*text != '`')
            rel_buf_add(&b, *text == '\n' ? " " : text, 1);
    return rel_buf_take(&b);
}

static void the_document_tells_of_each_code(void **state)
{
    rel_autofree char *path = rel_strf("%s/docs/checks.md", getenv("RELPACK_SOURCE")), *text = NULL;
    struct rel_err e = {0};
    size_t len, headings = 0;

    (void)state;
    assert_int_equal(rel_read_file(AT_FDCWD, path, 1 << 20, &text, &len, &e), 0);
    for (int c = 0; c < PKG_CHECK_COUNT; c++) {
        rel_autofree char *heading = rel_strf("\n### `%s`\n", pkg_check_name(c)), *section = NULL;
        const char *at = text ? strstr(text, heading) : NULL;
        const char *warnings = text ? strstr(text, "\n## Warnings") : NULL;
        const char *meaning = pkg_check_meaning(c);

        if (!at)
            fail_msg("docs/checks.md does not tell of %s", pkg_check_name(c));
        assert_int_equal(pkg_check_is_error(c), at < warnings);
        section = plain(at + strlen(heading));
        /* The first letter is a capital one there. */
        if (strstr(section + 1, meaning + 1) != section + 1)
            fail_msg("docs/checks.md tells of %s '%.80s', the table '%s'", pkg_check_name(c),
                     section, meaning);
    }
    for (const char *p = text; p && (p = strstr(p, "\n### ")); p++)
        headings++;
    assert_int_equal(headings, PKG_CHECK_COUNT);
}

static void the_schema_knows_each_code(void **state)
{
    rel_autofree char *path = rel_strf("%s/docs/relpack.schema.json", getenv("RELPACK_SOURCE"));
    json_auto_t *doc = json_load_file(path, 0, NULL);
    const json_t *allow = json_object_get(json_object_get(doc, "properties"), "allow");
    rel_autobuf struct rel_buf want = {0};

    (void)state;
    rel_buf_adds(&want, "^(all");
    for (int c = 0; c < PKG_CHECK_COUNT; c++)
        rel_buf_addf(&want, "|%s", pkg_check_name(c));
    rel_buf_adds(&want, ")(:[^,]+)?$");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(allow, "items"), "pattern")), want.p);
}

static void lists_of_codes_are_read_strictly(void **state)
{
    static const char *const right[] = {"glibc", "secret,glibc", "all", "glibc:one,all:two,secret"};
    static const char *const wrong[] = {"",       "glibc,",       ",glibc",        "GLIBC",
                                        "glib",   "glibc;secret", "glibc, secret", "allx",
                                        "glibc:", ":one"};
    struct rel_err e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++)
        assert_int_equal(pkg_check_allow_read(right[i], &e), 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        assert_int_equal(pkg_check_allow_read(wrong[i], &e), -1);
        assert_int_equal(e.code, REL_E_INPUT);
        rel_err_clear(&e);
    }
}

static void a_list_leaves_out_what_it_names(void **state)
{
    static const struct {
        const char *list, *app;
        enum pkg_check_code code;
        bool allowed;
    } cases[] = {
        {NULL, NULL, PKG_CHECK_GLIBC, false},
        {"glibc", NULL, PKG_CHECK_GLIBC, true},
        {"glibc", "one", PKG_CHECK_GLIBC, true},
        {"secret,glibc", "one", PKG_CHECK_GLIBC, true},
        {"secret", "one", PKG_CHECK_GLIBC, false},
        {"undefined_function", "one", PKG_CHECK_UNDEFINED, false},
        {"undefined", "one", PKG_CHECK_UNDEFINED_FUNCTION, false},
        {"glibc:one", "one", PKG_CHECK_GLIBC, true},
        {"glibc:one", "on", PKG_CHECK_GLIBC, false},
        {"glibc:one", "one2", PKG_CHECK_GLIBC, false},
        {"glibc:one", NULL, PKG_CHECK_GLIBC, false},
        {"glibc:two,glibc:one", "one", PKG_CHECK_GLIBC, true},
        {"all", NULL, PKG_CHECK_SECRET, true},
        {"all:one", "one", PKG_CHECK_SECRET, true},
        {"all:one", NULL, PKG_CHECK_SECRET, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        if (pkg_check_allows(cases[i].list, cases[i].code, cases[i].app) != cases[i].allowed)
            fail_msg("case %zu", i);
}

static void versions_of_glibc_are_two_numbers(void **state)
{
    (void)state;
    assert_true(pkg_check_is_glibc("2.31"));
    assert_false(pkg_check_is_glibc("2"));
    assert_false(pkg_check_is_glibc("2.31.1"));
    assert_false(pkg_check_is_glibc("new"));
    assert_false(pkg_check_is_glibc(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_document_tells_of_each_code),
        cmocka_unit_test(the_schema_knows_each_code),
        cmocka_unit_test(lists_of_codes_are_read_strictly),
        cmocka_unit_test(a_list_leaves_out_what_it_names),
        cmocka_unit_test(versions_of_glibc_are_two_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
