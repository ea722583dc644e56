/* SPDX-License-Identifier: Apache-2.0 */
/* Equality with OTP's own scripts is tested in vm/boot_script.sh; here are the options, which OTP
 * does not have, and the base read from a boot file. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rel_io.h"
#include "pkg/pkg_etf.h"
#include "pkg/pkg_script.h"

struct fixture {
    char *dir, *otp;
    struct pkg_lib *lib;
    struct pkg_rel *rel;
    struct pkg_arena a;
    struct pkg_script_base base;
};

static void write_app(const char *lib, const char *name, const char *modules)
{
    rel_autofree char *folder = rel_strf("%s/%s-1/ebin", lib, name);
    rel_autofree char *file = rel_strf("%s/%s.app", folder, name);
    rel_autofree char *text =
        rel_strf("{application,%s,[{description,\"\"},{vsn,\"1\"},{modules,[%s]},"
                 "{registered,[]},{applications,[]}]}.",
                 name, modules);
    struct rel_err e = {0};

    assert_int_equal(rel_mkdirs(AT_FDCWD, folder, 0755, &e), 0);
    assert_int_equal(rel_replace_file(AT_FDCWD, file, text, strlen(text), 0644, &e), 0);
}

static const char base_text[] =
    "{script,{\"x\",\"1\"},[{preLoaded,[erlang]},{progress,preloaded},{path,[\"p\"]},"
    "{primLoad,[lists]},{kernelProcess,heart,{heart,start,[]}},"
    "{kernelProcess,application_controller,{application_controller,start,[{old}]}}]}.";

static int write_base(struct fixture *f, const char *text)
{
    rel_autofree char *file = rel_strf("%s/start_clean.boot", f->dir);
    rel_autobuf struct rel_buf bytes = {0};
    struct pkg_terms terms;
    struct rel_err e = {0};

    assert_int_equal(pkg_terms_parse(&f->a, text, strlen(text), "base", &terms, &e), 0);
    assert_int_equal(pkg_etf_encode(terms.v[0], &bytes, &e), 0);
    assert_int_equal(rel_replace_file(AT_FDCWD, file, bytes.p, bytes.len, 0644, &e), 0);
    return pkg_script_base_read(&f->a, file, &f->base, &e);
}

static int set_up(void **state)
{
    struct fixture *f = rel_xcalloc(1, sizeof(*f));
    const struct pkg_rel_id id = {"shop", "0.1.0", "13.1.5"};
    const struct pkg_want want[] = {{"shop", PKG_START_PERMANENT}};
    rel_autofree char *own = NULL;
    struct rel_err e = {0};

    f->dir = rel_xstrdup("/tmp/relpack-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->otp = rel_strf("%s/otp", f->dir);
    own = rel_strf("%s/own", f->dir);
    write_app(f->otp, "kernel", "kernel,erlang");
    write_app(f->otp, "stdlib", "sets,lists,dict");
    write_app(own, "shop", "shop_b,shop_a,'Elixir.Shop'");
    assert_int_equal(pkg_lib_open((const char *const[]){own, f->otp}, 2, &f->lib, &e), 0);
    assert_int_equal(pkg_rel_close(f->lib, &id, want, 1, &f->rel, &e), 0);
    assert_int_equal(write_base(f, base_text), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct rel_err e = {0};

    assert_int_equal(rel_remove_tree(AT_FDCWD, f->dir, &e), 0);
    pkg_rel_free(f->rel);
    pkg_lib_free(f->lib);
    pkg_arena_fini(&f->a);
    free(f->dir);
    free(f->otp);
    free(f);
    return 0;
}

static char *made(struct fixture *f, const struct pkg_script_options *options)
{
    struct rel_buf out = {0};

    pkg_term_format(pkg_script_make(&f->a, f->rel, &f->base, options), 0, 0, &out);
    return rel_buf_take(&out);
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("%s\nis not in\n%s", part, text);
}

static void test_plain(void **state)
{
    rel_autofree char *text = made(*state, &(struct pkg_script_options){0});

    assert_has(text,
               "[{preLoaded,[erlang]},{progress,preloaded},{path,[\"$ROOT/lib/kernel-1/ebin\","
               "\"$ROOT/lib/stdlib-1/ebin\"]},{primLoad,[lists]},{kernel_load_completed}");
    assert_has(text, "{path,[\"$ROOT/lib/stdlib-1/ebin\"]},{primLoad,[dict,sets]}");
    assert_has(text, "{primLoad,['Elixir.Shop',shop_a,shop_b]},{progress,modules_loaded}");
    assert_has(text, "{kernelProcess,application_controller,{application_controller,start,"
                     "[{application,kernel,[{description,[]},{vsn,\"1\"}");
    assert_null(strstr(text, "old"));
    assert_has(text, "{apply,{application,start_boot,[shop,permanent]}},{apply,{c,erlangrc,[]}},"
                     "{progress,started}]}");
}

static void test_options_of_an_elixir_release(void **state)
{
    struct fixture *f = *state;
    const struct pkg_term *boot =
        pkg_tuple(&f->a, 2, pkg_atom(&f->a, "apply"),
                  pkg_tuple(&f->a, 3, pkg_atom(&f->a, "Elixir.Config.Provider"),
                            pkg_atom(&f->a, "boot"), pkg_list(&f->a, 0)));
    struct pkg_script_options options = {
        .no_dot_erlang = true,
        .own_prefix = "$RELEASE_LIB",
        .otp_lib = f->otp,
        .consolidated = "$RELEASE_LIB/../consolidated",
        .after_stdlib = &boot,
        .after_stdlib_n = 1,
    };
    rel_autofree char *text = made(f, &options);

    assert_has(text, "{path,[\"$ROOT/lib/stdlib-1/ebin\"]},{primLoad,[dict,sets]},"
                     "{path,[\"$RELEASE_LIB/../consolidated\",\"$RELEASE_LIB/shop-1/ebin\"]}");
    assert_has(text, "{progress,modules_loaded},{path,[\"$RELEASE_LIB/../consolidated\","
                     "\"$ROOT/lib/kernel-1/ebin\"");
    assert_has(text, "{apply,{application,start_boot,[stdlib,permanent]}},"
                     "{apply,{'Elixir.Config.Provider',boot,[]}},"
                     "{apply,{application,start_boot,[shop,permanent]}},{progress,started}]}");
}

static void test_written_files_hold_one_term(void **state)
{
    struct fixture *f = *state;
    rel_autofree char *script = rel_strf("%s/start.script", f->dir);
    rel_autofree char *boot = rel_strf("%s/start.boot", f->dir);
    const struct pkg_term *t =
        pkg_script_make(&f->a, f->rel, &f->base, &(struct pkg_script_options){0});
    const struct pkg_term *text, *bytes;
    struct rel_err e = {0};

    assert_int_equal(pkg_script_write(t, f->dir, "start", &e), 0);
    assert_int_equal(pkg_term_read_one(&f->a, AT_FDCWD, script, &text, &e), 0);
    assert_int_equal(pkg_etf_read(&f->a, boot, &bytes, &e), 0);
    assert_true(pkg_equal(t, text) && pkg_equal(t, bytes));
    assert_int_equal(pkg_script_write(t, "/nowhere", "start", &e), -1);
    assert_int_equal(e.code, REL_E_IO);
}

static void test_a_base_must_be_a_boot_file(void **state)
{
    assert_int_equal(write_base(*state, "{script,{\"x\",\"1\"},[]}."), -1);
    assert_int_equal(write_base(*state, "ok."), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_options_of_an_elixir_release, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_written_files_hold_one_term, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_base_must_be_a_boot_file, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
