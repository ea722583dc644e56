/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "supervisor/sup_child.h"

enum { TEXT_MAX = 1 << 16 };

static char *env_[] = {(char *)"PATH=/usr/bin:/bin", (char *)"GREETING=hello", NULL};

struct run {
    int out; /* a file that the child writes to */
    struct sup_child child;
};

static struct run hold(char *const *args)
{
    struct run r = {.out = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
    rel_autoclose int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct sup_child_order o = {
        .file = args[0], .args = args, .env = env_, .cwd = "/usr", .in = in, .out = r.out};
    struct rel_err e = {0};

    assert_int_equal(sup_child_hold(&o, &r.child, &e), 0);
    assert_true(r.child.pid > 1);
    assert_true(r.child.pid_start > 0);
    return r;
}

static char *text_of(const struct run *r)
{
    static char text[TEXT_MAX];
    ssize_t n = pread(r->out, text, sizeof(text) - 1, 0);

    assert_true(n >= 0);
    text[n] = '\0';
    close(r->out);
    return text;
}

static void it_waits_and_then_runs_as_it_was_told(void **state)
{
    char *args[] = {(char *)"sh",
                    (char *)"-c",
                    (char *)"echo $GREETING $PWD $$ $# \"$1\"; ls /proc/self/fd | wc -l; exit 3",
                    (char *)"x",
                    (char *)"of the parent",
                    NULL};
    struct run r = hold(args);
    rel_autofree char *want = rel_strf("hello /usr %d 1 of the parent\n4\n", (int)r.child.pid);
    struct rel_err e = {0};
    int status;

    (void)state;
    assert_false(sup_child_reap(r.child.pid, false, &status));
    assert_int_equal(getsid(r.child.pid), r.child.pid);
    assert_int_equal(sup_child_go(&r.child, &e), 0);
    assert_true(sup_child_reap(r.child.pid, true, &status));
    assert_int_equal(WEXITSTATUS(status), 3);
    assert_string_equal(text_of(&r), want);
}

static void dropped_it_does_nothing(void **state)
{
    char *args[] = {(char *)"echo", (char *)"I ran", NULL};
    struct run r = hold(args);
    int status;

    (void)state;
    sup_child_drop(&r.child);
    assert_int_equal(kill(r.child.pid, 0), -1);
    assert_false(sup_child_reap(r.child.pid, true, &status));
    assert_string_equal(text_of(&r), "");
}

/* As if its parent had been killed: nobody says a word, the pipe is closed. */
static void without_its_parent_it_ends(void **state)
{
    char *args[] = {(char *)"echo", (char *)"I ran", NULL};
    struct run r = hold(args);
    int status;

    (void)state;
    close(r.child.go_fd);
    assert_true(sup_child_reap(r.child.pid, true, &status));
    assert_int_equal(status, 0);
    close(r.child.said_fd);
    assert_string_equal(text_of(&r), "");
}

static void what_cannot_be_executed_is_told(void **state)
{
    char *args[] = {(char *)"/nowhere/program", NULL};
    struct run r = hold(args);
    struct rel_err e = {0};

    (void)state;
    assert_int_equal(sup_child_go(&r.child, &e), -1);
    assert_int_equal(e.code, REL_E_CHILD);
    assert_non_null(strstr(e.msg, "/nowhere/program: No such file"));
    assert_int_equal(kill(r.child.pid, 0), -1);
    close(r.out);
}

static void the_environment_may_be_large(void **state)
{
    enum { MANY = 5000 };
    char *args[] = {(char *)"sh", (char *)"-c", (char *)"env | grep -c ^SERVICE_", NULL};
    char **many = rel_xcalloc(MANY + 2, sizeof(*many));
    rel_autoclose int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct run r = {.out = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
    struct sup_child_order o = {.file = args[0], .args = args, .env = many, .in = in, .out = r.out};
    struct rel_err e = {0};
    int status;

    (void)state;
    for (int i = 0; i < MANY; i++)
        many[i] = rel_strf("SERVICE_%d=%0100d", i, i);
    many[MANY] = rel_xstrdup(env_[0]);
    assert_int_equal(sup_child_hold(&o, &r.child, &e), 0);
    assert_int_equal(sup_child_go(&r.child, &e), 0);
    assert_true(sup_child_reap(r.child.pid, true, &status));
    assert_string_equal(text_of(&r), "5000\n");
    for (int i = 0; i <= MANY; i++)
        free(many[i]);
    free(many);
}

/* One that somebody waits for is left to him, an inherited one is not. */
static void orphans_are_reaped_and_ours_are_not(void **state)
{
    char *args[] = {(char *)"true", NULL};
    struct run r = hold(args);
    struct rel_err e = {0};
    siginfo_t info;
    pid_t orphan;
    int status;

    (void)state;
    assert_int_equal(sup_child_go(&r.child, &e), 0);
    assert_int_equal(waitid(P_PID, (id_t)r.child.pid, &info, WEXITED | WNOWAIT), 0);
    sup_child_reap_orphans();
    assert_true(sup_child_reap(r.child.pid, false, &status));
    orphan = fork();
    if (orphan == 0)
        _exit(0);
    assert_int_equal(waitid(P_PID, (id_t)orphan, &info, WEXITED | WNOWAIT), 0);
    sup_child_own(orphan);
    sup_child_reap_orphans();
    assert_int_equal(kill(orphan, 0), 0);
    sup_child_disown(orphan);
    sup_child_reap_orphans();
    assert_int_equal(kill(orphan, 0), -1);
    close(r.out);
}

static int seen_status = -1;

static void on_exit_of(struct sup_watch *watch, int status)
{
    seen_status = status;
    uv_close((uv_handle_t *)&watch->handle, NULL);
}

/* Also one that ended before anybody looked. */
static void an_end_is_told_on_the_loop(void **state)
{
    static const char *const scripts[] = {"sleep 0.1; exit 4", "exit 4"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char *args[] = {(char *)"sh", (char *)"-c", (char *)scripts[i], NULL};
        struct run r = hold(args);
        struct sup_watch watch;
        struct rel_err e = {0};
        siginfo_t info;
        uv_loop_t loop;

        assert_int_equal(sup_child_go(&r.child, &e), 0);
        if (i == 1)
            assert_int_equal(waitid(P_PID, (id_t)r.child.pid, &info, WEXITED | WNOWAIT), 0);
        seen_status = -1;
        uv_loop_init(&loop);
        sup_watch_start(&loop, &watch, r.child.pid, on_exit_of);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&loop), 0);
        assert_int_equal(WEXITSTATUS(seen_status), 4);
        close(r.out);
    }
}

static void who_is_not_there_cannot_be_become(void **state)
{
    char *none[] = {NULL}, *odd[] = {(char *)"no_such_capability", NULL};
    struct sup_user user = {0};
    struct rel_err e = {0};

    (void)state;
    assert_int_equal(sup_user_find("no-such-user", NULL, &user, &e), -1);
    assert_int_equal(e.code, REL_E_INPUT);
    rel_err_clear(&e);
    assert_int_equal(sup_user_find(NULL, odd, &user, &e), -1);
    rel_err_clear(&e);
    assert_int_equal(sup_user_find(NULL, NULL, &user, &e), 0);
    assert_false(user.limit);
    assert_false(sup_user_is_other(&user));
    assert_int_equal(sup_user_find(NULL, none, &user, &e), 0);
    assert_true(user.limit);
}

/* Of another user nothing of root is left; of root without capabilities only the number. */
static void of_root_nothing_is_left(void **state)
{
    char *args[] = {(char *)"sh", (char *)"-c",
                    (char *)"id -u; id -G; grep -E '^(CapEff|CapBnd|CapAmb|NoNewPrivs)' "
                            "/proc/self/status | tr -d '\\t\\n'",
                    NULL};
    char *bind_service[] = {(char *)"net_bind_service", NULL}, *none[] = {NULL};
    static const struct {
        const char *name, *want;
        bool keeps;
    } cases[] = {
        {"nobody",
         "65534\n65534\nCapEff:0000000000000000CapBnd:0000000000000000"
         "CapAmb:0000000000000000NoNewPrivs:1",
         false},
        {"nobody",
         "65534\n65534\nCapEff:0000000000000400CapBnd:0000000000000400"
         "CapAmb:0000000000000400NoNewPrivs:1",
         true},
        {NULL,
         "CapEff:0000000000000000CapBnd:0000000000000000"
         "CapAmb:0000000000000000NoNewPrivs:0",
         false},
    };

    (void)state;
    if (geteuid() != 0)
        skip();
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct sup_user user = {0};
        rel_autoclose int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
        struct run r = {.out = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
        struct sup_child_order o = {
            .file = args[0], .args = args, .env = env_, .in = in, .out = r.out, .user = &user};
        struct rel_err e = {0};
        int status;

        if (sup_user_find(cases[i].name, cases[i].keeps ? bind_service : none, &user, &e) < 0)
            fail_msg("%s", e.msg);
        assert_int_equal(sup_child_hold(&o, &r.child, &e), 0);
        sup_user_fini(&user);
        assert_int_equal(sup_child_go(&r.child, &e), 0);
        assert_true(sup_child_reap(r.child.pid, true, &status));
        assert_non_null(strstr(text_of(&r), cases[i].want));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_waits_and_then_runs_as_it_was_told),
        cmocka_unit_test(dropped_it_does_nothing),
        cmocka_unit_test(without_its_parent_it_ends),
        cmocka_unit_test(what_cannot_be_executed_is_told),
        cmocka_unit_test(the_environment_may_be_large),
        cmocka_unit_test(orphans_are_reaped_and_ours_are_not),
        cmocka_unit_test(an_end_is_told_on_the_loop),
        cmocka_unit_test(who_is_not_there_cannot_be_become),
        cmocka_unit_test(of_root_nothing_is_left),
    };

    if (argc == 2 && !strcmp(argv[1], SUP_LAUNCH_VERB))
        return sup_launch_main();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
