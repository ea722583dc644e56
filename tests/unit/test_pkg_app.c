/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rel_io.h"
#include "pkg/pkg_app.h"

static int make_dir(void **state)
{
    char *dir = rel_xstrdup("/tmp/relpack-test-XXXXXX");

    assert_non_null(mkdtemp(dir));
    *state = dir;
    return 0;
}

static int remove_dir(void **state)
{
    struct rel_err e = {0};

    assert_int_equal(rel_remove_tree(AT_FDCWD, *state, &e), 0);
    free(*state);
    return 0;
}

static void write_file(const char *dir, const char *path, const char *text)
{
    rel_autofree char *full = rel_strf("%s/%s", dir, path);
    rel_autofree char *folder = rel_xstrndup(full, (size_t)(strrchr(full, '/') - full));
    struct rel_err e = {0};

    assert_int_equal(rel_mkdirs(AT_FDCWD, folder, 0755, &e), 0);
    assert_int_equal(rel_replace_file(AT_FDCWD, full, text, strlen(text), 0644, &e), 0);
}

static void write_app(const char *dir, const char *folder, const char *name, const char *vsn)
{
    rel_autofree char *path = rel_strf("%s/ebin/%s.app", folder, name);
    rel_autofree char *text =
        rel_strf("{application,%s,[{description,\"\"},{vsn,\"%s\"},{modules,[]},"
                 "{registered,[]},{applications,[kernel,stdlib]}]}.",
                 name, vsn);

    write_file(dir, path, text);
}

static void test_defaults_are_those_of_systools(void **state)
{
    rel_autofree char *file = rel_strf("%s/shop-1/ebin/shop.app", (char *)*state);
    rel_autofree char *ebin = rel_strf("%s/shop-1/ebin", (char *)*state);
    rel_autofree char *dir = rel_strf("%s/shop-1", (char *)*state);
    struct pkg_app *app;
    struct rel_err e = {0};

    write_app(*state, "shop-1", "shop", "0.1.0");
    assert_int_equal(pkg_app_read(file, &app, &e), 0);
    assert_string_equal(app->name, "shop");
    assert_string_equal(app->vsn, "0.1.0");
    assert_string_equal(app->ebin, ebin);
    assert_string_equal(app->dir, dir);
    assert_int_equal(app->applications.n, 2);
    assert_true(pkg_names_have(&app->applications, "stdlib"));
    assert_int_equal(app->included.n + app->optional.n, 0);
    assert_int_equal(pkg_len(app->env) + pkg_len(app->id), 0);
    assert_true(pkg_is_atom(app->max_t, "infinity") && pkg_is_atom(app->max_p, "infinity"));
    assert_null(app->mod);
    assert_null(app->start_phases);
    pkg_app_free(app);
}

static void test_broken_files_say_file_line_and_key(void **state)
{
#define HEAD \
    "{application,shop,\n [{description,\"\"},{vsn,\"1\"},{modules,[]},{registered,[]},\n  "
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"{application,shop,\n [{vsn,\"1\"}]}.", ":2: description is missing"},
        {HEAD "{applications,kernel}]}.", ":3: applications must be a list of atoms"},
        {HEAD "{applications,[kernel,1]}]}.", ":3: applications must be a list of atoms"},
        {HEAD "{applications,[]},{env,[a]}]}.", ":3: env must be a list of {name, value}"},
        {HEAD "{applications,[]},{mod,shop}]}.", ":3: mod must be {module, arguments}"},
        {HEAD "{applications,[]},{maxT,0}]}.", ":3: maxT must be infinity or a positive integer"},
        {HEAD "{applications,[]},{vsn}]}.", ":3: vsn must be {key, value}"},
        {HEAD "{applications,[]}]}", ":3:22: the file ends where"},
        {"{app,shop,[]}.", ":1: not {application, name, [...]}"},
        {"a. b.", ": holds 2 terms instead of one"},
        {"{application,shop,[{vsn,\"../x\"},{description,\"\"},{modules,[]},{registered,[]},"
         "{applications,[]}]}.",
         ":1: vsn cannot be a part of a folder name"},
    };
#undef HEAD
    rel_autofree char *file = rel_strf("%s/shop.app", (char *)*state);

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *text = rows[i].text;
        struct pkg_app *app;
        struct rel_err e = {0};

        /* {vsn} can only be seen where no {vsn, _} stands before it. */
        if (strstr(text, "{vsn}"))
            text = "{application,shop,\n\n [{vsn}]}.";
        write_file(*state, "shop.app", text);
        assert_int_equal(pkg_app_read(file, &app, &e), -1);
        assert_int_equal(e.code, REL_E_INPUT);
        assert_true(!strncmp(e.msg, file, strlen(file)));
        if (!strstr(e.msg, rows[i].message))
            fail_msg("\"%s\" instead of \"%s\"", e.msg, rows[i].message);
    }
}

static void test_versions_are_ordered(void **state)
{
    static const char *const ascending[] = {"0.9",   "1.0-rc1", "1.0-rc2", "1.0",
                                            "1.0.1", "1.2",     "1.10",    "10"};
    size_t n = sizeof(ascending) / sizeof(*ascending);

    (void)state;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++) {
            int order = pkg_vsn_compare(ascending[i], ascending[k]);

            assert_int_equal(order < 0 ? -1 : order > 0, i < k ? -1 : i > k);
        }
    assert_int_equal(pkg_vsn_compare("1.007", "1.7"), 0);
}

static const struct pkg_app *find(struct pkg_lib *lib, const char *name, const char *vsn)
{
    const struct pkg_app *app;
    struct rel_err e = {0};

    assert_int_equal(pkg_lib_find(lib, name, vsn, &app, &e), 0);
    return app;
}

static void test_finds_by_the_name_of_the_file(void **state)
{
    rel_autofree char *one = rel_strf("%s/one", (char *)*state);
    rel_autofree char *two = rel_strf("%s/two", (char *)*state);
    rel_autofree char *none = rel_strf("%s/none", (char *)*state);
    const char *dirs[] = {one, two}, *missing[] = {none};
    pkg_autolib struct pkg_lib *lib = NULL;
    struct rel_err e = {0};

    write_app(one, "shop-1.9", "shop", "1.9");
    write_app(one, "shop-1.10", "shop", "1.10");
    write_app(two, "shop-2.0", "shop", "2.0");
    write_app(two, "p1_sqlite3-1.1", "sqlite3", "1.1");
    write_app(two, "plain", "plain", "3");
    write_app(two, ".", "own", "1");
    assert_int_equal(pkg_lib_open(dirs, 2, &lib, &e), 0);
    assert_string_equal(find(lib, "shop", NULL)->vsn, "1.10");
    assert_string_equal(find(lib, "shop", "1.9")->vsn, "1.9");
    assert_string_equal(find(lib, "shop", "2.0")->vsn, "2.0");
    assert_null(find(lib, "shop", "3.0"));
    assert_string_equal(find(lib, "sqlite3", NULL)->vsn, "1.1");
    assert_string_equal(find(lib, "plain", NULL)->vsn, "3");
    assert_string_equal(find(lib, "own", NULL)->vsn, "1");
    assert_null(find(lib, "p1_sqlite3", NULL));
    assert_int_equal(pkg_lib_names(lib).n, 4);
    assert_int_equal(pkg_lib_open(missing, 1, &lib, &e), -1);
    assert_int_equal(e.code, REL_E_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults_are_those_of_systools, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_broken_files_say_file_line_and_key, make_dir,
                                        remove_dir),
        cmocka_unit_test(test_versions_are_ordered),
        cmocka_unit_test_setup_teardown(test_finds_by_the_name_of_the_file, make_dir, remove_dir),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
