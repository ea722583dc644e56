/* SPDX-License-Identifier: Apache-2.0 */
/* Random sets of modules that call each other: the order is right, and the same however the set was
 * sorted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pkg/pkg_modules_order.h"

enum { ROUNDS = 300, MODULES = 12, CHAIN = 100000 };

struct set {
    char names[MODULES][8];
    struct pkg_beam_mfa calls[MODULES][MODULES];
    struct pkg_ordered v[MODULES];
    size_t n;
};

/* Module i calls module j with a chance of one in three; with `circles` also those behind it. */
static void make(struct set *s, bool circles)
{
    s->n = (size_t)(rand() % (MODULES + 1));
    for (size_t i = 0; i < s->n; i++)
        snprintf(s->names[i], sizeof(s->names[i]), "m%x", (unsigned)(i * 7 % MODULES));
    for (size_t i = 0; i < s->n; i++) {
        s->v[i] = (struct pkg_ordered){.name = s->names[i], .imports = s->calls[i]};
        for (size_t j = 0; j < s->n; j++)
            if ((circles || j <= i) && rand() % 3 == 0)
                s->calls[i][s->v[i].import_n++] = (struct pkg_beam_mfa){.m = s->names[j]};
    }
}

static size_t place_of(const struct pkg_ordered *v, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(v[i].name, name))
            return i;
    fail_msg("%s is lost", name);
    return 0;
}

static void shuffle(struct pkg_ordered *v, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)rand() % i;
        struct pkg_ordered swapped = v[i - 1];

        v[i - 1] = v[j];
        v[j] = swapped;
    }
}

static void what_is_called_comes_first(void **state)
{
    (void)state;
    srand(1);
    for (int round = 0; round < ROUNDS; round++) {
        pkg_autoarena struct pkg_arena a = {0};
        struct set s;

        make(&s, false);
        pkg_modules_order(&a, s.v, s.n);
        for (size_t i = 0; i < s.n; i++)
            for (size_t k = 0; k < s.v[i].import_n; k++)
                assert_true(place_of(s.v, s.n, s.v[i].imports[k].m) <= i);
    }
}

static void any_order_gives_the_same(void **state)
{
    (void)state;
    srand(2);
    for (int round = 0; round < ROUNDS; round++) {
        pkg_autoarena struct pkg_arena a = {0};
        struct pkg_ordered again[MODULES];
        struct set s;

        make(&s, true);
        memcpy(again, s.v, sizeof(again));
        shuffle(again, s.n);
        pkg_modules_order(&a, s.v, s.n);
        pkg_modules_order(&a, again, s.n);
        for (size_t i = 0; i < s.n; i++)
            assert_string_equal(s.v[i].name, again[i].name);
    }
}

static void calls_are_named_once(void **state)
{
    pkg_autoarena struct pkg_arena a = {0};
    const struct pkg_beam_mfa calls[] = {{.m = "c"}, {.m = "lists"}, {.m = "a"},
                                         {.m = "b"}, {.m = "c"},     {.m = "b"}};
    struct pkg_ordered v[] = {
        {.name = "a", .imports = calls, .import_n = 6}, {.name = "c"}, {.name = "b"}};

    (void)state;
    pkg_modules_order(&a, v, 3);
    assert_string_equal(v[0].name, "b");
    assert_string_equal(v[1].name, "c");
    assert_string_equal(v[2].name, "a");
    assert_int_equal(v[2].calls.n, 2);
    assert_string_equal(v[2].calls.v[0], "b");
    assert_string_equal(v[2].calls.v[1], "c");
    assert_int_equal(v[0].calls.n, 0);
}

/* A release of somebody else may be made so: no recursion must follow it. */
static void a_long_chain(void **state)
{
    pkg_autoarena struct pkg_arena a = {0};
    struct pkg_ordered *v = pkg_arena_alloc(&a, CHAIN * sizeof(*v));
    struct pkg_beam_mfa *calls = pkg_arena_alloc(&a, CHAIN * sizeof(*calls));

    (void)state;
    for (size_t i = 0; i < CHAIN; i++) {
        v[i].name = pkg_arena_strf(&a, "m%06zu", i);
        calls[i].m = pkg_arena_strf(&a, "m%06zu", i + 1);
        v[i].imports = &calls[i];
        v[i].import_n = 1;
    }
    pkg_modules_order(&a, v, CHAIN);
    assert_string_equal(v[0].name, "m099999");
    assert_string_equal(v[CHAIN - 1].name, "m000000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_called_comes_first),
        cmocka_unit_test(any_order_gives_the_same),
        cmocka_unit_test(calls_are_named_once),
        cmocka_unit_test(a_long_chain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
