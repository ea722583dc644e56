/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"
#include "supervisor/sup_journal.h"

static int make_home(void **state)
{
    static char dir[64];
    rel_autofree char *run = NULL;
    struct rel_err e = {0};

    strcpy(dir, "/tmp/test_sup_journal.XXXXXX");
    *state = mkdtemp(dir);
    run = rel_strf("%s/run", dir);
    return rel_mkdirs(AT_FDCWD, run, 0700, &e);
}

static int remove_home(void **state)
{
    struct rel_err e = {0};

    return rel_remove_tree(AT_FDCWD, *state, &e);
}

static void what_is_written_is_read(void **state)
{
    struct sup_journal j = {
        .generation = 7,
        .state = "booting",
        .peer_n = 2,
        .peers = {{.generation = 6, .pid = 4000, .pid_start = 123456789012, .served = true},
                  {.generation = 7, .pid = 4001, .pid_start = 5}}};
    struct sup_journal got;
    struct rel_err e = {0};

    assert_int_equal(sup_journal_read(*state, &got, &e), 0);
    assert_int_equal(got.generation, 0);
    assert_int_equal(got.peer_n, 0);
    assert_int_equal(sup_journal_write(*state, &j, &e), 0);
    assert_int_equal(sup_journal_read(*state, &got, &e), 0);
    assert_int_equal(got.generation, 7);
    assert_int_equal(got.peer_n, 2);
    assert_memory_equal(got.peers, j.peers, 2 * sizeof(j.peers[0]));
}

static void what_cannot_be_read_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"v\":1,\"generation\":1}",
        "{\"v\":2,\"generation\":1,\"peers\":[]}",
        "{\"v\":1,\"generation\":-1,\"peers\":[]}",
        "{\"v\":1,\"generation\":1,\"peers\":[{}]}",
        "{\"v\":1,\"generation\":1,\"peers\":[{\"generation\":1,\"pid\":1,\"pid_start\":1}]}",
        "{\"v\":1,\"generation\":1,\"peers\":[{\"generation\":1,\"pid\":-5,\"pid_start\":1}]}",
        "{\"v\":1,\"generation\":1,\"peers\":[{\"generation\":1,\"pid\":50,\"pid_start\":0}]}",
    };
    rel_autofree char *path = rel_strf("%s/run/journal.json", (char *)*state);

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct sup_journal got = {.generation = 99};
        struct rel_err e = {0};

        assert_int_equal(rel_replace_file(AT_FDCWD, path, bad[i], strlen(bad[i]), 0600, &e), 0);
        assert_int_equal(sup_journal_read(*state, &got, &e), -1);
        assert_int_equal(e.code, strstr(bad[i], "\"v\":2") ? REL_E_UNSUPPORTED : REL_E_INPUT);
        assert_non_null(strstr(e.msg, path));
        assert_int_equal(got.generation, 99);
    }
    assert_int_equal(unlink(path), 0);
}

/* It stops nobody for ever; the numbers go on behind those that left a log. */
static void what_cannot_be_read_is_set_aside(void **state)
{
    rel_autofree char *path = rel_strf("%s/run/journal.json", (char *)*state);
    rel_autofree char *aside = rel_strf("%s/run/journal.broken", (char *)*state);
    rel_autofree char *log = rel_strf("%s/log", (char *)*state);
    rel_autofree char *peer = rel_strf("%s/peer-12.log", log);
    struct sup_journal got;
    struct rel_err e = {0};
    bool known = true;

    assert_int_equal(rel_mkdirs(AT_FDCWD, log, 0700, &e), 0);
    assert_int_equal(rel_replace_file(AT_FDCWD, peer, "", 0, 0600, &e), 0);
    assert_int_equal(rel_replace_file(AT_FDCWD, path, "{\"v\":1,", 7, 0600, &e), 0);
    assert_int_equal(sup_journal_recover(*state, &got, &known, &e), 0);
    assert_false(known);
    assert_int_equal(got.generation, 12);
    assert_int_equal(got.peer_n, 0);
    assert_true(rel_is_file(AT_FDCWD, aside));
    assert_int_equal(sup_journal_recover(*state, &got, &known, &e), 0);
    assert_true(known);
    assert_int_equal(got.generation, 12);
    assert_int_equal(unlink(path), 0);
}

/* Of an earlier version: it may have served. */
static void what_is_not_said_is_taken_for_served(void **state)
{
    static const char text[] = "{\"v\":1,\"generation\":3,\"state\":\"\",\"peers\":[{"
                               "\"generation\":3,\"pid\":50,\"pid_start\":7}]}";
    rel_autofree char *path = rel_strf("%s/run/journal.json", (char *)*state);
    struct sup_journal got;
    struct rel_err e = {0};

    assert_int_equal(rel_replace_file(AT_FDCWD, path, text, strlen(text), 0600, &e), 0);
    assert_int_equal(sup_journal_read(*state, &got, &e), 0);
    assert_true(got.peers[0].served);
    assert_false(got.peers[0].step);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(what_cannot_be_read_is_refused),
        cmocka_unit_test(what_cannot_be_read_is_set_aside),
        cmocka_unit_test(what_is_not_said_is_taken_for_served),
    };

    return cmocka_run_group_tests(tests, make_home, remove_home);
}
