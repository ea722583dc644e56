/* SPDX-License-Identifier: Apache-2.0 */
/* Two made-up releases side by side: what is found, and what keeps a hot upgrade away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rel_io.h"
#include "pkg/pkg_diff.h"
#include "pkg/pkg_settings.h"

enum { FILES = 16 };

/* One side: its files are added in the order of their paths; the hash is of the text. */
struct side {
    struct pkg_file v[FILES];
    struct pkg_module_facts facts[FILES];
    struct pkg_survey s;
    struct pkg_outline o;
    struct pkg_outline_app apps[3];
};

static struct pkg_file *put(struct side *x, const char *path, const char *text)
{
    struct pkg_file *f = &x->v[x->s.n];

    assert_true(x->s.n < FILES);
    *f = (struct pkg_file){.kind = PKG_FILE_REGULAR,
                           .path = (char *)(uintptr_t)path,
                           .text = (char *)(uintptr_t)text,
                           .mode = 0644};
    strncpy((char *)f->sha256, text, sizeof(f->sha256));
    x->s.v = x->v;
    x->s.n++;
    return f;
}

static struct pkg_module_facts *put_module(struct side *x, const char *path, const char *name,
                                           unsigned char md5, unsigned char other)
{
    struct pkg_module_facts *m = &x->facts[x->s.n];

    *m = (struct pkg_module_facts){.module = name, .md5 = {md5}, .other = {other}};
    put(x, path, "")->module = m;
    return m;
}

static void start(struct side *x)
{
    *x = (struct side){0};
    x->apps[0] = (struct pkg_outline_app){.name = "kernel", .vsn = "8.5", .dir = "lib/kernel-8.5"};
    x->apps[1] = (struct pkg_outline_app){.name = "shop", .vsn = "0.1.0", .dir = "lib/shop-0.1.0"};
    x->apps[2] = (struct pkg_outline_app){.name = "web", .vsn = "1", .dir = "lib/web-1"};
    x->o = (struct pkg_outline){.name = "shop",
                                .vsn = "0.1.0",
                                .erts_vsn = "13.1",
                                .vsn_dir = "releases/0.1.0",
                                .erts_dir = "erts-13.1",
                                .otp = "25",
                                .apps = x->apps,
                                .app_n = 2};
    x->s.origin = (char *)"x";
}

static void make(const struct side *old, const struct side *new, struct pkg_diff *d)
{
    pkg_diff_make(&old->s, &old->o, &new->s, &new->o, d);
}

static bool has(const struct pkg_diff *d, enum pkg_diff_section section, enum pkg_change change,
                const char *name, const char *detail)
{
    for (size_t i = 0; i < d->n; i++) {
        const struct pkg_diff_item *item = &d->v[i];

        if (item->section == section && item->change == change && !strcmp(item->name, name) &&
            (detail ? item->detail && !strcmp(item->detail, detail) : !item->detail))
            return true;
    }
    return false;
}

static bool says(char *const *list, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strstr(list[i], text))
            return true;
    return false;
}

static void equal_ones(void **state)
{
    pkg_autodiff struct pkg_diff d = {0};
    struct side x, y;

    (void)state;
    start(&x);
    start(&y);
    put_module(&x, "lib/shop-0.1.0/ebin/a.beam", "a", 1, 1);
    put_module(&y, "lib/shop-0.1.0/ebin/a.beam", "a", 1, 1);
    y.v[0].sha256[0] = 9; /* packed otherwise, and the same module */
    put(&x, "releases/0.1.0/shop.rel", "x");
    put(&y, "releases/0.1.0/shop.rel", "y");
    make(&x, &y, &d);
    assert_int_equal(d.n, 0);
    assert_int_equal(d.not_hot_n + d.not_swap_n + d.note_n, 0);
}

static void modules(void **state)
{
    pkg_autodiff struct pkg_diff d = {0};
    struct side x, y;

    (void)state;
    start(&x);
    start(&y);
    put_module(&x, "lib/shop-0.1.0/ebin/a.beam", "a", 1, 1);
    put_module(&y, "lib/shop-0.1.0/ebin/a.beam", "a", 2, 1);
    put_module(&x, "lib/shop-0.1.0/ebin/b.beam", "b", 1, 1);
    put_module(&y, "lib/shop-0.1.0/ebin/b.beam", "b", 1, 2);
    put_module(&x, "lib/shop-0.1.0/ebin/c.beam", "c", 1, 1);
    put_module(&y, "lib/shop-0.1.0/ebin/d.beam", "d", 1, 1);
    put_module(&x, "releases/0.1.0/consolidated/e.beam", "e", 1, 1);
    put_module(&y, "releases/0.1.0/consolidated/e.beam", "e", 2, 1);
    make(&x, &y, &d);
    assert_int_equal(d.n, 5);
    assert_true(has(&d, PKG_DIFF_MODULE, PKG_CHANGED, "a", NULL));
    assert_true(has(&d, PKG_DIFF_LINES, PKG_CHANGED, "b", NULL));
    assert_true(has(&d, PKG_DIFF_MODULE, PKG_REMOVED, "c", NULL));
    assert_true(has(&d, PKG_DIFF_MODULE, PKG_ADDED, "d", NULL));
    assert_true(has(&d, PKG_DIFF_PROTOCOL, PKG_CHANGED, "e", NULL));
    assert_int_equal(pkg_diff_count(&d, PKG_DIFF_MODULE), 3);
    assert_string_equal(d.v[0].group, "shop");
    assert_int_equal(d.not_hot_n, 0);
}

static void what_keeps_hot_away(void **state)
{
    pkg_autodiff struct pkg_diff d = {0};
    struct pkg_elf elf = {.machine = 62};
    struct side x, y;

    (void)state;
    start(&x);
    start(&y);
    x.o.app_n = y.o.app_n = 3;
    x.apps[2].start = PKG_START_NONE;
    put_module(&x, "lib/kernel-8.5/ebin/k.beam", "k", 1, 1);
    put_module(&y, "lib/kernel-8.5/ebin/k.beam", "k", 2, 1);
    put_module(&x, "lib/shop-0.1.0/ebin/moved.beam", "moved", 1, 1);
    put_module(&x, "lib/shop-0.1.0/ebin/nif.beam", "nif", 1, 1)->nif = true;
    put_module(&y, "lib/shop-0.1.0/ebin/nif.beam", "nif", 2, 1);
    put_module(&y, "lib/shop-0.1.0/ebin/on.beam", "on", 2, 1)->on_load = true;
    put(&x, "lib/shop-0.1.0/priv/n.so", "1")->elf = &elf;
    put(&y, "lib/shop-0.1.0/priv/n.so", "2")->elf = &elf;
    put_module(&y, "lib/web-1/ebin/moved.beam", "moved", 1, 1);
    make(&x, &y, &d);
    assert_true(says(d.not_hot, d.not_hot_n, "kernel changes"));
    assert_true(says(d.not_hot, d.not_hot_n, "module nif has native functions"));
    assert_true(says(d.not_hot, d.not_hot_n, "module on has an on_load function"));
    assert_true(says(d.not_hot, d.not_hot_n, "native code changes: lib/shop/priv/n.so"));
    assert_true(says(d.not_hot, d.not_hot_n, "application web changes and is not loaded"));
    assert_int_equal(d.not_hot_n, 5);
    assert_int_equal(d.not_swap_n, 0);
}

static void the_runtime_and_the_name(void **state)
{
    pkg_autodiff struct pkg_diff d = {0};
    struct side x, y;

    (void)state;
    start(&x);
    start(&y);
    y.o.erts_vsn = "14.0";
    y.o.erts_dir = "erts-14.0";
    y.o.otp = "26";
    y.o.name = "till";
    make(&x, &y, &d);
    assert_true(has(&d, PKG_DIFF_RUNTIME, PKG_CHANGED, "ERTS", "13.1 -> 14.0"));
    assert_true(has(&d, PKG_DIFF_RUNTIME, PKG_CHANGED, "OTP", "25 -> 26"));
    assert_true(says(d.not_hot, d.not_hot_n, "ERTS changes from 13.1 to 14.0"));
    assert_true(says(d.not_swap, d.not_swap_n, "two applications"));
}

static void applications(void **state)
{
    pkg_autodiff struct pkg_diff d = {0};
    struct side x, y;

    (void)state;
    start(&x);
    start(&y);
    y.apps[1].vsn = "0.2.0";
    y.apps[1].dir = "lib/shop-0.2.0";
    y.o.app_n = 3;
    x.apps[1].app_file = put(&x, "lib/shop-0.1.0/ebin/shop.app",
                             "{application,shop,[{vsn,\"0.1.0\"},{modules,[a]},{env,[{x,1}]},"
                             "{applications,[kernel]},{id,\"\"}]}.");
    y.apps[1].app_file = put(&y, "lib/shop-0.2.0/ebin/shop.app",
                             "{application,shop,[{vsn,\"0.2.0\"},{modules,[]},{env,[{x,2}]},"
                             "{applications,[kernel,gone,web,perhaps]},"
                             "{optional_applications,[perhaps]}]}.");
    make(&x, &y, &d);
    assert_true(has(&d, PKG_DIFF_APPLICATION, PKG_CHANGED, "shop",
                    "0.1.0 -> 0.2.0; in its .app file: env, applications, "
                    "optional_applications, id"));
    assert_true(has(&d, PKG_DIFF_APPLICATION, PKG_ADDED, "web", "1"));
    assert_int_equal(d.n, 2);
    assert_true(says(d.not_hot, d.not_hot_n, "application shop needs gone, which does not run"));
    assert_int_equal(d.not_hot_n, 1);
}

static void settings(void **state)
{
    pkg_autodiff struct pkg_diff d = {0};
    struct side x, y;

    (void)state;
    start(&x);
    start(&y);
    x.o.sys_config = put(&x, "releases/0.1.0/sys.config",
                         "[{shop,[{a,{1,\"ab\"}},{b,hunter2},{alone},{gone,1}]}].");
    y.o.sys_config = put(&y, "releases/0.1.0/sys.config",
                         "[\"more\",{kernel, [{k,1}]},\n {shop,[{b , hunter3},{a, { 1, [97,98]}},"
                         "{alone}]}].");
    put(&x, "releases/0.1.0/sys.config.src", "one");
    put(&y, "releases/0.1.0/sys.config.src", "two");
    x.o.vm_args = put(&x, "releases/0.1.0/vm.args", "+P 5 # +Q 1\n-kernel b 2\n-setcookie hunter2");
    y.o.vm_args =
        put(&y, "releases/0.1.0/vm.args", "+P  6\n-kernel a 1\n-kernel b 2\n-setcookie hunter3");
    make(&x, &y, &d);
    assert_true(has(&d, PKG_DIFF_CONFIG, PKG_CHANGED, "shop: b", NULL));
    assert_true(has(&d, PKG_DIFF_CONFIG, PKG_REMOVED, "shop: gone", NULL));
    assert_true(has(&d, PKG_DIFF_CONFIG, PKG_ADDED, "kernel: k", NULL));
    assert_true(has(&d, PKG_DIFF_CONFIG, PKG_ADDED, "sys.config: more", NULL));
    assert_int_equal(pkg_diff_count(&d, PKG_DIFF_CONFIG), 4);
    assert_true(has(&d, PKG_DIFF_VM_ARGS, PKG_CHANGED, "+P", "5 -> 6"));
    assert_true(has(&d, PKG_DIFF_VM_ARGS, PKG_ADDED, "-kernel", NULL));
    assert_true(has(&d, PKG_DIFF_VM_ARGS, PKG_CHANGED, "-setcookie", NULL));
    assert_int_equal(pkg_diff_count(&d, PKG_DIFF_VM_ARGS), 3);
    assert_true(has(&d, PKG_DIFF_FILE, PKG_CHANGED, "releases/sys.config.src", NULL));
    assert_true(says(d.notes, d.note_n, "kernel: k is read at boot only"));
    assert_true(says(d.notes, d.note_n, "vm.args is read at boot only"));
    assert_int_equal(d.not_hot_n, 0);
}

/* Words are those of erlexec, and what may be a secret is never a name. */
static void flags(void **state)
{
    static const char text[] = "-env A +hunter2 -env B \"-x # hunter2\" # +Q 1\n"
                               "+S 4:4#no\n-name 'a b'c\\ d -mnesia --pw=hunter2 -extra -a +b";
    struct pkg_file file = {.path = (char *)"releases/1/vm.args", .text = (char *)text};
    pkg_autosettings struct pkg_settings s = {0};

    (void)state;
    pkg_settings_read(NULL, &file, &s);
    assert_int_equal(s.flag_n, 7);
    assert_string_equal(s.flags[0].name, "+S");
    assert_string_equal(s.flags[0].args, "4:4");
    assert_string_equal(s.flags[1].name, "--pw");
    assert_string_equal(s.flags[1].args, "hunter2");
    assert_string_equal(s.flags[2].name, "-env");
    assert_string_equal(s.flags[2].args, "A +hunter2");
    assert_string_equal(s.flags[3].args, "B -x # hunter2");
    assert_string_equal(s.flags[4].name, "-extra");
    assert_string_equal(s.flags[4].args, "-a +b");
    assert_string_equal(s.flags[6].name, "-name");
    assert_string_equal(s.flags[6].args, "a bc d");
}

static void odd_flags(void **state)
{
    static const char *const texts[] = {"",    "#",    "\\",     "\"",  "'a",
                                        "a\\", "\"\"", "# x\n#", "+\"", "-"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct pkg_file file = {.path = (char *)"vm.args", .text = (char *)(uintptr_t)texts[i]};
        pkg_autosettings struct pkg_settings s = {0};

        pkg_settings_read(NULL, &file, &s);
        assert_in_range(s.flag_n, 0, 1);
    }
}

/* A template that is no term yet is another one or not, and never "no difference" when it is. */
static void a_template(void **state)
{
    pkg_autodiff struct pkg_diff d = {0}, same = {0};
    struct side x, y;

    (void)state;
    start(&x);
    start(&y);
    x.o.sys_config = put(&x, "releases/0.1.0/sys.config.src", "[{shop,[{port,${PORT}}]}].");
    y.o.sys_config = put(&y, "releases/0.1.0/sys.config.src", "[{shop,[{port,${POOL}}]}].");
    make(&x, &x, &same);
    assert_int_equal(same.n + same.note_n, 0);
    make(&x, &y, &d);
    assert_true(has(&d, PKG_DIFF_CONFIG, PKG_CHANGED, "sys.config", NULL));
    assert_true(says(d.notes, d.note_n, "not compared by its keys"));
}

static void other_files(void **state)
{
    pkg_autodiff struct pkg_diff d = {0};
    struct pkg_elf elf = {.machine = 62};
    struct side x, y;

    (void)state;
    start(&x);
    start(&y);
    put(&x, "erts-13.1/bin/beam.smp", "1")->elf = &elf;
    put(&y, "erts-13.1/bin/beam.smp", "2")->elf = &elf;
    put(&x, "lib/shop-0.1.0/priv/l", "t");
    put(&y, "lib/shop-0.1.0/priv/l", "t")->kind = PKG_FILE_LINK;
    put(&x, "lib/shop-0.1.0/priv/run", "r");
    put(&y, "lib/shop-0.1.0/priv/run", "r")->mode = 0755;
    put(&x, "lib/shop-0.1.0/priv/umask", "r");
    put(&y, "lib/shop-0.1.0/priv/umask", "r")->mode = 0664;
    put(&y, "lib/shop-0.1.0/priv/x.boot", "b");
    put(&x, "releases/0.1.0/env.sh", "1");
    put(&y, "releases/0.1.0/env.sh", "2");
    put(&x, "releases/0.1.0/start.boot", "1");
    put(&y, "releases/0.1.0/start.boot", "2");
    make(&x, &y, &d);
    assert_int_equal(d.n, 5);
    assert_true(has(&d, PKG_DIFF_NATIVE, PKG_CHANGED, "erts/bin/beam.smp", NULL));
    assert_true(has(&d, PKG_DIFF_FILE, PKG_CHANGED, "lib/shop/priv/l", "is a link now"));
    assert_true(has(&d, PKG_DIFF_FILE, PKG_CHANGED, "lib/shop/priv/run", "mode 644 -> 755"));
    assert_true(has(&d, PKG_DIFF_FILE, PKG_ADDED, "lib/shop/priv/x.boot", NULL));
    assert_true(has(&d, PKG_DIFF_CONFIG, PKG_CHANGED, "env.sh", NULL));
    assert_true(says(d.notes, d.note_n, "env.sh is read at boot only"));
    assert_true(says(d.notes, d.note_n, "files of ERTS change"));
    assert_int_equal(d.not_hot_n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_ones),
        cmocka_unit_test(modules),
        cmocka_unit_test(what_keeps_hot_away),

        cmocka_unit_test(the_runtime_and_the_name),
        cmocka_unit_test(applications),
        cmocka_unit_test(settings),
        cmocka_unit_test(flags),
        cmocka_unit_test(odd_flags),
        cmocka_unit_test(a_template),
        cmocka_unit_test(other_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
