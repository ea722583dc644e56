/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/sup_term.h"

/* The term of a JSON text. */
static char *term(const char *json)
{
    json_auto_t *value = json_loads(json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    struct rel_buf b = {0};

    assert_non_null(value);
    sup_term_add(&b, value);
    return rel_buf_take(&b);
}

static void expect(const char *json, const char *want)
{
    rel_autofree char *got = term(json);

    assert_string_equal(got, want);
}

static void each_kind_of_value(void **state)
{
    (void)state;
    expect("true", "true");
    expect("false", "false");
    expect("null", "null");
    expect("-9223372036854775808", "-9223372036854775808");
    expect("[]", "[]");
    expect("[1, [2], {}]", "[1, [2], #{}]");
    expect("{\"a\": 1, \"b\": {\"c\": null}}",
           "#{<<\"a\">> => 1, <<\"b\">> => #{<<\"c\">> => null}}");
}

static void floats_have_a_point(void **state)
{
    (void)state;
    expect("0.5", "0.5");
    expect("-2.0", "-2.0");
    expect("1e20", "1.0e20");
    expect("1.7976931348623157e308", "1.7976931348623157e308");
    expect("-1e22", "-1.0e22");
}

static void every_byte_comes_through(void **state)
{
    (void)state;
    expect("\"\"", "<<\"\">>");
    expect("\"a \\\"b\\\" \\\\ ~p\"", "<<\"a \\x{22}b\\x{22} \\x{5c} ~p\">>");
    expect("\"a\\nb\\u0000\"", "<<\"a\\x{a}b\\x{0}\">>");
    expect("\"\\u00e9\\u20ac\"", "<<\"\\x{c3}\\x{a9}\\x{e2}\\x{82}\\x{ac}\">>");
    expect("{\"\\u007f\": \">>\"}", "#{<<\"\\x{7f}\">> => <<\">>\">>}");
}

/* What erl says of the term `text`: "same" when it is the one that `program` wants. */
static char *ask_erl(const char *program, const char *text)
{
    rel_autobuf struct rel_buf said = {0};
    char chunk[256];
    int ends[2], status;
    ssize_t n;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], 1);
        execlp("erl", "erl", "-noshell", "-eval", program, "-extra", text, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    while ((n = read(ends[0], chunk, sizeof(chunk))) > 0)
        rel_buf_add(&said, chunk, (size_t)n);
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    return rel_buf_take(&said);
}

/* As OTP reads it: any text of any characters is the binary that it was. */
static void erlang_reads_the_same(void **state)
{
    static const char program[] =
        "{ok, T, _} = erl_scan:string(hd(init:get_plain_arguments())),"
        " Want = #{<<\"text\">> => <<(list_to_binary(lists:seq(0, 127)))/binary,"
        "  16#c3a9e282acf09f909d:72>>, <<\"numbers\">> => [1.0e20, -0.5, -7, null]},"
        " io:put_chars(case erl_parse:parse_term(T) of {ok, Want} -> \"same\"; _ -> \"other\" end),"
        " halt().";
    rel_autobuf struct rel_buf all = {0}, text = {0};
    rel_autofree char *said = NULL;
    json_auto_t *value = NULL;

    (void)state;
    for (int c = 0; c < 0x80; c++)
        rel_buf_add(&all, &(char){(char)c}, 1);
    rel_buf_adds(&all, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x9d");
    value = json_pack("{s:s%, s:[f, f, I, n]}", "text", all.p, all.len, "numbers", 1e20, -0.5,
                      (json_int_t)-7);
    assert_non_null(value);
    sup_term_add(&text, value);
    rel_buf_adds(&text, ".");
    said = ask_erl(program, text.p);
    assert_string_equal(said, "same");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_value),
        cmocka_unit_test(floats_have_a_point),
        cmocka_unit_test(every_byte_comes_through),
        cmocka_unit_test(erlang_reads_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
