/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>

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

static void what_is_the_operators_comes_with_no_release(void **state)
{
    static const char *const texts[] = {"{\n\"key\": \"k.pub\"}", "{\n\"user\": \"root\"}",
                                        "{\n\"capabilities\": []}",
                                        "{\n\"env_file\": \"/etc/shadow\"}"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        rel_autofree char *home = rel_strf("%s/none.json", (char *)*state);
        rel_autofree char *release = put(state, "release.json", texts[i]);
        rel_autofree char *start = rel_strf("%s:2: ", release);
        struct sup_config c = {.keep = 77};
        struct rel_err e = {0}, e2 = {0};

        assert_int_equal(sup_config_read(home, release, &c, &e), -1);
        assert_int_equal(e.code, REL_E_INPUT);
        assert_int_equal(strncmp(e.msg, start, strlen(start)), 0);
        assert_non_null(strstr(e.msg, "cannot come with a release"));
        assert_int_equal(c.keep, 77);
        assert_int_equal(sup_config_check_shipped(release, &e2), -1);
        assert_string_equal(e.msg, e2.msg);
    }
}

static void what_others_can_write_is_no_settings(void **state)
{
    rel_autofree char *file = put(state, "relsup.json", "{\"keep\": 1}");
    struct sup_config c = {.keep = 77};
    struct rel_err e = {0};

    assert_int_equal(chmod(file, 0664), 0);
    assert_int_equal(sup_config_read(file, NULL, &c, &e), -1);
    assert_int_equal(e.code, REL_E_INPUT);
    assert_non_null(strstr(e.msg, "can be written by its group: 'chmod go-w "));
    assert_int_equal(c.keep, 77);
    assert_int_equal(unlink(file), 0);
}

static void a_pipe_is_no_settings_and_is_not_waited_for(void **state)
{
    rel_autofree char *file = rel_strf("%s/pipe.json", (char *)*state);
    struct sup_config c;
    struct rel_err e = {0};

    assert_int_equal(mkfifo(file, 0600), 0);
    assert_int_equal(sup_config_read(NULL, file, &c, &e), -1);
    assert_non_null(strstr(e.msg, "is not a plain file"));
}

static void what_a_swap_needs_is_read(void **state)
{
    rel_autofree char *file = put(
        state, "relsup.json",
        "{\"drain_s\": 1.5, \"soak_s\": 0, \"drain_rate\": 7, \"preview_address\": \"127.9.9.9\","
        "\"node_names\": [\"a_1\", \"a_2\"],"
        "\"health\": [{\"type\": \"http\", \"path\": \"/h\", \"port\": 80, \"host\": \"x.y\","
        "  \"status\": 204, \"body\": \"^ok\", \"interval_s\": 0.5, \"in_a_row\": 2},"
        " {\"type\": \"exec\", \"command\": [\"a\", \"b\"], \"failures\": 9}],"
        "\"before_boot\": [{\"eval\": \"m()\"}, {\"run\": [\"x\"], \"timeout_s\": 3}],"
        "\"before_cutover\": \"shop_state:export\","
        "\"after_cutover\": {\"call\": \"Shop.State.import\", \"timeout_s\": 2}}");
    struct sup_config c = {0};
    struct rel_err e = {0};

    if (sup_config_read(file, NULL, &c, &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(c.drain_ms, 1500);
    assert_int_equal(c.soak_ms, 0);
    assert_int_equal(c.drain_rate, 7);
    assert_int_equal(ntohl(c.preview.s_addr), 0x7f090909);
    assert_string_equal(c.node_names[1], "a_2");
    assert_int_equal(c.health_n, 2);
    assert_int_equal(c.health[0].kind, SUP_PROBE_HTTP);
    assert_int_equal(c.health[0].status, 204);
    assert_int_equal(c.health[0].interval_ms, 500);
    assert_int_equal(c.health[0].in_a_row, 2);
    assert_int_equal(c.health[0].failures, 3);
    assert_string_equal(c.health[1].command[1], "b");
    assert_int_equal(c.health[1].failures, 9);
    assert_string_equal(c.before_boot[0].eval, "m()");
    assert_int_equal(c.before_boot[1].timeout_ms, 3000);
    assert_string_equal(c.before_cutover.module, "shop_state");
    assert_string_equal(c.before_cutover.function, "export");
    assert_string_equal(c.after_cutover.module, "Elixir.Shop.State");
    assert_string_equal(c.after_cutover.function, "import");
    assert_int_equal(c.after_cutover.timeout_ms, 2000);
    sup_config_fini(&c);
}

static void what_the_processes_are_is_read(void **state)
{
    rel_autofree char *file = put(state, "relsup.json",
                                  "{\"user\": \"root\", \"ports\": [8080, 443],"
                                  " \"capabilities\": [\"CAP_NET_BIND_SERVICE\", \"sys_nice\"]}");
    rel_autofree char *none = put(state, "none.json", "{\"ports\": []}");
    struct sup_config c = {0};
    struct rel_err e = {0};

    if (sup_config_read(file, NULL, &c, &e) < 0)
        fail_msg("%s", e.msg);
    assert_string_equal(c.user, "root");
    assert_string_equal(c.capabilities[0], "net_bind_service");
    assert_string_equal(c.capabilities[1], "sys_nice");
    assert_null(c.capabilities[2]);
    assert_true(c.ports_set);
    assert_int_equal(c.port_n, 2);
    assert_int_equal(c.ports[1], 443);
    sup_config_fini(&c);
    assert_int_equal(sup_config_read(none, NULL, &c, &e), 0);
    assert_true(c.ports_set);
    assert_int_equal(c.port_n, 0);
    sup_config_fini(&c);
    assert_int_equal(unlink(none), 0);
    assert_int_equal(sup_config_read(none, NULL, &c, &e), 0);
    assert_false(c.ports_set);
    assert_null(c.user);
    sup_config_fini(&c);
}

static void capabilities_have_the_numbers_of_the_kernel(void **state)
{
    (void)state;
    assert_int_equal(sup_capability_number("chown"), CAP_CHOWN);
    assert_int_equal(sup_capability_number("cap_net_bind_service"), CAP_NET_BIND_SERVICE);
    assert_int_equal(sup_capability_number("CAP_SYS_NICE"), CAP_SYS_NICE);
    assert_int_equal(sup_capability_number("setfcap"), CAP_SETFCAP);
    assert_int_equal(sup_capability_number("checkpoint_restore"), CAP_CHECKPOINT_RESTORE);
    assert_int_equal(sup_capability_number("cap_"), -1);
    assert_int_equal(sup_capability_number(""), -1);
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"{\n\"keep\": 1,\n\"kepe\": 2}", ":3: unknown key 'kepe'"},
        {"{\"distribution\": \"cluster\"}", ":1: unknown key 'distribution'"},
        {"{\"soak_s\": -5}", ":1: soak_s must be a number of seconds"},
        {"{\"drain_rate\": 0}", ":1: drain_rate must be a whole number"},
        {"{\"preview_address\": \"127.0.0.1\"}", ":1: preview_address must be an address"},
        {"{\"preview_address\": \"10.0.0.1\"}", ":1: preview_address must be an address"},
        {"{\"node_names\": [\"a\", \"a\"]}", ":1: node_names must be a list of two different"},
        {"{\"node_names\": [\"a\", \"b@c\"]}", ":1: node_names must be"},
        {"{\"health\": {}}", ":1: health must be a list"},
        {"{\"health\": [{\"type\": \"udp\"}]}", ":1: health must have objects with the \"type\""},
        {"{\"health\": [{\"type\": \"node\"}]}", ":1: health must have objects"},
        {"{\"health\": [{\"type\": \"http\"}]}", ":1: health of type http needs a \"path\""},
        {"{\"health\":\n[{\"type\": \"http\",\n\"paht\": \"/\"}]}", ":3: health: paht is no key"},
        {"{\"health\":\n[{\"type\": \"http\",\n\"path\": 1}]}",
         ":3: health: path must be a string"},
        {"{\"health\": [{\"type\": \"http\", \"path\": \"/\", \"body\": \"(\"}]}", "regular"},
        {"{\"health\": [{\"type\": \"tcp\", \"port\": 70000}]}", "port must be a whole number"},
        {"{\"health\": [{\"type\": \"rpc\"}]}", "needs an \"expr\""},
        {"{\"health\": [{\"type\": \"exec\", \"command\": []}]}", "command must be a list"},
        {"{\"before_boot\": [\"x\"]}", "before_boot must have objects"},
        {"{\"before_boot\": [{}]}", "needs either"},
        {"{\"before_boot\": [{\"eval\": \"x\", \"run\": [\"y\"]}]}", "needs either"},
        {"{\"before_cutover\": \"export\"}", "must name a function"},
        {"{\"after_cutover\": {\"timeout_s\": 5}}", "needs a \"call\""},
        {"{\n \"keep\": \"3\"}", ":2: keep must be a whole number"},
        {"{\"keep\": -1}", ":1: keep must be a whole number"},
        {"{\"boot_s\": 0}", ":1: boot_s must be a number of seconds"},
        {"{\"boot_s\": 1e9}", ":1: boot_s must be a number of seconds"},
        {"{\"shutdown_s\": true}", ":1: shutdown_s must be a number of seconds"},
        {"{\"app\": \"\"}", ":1: app must be the name"},
        {"{\"env\": []}", ":1: env must be an object"},
        {"{\"env\":\n{\"A\": \"1\",\n\"B=C\": \"1\"}}", ":3: env: 'B=C' is not a variable name"},
        {"{\"env\":\n{\"A\": 1}}", ":2: env: 'A' must have a string"},
        {"{\"env\":\n{\"A\": \"x\\u0000y\"}}", ":2:"},
        {"{\"env\": {\"ERL_AFLAGS\": \"\"}}", ":1: env: 'ERL_AFLAGS' is set by relsup"},
        {"{\"user\": \"nobody at all\"}",
         ":1: user names 'nobody at all', but this host has no such user"},
        {"{\"user\": 0}", ":1: user must be the name"},
        {"{\"capabilities\": \"net_bind_service\"}", ":1: capabilities must be a list"},
        {"{\n\"capabilities\": [\"net_bind\"]}", ":2: capabilities must have names of"},
        {"{\"ports\": 80}", ":1: ports must be a list of TCP ports"},
        {"{\"ports\": [80, 0]}", ":1: ports must have whole numbers from 1 to 65535"},
        {"{\"ports\": [65536]}", ":1: ports must have whole numbers"},
        {"{\"ports\": [\"http\"]}", ":1: ports must have whole numbers"},
        {"{\"env\":\n{\"RELEASE_COOKIE\": \"x\"}}", ":2: env: 'RELEASE_COOKIE' is set by relsup"},
        {"{\"env\": {\"ERL_CRASH_DUMP\": \"x\"}}", ":1: env: 'ERL_CRASH_DUMP' is set by relsup"},
        {"{\"env\": {\"RELSUP_ANY\": \"x\"}}", ":1: env: 'RELSUP_ANY' is set by relsup"},
        {"{\"health\": [{\"type\": \"http\", \"path\": \"/\", \"body\": \"((a{99}){99}){99}\"}]}",
         "must be a regular expression: regular expression is too large"},
        {"{\"health\": [{\"type\": \"http\", \"path\": \"/\", \"body\": \"(\"}]}", "at byte 1"},
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
        cmocka_unit_test(what_is_the_operators_comes_with_no_release),
        cmocka_unit_test(what_others_can_write_is_no_settings),
        cmocka_unit_test(a_pipe_is_no_settings_and_is_not_waited_for),
        cmocka_unit_test(what_a_swap_needs_is_read),
        cmocka_unit_test(what_the_processes_are_is_read),
        cmocka_unit_test(capabilities_have_the_numbers_of_the_kernel),
        cmocka_unit_test(what_is_wrong_is_told_with_its_line),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
