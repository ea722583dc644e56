/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_env.h"

#include <string.h>

/* A name that ends with '_' stands for all that begin with it. */
static const struct {
    const char *name;
    bool set; /* by relsup, in one kind of child at least; else it is only not handed on */
} reserved[] = {
    {"RELSUP_", true},
    {"RELEASE_NODE", true},
    {"RELEASE_DISTRIBUTION", true},
    {"RELEASE_COOKIE", true},
    {"RELEASE_TMP", true},
    {"RELEASE_ROOT", true},
    {"RELEASE_VSN", true},
    {"RELEASE_", false},
    {"ERL_AFLAGS", true},
    {"ERL_CRASH_DUMP", true},
    {"ERL_", false},
    {"VMARGS_PATH", true},
    {"VMARGS_", false},
    {"RELX_OUT_FILE_PATH", true},
    {"RELX_", false},
    {"XDG_CONFIG_HOME", true},
    {"ROOTDIR", false},
    {"BINDIR", false},
    {"EMU", false},
    {"PROGNAME", false},
    {"HEART_COMMAND", false},
    /* of relsup's own service */
    {"NOTIFY_SOCKET", false},
    {"WATCHDOG_PID", false},
    {"WATCHDOG_USEC", false},
    {"LISTEN_PID", false},
    {"LISTEN_FDS", false},
    {"LISTEN_FDNAMES", false},
};

static bool is_named(const char *pattern, const char *name, size_t len)
{
    size_t n = strlen(pattern);

    return pattern[n - 1] == '_' ? len >= n && !strncmp(name, pattern, n)
                                 : len == n && !strncmp(name, pattern, n);
}

static bool is_reserved(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++)
        if (is_named(reserved[i].name, name, len))
            return true;
    return false;
}

bool sup_env_is_set_by_relsup(const char *name)
{
    for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++)
        if (reserved[i].set && is_named(reserved[i].name, name, strlen(name)))
            return true;
    return false;
}

void sup_env_fini(struct sup_env *env)
{
    for (size_t i = 0; i < env->n; i++)
        free(env->v[i]);
    free(env->v);
    *env = (struct sup_env){0};
}

static bool has_name(const char *line, const char *name, size_t len)
{
    return !strncmp(line, name, len) && line[len] == '=';
}

static void add(struct sup_env *env, char *line)
{
    if (env->n + 1 >= env->cap) {
        env->cap = env->cap ? 2 * env->cap : 64;
        env->v = rel_xrealloc(env->v, env->cap, sizeof(*env->v));
    }
    env->v[env->n++] = line;
    env->v[env->n] = NULL;
}

/* Takes the line. What was there of its name goes, twice or not: shells take the last of two, libc
 * the first. */
static void put(struct sup_env *env, char *line)
{
    size_t len = strcspn(line, "="), n = 0;

    for (size_t i = 0; i < env->n; i++) {
        if (has_name(env->v[i], line, len))
            free(env->v[i]);
        else
            env->v[n++] = env->v[i];
    }
    env->n = n;
    add(env, line);
}

void sup_env_begin(struct sup_env *env, char *const *from, const struct sup_user *user,
                   char *const *operators)
{
    for (char *const *p = from; p && *p; p++) {
        size_t len = strcspn(*p, "=");

        if ((*p)[len] == '=' && !is_reserved(*p, len))
            add(env, rel_xstrdup(*p));
    }
    if (user && user->name) {
        sup_env_setf(env, "USER=%s", user->name);
        sup_env_setf(env, "LOGNAME=%s", user->name);
        sup_env_setf(env, "HOME=%s", user->home);
    }
    for (char *const *p = operators; p && *p; p++)
        put(env, rel_xstrdup(*p));
}

void sup_env_setf(struct sup_env *env, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    put(env, rel_vstrf(fmt, ap));
    va_end(ap);
}
