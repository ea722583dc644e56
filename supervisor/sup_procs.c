/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_procs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/rel_io.h"

enum { ENVIRON_MAX = 16 << 20 };

int sup_procs_read(struct sup_procs *procs, struct rel_err *e)
{
    rel_autoclosedir DIR *d = opendir("/proc");
    sup_autoprocs struct sup_procs read = {0};
    struct dirent *f;
    size_t cap = 0;

    if (!d)
        return rel_fail(e, REL_E_IO, errno, "read /proc");
    while (errno = 0, f = readdir(d)) {
        if (!isdigit((unsigned char)*f->d_name))
            continue;
        if (read.n == cap) {
            cap = cap ? 2 * cap : 256;
            read.v = rel_xrealloc(read.v, cap, sizeof(*read.v));
        }
        if (hot_proc_read((pid_t)strtol(f->d_name, NULL, 10), &read.v[read.n]))
            read.n++;
    }
    if (errno)
        return rel_fail(e, REL_E_IO, errno, "read /proc");
    *procs = read;
    read = (struct sup_procs){0};
    return 0;
}

void sup_procs_fini(struct sup_procs *procs)
{
    free(procs->v);
    *procs = (struct sup_procs){0};
}

const struct hot_proc *sup_procs_find(const struct sup_procs *procs, pid_t pid)
{
    for (size_t i = 0; i < procs->n; i++)
        if (procs->v[i].pid == pid)
            return &procs->v[i];
    return NULL;
}

/* The value of a variable; NULL. */
static const char *value_of(const char *text, size_t len, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = text; p < text + len; p += strlen(p) + 1)
        if (!strncmp(p, name, n) && p[n] == '=')
            return p + n + 1;
    return NULL;
}

/* What it was started with. */
static int read_environ(pid_t pid, char **text, size_t *len)
{
    rel_autofree char *path = rel_strf("/proc/%d/environ", (int)pid);
    struct rel_err ignored = {0};

    return rel_read_file(AT_FDCWD, path, ENVIRON_MAX, text, len, &ignored);
}

bool sup_proc_has(pid_t pid, const char *name, const char *value)
{
    rel_autofree char *text = NULL;
    const char *has;
    size_t len;

    if (read_environ(pid, &text, &len) < 0)
        return false;
    has = value_of(text, len, name);
    return has && !strcmp(has, value);
}

/* Of a peer, or of a before_boot step: its folder is in the home (sup_steps.c). */
static const char *generation_of(const char *text, size_t len, const char *home)
{
    rel_autofree char *steps = rel_strf("%s/run/steps-", home);
    const char *of_home = value_of(text, len, "RELSUP_HOME");
    const char *tmp = value_of(text, len, "RELEASE_TMP");

    if (of_home && !strcmp(of_home, home))
        return value_of(text, len, "RELSUP_GENERATION");
    return tmp && !strncmp(tmp, steps, strlen(steps)) ? tmp + strlen(steps) : NULL;
}

bool sup_proc_is_of_home(pid_t pid, const char *home, int *generation)
{
    rel_autofree char *text = NULL;
    const char *number;
    size_t len;

    if (read_environ(pid, &text, &len) < 0)
        return false;
    number = generation_of(text, len, home);
    *generation = number ? (int)strtol(number, NULL, 10) : 0;
    return *generation > 0;
}

void sup_family_fini(struct sup_family *family)
{
    free(family->v);
    *family = (struct sup_family){0};
}

static bool has(const struct sup_family *family, pid_t pid)
{
    for (size_t i = 0; i < family->n; i++)
        if (family->v[i].pid == pid)
            return true;
    return false;
}

void sup_family_add(struct sup_family *family, const struct hot_proc *proc)
{
    if (has(family, proc->pid))
        return;
    family->v = rel_xrealloc(family->v, family->n + 1, sizeof(*family->v));
    family->v[family->n++] = *proc;
}

/* By its number, unless another process has got that since. */
static bool has_parent(const struct sup_family *family, const struct sup_procs *procs, pid_t pid)
{
    const struct hot_proc *now;

    for (size_t i = 0; i < family->n; i++)
        if (family->v[i].pid == pid) {
            now = sup_procs_find(procs, pid);
            return !now || now->start == family->v[i].start;
        }
    return false;
}

/* A number that leads a session is not given to another process while the session lasts. */
void sup_family_grow(struct sup_family *family, const struct sup_procs *procs)
{
    size_t before;

    do {
        before = family->n;
        for (size_t i = 0; i < procs->n; i++) {
            const struct hot_proc *p = &procs->v[i];

            if (p->pid > 1 && p->pid != getpid() && !p->zombie &&
                (has_parent(family, procs, p->parent) || has(family, p->session)))
                sup_family_add(family, p);
        }
    } while (family->n > before);
}

static bool runs(const struct hot_proc *proc)
{
    struct hot_proc now;

    return hot_proc_read(proc->pid, &now) && now.start == proc->start && !now.zombie;
}

size_t sup_family_signal(const struct sup_family *family, int signal)
{
    size_t n = 0;

    for (size_t i = 0; i < family->n; i++) {
        const struct hot_proc *p = &family->v[i];
        /* asked who it is after it is held, so the number cannot change hands in between */
        rel_autoclose int fd = (int)syscall(SYS_pidfd_open, p->pid, 0);

        if (!runs(p))
            continue;
        n++;
        if (signal && fd >= 0)
            syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0);
        else if (signal && errno == ENOSYS)
            kill(p->pid, signal);
    }
    return n;
}

void sup_tree_kill(pid_t pid, uint64_t start)
{
    const struct hot_proc root = {.pid = pid, .start = start};
    sup_autofamily struct sup_family family = {0};
    sup_autoprocs struct sup_procs procs = {0};
    struct rel_err e = {0};

    if (sup_procs_read(&procs, &e) == 0) {
        sup_family_add(&family, &root);
        sup_family_grow(&family, &procs);
    }
    kill(-pid, SIGKILL);
    sup_family_signal(&family, SIGKILL);
}
