/* SPDX-License-Identifier: Apache-2.0 */
/* The bounds walk: every kind of term, and every way to lie about a length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <string.h>

#include "hotload/hot_agent.h"

#define TERM(bytes)                \
    {                              \
        (bytes), sizeof(bytes) - 1 \
    }

static const struct {
    const char *bytes;
    size_t len;
} whole[] = {
    TERM("a\1"),
    TERM("b\xff\xff\xff\xff"),
    TERM("n\2\0\1\1"),
    TERM("o\0\0\0\2\0\1\1"),
    TERM("F\0\0\0\0\0\0\0\0"),
    TERM("d\0\2ab"),
    TERM("s\2ab"),
    TERM("v\0\2ab"),
    TERM("w\2ab"),
    TERM("w\0"),
    TERM("k\0\2ab"),
    TERM("m\0\0\0\2ab"),
    TERM("M\0\0\0\2\3ab"),
    TERM("j"),
    TERM("l\0\0\0\2a\1a\2j"),
    TERM("l\0\0\0\1a\1a\2"), /* improper */
    TERM("h\0"),
    TERM("h\2a\1a\2"),
    TERM("i\0\0\0\1j"),
    TERM("t\0\0\0\1a\1a\2"),
    TERM("qw\1mw\1fa\1"),
    TERM("gw\1n\0\0\0\1\0\0\0\2\3"),
    TERM("Xw\1n\0\0\0\1\0\0\0\2\0\0\0\3"),
    TERM("fw\1n\0\0\0\1\2"),
    TERM("Yw\1n\0\0\0\1\0\0\0\2"),
    TERM("xw\1n\0\0\0\0\0\0\0\1\0\0\0\2"),
    TERM("ew\1n\0\0\0\1\2"),
    TERM("r\0\1w\1n\1\0\0\0\1"),
    TERM("Z\0\2w\1n\0\0\0\1\0\0\0\1\0\0\0\2"),
    TERM("p\0\0\0\0\0uuuuuuuuuuuuuuuu\0\0\0\0\0\0\0\1w\1ma\1a\2w\1nw\1x"),
};

/* Each is taken, ends where it ends, and is not taken with a byte less. */
static void whole_terms_are_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(whole) / sizeof(*whole); i++)
        for (size_t len = 0; len <= whole[i].len + 1; len++) {
            rel_autofree char *copy = rel_xcalloc(len + 1, 1); /* so that a step too far is seen */
            rel_autofree char *exact = NULL;
            size_t end = 0;

            memcpy(copy, whole[i].bytes, len < whole[i].len ? len : whole[i].len);
            exact = rel_xmalloc(len ? len : 1);
            memcpy(exact, copy, len);
            if (hot_term_end(exact, len, 0, &end) != (len >= whole[i].len))
                fail_msg("term %c with %zu of %zu bytes", whole[i].bytes[0], len, whole[i].len);
            assert_int_equal(end, len >= whole[i].len ? whole[i].len : 0);
        }
}

static const struct {
    const char *bytes;
    size_t len;
} lies[] = {
    TERM("m\xff\xff\xff\xff"
         "ab"),
    TERM("m\x7f\xff\xff\xff"
         "ab"),
    TERM("l\xff\xff\xff\xffjjjj"),
    TERM("l\x80\0\0\0jjjj"),
    TERM("i\xff\xff\xff\xffj"),
    TERM("t\x80\0\0\0jj"),
    TERM("t\xff\xff\xff\xffjj"),
    TERM("o\xff\xff\xff\xff\0a"),
    TERM("Z\xff\xffw\1n\0\0\0\1"),
    TERM("p\0\0\0\0\0uuuuuuuuuuuuuuuu\0\0\0\0\xff\xff\xff\xffw\1ma\1a\2w\1nw\1x"),
    TERM("h\3a\1a\2"),
    TERM("Xa\1\0\0\0\1\0\0\0\2\0\0\0\3"), /* its node is no atom */
    TERM("Xj\0\0\0\1\0\0\0\2\0\0\0\3"),
    TERM("R\1"), /* of the atom cache, which we did not ask for */
    TERM("y12345678"),
    TERM("u\0\0\0\0"),
    TERM("\x83"
         "a\1"),
    TERM("\0"),
};

static void lies_are_refused(void **state)
{
    size_t end;

    (void)state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++)
        if (hot_term_end(lies[i].bytes, lies[i].len, 0, &end))
            fail_msg("lie %zu is taken", i);
    assert_false(hot_term_end("j", 1, 2, &end)); /* and what begins behind the end */
}

static void put3(char *to, const char from[3])
{
    for (int i = 0; i < 3; i++)
        to[i] = from[i];
}

static void an_atom_has_255_characters(void **state)
{
    char term[3 + 1100];
    size_t end;

    (void)state;
    memset(term, 'a', sizeof(term));
    put3(term, "v\x03\xfc");
    assert_true(hot_term_end(term, sizeof(term), 0, &end)); /* of four bytes each */
    put3(term, "v\x03\xfd");
    assert_false(hot_term_end(term, sizeof(term), 0, &end));
    put3(term, "d\x01\x00");
    assert_false(hot_term_end(term, sizeof(term), 0, &end));
}

/* n lists, each the only element of the one around it. */
static bool takes_nested(size_t n)
{
    static const char head[] = "l\0\0\0\1";
    const size_t head_len = sizeof(head) - 1;
    rel_autofree char *term = rel_xmalloc(n * (head_len + 1) + 1);
    size_t len = 0, end;

    for (size_t i = 0; i < n; i++, len += head_len)
        memcpy(term + len, head, head_len);
    memset(term + len, 'j', n + 1);
    return hot_term_end(term, len + n + 1, 0, &end) && end == len + n + 1;
}

static void depth_is_limited(void **state)
{
    (void)state;
    assert_true(takes_nested(4000));
    assert_false(takes_nested(100000));
}

static void names_are_told_from_others(void **state)
{
    rel_autofree char *longest = rel_xcalloc(257, 1);

    (void)state;
    memset(longest, 'a', 255);
    assert_true(hot_is_atom(longest));
    longest[255] = 'a';
    assert_false(hot_is_atom(longest));
    assert_true(hot_is_atom("n\xc3\xa4me@host") && hot_is_atom(""));
    assert_false(hot_is_atom("n\xe4me"));
}

static void the_beginning_is_shown(void **state)
{
    static char bytes[] =
        "h\5w\2okw\3A bl\0\0\0\2a\1m\0\0\0\3x\033yk\0\2hib\xff\xff\xff\xfft\0\0\0\0";
    const struct hot_term t = {.buf = bytes, .len = sizeof(bytes) - 1};
    rel_autofree char *all = hot_term_text(&t, 0, 100), *some = hot_term_text(&t, 0, 8);

    (void)state;
    assert_string_equal(all, "{ok,'A b',[1,<<\"x\\x1by\">>|\"hi\"],-1,...}");
    assert_string_equal(some, "{ok,'A b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_terms_are_taken),      cmocka_unit_test(lies_are_refused),
        cmocka_unit_test(an_atom_has_255_characters), cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(names_are_told_from_others), cmocka_unit_test(the_beginning_is_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
