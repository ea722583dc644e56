/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "cmd/cmd.h"

static const struct cmd_option options[] = {
    {"tar", 't', NULL, "a switch"},
    {"wait", 'w', "TIME", "a time"},
    {0},
};

/* Tells by its exit status how the command line was understood. */
static int run(struct cmd_ctx *ctx, struct rel_err *e)
{
    int64_t ms;

    if (cmd_get_ms(ctx, "wait", 7000, &ms, e) < 0)
        return -1;
    ctx->exit_status = (cmd_has(ctx, "tar") ? 100 : 0) + ctx->pos_n * 10 + (int)(ms / 1000);
    return 0;
}

static int run_and_fail(struct cmd_ctx *ctx, struct rel_err *e)
{
    (void)ctx;
    return rel_fail(e, REL_E_ROLLED_BACK, 0, "the new one died");
}

static const struct cmd_verb verb_run = {
    .name = "run", .summary = "runs", .usage = "[X]", .options = options, .pos_max = 2, .run = run};
static const struct cmd_verb verb_rest = {.name = "rest",
                                          .summary = "stops at X",
                                          .usage = "X...",
                                          .options = options,
                                          .pos_min = 1,
                                          .pos_max = -1,
                                          .stop_at_pos = true,
                                          .run = run};
static const struct cmd_verb verb_fail = {
    .name = "fail", .summary = "fails", .usage = "", .run = run_and_fail};
static const struct cmd_verb *const verbs[] = {&verb_run, &verb_rest, &verb_fail, NULL};
static const struct cmd_program program = {.name = "prog", .summary = "A test.", .verbs = verbs};

/* The exit status of `prog ARGUMENTS`, in a process of its own. */
static int status_of(const char *arguments)
{
    rel_autofree char *copy = rel_strf("prog %s", arguments);
    char *argv[16], *save = NULL;
    int argc = 0, status = 0;
    pid_t pid;

    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    argv[argc] = NULL;
    pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stderr) || !freopen("/dev/null", "w", stdout))
            _exit(99);
        _exit(cmd_main(&program, argc, argv));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void options_stand_anywhere(void **state)
{
    (void)state;
    assert_int_equal(status_of("run"), 7);
    assert_int_equal(status_of("run --tar a --wait 3"), 113);
    assert_int_equal(status_of("run a b -t -w 5s"), 125);
    assert_int_equal(status_of("run --wait=2"), 2);
    assert_int_equal(status_of("run -q --json"), 7);
}

static void a_verb_may_stop_at_its_first_argument(void **state)
{
    (void)state;
    assert_int_equal(status_of("rest -t x --tar --unknown"), 137);
    assert_int_equal(status_of("rest -- --tar"), 17);
}

static void wrong_usage_is_exit_2(void **state)
{
    static const char *const wrong[] = {"",           "runn",           "run --wait",
                                        "run --nope", "run a b c",      "rest",
                                        "run -w x",   "run --wait -1s", "run --wait 1y"};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(status_of(wrong[i]), 2);
}

static void the_outcome_of_the_error_is_the_exit_status(void **state)
{
    (void)state;
    assert_int_equal(status_of("fail"), 3);
    assert_int_equal(status_of("fail --help"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_anywhere),
        cmocka_unit_test(a_verb_may_stop_at_its_first_argument),
        cmocka_unit_test(wrong_usage_is_exit_2),
        cmocka_unit_test(the_outcome_of_the_error_is_the_exit_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
