/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "supervisor/sup_env.h"

static size_t count_of(const struct sup_env *env, const char *name)
{
    size_t n = 0, len = strlen(name);

    for (size_t i = 0; i < env->n; i++)
        n += !strncmp(env->v[i], name, len) && env->v[i][len] == '=';
    return n;
}

static const char *value_of(const struct sup_env *env, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < env->n; i++)
        if (!strncmp(env->v[i], name, len) && env->v[i][len] == '=')
            return env->v[i] + len + 1;
    return NULL;
}

/* A pod with the links of all services in it. */
static void none_of_many_pushes_ours_out(void **state)
{
    enum { MANY = 5000 };
    sup_autoenv struct sup_env env = {0};
    char **from = rel_xcalloc(MANY + 1, sizeof(*from));

    (void)state;
    for (int i = 0; i < MANY; i++)
        from[i] = rel_strf("SERVICE_%d_PORT=tcp://10.0.0.1:%d", i, i);
    sup_env_begin(&env, from, NULL, NULL);
    sup_env_setf(&env, "ERL_AFLAGS=%s", "x");
    assert_int_equal(env.n, MANY + 1);
    assert_null(env.v[env.n]);
    assert_string_equal(value_of(&env, "ERL_AFLAGS"), "x");
    assert_string_equal(value_of(&env, "SERVICE_4999_PORT"), "tcp://10.0.0.1:4999");
    for (int i = 0; i < MANY; i++)
        free(from[i]);
    free(from);
}

static void what_describes_another_release_is_not_handed_on(void **state)
{
    char *from[] = {(char *)"RELEASE_NODE=a",
                    (char *)"RELSUP_HOME=/x",
                    (char *)"ROOTDIR=/usr/lib",
                    (char *)"ROOTDIRS=stays",
                    (char *)"ERL_LIBS=/y",
                    (char *)"NOTIFY_SOCKET=/run/n",
                    (char *)"LISTEN_FDS=1",
                    (char *)"PATH=/bin",
                    (char *)"EMU=beam",
                    (char *)"EMULATOR=stays",
                    (char *)"XDG_CONFIG_HOME=/z",
                    (char *)"not a variable",
                    NULL};
    sup_autoenv struct sup_env env = {0};

    (void)state;
    sup_env_begin(&env, from, NULL, NULL);
    assert_int_equal(env.n, 3);
    assert_string_equal(env.v[0], "ROOTDIRS=stays");
    assert_string_equal(env.v[1], "PATH=/bin");
    assert_string_equal(env.v[2], "EMULATOR=stays");
}

static void the_last_word_is_the_only_one(void **state)
{
    char *from[] = {(char *)"A=1", (char *)"B=1", (char *)"A=2", NULL};
    char *operators[] = {(char *)"A=3", (char *)"RELEASE_MODE=interactive", NULL};
    sup_autoenv struct sup_env env = {0};

    (void)state;
    sup_env_begin(&env, from, NULL, operators);
    assert_int_equal(count_of(&env, "A"), 1);
    assert_string_equal(value_of(&env, "A"), "3");
    assert_string_equal(value_of(&env, "RELEASE_MODE"), "interactive");
    sup_env_setf(&env, "A=%d", 4);
    assert_int_equal(count_of(&env, "A"), 1);
    assert_string_equal(value_of(&env, "A"), "4");
    assert_null(value_of(&env, "C"));
}

static void settings_must_not_say_what_relsup_says(void **state)
{
    static const char *const ours[] = {"RELEASE_COOKIE", "RELEASE_NODE", "ERL_CRASH_DUMP",
                                       "ERL_AFLAGS",     "RELEASE_TMP",  "RELSUP_HOME",
                                       "RELSUP_X",       "VMARGS_PATH",  "XDG_CONFIG_HOME"};
    static const char *const theirs[] = {"ERL_FLAGS", "ERL_LIBS", "RELEASE_MODE", "PATH", "HOME",
                                         "RELEASE",   ""};

    (void)state;
    for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
        assert_true(sup_env_is_set_by_relsup(ours[i]));
    for (size_t i = 0; i < sizeof(theirs) / sizeof(*theirs); i++)
        assert_false(sup_env_is_set_by_relsup(theirs[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_of_many_pushes_ours_out),
        cmocka_unit_test(what_describes_another_release_is_not_handed_on),
        cmocka_unit_test(the_last_word_is_the_only_one),
        cmocka_unit_test(settings_must_not_say_what_relsup_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
