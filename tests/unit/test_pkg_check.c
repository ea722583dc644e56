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
    json_auto_t *doc = json_load_file(path, 0, NULL), *want = json_array();
    const json_t *allow = json_object_get(json_object_get(doc, "properties"), "allow");

    (void)state;
    json_array_append_new(want, json_string("all"));
    for (int c = 0; c < PKG_CHECK_COUNT; c++)
        json_array_append_new(want, json_string(pkg_check_name(c)));
    assert_true(json_equal(json_object_get(json_object_get(allow, "items"), "enum"), want));
}

static void lists_of_codes_are_read_strictly(void **state)
{
    static const char *const wrong[] = {"",     "glibc,",       ",glibc",        "GLIBC",
                                        "glib", "glibc;secret", "glibc, secret", "allx"};
    const uint32_t glibc = UINT32_C(1) << PKG_CHECK_GLIBC;
    const uint32_t secret = UINT32_C(1) << PKG_CHECK_SECRET;
    uint32_t allow = 0;
    struct rel_err e = {0};

    (void)state;
    assert_int_equal(pkg_check_allow("glibc", &allow, &e), 0);
    assert_int_equal(allow, glibc);
    assert_int_equal(pkg_check_allow("secret,glibc", &allow, &e), 0);
    assert_int_equal(allow, glibc | secret);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        rel_err_clear(&e);
        assert_int_equal(pkg_check_allow(wrong[i], &allow, &e), -1);
        assert_int_equal(e.code, REL_E_INPUT);
        assert_int_equal(allow, glibc | secret);
    }
    rel_err_clear(&e);
    assert_int_equal(pkg_check_allow("all", &allow, &e), 0);
    assert_int_equal(allow, (UINT32_C(1) << PKG_CHECK_COUNT) - 1);
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
        cmocka_unit_test(versions_of_glibc_are_two_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
