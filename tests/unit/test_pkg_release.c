/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rel_io.h"
#include "pkg/pkg_release.h"

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

static void write_bytes(const char *dir, const char *path, const void *data, size_t len)
{
    rel_autofree char *full = rel_strf("%s/%s", dir, path);
    rel_autofree char *folder = rel_xstrndup(full, (size_t)(strrchr(full, '/') - full));
    struct rel_err e = {0};

    assert_int_equal(rel_mkdirs(AT_FDCWD, folder, 0755, &e), 0);
    assert_int_equal(rel_replace_file(AT_FDCWD, full, data, len, 0755, &e), 0);
}

static void write_file(const char *dir, const char *path, const char *text)
{
    write_bytes(dir, path, text, strlen(text));
}

static void copy_beam(const char *dir, const char *name, const char *path)
{
    const char *source = getenv("RELPACK_SOURCE");
    rel_autofree char *from =
        rel_strf("%s/tests/fuzz/corpus/pkg_beam/%s", source ? source : ".", name);
    rel_autofree char *data = NULL;
    struct rel_err e = {0};
    size_t len;

    assert_int_equal(rel_read_file(AT_FDCWD, from, 1 << 20, &data, &len, &e), 0);
    write_bytes(dir, path, data, len);
}

static const char rel_text[] = "{release,{\"shop\",\"0.1.0\"},{erts,\"13.1.5\"},"
                               "[{kernel,\"8.5.3\",permanent},{elixir,\"1.14.0\"}]}.";

/* What the three kinds have in common. */
static void write_common(const char *dir, const char *launcher)
{
    write_file(dir, "releases/start_erl.data", "13.1.5 0.1.0\n");
    write_file(dir, "bin/shop", launcher);
    write_file(dir, "releases/0.1.0/sys.config",
               "[{kernel,[{inet_default_listen_options,[{nodelay,true},{backlog,5}]}]}].");
    copy_beam(dir, "plain.beam", "lib/elixir-1.14.0/ebin/plain.beam");
    copy_beam(dir, "small.beam", "lib/elixir-1.14.0/ebin/small.beam");
}

static struct pkg_release *read_release(const char *dir)
{
    struct pkg_release *r = NULL;
    struct rel_err e = {0};

    if (pkg_release_read(dir, &r, &e) < 0)
        fail_msg("%s", e.msg);
    return r;
}

static void test_ours(void **state)
{
    pkg_autorelease struct pkg_release *r = NULL;
    struct pkg_modules m;
    struct rel_err e = {0};

    write_common(*state, "#!/bin/sh\n");
    write_file(*state, "bin/relctl", "");
    write_file(*state, "releases/0.1.0/shop.rel", rel_text);
    write_file(*state, "erts-13.1.5/bin/erl", "");
    copy_beam(*state, "small.beam", "releases/0.1.0/consolidated/small.beam");
    r = read_release(*state);
    assert_int_equal(r->kind, PKG_KIND_RELPACK);
    assert_string_equal(r->name, "shop");
    assert_string_equal(r->vsn, "0.1.0");
    assert_string_equal(r->erts_vsn, "13.1.5");
    assert_non_null(r->erts_dir);
    assert_non_null(r->consolidated);
    assert_true(r->elixir);
    assert_int_equal(r->app_n, 2);
    assert_null(r->apps[0].ebin);
    assert_non_null(r->apps[1].ebin);
    assert_string_equal(r->listen_options, "[{nodelay,true},{backlog,5}]");
    assert_int_equal(pkg_release_modules(r, &m, &e), 0);
    assert_int_equal(m.n, 3);
    assert_string_equal(m.v[0].module, "plain");
    assert_true(m.v[0].nif && m.v[0].on_load);
    assert_string_equal(m.v[1].app, "");
    assert_string_equal(m.v[2].app, "elixir");
    assert_memory_equal(m.v[1].md5, m.v[2].md5, 16);
    pkg_modules_fini(&m);
}

static void test_mix(void **state)
{
    pkg_autorelease struct pkg_release *r = NULL;

    write_common(*state, "export RELEASE_BOOT_SCRIPT_CLEAN\n");
    write_file(*state, "releases/0.1.0/elixir", "");
    write_file(*state, "releases/0.1.0/shop.rel", rel_text);
    r = read_release(*state);
    assert_int_equal(r->kind, PKG_KIND_MIX);
    assert_null(r->erts_dir);
    assert_null(r->consolidated);
}

static void test_relx_old_and_new(void **state)
{
    static const char *const places[] = {"releases/0.1.0/shop.rel", "releases/shop-0.1.0.rel"};

    for (int i = 0; i < 2; i++) {
        rel_autofree char *dir = rel_strf("%s/%d", (char *)*state, i);
        pkg_autorelease struct pkg_release *r = NULL;

        write_common(dir, "relx_usage() {\n");
        write_file(dir, "releases/0.1.0/sys.config", "[{shop,[{port,${PORT}}]}].");
        write_file(dir, "releases/0.1.0/other.rel",
                   "{release,{\"start_clean\",\"0.1.0\"},{erts,\"13.1.5\"},[]}.");
        write_file(dir, places[i], rel_text);
        r = read_release(dir);
        assert_int_equal(r->kind, PKG_KIND_RELX);
        assert_null(r->listen_options);
    }
}

static void assert_refused(const char *dir, const char *message)
{
    struct pkg_release *r;
    struct rel_err e = {0};

    assert_int_equal(pkg_release_read(dir, &r, &e), -1);
    assert_int_equal(e.code, REL_E_INPUT);
    if (!strstr(e.msg, message))
        fail_msg("\"%s\" instead of \"%s\"", e.msg, message);
}

/* One missing piece after the other is put in its place. */
static void test_says_what_is_missing(void **state)
{
    const char *dir = *state;
    rel_autofree char *nowhere = rel_strf("%s/nowhere", dir);

    assert_refused(nowhere, "No such file");
    assert_refused("/dev/null", "not a folder");
    assert_refused(dir, "releases/start_erl.data is missing");
    write_file(dir, "releases/start_erl.data", "13.1.5");
    assert_refused(dir, "names no version");
    write_file(dir, "releases/start_erl.data", "13.1.5 ../x");
    assert_refused(dir, "names no version");
    write_file(dir, "releases/start_erl.data", "13.1.5 0.1.0");
    assert_refused(dir, "releases/0.1.0 is missing");
    write_file(dir, "releases/0.1.0/sys.config", "[{kernel,[{inet_default_listen_options,x}]}].");
    assert_refused(dir, "releases/0.1.0 holds no .rel file");
    write_file(dir, "releases/0.1.0/shop.rel", "{release,");
    assert_refused(dir, "shop.rel:1:10: the file ends");
    write_file(dir, "releases/0.1.0/shop.rel", "{release,{\"../x\",\"0.1.0\"},{erts,\"1\"},[]}.");
    assert_refused(dir, "shop.rel:1: not {release");
    write_file(dir, "releases/0.1.0/shop.rel", rel_text);
    assert_refused(dir, "no launcher bin/<name>");
    write_file(dir, "bin/shop", "#!/bin/sh\n");
    assert_refused(dir, "made by neither relpack, mix nor relx");
    write_file(dir, "bin/relctl", "");
    assert_refused(dir, "inet_default_listen_options must be a list");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ours, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_mix, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_relx_old_and_new, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_says_what_is_missing, make_dir, remove_dir),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
