/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "hotload/hot_contact.h"
#include "supervisor/sup_cgroup.h"
#include "supervisor/sup_launch.h"

enum { ABOVE = 10, GO_MS = 10000 };

/* waitpid(2) knows one set of children a process, and worker threads start some too: so there is
 * one list, with a lock, and no owner who could pass it around. */
static struct {
    pthread_mutex_t lock;
    pid_t *v;
    size_t n;
} own = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void add_own(pid_t pid)
{
    own.v = rel_xrealloc(own.v, own.n + 1, sizeof(*own.v));
    own.v[own.n++] = pid;
}

static bool is_own(pid_t pid)
{
    for (size_t i = 0; i < own.n; i++)
        if (own.v[i] == pid)
            return true;
    return false;
}

static void remove_own(pid_t pid)
{
    for (size_t i = 0; i < own.n; i++)
        if (own.v[i] == pid)
            own.v[i] = own.v[--own.n];
    if (own.n == 0)
        free(rel_steal(&own.v));
}

void sup_child_own(pid_t pid)
{
    pthread_mutex_lock(&own.lock);
    add_own(pid);
    pthread_mutex_unlock(&own.lock);
}

void sup_child_disown(pid_t pid)
{
    pthread_mutex_lock(&own.lock);
    remove_own(pid);
    pthread_mutex_unlock(&own.lock);
}

bool sup_child_is_own(pid_t pid)
{
    bool found;

    pthread_mutex_lock(&own.lock);
    found = is_own(pid);
    pthread_mutex_unlock(&own.lock);
    return found;
}

/* The number may be given to another child as soon as this one is reaped, so both in one. */
bool sup_child_reap(pid_t pid, bool wait, int *status)
{
    siginfo_t info = {0};
    pid_t got;
    int rc;

    do
        rc = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | (wait ? 0 : WNOHANG));
    while (rc < 0 && errno == EINTR);
    if (rc < 0 || info.si_pid != pid)
        return false;
    pthread_mutex_lock(&own.lock);
    got = waitpid(pid, status, WNOHANG);
    remove_own(pid);
    pthread_mutex_unlock(&own.lock);
    return got == pid;
}

/* WNOWAIT shows the same one again and again, so one of ours ends the look: its owner is about to
 * reap it. */
void sup_child_reap_orphans(void)
{
    siginfo_t info = {0};

    pthread_mutex_lock(&own.lock);
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid &&
           !is_own(info.si_pid)) {
        waitpid(info.si_pid, NULL, WNOHANG);
        info.si_pid = 0;
    }
    pthread_mutex_unlock(&own.lock);
}

/* ------------------------------------------------------------------ orders */

static void add_text(struct rel_buf *b, const char *text)
{
    rel_buf_add(b, text, strlen(text) + 1);
}

static size_t add_list(struct rel_buf *b, char *const *list)
{
    size_t n = 0;

    for (; list && list[n]; n++)
        add_text(b, list[n]);
    return n;
}

static int write_orders(const struct sup_child_order *o, int *fd, struct rel_err *e)
{
    struct sup_launch head = {0};
    rel_autobuf struct rel_buf b = {0};
    rel_autoclose int mem = memfd_create("relsup-launch", MFD_CLOEXEC);

    if (mem < 0)
        return rel_fail(e, REL_E_IO, errno, "make the orders of a child");
    if (o->user) {
        head.uid = o->user->uid;
        head.gid = o->user->gid;
        head.group_n = o->user->group_n;
        head.limit = o->user->limit;
        head.capabilities = o->user->capabilities;
    }
    rel_buf_add(&b, &head, sizeof(head));
    if (head.group_n)
        rel_buf_add(&b, o->user->groups, head.group_n * sizeof(gid_t));
    add_text(&b, o->file);
    add_text(&b, o->cwd ? o->cwd : "");
    add_text(&b, o->user && o->user->name ? o->user->name : "");
    head.arg_n = add_list(&b, o->args);
    head.env_n = add_list(&b, o->env);
    memcpy(b.p, &head, sizeof(head));
    if (rel_write_all(mem, b.p, b.len, e) < 0)
        return -1;
    *fd = rel_steal_fd(&mem);
    return 0;
}

/* ------------------------------------------------------------------ the held process */

/* A descriptor that is none of those it is to become in the child. */
static int above(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, ABOVE);
}

static int start(const int fds[6], pid_t *pid)
{
    char name[] = "relsup", verb[] = SUP_LAUNCH_VERB;
    char *args[] = {name, verb, NULL}, *env[] = {NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t all, none;
    int rc;

    sigfillset(&all);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    for (int i = 0; i < 6; i++)
        posix_spawn_file_actions_adddup2(&files, fds[i], i);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    pthread_mutex_lock(&own.lock);
    rc = posix_spawn(pid, "/proc/self/exe", &files, &attr, args, env);
    if (!rc)
        add_own(*pid);
    pthread_mutex_unlock(&own.lock);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

int sup_child_hold(const struct sup_child_order *order, struct sup_child *child, struct rel_err *e)
{
    rel_autoclose int go_r = -1, go_w = -1, said_r = -1, said_w = -1, orders = -1;
    rel_autoclose int f0 = -1, f1 = -1, f3 = -1, f4 = -1, f5 = -1;
    int go[2], said[2], rc;
    pid_t pid = 0;

    if (write_orders(order, &orders, e) < 0)
        return -1;
    if (pipe2(go, O_CLOEXEC) < 0)
        return rel_fail(e, REL_E_IO, errno, "make a pipe");
    go_r = go[0];
    go_w = go[1];
    if (pipe2(said, O_CLOEXEC) < 0)
        return rel_fail(e, REL_E_IO, errno, "make a pipe");
    said_r = said[0];
    said_w = said[1];
    f0 = above(order->in);
    f1 = above(order->out);
    f3 = above(go_r);
    f4 = above(said_w);
    f5 = above(orders);
    if (f0 < 0 || f1 < 0 || f3 < 0 || f4 < 0 || f5 < 0)
        return rel_fail(e, REL_E_IO, errno, "start %s", order->file);
    rc = start((const int[6]){f0, f1, f1, f3, f4, f5}, &pid);
    if (rc)
        return rel_fail(e, REL_E_CHILD, rc, "start %s", order->file);
    *child = (struct sup_child){
        .pid = pid,
        .pid_start = hot_pid_start(pid),
        .cgroup = order->home ? sup_cgroup_put(order->home, order->generation, pid) : NULL,
        .go_fd = rel_steal_fd(&go_w),
        .said_fd = rel_steal_fd(&said_r)};
    return 0;
}

static void close_pipes(struct sup_child *child)
{
    close(rel_steal_fd(&child->go_fd));
    close(rel_steal_fd(&child->said_fd));
}

void sup_child_drop(struct sup_child *child)
{
    int status;

    kill(child->pid, SIGKILL);
    close_pipes(child);
    (void)!sup_child_reap(child->pid, true, &status);
    sup_child_fini(child);
}

void sup_child_fini(struct sup_child *child)
{
    (void)sup_cgroup_remove(child->cgroup);
    free(rel_steal(&child->cgroup));
}

/* What the helper says until it is executed away (that closes the pipe) or gone. False: neither in
 * time. */
static bool listen_to(int fd, char *text, size_t max)
{
    int64_t until_ms = rel_mono_ms() + GO_MS;
    size_t len = 0;

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int n = poll(&p, 1, rel_left_ms(until_ms));
        ssize_t got;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        got = read(fd, text + len, max - 1 - len);
        if (got <= 0) {
            text[len] = '\0';
            return true;
        }
        len += (size_t)got;
    }
}

/* A helper that somebody kills before it says a word looks like a program that ended at once, and
 * that is what whoever reaps it is told. */
int sup_child_go(struct sup_child *child, struct rel_err *e)
{
    char said[REL_ERR_LEN] = "";

    if (write(child->go_fd, "g", 1) == 1 && listen_to(child->said_fd, said, sizeof(said)) &&
        !*said) {
        close_pipes(child);
        return 0;
    }
    sup_child_drop(child);
    return rel_fail(e, REL_E_CHILD, 0, "%s",
                    *said ? said : "the launch helper did not start it in time");
}

/* ------------------------------------------------------------------ its end */

static void on_child(uv_signal_t *handle, int number)
{
    struct sup_watch *watch =
        (struct sup_watch *)((char *)handle - offsetof(struct sup_watch, handle));
    int status;

    (void)number;
    if (watch->pid && sup_child_reap(watch->pid, false, &status)) {
        watch->pid = 0;
        uv_signal_stop(handle);
        watch->on_exit(watch, status);
    }
}

void sup_watch_start(uv_loop_t *loop, struct sup_watch *watch, pid_t pid,
                     void (*on_exit)(struct sup_watch *watch, int status))
{
    watch->pid = pid;
    watch->on_exit = on_exit;
    uv_signal_init(loop, &watch->handle);
    uv_signal_start(&watch->handle, on_child, SIGCHLD);
    raise(SIGCHLD); /* it may have ended before */
}

char *sup_child_end_text(int status)
{
    if (WIFSIGNALED(status))
        return rel_strf("was killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
    return rel_strf("exited with status %d", WEXITSTATUS(status));
}
