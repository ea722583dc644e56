/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "supervisor/sup_cgroup.h"
#include "supervisor/sup_env.h"
#include "supervisor/sup_peer_files.h"
#include "supervisor/sup_procs.h"

enum { LINE_LEN = 4096, LOOK_US = 5000, LOOKS = 50 };

extern char **environ;

struct sup_steps {
    struct sup_watch watch;
    struct sup_child child;
    struct sup_user user;
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
    return &s->o.steps[s->at];
}

/* Owned by the caller. */
static char *name_of(const struct sup_steps *s)
{
    const struct sup_boot_step *step = step_of(s);

    return s->o.name ? rel_xstrdup(s->o.name)
                     : rel_strf("'%s'", step->eval ? step->eval : step->run[0]);
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
    sup_user_fini(&s->user);
    if (s->read_fd >= 0)
        close(s->read_fd);
    rel_buf_fini(&s->line);
    free(s->log);
    free(s->tmp);
    free(s);
}

static struct sup_steps *of_watch(struct sup_watch *watch)
{
    return (struct sup_steps *)((char *)watch - offsetof(struct sup_steps, watch));
}

/* -1: there is no handle, and nobody will call on_closed. */
static int start_next(struct sup_steps *s, struct rel_err *e);

static void on_closed(uv_handle_t *handle)
{
    struct sup_steps *s =
        of_watch((struct sup_watch *)((char *)handle - offsetof(struct sup_watch, handle)));

    if (!s->e.code && ++s->at < s->o.step_n && start_next(s, &s->e) == 0)
        return;
    s->o.done(s->o.ctx, s->tmp, &s->e);
    steps_free(s);
}

/* Sends SIGKILL to what the step left behind, wherever it hides, and says how many these are. */
static size_t kill_rest(const struct sup_steps *s)
{
    const struct hot_proc root = {.pid = s->child.pid, .start = s->child.pid_start};
    sup_autofamily struct sup_family family = {0};
    sup_autoprocs struct sup_procs procs = {0};
    struct rel_err e = {0};

    if (sup_procs_read(&procs, &e) < 0)
        return 0;
    sup_family_add(&family, &root);
    for (size_t i = 0; i < procs.n; i++)
        if (!procs.v[i].zombie && procs.v[i].pid != getpid() &&
            sup_proc_has(procs.v[i].pid, "RELSUP_STEPS", s->tmp))
            sup_family_add(&family, &procs.v[i]);
    sup_cgroup_add(s->child.cgroup, &family);
    sup_family_grow(&family, &procs);
    sup_cgroup_kill(s->child.cgroup);
    return sup_family_signal(&family, SIGKILL);
}

/* Neither the next step nor the same one of a later upgrade may run beside it. Whoever is killed
 * may have forked since the look, and is there for some milliseconds yet. */
static void end_rest(struct sup_steps *s)
{
    for (int i = 0; i < LOOKS && kill_rest(s); i++)
        usleep(LOOK_US);
    sup_child_fini(&s->child);
}

static void on_step_exit(struct sup_watch *watch, int status)
{
    struct sup_steps *s = of_watch(watch);
    rel_autofree char *end = sup_child_end_text(status), *name = name_of(s);

    s->running = false;
    end_rest(s);
    pass_output(s, true);
    if (s->e.code == 0 && status)
        rel_fail(&s->e, REL_E_CHILD, 0, "%s: %s %s", s->o.what, name, end);
    uv_close((uv_handle_t *)&watch->handle, on_closed);
}

static void make_env(const struct sup_steps *s, struct sup_env *env)
{
    sup_env_begin(env, environ, &s->user, s->o.config->env);
    sup_env_setf(env, "RELEASE_TMP=%s", s->tmp);
    sup_env_setf(env, "RELEASE_ROOT=%s", s->release->root);
    sup_env_setf(env, "RELEASE_VSN=%s", s->release->vsn);
    for (size_t i = 0; s->o.more && i < s->o.more->n; i++)
        sup_env_setf(env, "%s", s->o.more->v[i]);
    sup_env_setf(env, "RELSUP_STEPS=%s", s->tmp); /* by which end_rest finds them */
}

static int hold_next(struct sup_steps *s, struct rel_err *e)
{
    const struct sup_boot_step *step = step_of(s);
    rel_autofree char *launcher = rel_strf("%s/bin/%s", s->release->root, s->release->name);
    char verb[] = "eval";
    char *eval[] = {launcher, verb, step->eval, NULL};
    char **args = step->eval ? eval : step->run;
    rel_autoclose int out = open(s->log, O_WRONLY | O_APPEND | O_CLOEXEC);
    rel_autoclose int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sup_autoenv struct sup_env env = {0};
    struct sup_child_order o = {.file = args[0],
                                .args = args,
                                .cwd = s->release->root,
                                .in = in,
                                .out = out,
                                .user = &s->user,
                                .home = s->o.home,
                                .generation = s->o.generation};

    if (out < 0 || in < 0)
        return rel_fail(e, REL_E_IO, errno, "open %s", s->log);
    make_env(s, &env);
    o.env = env.v;
    return sup_child_hold(&o, &s->child, e);
}

/* In the journal before it does anything: a migration must not run beside a second one. */
static int start_next(struct sup_steps *s, struct rel_err *e)
{
    if (hold_next(s, e) < 0)
        return rel_wrap(e, "%s", s->o.what);
    if (s->o.record(s->o.ctx, &s->child, e) < 0) {
        sup_child_drop(&s->child);
        return rel_wrap(e, "%s: a step that the journal does not know may not start", s->o.what);
    }
    if (sup_child_go(&s->child, e) < 0)
        return rel_wrap(e, "%s", s->o.what);
    s->running = true;
    s->until_ms = rel_mono_ms() + step_of(s)->timeout_ms;
    sup_watch_start(s->loop, &s->watch, s->child.pid, on_step_exit);
    return 0;
}

char *sup_steps_folder(const char *home, int generation)
{
    return rel_strf("%s/run/steps-%d", home, generation);
}

static int prepare(struct sup_steps *s, struct rel_err *e)
{
    rel_autoclose int fd = -1;

    if (sup_release_read(s->o.root, &s->release, e) < 0 ||
        sup_user_find(s->o.config->user, s->o.config->capabilities, &s->user, e) < 0)
        return -1;
    for (size_t i = 0; i < s->o.step_n; i++)
        if (s->o.steps[i].eval && s->release->kind == PKG_KIND_RELX)
            return rel_fail(e, REL_E_INPUT, 0,
                            "%s: a release of relx has no eval in a VM of its own, use \"run\"",
                            s->o.what);
    s->log = rel_strf("%s/log/steps-%d.log", s->o.home, s->o.generation);
    s->tmp = sup_steps_folder(s->o.home, s->o.generation);
    fd = open(s->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    s->read_fd = open(s->log, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || s->read_fd < 0)
        return rel_fail(e, REL_E_IO, errno, "open %s", s->log);
    if (sup_files_let_in(s->o.home, &s->user, e) < 0 || sup_files_make(s->tmp, e) < 0)
        return -1;
    return sup_files_give(s->tmp, &s->user, e);
}

int sup_steps_start(uv_loop_t *loop, const struct sup_steps_order *order, struct sup_steps **steps,
                    struct rel_err *e)
{
    struct sup_steps *s = rel_xcalloc(1, sizeof(*s));

    s->loop = loop;
    s->o = *order;
    s->read_fd = -1;
    if (prepare(s, e) < 0 || start_next(s, e) < 0) {
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
    rel_autofree char *name = name_of(s);

    if (!s->e.code)
        rel_fail(&s->e, REL_E_CHILD, 0, "%s: %s %s", s->o.what, name, why);
    if (s->running)
        sup_tree_kill(s->child.pid, s->child.pid_start);
}
