/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"

extern char **environ;

enum {
    SHOWN_LINES = 25,
    OUTPUT_MAX = 64 << 20,
    TICK_MS = 500,   /* how often a silent program's time is shown, and a stop is looked for */
    MERCY_MS = 5000, /* to end by itself when asked */
};

/* environ with `add` in place of the entries of the same names. */
static char **merge_env(const char *const *add)
{
    size_t n = 0, add_n = 0, made_n = 0;
    char **made;

    while (environ[n])
        n++;
    while (add && add[add_n])
        add_n++;
    made = rel_xcalloc(n + add_n + 1, sizeof(*made));
    for (size_t i = 0; i < n; i++) {
        bool replaced = false;

        for (size_t k = 0; k < add_n; k++)
            replaced |= !strncmp(environ[i], add[k], strcspn(add[k], "=") + 1);
        if (!replaced)
            made[made_n++] = environ[i];
    }
    for (size_t k = 0; k < add_n; k++)
        made[made_n++] = (char *)add[k];
    return made;
}

static int spawn(const struct pkg_run *run, int out, pid_t *pid, struct rel_err *e)
{
    rel_autofree char **env = merge_env(run->env);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    int status;

    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    if (run->apart)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    else
        posix_spawn_file_actions_adddup2(&actions, out, 2);
    posix_spawn_file_actions_addchdir_np(&actions, run->dir);
    /* A group of its own, so that all of it can be killed. */
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attr, &none);
    status = posix_spawnp(pid, run->argv[0], &actions, &attr, (char *const *)run->argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    if (status == ENOENT)
        return rel_fail(e, REL_E_INPUT, 0, "%s is needed here and not installed", run->argv[0]);
    if (status)
        return rel_fail(e, REL_E_IO, status, "start %s", run->argv[0]);
    return 0;
}

static void tell_lines(const struct pkg_run *run, const struct rel_buf *out, size_t *told)
{
    const char *nl;

    while (out->len > *told && (nl = memchr(out->p + *told, '\n', out->len - *told))) {
        rel_autofree char *line = rel_xstrndup(out->p + *told, (size_t)(nl - (out->p + *told)));

        rel_progress_news(run->progress, line, 0, 0);
        *told = (size_t)(nl - out->p) + 1;
    }
}

/* Waits for the next output: its end is *ended. */
static int read_some(const struct pkg_run *run, int fd, struct rel_buf *out, bool *ended,
                     struct rel_err *e)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int ready = poll(&p, 1, TICK_MS);
    char part[1 << 14];
    ssize_t n;

    if (ready < 0 && errno != EINTR)
        return rel_fail(e, REL_E_IO, errno, "wait for %s", run->argv[0]);
    if (ready == 0)
        rel_progress_news(run->progress, NULL, 0, 0);
    if (ready <= 0)
        return 0;
    n = read(fd, part, sizeof(part));
    if (n < 0 && errno != EINTR)
        return rel_fail(e, REL_E_IO, errno, "read the output of %s", run->argv[0]);
    *ended = n == 0;
    if (n > 0 && out->len < OUTPUT_MAX)
        rel_buf_add(out, part, (size_t)n);
    return 0;
}

static int read_output(const struct pkg_run *run, int fd, struct rel_buf *out, struct rel_err *e)
{
    int64_t until_ms = rel_mono_ms() + run->timeout_ms;
    size_t told = out->len;
    bool ended = false;

    while (!ended) {
        if (rel_progress_check(run->progress, e) < 0)
            return -1;
        if (!rel_left_ms(until_ms))
            return rel_fail(e, REL_E_TIMEOUT, 0, "%s took longer than %d s", run->argv[0],
                            run->timeout_ms / 1000);
        if (read_some(run, fd, out, &ended, e) < 0)
            return -1;
        tell_lines(run, out, &told);
    }
    return 0;
}

/* Asked first: a compiler that is killed may leave half a file. A pidfd becomes readable when the
 * process ends (pidfd_open(2)); without one it is killed at once. */
static void end_group(pid_t pid)
{
    rel_autoclose int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    int64_t until_ms = rel_mono_ms() + MERCY_MS;
    struct pollfd p = {.fd = fd, .events = POLLIN};

    if (fd >= 0 && kill(-pid, SIGTERM) == 0)
        while (rel_left_ms(until_ms) && poll(&p, 1, rel_left_ms(until_ms)) < 0 && errno == EINTR)
            ;
    kill(-pid, SIGKILL);
}

static void tell_end(const struct pkg_run *run, const struct rel_buf *out)
{
    const char *p = out->p + out->len, *line;
    int lines = 0;

    while (p > out->p && lines <= SHOWN_LINES)
        lines += *--p == '\n';
    for (line = p + (*p == '\n'); *line;) {
        int n = (int)strcspn(line, "\n");

        if (n)
            rel_progress_warn(run->progress, "%.*s", n, line);
        line += n;
        line += *line == '\n';
    }
}

int pkg_run(const struct pkg_run *run, struct rel_buf *out, struct rel_err *e)
{
    rel_autoclose int from = -1, to = -1;
    int fds[2], status, result;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return rel_fail(e, REL_E_IO, errno, "make a pipe");
    from = fds[0];
    to = fds[1];
    rel_buf_adds(out, "");
    if (spawn(run, to, &pid, e) < 0)
        return -1;
    close(rel_steal_fd(&to));
    result = read_output(run, from, out, e);
    if (result < 0)
        end_group(pid);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (result < 0)
        return -1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    tell_end(run, out);
    if (WIFSIGNALED(status))
        return rel_fail(e, REL_E_CHILD, 0, "%s was ended by signal %d", run->argv[0],
                        WTERMSIG(status));
    return rel_fail(e, REL_E_CHILD, 0, "%s failed with exit status %d", run->argv[0],
                    WEXITSTATUS(status));
}
