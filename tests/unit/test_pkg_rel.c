/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rel_io.h"
#include "pkg/pkg_rel.h"

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

/* `more` is further keys, each with a comma before it. */
static void write_app(const char *dir, const char *name, const char *uses, const char *more)
{
    rel_autofree char *folder = rel_strf("%s/%s-1/ebin", dir, name);
    rel_autofree char *file = rel_strf("%s/%s.app", folder, name);
    rel_autofree char *text =
        rel_strf("{application,%s,[{description,\"\"},{vsn,\"1\"},%s{registered,[]},{modules,[]},"
                 "{applications,[%s]}]}.",
                 name, more, uses);
    struct rel_err e = {0};

    assert_int_equal(rel_mkdirs(AT_FDCWD, folder, 0755, &e), 0);
    assert_int_equal(rel_replace_file(AT_FDCWD, file, text, strlen(text), 0644, &e), 0);
}

static struct pkg_lib *open_lib(const char *dir)
{
    struct rel_err e = {0};
    struct pkg_lib *lib;

    write_app(dir, "kernel", "", "");
    write_app(dir, "stdlib", "kernel", "");
    assert_int_equal(pkg_lib_open(&dir, 1, &lib, &e), 0);
    return lib;
}

/* Names of the .rel order and their types; of the boot order too. */
static void assert_release(const struct pkg_rel *rel, const char *rows, const char *order)
{
    rel_autobuf struct rel_buf got = {0}, boot = {0};

    for (size_t i = 0; i < rel->app_n; i++) {
        rel_buf_addf(&got, "%s%s:%s", i ? " " : "", rel->apps[i].app->name,
                     pkg_start_name(rel->apps[i].type));
        rel_buf_addf(&boot, "%s%s", i ? " " : "", rel->apps[rel->order[i]].app->name);
    }
    assert_string_equal(got.p, rows);
    assert_string_equal(boot.p, order);
}

static const struct pkg_rel_id id = {"shop", "0.1.0", "13.1.5"};

static void test_closure(void **state)
{
    pkg_autolib struct pkg_lib *lib = NULL;
    pkg_autorel struct pkg_rel *rel = NULL;
    pkg_autoarena struct pkg_arena a = {0};
    rel_autobuf struct rel_buf text = {0};
    const struct pkg_want want[] = {{"shop", PKG_START_TEMPORARY}, {"tool", PKG_START_NONE}};
    struct rel_err e = {0};

    write_app(*state, "shop", "kernel,stdlib,web,gone,extra",
              "{optional_applications,[gone,extra]},{included_applications,[inner]},");
    write_app(*state, "web", "kernel,sockets", "");
    write_app(*state, "sockets", "kernel", "");
    write_app(*state, "extra", "kernel", "");
    write_app(*state, "inner", "innerdep", "");
    write_app(*state, "innerdep", "kernel", "");
    write_app(*state, "tool", "kernel,tooldep", "");
    write_app(*state, "tooldep", "kernel", "");
    lib = open_lib(*state);
    if (pkg_rel_close(lib, &id, want, 2, &rel, &e) < 0)
        fail_msg("%s", e.msg);
    assert_release(rel,
                   "kernel:permanent stdlib:permanent sockets:permanent web:permanent "
                   "extra:permanent innerdep:permanent inner:load shop:temporary tooldep:none "
                   "tool:none",
                   "kernel stdlib sockets web extra innerdep inner shop tooldep tool");
    pkg_term_format(pkg_rel_term(rel, &a), 0, 0, &text);
    assert_string_equal(text.p,
                        "{release,{\"shop\",\"0.1.0\"},{erts,\"13.1.5\"},[{kernel,\"1\",permanent},"
                        "{stdlib,\"1\",permanent},{sockets,\"1\",permanent},{web,\"1\",permanent},"
                        "{extra,\"1\",permanent},{innerdep,\"1\",permanent},{inner,\"1\",load},"
                        "{shop,\"1\",temporary},{tooldep,\"1\",none},{tool,\"1\",none}]}");
}

static void test_clean_starts_kernel_and_stdlib_only(void **state)
{
    pkg_autolib struct pkg_lib *lib = NULL;
    pkg_autorel struct pkg_rel *rel = NULL, *clean = NULL;
    const struct pkg_want want[] = {{"shop", PKG_START_PERMANENT}, {"tool", PKG_START_NONE}};
    struct rel_err e = {0};

    write_app(*state, "shop", "kernel", "");
    write_app(*state, "tool", "kernel", "");
    lib = open_lib(*state);
    assert_int_equal(pkg_rel_close(lib, &id, want, 2, &rel, &e), 0);
    clean = pkg_rel_clean(rel);
    assert_release(clean, "kernel:permanent stdlib:permanent shop:none tool:none",
                   "kernel stdlib shop tool");
}

static void test_refuses(void **state)
{
    static const struct {
        const char *x_uses, *x_more, *y_uses, *y_more;
        const char *message;
    } rows[] = {
        {"gone", "", "", "", "application gone, needed by x, is in none of "},
        {"y", "", "x", "", "applications need each other in a circle: "},
        {"", "{included_applications,[y]},", "", "{included_applications,[x]},",
         " includes itself through others"},
        {"y", "{registered,[same]},", "", "{registered,[same]},", " both register same"},
        {"y", "{modules,[same]},", "", "{modules,[same]},", " both contain same"},
        {"y", "{included_applications,[z]},", "", "{included_applications,[z]},",
         " both include z"},
        {"z", "", "", "", "application z is load, but x needs it to be started"},
        {"", "{vsn,\"1\"", "", "", "x-1/ebin/x.app:1:"},
    };
    const struct pkg_want want[] = {
        {"x", PKG_START_PERMANENT}, {"y", PKG_START_PERMANENT}, {"z", PKG_START_LOAD}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        rel_autofree char *dir = rel_strf("%s/%zu", (char *)*state, i);
        pkg_autolib struct pkg_lib *lib = NULL;
        pkg_autorel struct pkg_rel *rel = NULL;
        struct rel_err e = {0};

        write_app(dir, "x", rows[i].x_uses, rows[i].x_more);
        write_app(dir, "y", rows[i].y_uses, rows[i].y_more);
        write_app(dir, "z", "", "");
        lib = open_lib(dir);
        assert_int_equal(pkg_rel_close(lib, &id, want, 3, &rel, &e), -1);
        assert_int_equal(e.code, REL_E_INPUT);
        if (!strstr(e.msg, rows[i].message))
            fail_msg("\"%s\" instead of \"%s\"", e.msg, rows[i].message);
    }
}

static void test_names_what_is_wanted_and_missing(void **state)
{
    pkg_autolib struct pkg_lib *lib = open_lib(*state);
    pkg_autorel struct pkg_rel *rel = NULL;
    const struct pkg_want want[] = {{"gone", PKG_START_PERMANENT}};
    const struct pkg_want kernel[] = {{"kernel", PKG_START_LOAD}};
    struct rel_err e = {0};

    assert_int_equal(pkg_rel_close(lib, &id, want, 1, &rel, &e), -1);
    assert_non_null(strstr(e.msg, "application gone is in none of "));
    rel_err_clear(&e);
    assert_int_equal(pkg_rel_close(lib, &id, kernel, 1, &rel, &e), -1);
    assert_string_equal(e.msg, "application kernel cannot be both permanent and load");
}

static int read_rel(const char *dir, struct pkg_lib *lib, const char *rows, struct pkg_rel **rel,
                    struct rel_err *e)
{
    rel_autofree char *file = rel_strf("%s/x.rel", dir);
    rel_autofree char *text = rel_strf("{release,{\"x\",\"2\"},{erts,\"13\"},[%s]}.", rows);

    assert_int_equal(rel_replace_file(AT_FDCWD, file, text, strlen(text), 0644, e), 0);
    return pkg_rel_read(lib, file, rel, e);
}

static void test_reads_rel_files(void **state)
{
    static const struct {
        const char *rows, *message;
    } bad[] = {
        {"{kernel,\"1\"}", "application stdlib must be there and permanent"},
        {"{kernel,\"2\"}", "x.rel:1: application kernel 2 is in none of "},
        {"{kernel}", "not {application, \"version\", type}"},
        {"{kernel,\"1\"},{kernel,\"1\"}", "application kernel is there twice"},
        {"{kernel,\"1\",soon}", "start type soon is not permanent"},
        {"{kernel,\"1\"},{stdlib,\"1\"},{shop,\"1\",[other]}", "shop is said to include"},
        {"{kernel,\"1\"},{stdlib,\"1\"},{shop,\"1\"}", "shop includes inner, which is not in"},
    };
    pkg_autolib struct pkg_lib *lib = NULL;
    pkg_autorel struct pkg_rel *rel = NULL;
    struct rel_err e = {0};

    write_app(*state, "shop", "kernel", "{included_applications,[inner]},");
    write_app(*state, "inner", "kernel,stdlib", "");
    lib = open_lib(*state);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        rel_err_clear(&e);
        assert_int_equal(read_rel(*state, lib, bad[i].rows, &rel, &e), -1);
        assert_int_equal(e.code, REL_E_INPUT);
        if (!strstr(e.msg, bad[i].message))
            fail_msg("\"%s\" instead of \"%s\"", e.msg, bad[i].message);
    }
    rel_err_clear(&e);
    if (read_rel(*state, lib, "{shop,\"1\"},{stdlib,\"1\"},{inner,\"1\",load},{kernel,\"1\"}", &rel,
                 &e) < 0)
        fail_msg("%s", e.msg);
    assert_release(rel, "shop:permanent stdlib:permanent inner:load kernel:permanent",
                   "kernel stdlib inner shop");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_closure, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_clean_starts_kernel_and_stdlib_only, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(test_refuses, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_names_what_is_wanted_and_missing, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(test_reads_rel_files, make_dir, remove_dir),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
