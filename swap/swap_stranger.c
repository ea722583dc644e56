/* SPDX-License-Identifier: Apache-2.0 */
/* Who else listens on a port: found by sock_diag, named by /proc. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/rel_diag.h"
#include "base/rel_io.h"
#include "swap/swap_expect.h"

enum { OWN_MAX = 8, ABOVE_MAX = 16, ENVIRON_MAX = 4 << 20 };

struct search {
    const struct swap_listener *l;
    struct swap_open_sockets own[OWN_MAX];
    size_t own_n;
    struct rel_diag_socket *v;
    size_t n;
    bool blind; /* we may not see the sockets of one of ours */
};

static bool is_any(const struct in6_addr *a, bool v4)
{
    static const struct in6_addr any;

    return !memcmp(a, &any, v4 ? 4 : 16);
}

/* Would one take connections that are meant for the other? A dual-stack one is meant for IPv4 too,
 * which the caller's listener is where it is not known to be for IPv6 alone. */
static bool overlaps(const struct swap_listener *l, const struct rel_diag_socket *s)
{
    bool v4 = s->family == AF_INET;
    struct in6_addr own = {0};
    bool own_any;

    if (!l->family)
        return true;
    inet_pton(l->family, l->address, &own);
    own_any = is_any(&own, l->family == AF_INET);
    if (s->family == l->family)
        return own_any || is_any(&s->local, v4) || !memcmp(&own, &s->local, v4 ? 4 : 16);
    return v4 ? own_any && !l->v6only : is_any(&s->local, false) && !s->v6only;
}

static bool is_own(const struct search *x, uint64_t inode)
{
    for (size_t i = 0; i < x->own_n; i++)
        if (swap_open_sockets_fd(&x->own[i], inode) >= 0)
            return true;
    return false;
}

static void look_at(void *ctx, const struct rel_diag_socket *s)
{
    struct search *x = ctx;

    if (!overlaps(x->l, s) || is_own(x, s->inode))
        return;
    x->v = rel_xrealloc(x->v, x->n + 1, sizeof(*x->v));
    x->v[x->n++] = *s;
}

static bool has_socket(pid_t pid, uint64_t inode)
{
    struct swap_open_sockets open = {0};
    struct rel_err e = {0};
    bool yes =
        swap_open_sockets_read(pid, &open, &e) == 0 && swap_open_sockets_fd(&open, inode) >= 0;

    swap_open_sockets_fini(&open);
    return yes;
}

static pid_t find_process(uint64_t inode)
{
    rel_autoclosedir DIR *d = opendir("/proc");

    for (struct dirent *f = d ? readdir(d) : NULL; f; f = readdir(d)) {
        pid_t pid = (pid_t)strtol(f->d_name, NULL, 10);

        if (pid > 0 && has_socket(pid, inode))
            return pid;
    }
    return 0;
}

/* Field 4 of /proc/PID/stat, behind the name, which may contain anything; 0: nobody. */
static pid_t parent_of(pid_t pid)
{
    rel_autofree char *path = rel_strf("/proc/%d/stat", (int)pid), *text = NULL;
    struct rel_err e = {0};
    const char *end;
    size_t len;

    if (rel_read_file(AT_FDCWD, path, ENVIRON_MAX, &text, &len, &e) < 0)
        return 0;
    end = strrchr(text, ')');
    return end && strlen(end) > 4 ? (pid_t)strtol(end + 4, NULL, 10) : 0;
}

/* What one of ours has started listens for it. */
static bool is_below(pid_t pid, const pid_t *own, size_t own_n)
{
    pid_t session = getsid(pid);

    for (int i = 0; i < ABOVE_MAX && pid > 1; i++, pid = parent_of(pid))
        for (size_t j = 0; j < own_n; j++)
            if (own[j] && (pid == own[j] || session == own[j]))
                return true;
    return false;
}

/* Lent by `text`, which has a NUL behind each line. */
static const char *value_in(const char *text, size_t len, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = text; p < text + len; p += strlen(p) + 1)
        if (!strncmp(p, name, n) && p[n] == '=')
            return p + n + 1;
    return NULL;
}

/* Of a peer; an operator's shell may have the name of a home too. */
static char *home_in_environ(pid_t pid)
{
    rel_autofree char *path = rel_strf("/proc/%d/environ", (int)pid), *text = NULL;
    struct rel_err e = {0};
    const char *home;
    size_t len;

    if (rel_read_file(AT_FDCWD, path, ENVIRON_MAX, &text, &len, &e) < 0)
        return NULL;
    home = value_in(text, len, "RELSUP_HOME");
    return home && value_in(text, len, "RELSUP_GENERATION") ? rel_xstrdup(home) : NULL;
}

static char *home_of(pid_t pid)
{
    char *home = NULL;

    for (int i = 0; i < ABOVE_MAX && pid > 1 && !home; i++, pid = parent_of(pid))
        home = home_in_environ(pid);
    return home;
}

static void describe(const struct rel_diag_socket *found, pid_t pid, struct swap_stranger *s)
{
    *s = (struct swap_stranger){.l = {.family = found->family,
                                      .port = found->local_port,
                                      .inode = found->inode,
                                      .v6only = found->v6only},
                                .uid = found->uid,
                                .pid = pid,
                                .home = pid ? home_of(pid) : NULL};
    inet_ntop(found->family, &found->local, s->l.address, sizeof(s->l.address));
}

static int search(struct search *x, const pid_t *own, size_t own_n, struct rel_err *e)
{
    struct rel_err ignored = {0};

    for (size_t i = 0; i < own_n && x->own_n < OWN_MAX - 1; i++) {
        if (own[i] && swap_open_sockets_read(own[i], &x->own[x->own_n], &ignored) == 0)
            x->own_n++;
        x->blind |= ignored.code == REL_E_UNSUPPORTED;
        rel_err_clear(&ignored);
    }
    if (swap_open_sockets_read(getpid(), &x->own[x->own_n], e) < 0)
        return -1;
    x->own_n++;
    if (rel_diag_dump(AF_INET, x->l->port, REL_DIAG_LISTEN, look_at, x, e) < 0)
        return -1;
    return rel_diag_dump(AF_INET6, x->l->port, REL_DIAG_LISTEN, look_at, x, e);
}

int swap_stranger_find(const struct swap_listener *l, const pid_t *own, size_t own_n, bool *found,
                       struct swap_stranger *s, struct rel_err *e)
{
    struct search x = {.l = l};
    bool got = false;
    int rc = search(&x, own, own_n, e);

    for (size_t i = 0; !rc && !x.blind && i < x.n && !got; i++) {
        pid_t pid = find_process(x.v[i].inode);

        got = !pid || !is_below(pid, own, own_n);
        if (got)
            describe(&x.v[i], pid, s);
    }
    for (size_t i = 0; i < x.own_n; i++)
        swap_open_sockets_fini(&x.own[i]);
    free(x.v);
    *found = got;
    return rc;
}

void swap_stranger_fini(struct swap_stranger *s)
{
    free(s->home);
    *s = (struct swap_stranger){0};
}

char *swap_stranger_text(const struct swap_stranger *s)
{
    rel_autofree char *where = swap_listener_text(&s->l);
    rel_autofree char *name = rel_user_name(s->uid);
    rel_autofree char *who = name ? rel_steal(&name) : rel_strf("user %u", (unsigned)s->uid);
    rel_autofree char *process =
        s->pid ? rel_strf("process %d of %s", (int)s->pid, who) : rel_strf("a process of %s", who);

    return rel_strf("%s listens on %s already%s%s", process, where,
                    s->home ? ", for the home " : "", s->home ? s->home : "");
}
