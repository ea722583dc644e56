/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"
#include "supervisor/sup_history.h"
#include "supervisor/sup_past.h"
#include "supervisor/sup_run.h"

static json_t *entry(const char *what, const char *outcome, const char *from, const char *to)
{
    return json_pack("{s:s*, s:s*, s:s*, s:s*}", "what", what, "outcome", outcome, "from", from,
                     "to", to);
}

static char *text_of(const struct sup_past *past)
{
    rel_autobuf struct rel_buf b = {0};

    for (size_t i = 0; i < past->n; i++)
        rel_buf_addf(&b, "%s%s", i ? " " : "", past->v[i]);
    return b.len ? rel_buf_take(&b) : rel_xstrdup("");
}

/* "what outcome from to; ..."; "-" is a key that is not there, "forward" before it one that is. */
static void check(const char *history, const char *want)
{
    rel_autofree char *text = rel_xstrdup(history), *got = NULL;
    struct sup_past past = {0};
    char *save = NULL;

    for (char *l = strtok_r(text, ";", &save); l; l = strtok_r(NULL, ";", &save)) {
        char what[32], outcome[32], from[32], to[32];
        json_t *one;

        assert_int_equal(sscanf(l, "%31s %31s %31s %31s", what, outcome, from, to), 4);
        one = entry(!strcmp(what, "forward") ? "rollback" : what, outcome,
                    strcmp(from, "-") != 0 ? from : NULL, strcmp(to, "-") != 0 ? to : NULL);
        if (!strcmp(what, "forward"))
            json_object_set_new(one, "forward", json_true());
        sup_past_add(&past, one);
        json_decref(one);
    }
    got = text_of(&past);
    assert_string_equal(got, want);
    sup_past_fini(&past);
}

static void what_served_is_a_stack(void **state)
{
    (void)state;
    check("", "");
    check("boot done - a", "a");
    check("boot done - a; upgrade done a b; upgrade done b c", "a b c");
    check("boot done - a; upgrade done a b; upgrade done b c; rollback done c b", "a b");
    check("boot done - a; upgrade done a b; upgrade done b c; rollback done c a", "a");
    check("boot done - a; upgrade done a b; upgrade done b a", "b a");
    check("boot done - a; upgrade done a b; rollback done b a; upgrade done a c", "a c");
    check("boot done - a; upgrade done a b; rollback done b a; upgrade done a b", "a b");
}

static void what_never_served_is_not_there(void **state)
{
    (void)state;
    check("boot refused - a; boot done - b", "b");
    check("boot done - a; upgrade refused a b", "a");
    check("boot done - a; upgrade checked a b", "a");
    check("boot done - a; upgrade done a b; rollback checked b a", "a b");
    check("boot done - a; upgrade done a b; rollback refused b a", "a b");
}

static void boots_change_nothing(void **state)
{
    (void)state;
    check("boot done - a; upgrade done a b; boot done - b", "a b");
    check("boot done - a; upgrade done a b; recover done - b; restart done b b", "a b");
    /* killed between `current` and the entry, or what `current` names did not boot */
    check("boot done - a; boot done - b", "a b");
    check("boot done - a; upgrade done a b; boot done - a", "a");
}

static void forward_is_no_way_back(void **state)
{
    (void)state;
    check("boot done - a; upgrade done a b; rollback done b a; forward done a b", "a b");
    check("rollback done c a", "a");
    check("rollback done c a; forward done a c", "a c");
}

static void an_old_or_cut_history_is_read(void **state)
{
    (void)state;
    check("upgrade done b c", "b c");
    check("- done - a; - - a b; upgrade done a b", "a b");
    check("upgrade done a -; rollback done - a", "a");
    check("boot done - a; upgrade done b c", "a b c");
    check("boot done - a; upgrade done a b; upgrade done a c", "a c");
}

/* Another view of the same: every release has the number of its turn, 0 where no rollback leads. */
enum { RELEASES = 6, STEPS = 40, ROUNDS = 3000 };

struct world {
    unsigned turn[RELEASES], turns;
    int serves; /* -1: none */
};

static void world_serves(struct world *w, int to)
{
    if (!w->turn[to])
        w->turn[to] = ++w->turns;
    for (int i = 0; i < RELEASES; i++)
        if (w->turn[i] > w->turn[to])
            w->turn[i] = 0;
    w->serves = to;
}

static int world_earlier(const struct world *w)
{
    int best = -1;

    for (int i = 0; w->serves >= 0 && i < RELEASES; i++)
        if (w->turn[i] && w->turn[i] < w->turn[w->serves] &&
            (best < 0 || w->turn[i] > w->turn[best]))
            best = i;
    return best;
}

static const char *name(int i)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};

    return i < 0 ? NULL : names[i];
}

static unsigned seed = 1;

static int any(int n)
{
    seed = seed * 1103515245 + 12345;
    return (int)((seed >> 16) % (unsigned)n);
}

/* One thing happens to both; `left`: no plain rollback may lead there. */
static void happen(struct world *w, struct sup_past *past, bool *left)
{
    static const char *const bad[] = {"refused", "checked"};
    int to = any(RELEASES), earlier = world_earlier(w), from = w->serves;
    const char *what = "boot", *outcome = "done";
    json_t *one;

    if (from < 0) {
        world_serves(w, to);
    } else if (any(4) == 0) {
        what = any(2) ? "upgrade" : "rollback";
        outcome = bad[any(2)];
    } else if (any(4) == 0) {
        what = any(2) ? "recover" : "restart";
        to = from;
    } else if (any(2)) {
        what = "upgrade";
        w->turn[to] = ++w->turns;
        w->serves = to;
        left[to] = false;
    } else if (earlier >= 0) {
        what = "rollback";
        to = earlier;
        assert_false(left[to]);
        left[from] = true;
        world_serves(w, to);
    } else {
        return;
    }
    one = entry(what, outcome, name(from), name(to));
    sup_past_add(past, one);
    json_decref(one);
}

static void random_histories_agree_with_a_model(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct world w = {.serves = -1};
        struct sup_past past = {0};
        bool left[RELEASES] = {0};

        for (int step = 0; step < STEPS; step++) {
            int earlier;

            happen(&w, &past, left);
            earlier = world_earlier(&w);
            assert_true(past.n > 0);
            assert_string_equal(past.v[past.n - 1], name(w.serves));
            assert_int_equal(past.n > 1, earlier >= 0);
            if (earlier >= 0)
                assert_string_equal(past.v[past.n - 2], name(earlier));
        }
        sup_past_fini(&past);
    }
}

static int make_home(void **state)
{
    static char home[64];
    rel_autofree char *log = NULL;
    struct rel_err e = {0};

    strcpy(home, "/tmp/test_sup_past.XXXXXX");
    *state = mkdtemp(home);
    log = rel_strf("%s/log", home);
    return *state ? rel_mkdirs(AT_FDCWD, log, 0700, &e) : -1;
}

static int remove_home(void **state)
{
    struct rel_err e = {0};

    return rel_remove_tree(AT_FDCWD, *state, &e);
}

static void write_history(const char *home, const char *text, size_t len)
{
    rel_autofree char *path = rel_strf("%s/log/history.jsonl", home);
    struct rel_err e = {0};

    assert_int_equal(rel_replace_file(AT_FDCWD, path, text, len, 0600, &e), 0);
}

static void assert_past(const char *home, const char *want)
{
    rel_autofree char *got = NULL;
    struct sup_past past;
    struct rel_err e = {0};

    assert_int_equal(sup_past_read(home, &past, &e), 0);
    got = text_of(&past);
    assert_string_equal(got, want);
    sup_past_fini(&past);
}

static void a_cut_line_costs_no_other(void **state)
{
    static const char text[] = "{\"what\":\"boot\",\"outcome\":\"done\",\"to\":\"a\"}\n"
                               "[1]\n\n\x1b[2J nothing\n"
                               "{\"what\":\"upgrade\",\"outco";
    struct rel_err e = {0};

    assert_past(*state, "");
    write_history(*state, text, sizeof(text) - 1);
    assert_past(*state, "a");
    assert_int_equal(sup_history_add(*state, entry("upgrade", "done", "a", "b"), &e), 0);
    assert_past(*state, "a b");
}

static void only_the_end_of_a_long_history_is_read(void **state)
{
    static const char line[] =
        "{\"what\":\"upgrade\",\"outcome\":\"done\",\"from\":\"a\",\"to\":\"a\"}\n";
    size_t n = (5 << 20) / (sizeof(line) - 1);
    rel_autobuf struct rel_buf b = {0};
    json_t *list = NULL;
    struct rel_err e = {0};

    rel_buf_adds(&b, "{\"what\":\"boot\",\"outcome\":\"done\",\"to\":\"lost\"}\n");
    for (size_t i = 0; i < n; i++)
        rel_buf_adds(&b, line);
    rel_buf_adds(&b, "{\"what\":\"upgrade\",\"outcome\":\"done\",\"from\":\"a\",\"to\":\"b\"}\n");
    write_history(*state, b.p, b.len);
    assert_past(*state, "a b");
    assert_int_equal(sup_history(*state, &list, &e), 0);
    assert_in_range(json_array_size(list), 1000, n);
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_served_is_a_stack),
        cmocka_unit_test(what_never_served_is_not_there),
        cmocka_unit_test(boots_change_nothing),
        cmocka_unit_test(forward_is_no_way_back),
        cmocka_unit_test(an_old_or_cut_history_is_read),
        cmocka_unit_test(random_histories_agree_with_a_model),
        cmocka_unit_test_setup_teardown(a_cut_line_costs_no_other, make_home, remove_home),
        cmocka_unit_test_setup_teardown(only_the_end_of_a_long_history_is_read, make_home,
                                        remove_home),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
