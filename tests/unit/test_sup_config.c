/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"
#include "supervisor/sup_config.h"

static int make_dir(void **state)
{
    static char dir[64];

    strcpy(dir, "/tmp/test_sup_config.XXXXXX");
    *state = mkdtemp(dir);
    return *state ? 0 : -1;
}

static int remove_dir(void **state)
{
    struct rel_err e = {0};

    return rel_remove_tree(AT_FDCWD, *state, &e);
}

static char *put(void **state, const char *name, const char *text)
{
    char *file = rel_strf("%s/%s", (char *)*state, name);
    struct rel_err e = {0};

    assert_int_equal(rel_replace_file(AT_FDCWD, file, text, strlen(text), 0644, &e), 0);
    return file;
}

static void without_a_file_the_defaults_hold(void **state)
{
    rel_autofree char *file = rel_strf("%s/none.json", (char *)*state);
    struct sup_config c;
    struct rel_err e = {0};

    assert_int_equal(sup_config_read(file, NULL, &c, &e), 0);
    assert_null(c.app);
    assert_null(c.env);
    assert_int_equal(c.boot_ms, 60000);
    assert_int_equal(c.shutdown_ms, 30000);
    assert_int_equal(c.keep, 3);
    sup_config_fini(&c);
}

static void every_key_is_read(void **state)
{
    rel_autofree char *file =
        put(state, "relsup.json",
            "{\"$schema\": \"x\", \"app\": \"shop\", \"boot_s\": 2.5, \"shutdown_s\": 7,\n"
            " \"keep\": 0, \"env\": {\"PORT\": \"80\", \"_A1\": \"\"}}\n");
    struct sup_config c;
    struct rel_err e = {0};

    assert_int_equal(sup_config_read(file, NULL, &c, &e), 0);
    assert_string_equal(c.app, "shop");
    assert_int_equal(c.boot_ms, 2500);
    assert_int_equal(c.shutdown_ms, 7000);
    assert_int_equal(c.keep, 0);
    assert_string_equal(c.env[0], "PORT=80");
    assert_string_equal(c.env[1], "_A1=");
    assert_null(c.env[2]);
    sup_config_fini(&c);
}

static void the_home_stands_over_the_release(void **state)
{
    rel_autofree char *home = put(state, "home.json", "{\"keep\": 1}");
    rel_autofree char *release = put(state, "release.json", "{\"keep\": 2, \"app\": \"x\"}");
    struct sup_config c;
    struct rel_err e = {0};

    assert_int_equal(sup_config_read(home, release, &c, &e), 0);
    assert_int_equal(c.keep, 1);
    assert_null(c.app);
    sup_config_fini(&c);
    assert_int_equal(unlink(home), 0);
    assert_int_equal(sup_config_read(home, release, &c, &e), 0);
    assert_int_equal(c.keep, 2);
    sup_config_fini(&c);
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"{\n\"keep\": 1,\n\"kepe\": 2}", ":3: unknown key 'kepe'"},
        {"{\"soak_s\": 5}", ":1: unknown key 'soak_s'"},
        {"{\n \"keep\": \"3\"}", ":2: keep must be a whole number"},
        {"{\"keep\": -1}", ":1: keep must be a whole number"},
        {"{\"boot_s\": 0}", ":1: boot_s must be a number of seconds"},
        {"{\"boot_s\": 1e9}", ":1: boot_s must be a number of seconds"},
        {"{\"shutdown_s\": true}", ":1: shutdown_s must be a number of seconds"},
        {"{\"app\": \"\"}", ":1: app must be the name"},
        {"{\"env\": []}", ":1: env must be an object"},
        {"{\"env\":\n{\"A\": \"1\",\n\"B=C\": \"1\"}}", ":3: env: 'B=C' is no name"},
        {"{\"env\":\n{\"A\": 1}}", ":2: env: 'A' must have a string"},
        {"{\"env\":\n{\"A\": \"x\\u0000y\"}}", ":2:"},
        {"{\"env\": {\"ERL_AFLAGS\": \"\"}}", ":1: env: 'ERL_AFLAGS' is set by relsup"},
        {"{\"keep\": 1, \"keep\": 2}", "duplicate"},
        {"{\"keep\": 1,}", ":1:"},
        {"[]", ":1: must be one object"},
        {"", ":1:"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        rel_autofree char *file = put(state, "relsup.json", bad[i].text);
        struct sup_config c = {.keep = 77};
        struct rel_err e = {0};

        assert_int_equal(sup_config_read(file, NULL, &c, &e), -1);
        assert_int_equal(e.code, REL_E_INPUT);
        assert_int_equal(strncmp(e.msg, file, strlen(file)), 0);
        assert_non_null(strstr(e.msg, bad[i].message));
        assert_int_equal(c.keep, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_file_the_defaults_hold),
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(the_home_stands_over_the_release),
        cmocka_unit_test(what_is_wrong_is_told_with_its_line),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
