/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "supervisor/sup_env.h"

enum { LINE_LEN = 4096 };

extern char **environ;

struct sup_steps {
    uv_process_t proc;
    uv_loop_t *loop;
    struct sup_steps_order o;
    struct sup_release *release;
    char *log, *tmp;
    int read_fd; /* of the log */
    struct rel_buf line;
    size_t at; /* which one runs */
    bool running;
    int64_t until_ms;
    struct rel_err e; /* why it was killed */
};

static const struct sup_boot_step *step_of(const struct sup_steps *s)
{
    return &s->o.config->before_boot[s->at];
}

static const char *name_of(const struct sup_steps *s)
{
    const struct sup_boot_step *step = step_of(s);

    return step->eval ? step->eval : step->run[0];
}

static void pass_line(struct sup_steps *s)
{
    char *text = rel_buf_take(&s->line);

    s->o.line(s->o.ctx, text);
    free(text);
}

static void pass_output(struct sup_steps *s, bool all)
{
    char chunk[LINE_LEN];
    ssize_t n;

    while ((n = read(s->read_fd, chunk, sizeof(chunk))) > 0)
        for (ssize_t i = 0; i < n; i++) {
            if (chunk[i] != '\n')
                rel_buf_add(&s->line, &chunk[i], 1);
            if (chunk[i] == '\n' || s->line.len == LINE_LEN)
                pass_line(s);
        }
    if (all && s->line.len)
        pass_line(s);
}

static void steps_free(struct sup_steps *s)
{
    struct rel_err e = {0};

    if (s->tmp)
        (void)!rel_remove_tree(AT_FDCWD, s->tmp, &e);
    sup_release_free(s->release);
    if (s->read_fd >= 0)
        close(s->read_fd);
    rel_buf_fini(&s->line);
    free(s->log);
    free(s->tmp);
    free(s);
}

/* -1: there is no handle, and nobody will call on_closed. */
static int spawn(struct sup_steps *s, struct rel_err *e);

static void on_closed(uv_handle_t *handle)
{
    struct sup_steps *s = handle->data;

    if (!s->e.code && ++s->at < s->o.config->before_boot_n && spawn(s, &s->e) == 0)
        return;
    s->o.done(s->o.ctx, &s->e);
    steps_free(s);
}

static void on_step_exit(uv_process_t *proc, int64_t status, int signal)
{
    struct sup_steps *s = proc->data;

    s->running = false;
    pass_output(s, true);
    if (s->e.code == 0 && signal)
        rel_fail(&s->e, REL_E_CHILD, 0, "before_boot: '%s' was killed by SIG%s", name_of(s),
                 sigabbrev_np(signal));
    else if (s->e.code == 0 && status)
        rel_fail(&s->e, REL_E_CHILD, 0, "before_boot: '%s' exited with status %d", name_of(s),
                 (int)status);
    uv_close((uv_handle_t *)proc, on_closed);
}

static void make_env(const struct sup_steps *s, struct sup_env *env)
{
    sup_env_begin(env, environ, s->o.config->env);
    sup_env_setf(env, "RELEASE_TMP=%s", s->tmp);
    sup_env_setf(env, "RELEASE_ROOT=%s", s->release->root);
    sup_env_setf(env, "RELEASE_VSN=%s", s->release->vsn);
}

static int spawn(struct sup_steps *s, struct rel_err *e)
{
    const struct sup_boot_step *step = step_of(s);
    rel_autofree char *launcher = rel_strf("%s/bin/%s", s->release->root, s->release->name);
    char verb[] = "eval";
    char *eval[] = {launcher, verb, step->eval, NULL};
    char **args = step->eval ? eval : step->run;
    rel_autoclose int out = open(s->log, O_WRONLY | O_APPEND | O_CLOEXEC);
    rel_autoclose int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    uv_stdio_container_t stdio[3] = {{.flags = UV_INHERIT_FD, .data.fd = in},
                                     {.flags = UV_INHERIT_FD, .data.fd = out},
                                     {.flags = UV_INHERIT_FD, .data.fd = out}};
    uv_process_options_t o = {.file = args[0],
                              .args = args,
                              .cwd = s->release->root,
                              .flags = UV_PROCESS_DETACHED,
                              .stdio = stdio,
                              .stdio_count = 3,
                              .exit_cb = on_step_exit};
    sup_autoenv struct sup_env env = {0};
    int rc;

    if (out < 0 || in < 0)
        return rel_fail(e, REL_E_IO, errno, "open %s", s->log);
    make_env(s, &env);
    o.env = env.v;
    s->proc.data = s;
    rc = uv_spawn(s->loop, &s->proc, &o);
    if (rc < 0) { /* the handle is there all the same, and on_closed says what happened */
        rel_fail(&s->e, REL_E_CHILD, -rc, "before_boot: start %s", args[0]);
        uv_close((uv_handle_t *)&s->proc, on_closed);
        return 0;
    }
    s->running = true;
    s->until_ms = rel_mono_ms() + step->timeout_ms;
    return 0;
}

static int prepare(struct sup_steps *s, struct rel_err *e)
{
    rel_autoclose int fd = -1;

    if (sup_release_read(s->o.root, &s->release, e) < 0)
        return -1;
    for (size_t i = 0; i < s->o.config->before_boot_n; i++)
        if (s->o.config->before_boot[i].eval && s->release->kind == PKG_KIND_RELX)
            return rel_fail(e, REL_E_INPUT, 0,
                            "before_boot: a release of relx has no eval in a VM of its own, use "
                            "\"run\"");
    s->log = rel_strf("%s/log/steps-%d.log", s->o.home, s->o.generation);
    s->tmp = rel_strf("%s/run/steps-%d", s->o.home, s->o.generation);
    fd = open(s->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    s->read_fd = open(s->log, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || s->read_fd < 0)
        return rel_fail(e, REL_E_IO, errno, "open %s", s->log);
    return rel_mkdirs(AT_FDCWD, s->tmp, 0700, e);
}

int sup_steps_start(uv_loop_t *loop, const struct sup_steps_order *order, struct sup_steps **steps,
                    struct rel_err *e)
{
    struct sup_steps *s = rel_xcalloc(1, sizeof(*s));

    s->loop = loop;
    s->o = *order;
    s->read_fd = -1;
    if (prepare(s, e) < 0 || spawn(s, e) < 0) {
        steps_free(s);
        return -1;
    }
    *steps = s;
    return 0;
}

void sup_steps_tick(struct sup_steps *s)
{
    pass_output(s, false);
    if (s->running && rel_mono_ms() > s->until_ms)
        sup_steps_kill(s, "did not end in time");
}

void sup_steps_kill(struct sup_steps *s, const char *why)
{
    if (!s->e.code)
        rel_fail(&s->e, REL_E_CHILD, 0, "before_boot: '%s' %s", name_of(s), why);
    if (s->running)
        kill(-s->proc.pid, SIGKILL);
}

pid_t sup_steps_pid(const struct sup_steps *s)
{
    return s->running ? s->proc.pid : 0;
}
