/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"
#include "pkg/pkg_config.h"

static int make_dir(void **state)
{
    static char dir[64];

    strcpy(dir, "/tmp/test_pkg_config.XXXXXX");
    *state = mkdtemp(dir);
    return *state ? 0 : -1;
}

static int remove_dir(void **state)
{
    struct rel_err e = {0};

    return rel_remove_tree(AT_FDCWD, *state, &e);
}

static int read_text(void **state, const char *text, struct pkg_project *p, struct rel_err *e)
{
    rel_autofree char *file = rel_strf("%s/relpack.json", (char *)*state);

    assert_int_equal(rel_replace_file(AT_FDCWD, file, text, strlen(text), 0644, e), 0);
    p->dir = *state;
    return pkg_config_read(p, file, e);
}

static void every_key_is_read(void **state)
{
    pkg_autoproject struct pkg_project p = {.include_erts = true};
    rel_autofree char *ebin = rel_strf("%s/vendor/x/lib", (char *)*state);
    rel_autofree char *args = rel_strf("%s/vm.args", (char *)*state);
    struct rel_err e = {0};

    assert_int_equal(rel_mkdirs(AT_FDCWD, ebin, 0755, &e), 0);
    assert_int_equal(rel_replace_file(AT_FDCWD, args, "", 0, 0644, &e), 0);
    assert_int_equal(
        read_text(state,
                  "{\"name\": \"shop\", \"version\": \"0.2.0\",\n"
                  " \"applications\": [\"shop\", {\"runtime_tools\": \"load\"}],\n"
                  " \"lib_dirs\": [\"vendor/*/lib\"], \"vm_args\": \"vm.args\",\n"
                  " \"overlay\": [{\"copy\": [\"a\", \"b\"]}, {\"template\": [\"/c\", \"d\"]},\n"
                  "   {\"mkdir\": \"var\"}],\n"
                  " \"include_erts\": false, \"strip_beams\": true, \"erts_dir\": null}\n",
                  &p, &e),
        0);
    assert_string_equal(p.name, "shop");
    assert_string_equal(p.vsn, "0.2.0");
    assert_int_equal(p.want_n, 2);
    assert_string_equal(p.want[1].name, "runtime_tools");
    assert_int_equal(p.want[1].type, PKG_START_LOAD);
    assert_int_equal(p.lib_dirs.n, 1);
    assert_string_equal(p.lib_dirs.v[0], ebin);
    assert_string_equal(p.vm_args.path, args);
    assert_int_equal(p.overlay_n, 3);
    assert_string_equal(p.overlays[1].from, "/c");
    assert_int_equal(p.overlays[2].kind, PKG_OVERLAY_MKDIR);
    assert_false(p.include_erts);
    assert_true(p.strip_beams);
    assert_null(p.erts_dir);
}

static void errors_name_the_line(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"{\n\"name\": \"x\",\n\"nmae\": 1}", "relpack.json:3: unknown key 'nmae'"},
        {"{\n\n\"name\": 1}", "relpack.json:3: name must be a string"},
        {"{\"name\": \"x\",\n\"name\": \"y\"}", "relpack.json:2:"},
        {"{\"name\":\n", "relpack.json:2:"},
        {"[]", "relpack.json:1: must be one object"},
        {"{\"applications\": [\n{\"a\": \"often\"}]}", "relpack.json:1: applications must have"},
        {"{\"overlay\": [{\"mkdir\": \"a\"},\n{\"move\": [\"a\", \"b\"]}]}",
         "relpack.json:2: unknown key 'move'"},
        {"{\"note\": \"{\\\"name\\\": 1\",\n\"name\": []}", "relpack.json:1: unknown key 'note'"},
        {"{\"version\": \"\\\"name\\\": 1\",\n\"name\": []}", "relpack.json:2: name must be"},
        {"{\"vm_args\": \"no-such\"}", "relpack.json:1: vm_args: there is no file"},
        {"{\n\"lib_dirs\": [\"no-such\"]}", "relpack.json:2: lib_dirs: there is no no-such"},
        {"{\"include_erts\": 1}", "include_erts must be true or false"},
        {"{\"version\": {\"app\": \"x\", \"y\": 1}}", "version must be"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        pkg_autoproject struct pkg_project p = {0};
        struct rel_err e = {0};

        assert_int_equal(read_text(state, bad[i].text, &p, &e), -1);
        assert_int_equal(e.code, REL_E_INPUT);
        if (!strstr(e.msg, bad[i].says))
            fail_msg("'%s' does not say '%s'", e.msg, bad[i].says);
    }
}

static void templates_are_rendered(void **state)
{
    pkg_autoproject struct pkg_project p = {0};
    rel_autobuf struct rel_buf out = {0}, again = {0};
    struct rel_err e = {0};

    (void)state;
    pkg_project_add_var(&p, "name", "old");
    pkg_project_add_var(&p, "name", "shop");
    assert_int_equal(pkg_project_render(&p, "f", "{{name}} {{ name }} {{{name}}} {x} {{{{a,b},c}}",
                                        false, &out, &e),
                     0);
    assert_string_equal(out.p, "shop shop shop {x} {{{{a,b},c}}");
    assert_int_equal(pkg_project_render(&p, "f", "{{nmae}}", true, &again, &e), -1);
    assert_string_equal(e.msg, "f: nmae is no known variable");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_key_is_read, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(errors_name_the_line, make_dir, remove_dir),
        cmocka_unit_test(templates_are_rendered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
