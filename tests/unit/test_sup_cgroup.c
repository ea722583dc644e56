/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/rel_io.h"
#include "supervisor/sup_cgroup.h"

static void put(const char *folder, const char *name, const char *text)
{
    rel_autofree char *path = rel_strf("%s/%s", folder, name);
    struct rel_err e = {0};

    assert_int_equal(rel_replace_file(AT_FDCWD, path, text, strlen(text), 0600, &e), 0);
}

/* What the kernel writes: "max 100000" and "max" are no limits. */
static void limits_that_a_program_reads_are_seen(void **state)
{
    const char *folder = *state;

    assert_null(sup_cgroup_limit(folder));
    put(folder, "cpu.max", "max 100000\n");
    put(folder, "memory.max", "max\n");
    put(folder, "memory.high", "max\n");
    put(folder, "pids.max", "4915\n"); /* systemd sets one for every unit */
    assert_null(sup_cgroup_limit(folder));
    put(folder, "memory.high", "1073741824\n");
    assert_string_equal(sup_cgroup_limit(folder), "memory.high");
    put(folder, "memory.max", "0\n");
    assert_string_equal(sup_cgroup_limit(folder), "memory.max");
    put(folder, "cpu.max", "200000 100000\n");
    assert_string_equal(sup_cgroup_limit(folder), "cpu.max");
}

static void none_is_nothing(void **state)
{
    sup_autofamily struct sup_family family = {0};

    (void)state;
    sup_cgroup_add(NULL, &family);
    sup_cgroup_kill(NULL);
    assert_int_equal(family.n, 0);
    assert_true(sup_cgroup_remove(NULL));
    assert_true(sup_cgroup_end(NULL, 0));
}

/* Says why, where there is none. */
static void a_process_that_is_gone_has_none(void **state)
{
    rel_autofree char *why = NULL;

    (void)state;
    assert_null(sup_cgroup_base(0, &why));
    assert_non_null(why);
    assert_null(sup_cgroup_base(0, NULL));
}

static void refuse_each(void *ctx, const char *cgroup, int generation)
{
    (void)ctx;
    (void)generation;
    fail_msg("%s is of a home that has none", cgroup);
}

static void a_home_that_has_none_or_is_none(void **state)
{
    sup_cgroup_each(*state, refuse_each, NULL);
    sup_cgroup_each("/nowhere/at/all", refuse_each, NULL);
    assert_null(sup_cgroup_put("/nowhere/at/all", 1, getpid()));
}

static int make_folder(void **state)
{
    *state = rel_xstrdup("/tmp/test_sup_cgroup.XXXXXX");
    return mkdtemp(*state) ? 0 : -1;
}

static int remove_folder(void **state)
{
    struct rel_err e = {0};
    int rc = rel_remove_tree(AT_FDCWD, *state, &e);

    free(*state);
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(limits_that_a_program_reads_are_seen, make_folder,
                                        remove_folder),
        cmocka_unit_test(none_is_nothing),
        cmocka_unit_test(a_process_that_is_gone_has_none),
        cmocka_unit_test_setup_teardown(a_home_that_has_none_or_is_none, make_folder,
                                        remove_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
