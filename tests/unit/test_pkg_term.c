/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pkg/pkg_term.h"

static const struct pkg_term *read_one(struct pkg_arena *a, const char *text)
{
    struct rel_err e = {0};
    struct pkg_terms terms;

    if (pkg_terms_parse(a, text, strlen(text), "x", &terms, &e) < 0)
        fail_msg("%s: %s", text, e.msg);
    assert_int_equal(terms.n, 1);
    return terms.v[0];
}

/* What is read, and how it is written in one line; the same text when `out` is NULL. */
static const struct {
    const char *in, *out;
} texts[] = {
    {"atom", NULL},
    {"a@B_9", NULL},
    {"'Quoted'", NULL},
    {"'plain'", "plain"},
    {"'end'", NULL},
    {"'don\\'t'", NULL},
    {"\xc3\xa9t\xc3\xa9", NULL},
    {"0", NULL},
    {"-7", NULL},
    {"+7", "7"},
    {"16#fF", "255"},
    {"36#z", "35"},
    {"1_000", "1000"},
    {"007", "7"},
    {"9223372036854775807", NULL},
    {"9223372036854775808", NULL},
    {"-9223372036854775808", NULL},
    {"-123456789012345678901234567890", NULL},
    {"16#10000000000000000", "18446744073709551616"},
    {"$a", "97"},
    {"$ ", "32"},
    {"$\\n", "10"},
    {"$\\x{20AC}", "8364"},
    {"$\\^a", "1"},
    {"1.5", NULL},
    {"1.0e10", "10000000000.0"},
    {"1.0E+300", "1.0e+300"},
    {"-0.1", NULL},
    {"1.0e-7", "1.0e-07"},
    {"\"\"", "[]"},
    {"\"a\" \"b\"\n\"c\"", "\"abc\""},
    {"\"\\x41\\101\\s\\\"\"", "\"AA \\\"\""},
    {"\"\\e\"", "\"\\x{1b}\""},
    {"<<>>", NULL},
    {"<<\"text\">>", NULL},
    {"<<\"\xc3\xbc\"/utf8>>", NULL},
    {"<<\"\xc3\xbc\">>", "<<252>>"},
    {"<<1,2:16,3:16/little>>", "<<1,0,2,3,0>>"},
    {"<<8364/utf8>>", "<<\"\xe2\x82\xac\"/utf8>>"},
    {"<<-1>>", "<<255>>"},
    {"[]", NULL},
    {"[a,[b],{}]", NULL},
    {"[a|b]", NULL},
    {"[a|[b,c]]", "[a,b,c]"},
    {"[1|\"bc\"]", "[1,98,99]"},
    {"{a, {b}}", "{a,{b}}"},
    {"#{a => 1, a => 2}", "#{a => 2}"},
    {"#{}", NULL},
    {"fun lists:map/2", NULL},
    {"{maybe,else}", "{'maybe','else'}"}, /* words since OTP 27 only */
    {"% note\n{a % more\n}", "{a}"},
};

static void test_reads_and_writes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        pkg_autoarena struct pkg_arena a = {0};
        rel_autobuf struct rel_buf out = {0}, file = {0};
        rel_autofree char *text = rel_strf("%s.", texts[i].in);
        const struct pkg_term *t = read_one(&a, text);

        pkg_term_format(t, 0, 0, &out);
        assert_string_equal(out.p, texts[i].out ? texts[i].out : texts[i].in);
        pkg_term_format_file(t, &file);
        assert_true(pkg_equal(t, read_one(&a, file.p)));
    }
}

static void test_says_where_text_is_wrong(void **state)
{
    static const struct {
        const char *in, *message;
    } rows[] = {
        {"{a,\n  Var}.", "x:2:3: the variable Var: only plain terms are allowed here"},
        {"[a, b", "x:1:6: the file ends where , or ] is expected"},
        {"[a b].", "x:1:4: expected , or ] instead of b"},
        {"{a.", "x:1:3: the term ends where , or } is expected"},
        {"a", "x:1:2: the file ends where a dot at the end of the term is expected"},
        {"\n\"open", "x:2:1: the string that begins here is never closed"},
        {"'open", "x:1:1: the quoted atom that begins here is never closed"},
        {"\"\xc3\xbc\" x.", "x:1:5: expected a dot at the end of the term instead of x"},
        {"end.", "x:1:1: the reserved word end must be quoted: 'end'"},
        {"99#1.", "x:1:1: a base must be 2 to 36"},
        {"1.0e999.", "x:1:1: a float beyond the range of a double"},
        {"\"\\x{110000}\".", "x:1:1: there is no character with the number 0x110000"},
        {"<<1:7>>.", "x:1:5: the size of a segment must be 8, 16, ... or 64"},
        {"<<\"\xe2\x82\xac\">>.", "x:1:6: characters above 255 in a binary need /utf8"},
        {"f(x).", "x:1:2: unexpected '('"},
        {"a.\n\xff.", "x:2: not UTF-8; if it is Latin-1, say %% coding: latin-1 in its first line"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        pkg_autoarena struct pkg_arena a = {0};
        struct rel_err e = {0};
        struct pkg_terms terms;

        assert_int_equal(pkg_terms_parse(&a, rows[i].in, strlen(rows[i].in), "x", &terms, &e), -1);
        assert_int_equal(e.code, REL_E_INPUT);
        assert_string_equal(e.msg, rows[i].message);
    }
}

static void test_depth_is_bounded(void **state)
{
    pkg_autoarena struct pkg_arena a = {0};
    rel_autobuf struct rel_buf text = {0};
    struct rel_err e = {0};
    struct pkg_terms terms;

    (void)state;
    for (int i = 0; i < 100000; i++)
        rel_buf_adds(&text, "[");
    assert_int_equal(pkg_terms_parse(&a, text.p, text.len, "x", &terms, &e), -1);
    assert_non_null(strstr(e.msg, "nested deeper than 200"));
}

static void test_reads_latin1_where_it_is_said(void **state)
{
    pkg_autoarena struct pkg_arena a = {0};

    (void)state;
    assert_string_equal(pkg_chars(read_one(&a, "%% -*- coding: latin-1 -*-\n\"\xfc\".")),
                        "\xc3\xbc");
    assert_string_equal(pkg_chars(read_one(&a, "\xef\xbb\xbf\"\xc3\xbc\".")), "\xc3\xbc");
}

static void test_equality(void **state)
{
    static const struct {
        const char *x, *y;
        bool equal;
    } rows[] = {
        {"\"ab\".", "[97,98].", true},
        {"[97,98].", "\"ab\".", true},
        {"\"ab\".", "[97].", false},
        {"\"ab\".", "[97,98,99].", false},
        {"\"a\".", "[97|98].", false},
        {"\"\xe2\x82\xac\".", "[8364].", true},
        {"1.", "1.0.", false},
        {"a.", "\"a\".", false},
        {"<<\"a\">>.", "<<97>>.", true},
        {"#{a => 1, b => 2}.", "#{b => 2, a => 1}.", true},
        {"#{a => 1}.", "#{a => 2}.", false},
        {"[a|b].", "[a].", false},
        {"{a,b}.", "[a,b].", false},
        {"fun a:b/1.", "fun a:b/2.", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        pkg_autoarena struct pkg_arena a = {0};

        assert_int_equal(pkg_equal(read_one(&a, rows[i].x), read_one(&a, rows[i].y)),
                         rows[i].equal);
    }
}

static void test_asking(void **state)
{
    pkg_autoarena struct pkg_arena a = {0};
    const struct pkg_term *t = read_one(
        &a, "[{name, \"shop\"}, debug, {name, \"second\"},\n {deps, x, y}, {n, 3}, \"odd\"].");

    (void)state;
    assert_string_equal(pkg_chars(pkg_get(t, "name")), "shop");
    assert_true(pkg_is_atom(pkg_get(t, "debug"), "true"));
    assert_null(pkg_get(t, "deps"));
    assert_null(pkg_get(t, "missing"));
    assert_int_equal(pkg_keyfind(t, "deps")->seq.n, 3);
    assert_int_equal(pkg_keyfind(t, "deps")->line, 2);
    assert_int_equal(pkg_get(t, "n")->i, 3);
    assert_int_equal(pkg_len(t), 6);
    assert_null(pkg_at(t, 6));
    assert_true(pkg_is_tagged(pkg_at(t, 0), "name", 2));
    assert_false(pkg_is_tagged(pkg_at(t, 0), "name", 3));
    assert_false(pkg_is_list(NULL));
    assert_null(pkg_chars(NULL));
    assert_null(pkg_chars(read_one(&a, "\"with\\x{0}nul\".")));
    assert_string_equal(pkg_chars(read_one(&a, "[].")), "");
    assert_int_equal(pkg_len(read_one(&a, "\"\xc3\xbc!\".")), 2);
}

static void test_long_terms_are_broken_into_lines(void **state)
{
    pkg_autoarena struct pkg_arena a = {0};
    struct pkg_list_build b = {0};
    rel_autobuf struct rel_buf out = {0};
    const char *line;

    (void)state;
    for (int i = 0; i < 200; i++)
        pkg_list_add(&a, &b, pkg_tuple(&a, 2, pkg_atom(&a, "key"), pkg_string(&a, "some value")));
    pkg_term_format_file(pkg_tuple(&a, 2, pkg_atom(&a, "x"), pkg_list_done(&a, &b)), &out);
    for (line = out.p; line && *line; line = strchr(line, '\n') + 1)
        assert_in_range(strcspn(line, "\n"), 0, 100);
    assert_true(pkg_equal(pkg_at(read_one(&a, out.p), 1), pkg_list_done(&a, &b)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_and_writes),
        cmocka_unit_test(test_says_where_text_is_wrong),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_reads_latin1_where_it_is_said),
        cmocka_unit_test(test_equality),
        cmocka_unit_test(test_asking),
        cmocka_unit_test(test_long_terms_are_broken_into_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
