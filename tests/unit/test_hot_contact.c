/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/rel_io.h"
#include "hotload/hot_contact.h"

struct fixture {
    char dir[64];
    char path[96];
};

static int setup(void **state)
{
    struct fixture *f = rel_xcalloc(1, sizeof(*f));

    strcpy(f->dir, "/tmp/test_hot_contact.XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->path, sizeof(f->path), "%s/active.json", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct rel_err e = {0};
    int result = rel_remove_tree(AT_FDCWD, f->dir, &e);

    free(f);
    return result;
}

static void put(const struct fixture *f, const char *text)
{
    struct rel_err e = {0};

    assert_int_equal(rel_replace_file(AT_FDCWD, f->path, text, strlen(text), 0600, &e), 0);
}

static void survives_a_round_trip(void **state)
{
    const struct fixture *f = *state;
    struct hot_contact in = {.node = (char *)"shop_blue@localhost",
                             .port = 41234,
                             .cookie_file = (char *)"/srv/a b/sécret/cookie",
                             .pid = 4711,
                             .pid_start = 9007199254740993,
                             .root = (char *)"/srv/a b/releases/0.1.0",
                             .name = (char *)"shop",
                             .version = (char *)"0.1.0",
                             .generation = 3,
                             .elixir = true};
    struct hot_contact out = {0};
    struct rel_err e = {0};
    struct stat st;

    assert_int_equal(hot_contact_write(f->path, &in, &e), 0);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(hot_contact_read(f->path, &out, &e), 0);
    assert_string_equal(out.node, in.node);
    assert_int_equal(out.port, in.port);
    assert_string_equal(out.cookie_file, in.cookie_file);
    assert_int_equal(out.pid, in.pid);
    assert_true(out.pid_start == in.pid_start);
    assert_string_equal(out.root, in.root);
    assert_string_equal(out.name, in.name);
    assert_string_equal(out.version, in.version);
    assert_int_equal(out.generation, 3);
    assert_true(out.elixir);
    hot_contact_fini(&out);
    assert_null(out.node);
}

static void accepts_keys_of_a_later_version(void **state)
{
    const struct fixture *f = *state;
    struct hot_contact c = {0};
    struct rel_err e = {0};

    put(f, "{\"node\": \"a@b\", \"port\": 0, \"cookie_file\": \"/c\", \"pid\": 1, \"pid_start\": 2,"
           " \"root\": \"/r\", \"name\": \"n\", \"version\": \"v\", \"later\": [1]}");
    assert_int_equal(hot_contact_read(f->path, &c, &e), 0);
    assert_int_equal(c.generation, 0);
    assert_false(c.elixir);
    hot_contact_fini(&c);
}

#define REST(port, pid)                                                              \
    "{\"node\": \"a@b\", \"port\": " port ", \"cookie_file\": \"/c\", \"pid\": " pid \
    ", \"pid_start\": 2, \"root\": \"/r\", \"name\": \"n\", \"version\": \"v\"}"

static void refuses_what_is_malformed(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{\"node\": 1}",
        "{\"node\": \"a@b\", \"node\": \"a@b\"}",
        REST("70000", "1"),
        REST("1", "-1"),
    };
    const struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct hot_contact c = {0};
        struct rel_err e = {0};

        put(f, bad[i]);
        assert_int_equal(hot_contact_read(f->path, &c, &e), -1);
        assert_int_equal(e.code, REL_E_INPUT);
        assert_null(c.node);
    }
}

static void tells_a_missing_file_from_a_broken_one(void **state)
{
    const struct fixture *f = *state;
    struct hot_contact c = {0};
    struct rel_err e = {0};

    assert_int_equal(hot_contact_read(f->path, &c, &e), -1);
    assert_int_equal(e.code, REL_E_UNREACHABLE);
}

static void knows_a_process_from_its_number(void **state)
{
    struct hot_contact c = {.pid = getpid(), .pid_start = hot_pid_start(getpid())};

    (void)state;
    assert_true(c.pid_start > 0);
    assert_true(hot_contact_alive(&c));
    c.pid_start++; /* somebody else who got the number */
    assert_false(hot_contact_alive(&c));
    c.pid = 0;
    assert_false(hot_contact_alive(&c));
    assert_int_equal(hot_pid_start(0), 0);
}

static void takes_a_zombie_for_dead(void **state)
{
    pid_t pid = fork();
    struct hot_contact c;
    siginfo_t info;

    (void)state;
    if (pid == 0)
        _exit(0);
    assert_true(pid > 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    c = (struct hot_contact){.pid = pid, .pid_start = hot_pid_start(pid)};
    assert_true(c.pid_start > 0);
    assert_false(hot_contact_alive(&c));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(hot_pid_start(pid), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(survives_a_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(accepts_keys_of_a_later_version, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_is_malformed, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_a_missing_file_from_a_broken_one, setup, teardown),
        cmocka_unit_test(knows_a_process_from_its_number),
        cmocka_unit_test(takes_a_zombie_for_dead),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
