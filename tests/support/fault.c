/* SPDX-License-Identifier: Apache-2.0 */
/* A library to be preloaded into relsup (LD_PRELOAD, with FAULT_FILE=FILE): it counts the calls
 * that change something outside of the process, and at a chosen one ends the process or lets the
 * call fail. `faultctl` says which, through FILE. It is at work in relsup alone, also in what
 * relsup makes of itself, and hides from all else that relsup starts.
 *
 * No allocation, no lock, no libc file of its own: it may run between fork and exec and in a signal
 * handler. Calls that libc makes inside of itself (fopen, opendir) do not come by here. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fault.h"

#ifndef SO_DETACH_REUSEPORT_BPF
#define SO_DETACH_REUSEPORT_BPF 68
#endif

enum { FD_MAX = 4096, ENV_MAX = 8192, KILL_ONLY = 0 };

extern char **environ;

static struct fault_state *state;
static int role;      /* FAULT_BY_*; 0: this is not relsup */
static pid_t self;    /* a fork of us is a child */
static char verb[24]; /* of the command line, for the log */
static char preload[512], file[512];
static atomic_bool written[FD_MAX]; /* opened for writing: its close may report a lost write */

/* Defines the pointer to the libc function that NAME stands before. */
#define REAL(name)                 \
    static __typeof__(name) *real; \
    if (!real)                     \
    real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static void read_verb(void)
{
    char line[512] = "";
    int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof(line) - 1);
    const char *at = line + strlen(line) + 1;

    if (fd >= 0)
        syscall(SYS_close, fd);
    if (n > 0 && at < line + n)
        snprintf(verb, sizeof(verb), "%s", at);
}

__attribute__((constructor)) static void begin(void)
{
    char exe[512] = "";
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    const char *name = n > 0 ? strrchr(exe, '/') : NULL, *path = getenv("FAULT_FILE");
    struct fault_state *s = MAP_FAILED;
    int fd = -1;

    if (!name || strcmp(name, "/relsup") != 0 || !path)
        return;
    snprintf(file, sizeof(file), "FAULT_FILE=%s", path);
    snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", getenv("LD_PRELOAD"));
    fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        syscall(SYS_close, fd);
    if (s == MAP_FAILED || s->magic != FAULT_MAGIC)
        return;
    read_verb();
    self = getpid();
    role = strcmp(verb, "run") != 0 ? FAULT_BY_CHILD : FAULT_BY_RUN;
    state = s;
}

static void end_here(void)
{
    syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
}

/* What a call is about: a path, or the one behind a descriptor. */
static void record(unsigned n, const char *call, int fd, const char *path)
{
    char target[128] = "", link[40];
    ssize_t len;

    if (n > FAULT_RECORDS)
        return;
    if (!path && fd >= 0) {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        len = readlink(link, target, sizeof(target) - 1);
        target[len > 0 ? len : 0] = '\0';
        path = target;
    }
    if (path && strlen(path) > 100)
        path += strlen(path) - 100;
    snprintf(state->records[n - 1], FAULT_TEXT, "%u %s%s %s %s", n, verb,
             getpid() == self ? "" : ".fork", call, path ? path : "");
}

/* Counts a call that fails with `usual` when it does (KILL_ONLY: it does not). The result: it fails
 * now, errno is set; *after: the process ends once the call is made. */
static bool fails(const char *call, int fd, const char *path, int usual, bool *after)
{
    int saved = errno, by, how;
    unsigned n;
    bool stuck;

    *after = false;
    if (!state || !state->armed)
        return false;
    by = getpid() == self ? role : FAULT_BY_CHILD;
    if (!(state->who & by))
        return false;
    stuck = state->sticky && state->hit;
    if (*state->only && strcmp(state->only, call) != 0 && !stuck)
        return false;
    n = atomic_fetch_add(&state->n, 1) + 1;
    record(n, call, fd, path);
    errno = saved;
    how = state->how;
    if (!stuck && (!state->at || n != state->at))
        return false;
    if (!state->hit)
        state->hit = n;
    if ((how > 0 || how == FAULT_FAIL) && (!usual || (state->sticky && how > 0 && how != usual)))
        return false;
    if (how == FAULT_KILL)
        end_here();
    *after = how == FAULT_KILL_AFTER;
    if (how == FAULT_FAIL)
        errno = usual;
    else if (how > 0)
        errno = how;
    return how > 0 || how == FAULT_FAIL;
}

#define THEN_END(after) \
    do                  \
        if (after)      \
            end_here(); \
    while (0)

/* A call of libc that returns -1 when it fails. */
#define WRAP(type, name, args, pass, fd, path, usual) \
    type name args                                    \
    {                                                 \
        bool after;                                   \
        type result;                                  \
        REAL(name);                                   \
        if (fails(#name, fd, path, usual, &after))    \
            return -1;                                \
        result = real pass;                           \
        THEN_END(after);                              \
        return result;                                \
    }

WRAP(int, fsync, (int fd), (fd), fd, NULL, EIO)
WRAP(int, fdatasync, (int fd), (fd), fd, NULL, EIO)
WRAP(int, syncfs, (int fd), (fd), fd, NULL, EIO)
WRAP(int, ftruncate, (int fd, off_t n), (fd, n), fd, NULL, ENOSPC)
WRAP(int, rename, (const char *a, const char *b), (a, b), -1, b, EIO)
WRAP(int, renameat, (int f, const char *a, int g, const char *b), (f, a, g, b), -1, b, EIO)
WRAP(int, renameat2, (int f, const char *a, int g, const char *b, unsigned h), (f, a, g, b, h), -1,
     b, EIO)
WRAP(int, link, (const char *a, const char *b), (a, b), -1, b, ENOSPC)
WRAP(int, linkat, (int f, const char *a, int g, const char *b, int h), (f, a, g, b, h), -1, b,
     ENOSPC)
WRAP(int, symlink, (const char *a, const char *b), (a, b), -1, b, ENOSPC)
WRAP(int, symlinkat, (const char *a, int f, const char *b), (a, f, b), -1, b, ENOSPC)
WRAP(int, unlink, (const char *a), (a), -1, a, EIO)
WRAP(int, unlinkat, (int f, const char *a, int h), (f, a, h), -1, a, EIO)
WRAP(int, rmdir, (const char *a), (a), -1, a, EIO)
WRAP(int, mkdir, (const char *a, mode_t m), (a, m), -1, a, ENOSPC)
WRAP(int, mkdirat, (int f, const char *a, mode_t m), (f, a, m), -1, a, ENOSPC)
WRAP(int, chmod, (const char *a, mode_t m), (a, m), -1, a, EIO)
WRAP(int, fchmod, (int fd, mode_t m), (fd, m), fd, NULL, EIO)
WRAP(int, fchmodat, (int f, const char *a, mode_t m, int h), (f, a, m, h), -1, a, EIO)
WRAP(int, chown, (const char *a, uid_t u, gid_t g), (a, u, g), -1, a, EIO)
WRAP(int, lchown, (const char *a, uid_t u, gid_t g), (a, u, g), -1, a, EIO)
WRAP(int, fchown, (int fd, uid_t u, gid_t g), (fd, u, g), fd, NULL, EIO)
WRAP(int, fchownat, (int f, const char *a, uid_t u, gid_t g, int h), (f, a, u, g, h), -1, a, EIO)
WRAP(int, kill, (pid_t p, int n), (p, n), -1, NULL, KILL_ONLY)
WRAP(int, shutdown, (int fd, int how), (fd, how), fd, NULL, KILL_ONLY)
WRAP(int, listen, (int fd, int n), (fd, n), fd, NULL, ENOMEM)

int bind(int fd, const struct sockaddr *a, socklen_t len)
{
    bool after;
    int result;
    REAL(bind);

    if (fails("bind", fd, NULL, ENOMEM, &after))
        return -1;
    result = real(fd, a, len);
    THEN_END(after);
    return result;
}

pid_t fork(void)
{
    bool after;
    pid_t pid;
    REAL(fork);

    if (fails("fork", -1, NULL, EAGAIN, &after))
        return -1;
    pid = real();
    THEN_END(after && pid); /* the child lives on */
    return pid;
}

/* A child that shares our memory could not be counted apart. */
pid_t vfork(void)
{
    return fork();
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
    bool steers =
        level == SOL_SOCKET && (option == SO_ATTACH_REUSEPORT_CBPF || option == SO_ATTACH_FILTER ||
                                option == SO_DETACH_REUSEPORT_BPF);
    bool after = false;
    int result;
    REAL(setsockopt);

    if (steers && fails("setsockopt", fd, NULL, ENOMEM, &after))
        return -1;
    result = real(fd, level, option, value, len);
    THEN_END(after);
    return result;
}

/* Files, and pipes and sockets to others; but not what libuv wakes itself up with, nor the log. */
static bool is_state(int fd, int *usual)
{
    struct stat st;

    if (fd <= STDERR_FILENO || !state || !state->armed || fstat(fd, &st) < 0)
        return false;
    *usual = S_ISREG(st.st_mode) ? ENOSPC : KILL_ONLY;
    return S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode);
}

#define WRAP_WRITE(name, args, pass)                                       \
    ssize_t name args                                                      \
    {                                                                      \
        bool after = false;                                                \
        int usual = KILL_ONLY;                                             \
        ssize_t result;                                                    \
        REAL(name);                                                        \
        if (is_state(fd, &usual) && fails(#name, fd, NULL, usual, &after)) \
            return -1;                                                     \
        result = real pass;                                                \
        THEN_END(after);                                                   \
        return result;                                                     \
    }

WRAP_WRITE(write, (int fd, const void *p, size_t n), (fd, p, n))
WRAP_WRITE(pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
WRAP_WRITE(pwrite64, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
WRAP_WRITE(writev, (int fd, const struct iovec *v, int n), (fd, v, n))

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    bool after = false;
    ssize_t result;
    REAL(sendmsg);

    if (fails("sendmsg", fd, NULL, m->msg_controllen ? ENOBUFS : KILL_ONLY, &after))
        return -1;
    result = real(fd, m, flags);
    THEN_END(after);
    return result;
}

static bool changes(int flags)
{
    return (flags & (O_CREAT | O_TRUNC)) || (flags & O_ACCMODE) != O_RDONLY;
}

static int opened(int fd, int flags, bool after)
{
    if (fd >= 0 && fd < FD_MAX)
        written[fd] = changes(flags);
    THEN_END(after);
    return fd;
}

static mode_t mode_of(int flags, va_list ap)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

/* open and openat are named twice in libc; both go to the system. */
static int open_at(const char *call, int dir, const char *path, int flags, mode_t mode)
{
    bool after = false;

    if (changes(flags) && strncmp(path, "/dev/", 5) != 0 &&
        fails(call, -1, path, flags & O_CREAT ? ENOSPC : EMFILE, &after))
        return -1;
    return opened((int)syscall(SYS_openat, dir, path, flags, mode), flags, after);
}

#define WRAP_OPEN(name, first, dir)                    \
    int name(first const char *path, int flags, ...)   \
    {                                                  \
        mode_t mode;                                   \
        va_list ap;                                    \
        va_start(ap, flags);                           \
        mode = mode_of(flags, ap);                     \
        va_end(ap);                                    \
        return open_at(#name, dir, path, flags, mode); \
    }
#define AT_DIR int at,

WRAP_OPEN(open, , AT_FDCWD)
WRAP_OPEN(open64, , AT_FDCWD)
WRAP_OPEN(openat, AT_DIR, at)
WRAP_OPEN(openat64, AT_DIR, at)

int creat(const char *path, mode_t mode)
{
    return open_at("creat", AT_FDCWD, path, O_CREAT | O_TRUNC | O_WRONLY, mode);
}

/* The descriptor is gone, also where close reports that the last write was lost. */
int close(int fd)
{
    bool was = fd >= 0 && fd < FD_MAX && written[fd], after = false, failed;
    struct stat st;
    int result, saved;
    REAL(close);

    if (!was || !state || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return real(fd);
    written[fd] = false;
    failed = fails("close", fd, NULL, EIO, &after);
    saved = errno;
    result = real(fd);
    THEN_END(after);
    if (failed)
        errno = saved;
    return failed ? -1 : result;
}

static const char *name_of(long number, int *usual)
{
    *usual = KILL_ONLY;
    if (number == SYS_pidfd_send_signal)
        return "pidfd_send_signal";
    *usual = EPERM;
    return number == SYS_pidfd_getfd ? "pidfd_getfd" : NULL;
}

long syscall(long number, ...)
{
    static long (*real)(long, ...);
    bool after = false;
    const char *name;
    long a[6], result;
    va_list ap;
    int usual;

    if (!real)
        real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    va_start(ap, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    name = name_of(number, &usual);
    if (name && fails(name, -1, NULL, usual, &after))
        return -1;
    result = real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    THEN_END(after);
    return result;
}

static bool is_relsup(const char *program)
{
    const char *slash = strrchr(program, '/');

    return !strcmp(program, "/proc/self/exe") || !strcmp(slash ? slash + 1 : program, "relsup");
}

/* The environment of a program that is started: with the two of ours for relsup itself, whatever
 * relsup made of it; without them for all else. */
static char **environment(const char *program, char *const *from, char **to)
{
    size_t n = 0;

    if (!state)
        return (char **)from;
    for (size_t i = 0; from && from[i] && n < ENV_MAX - 3; i++)
        if (strncmp(from[i], "FAULT_FILE=", 11) != 0 && strncmp(from[i], "LD_PRELOAD=", 11) != 0)
            to[n++] = from[i];
    if (is_relsup(program)) {
        to[n++] = file;
        to[n++] = preload;
    }
    to[n] = NULL;
    return to;
}

#define WRAP_EXEC(name, args, call, program, env)               \
    int name args                                               \
    {                                                           \
        char *to[ENV_MAX];                                      \
        bool after;                                             \
        static __typeof__(call) *real;                          \
        if (!real)                                              \
            real = (__typeof__(call) *)dlsym(RTLD_NEXT, #call); \
        if (fails(#name, -1, program, ENOMEM, &after))          \
            return -1;                                          \
        return real(program, v, environment(program, env, to)); \
    }

WRAP_EXEC(execve, (const char *p, char *const v[], char *const e[]), execve, p, e)
WRAP_EXEC(execvpe, (const char *p, char *const v[], char *const e[]), execvpe, p, e)
WRAP_EXEC(execv, (const char *p, char *const v[]), execve, p, environ)
WRAP_EXEC(execvp, (const char *p, char *const v[]), execvpe, p, environ)

int execl(const char *p, const char *first, ...)
{
    char *v[64] = {(char *)first};
    size_t n = 1;
    va_list ap;

    va_start(ap, first);
    while (n < 63 && (v[n] = va_arg(ap, char *)))
        n++;
    va_end(ap);
    return execv(p, v);
}

#define WRAP_SPAWN(name)                                                     \
    int name(pid_t *pid, const char *p, const posix_spawn_file_actions_t *f, \
             const posix_spawnattr_t *a, char *const v[], char *const e[])   \
    {                                                                        \
        char *to[ENV_MAX];                                                   \
        bool after;                                                          \
        int result;                                                          \
        REAL(name);                                                          \
        if (fails(#name, -1, p, EAGAIN, &after))                             \
            return errno;                                                    \
        result = real(pid, p, f, a, v, environment(p, e, to));               \
        THEN_END(after);                                                     \
        return result;                                                       \
    }

WRAP_SPAWN(posix_spawn)
WRAP_SPAWN(posix_spawnp)
