/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a release from the texts in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pkg/pkg_outline.h"

/* A survey of made-up files, in the order of their paths. */
#define FILE_OF(p, t)                                                               \
    {                                                                               \
        .kind = PKG_FILE_REGULAR, .path = (p), .text = (t), .mode = 0644, .size = 7 \
    }
#define SURVEY(files)                                                                        \
    {                                                                                        \
        .v = (files), .n = sizeof(files) / sizeof(*(files)), .origin = (char *)"shop.tar.gz" \
    }

static char start_data[] = "13.1.5 0.1.0\n";
static char rel_text[] = "{release,{\"shop\",\"0.1.0\"},{erts,\"13.1.5\"},"
                         "[{kernel,\"8.5.3\"},{elixir,\"1.14.0\",permanent},"
                         "{shop,\"0.1.0\",temporary},{shop_web,\"1.0\",none,[]}]}.";

static void refuses(struct pkg_file *v, size_t n, const char *why)
{
    struct pkg_survey s = {.v = v, .n = n, .origin = (char *)"shop.tar.gz"};
    pkg_autooutline struct pkg_outline o = {0};
    struct rel_err e = {0};

    assert_int_equal(pkg_outline_read(&s, &o, &e), -1);
    assert_int_equal(e.code, REL_E_INPUT);
    assert_non_null(strstr(e.msg, "shop.tar.gz"));
    if (!strstr(e.msg, why))
        fail_msg("'%s' does not say '%s'", e.msg, why);
    assert_null(o.name);
}

static void a_release_of_mix(void **state)
{
    struct pkg_file files[] = {
        FILE_OF((char *)"bin/shop", NULL),
        FILE_OF((char *)"erts-13.1.5/bin/beam.smp", NULL),
        FILE_OF((char *)"lib/shop-0.1.0/ebin/shop.app", (char *)"."),
        FILE_OF((char *)"lib/shop-0.1.0/priv/x", NULL),
        FILE_OF((char *)"lib/shop-0.1.00/x", NULL),
        FILE_OF((char *)"releases/0.1.0/elixir", NULL),
        FILE_OF((char *)"releases/0.1.0/other.rel", (char *)"{release,{\"other\",\"0.1.0\"},"
                                                            "{erts,\"13\"},[]}."),
        FILE_OF((char *)"releases/0.1.0/runtime.exs", NULL),
        FILE_OF((char *)"releases/0.1.0/shop.rel", rel_text),
        FILE_OF((char *)"releases/0.1.0/sys.config", (char *)"[]."),
        FILE_OF((char *)"releases/start_erl.data", start_data),
    };
    struct pkg_survey s = SURVEY(files);
    pkg_autooutline struct pkg_outline o = {0};
    struct rel_err e = {0};

    (void)state;
    assert_int_equal(pkg_outline_read(&s, &o, &e), 0);
    assert_int_equal(o.kind, PKG_KIND_MIX);
    assert_string_equal(o.name, "shop");
    assert_string_equal(o.vsn, "0.1.0");
    assert_string_equal(o.erts_vsn, "13.1.5");
    assert_string_equal(o.erts_dir, "erts-13.1.5");
    assert_string_equal(o.otp, "25");
    assert_true(o.elixir);
    assert_ptr_equal(o.rel_file, &files[8]);
    assert_ptr_equal(o.sys_config, &files[9]);
    assert_ptr_equal(o.runtime_exs, &files[7]);
    assert_null(o.vm_args);
    assert_null(o.manifest);
    assert_int_equal(o.app_n, 4);
    assert_string_equal(o.apps[0].name, "kernel");
    assert_int_equal(o.apps[0].start, PKG_START_PERMANENT);
    assert_null(o.apps[0].dir);
    assert_int_equal(o.apps[2].start, PKG_START_TEMPORARY);
    assert_string_equal(o.apps[2].dir, "lib/shop-0.1.0");
    assert_int_equal(o.apps[2].file_n, 2);
    assert_int_equal(o.apps[2].bytes, 14);
    assert_int_equal(o.apps[3].start, PKG_START_NONE);
    assert_ptr_equal(pkg_outline_app_of(&o, "lib/shop-0.1.0/priv/x"), &o.apps[2]);
    assert_ptr_equal(pkg_outline_app_of(&o, "lib/shop-0.1.0"), &o.apps[2]);
    assert_null(pkg_outline_app_of(&o, "lib/shop-0.1.00/x"));
}

/* Its .rel file beside the folder, templates for settings, ERTS of the host. */
static void an_old_release_of_relx(void **state)
{
    struct pkg_file files[] = {
        FILE_OF((char *)"bin/shop", NULL),
        FILE_OF((char *)"releases/0.1.0/sys.config.src", (char *)"[]."),
        FILE_OF((char *)"releases/0.1.0/vm.args.src", (char *)""),
        FILE_OF((char *)"releases/shop-0.1.0.rel",
                (char *)"{release,{\"shop\",\"0.1.0\"},{erts,\"10.7\"},[{kernel,\"6.5\"}]}."),
        FILE_OF((char *)"releases/start_erl.data", start_data),
    };
    struct pkg_survey s = SURVEY(files);
    pkg_autooutline struct pkg_outline o = {0};
    struct rel_err e = {0};

    (void)state;
    assert_int_equal(pkg_outline_read(&s, &o, &e), 0);
    assert_int_equal(o.kind, PKG_KIND_RELX);
    assert_null(o.otp);
    assert_null(o.erts_dir);
    assert_false(o.elixir);
    assert_ptr_equal(o.sys_config, &files[1]);
    assert_ptr_equal(o.vm_args, &files[2]);
}

static void what_is_no_release(void **state)
{
    struct pkg_file nothing[] = {FILE_OF((char *)"README", NULL)};
    struct pkg_file short_data[] = {FILE_OF((char *)"releases/start_erl.data", (char *)"13.1.5\n")};
    struct pkg_file outside[] = {FILE_OF((char *)"releases/start_erl.data", (char *)"13 ../..")};
    struct pkg_file no_rel[] = {FILE_OF((char *)"releases/start_erl.data", start_data)};
    struct pkg_file no_launcher[] = {FILE_OF((char *)"releases/0.1.0/shop.rel", rel_text),
                                     FILE_OF((char *)"releases/start_erl.data", start_data)};

    (void)state;
    refuses(nothing, 1, "releases/start_erl.data is missing");
    refuses(short_data, 1, "names no version");
    refuses(outside, 1, "names no version");
    refuses(no_rel, 1, "no .rel file");
    refuses(no_launcher, 2, "no launcher");
}

static void a_broken_rel_file(void **state)
{
    static const char *const texts[] = {
        "",
        "{release",
        "{release,{\"shop\",\"0.1.0\"},{erts,\"13\"}}.",
        "{release,{shop,\"0.1.0\"},{erts,\"13\"},[]}.",
        "{release,{\"../shop\",\"0.1.0\"},{erts,\"13\"},[]}.",
        "{release,{\"shop\",\"0.1.0\"},{erts,\"13\"},\"text\"}.",
        "{release,{\"shop\",\"0.1.0\"},{erts,\"13\"},[kernel]}.",
        "{release,{\"shop\",\"0.1.0\"},{erts,\"13\"},[{kernel,\"../8\"}]}.",
        "{release,{\"shop\",\"0.1.0\"},{erts,\"13\"},[{kernel,\"8\",sometimes}]}.",
        "a. b.",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct pkg_file files[] = {
            FILE_OF((char *)"bin/shop", NULL),
            FILE_OF((char *)"releases/0.1.0/shop.rel", (char *)(uintptr_t)texts[i]),
            FILE_OF((char *)"releases/start_erl.data", start_data),
        };

        refuses(files, 3, "releases/0.1.0/shop.rel");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_release_of_mix),
        cmocka_unit_test(an_old_release_of_relx),
        cmocka_unit_test(what_is_no_release),
        cmocka_unit_test(a_broken_rel_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
