/* SPDX-License-Identifier: Apache-2.0 */
/* Who is at the other end of a connection on this host. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/rel_clock.h"
#include "base/rel_diag.h"
#include "base/rel_io.h"
#include "hotload/hot_port.h"

enum { STATUS_MAX = 65536, LOOK_AGAIN_MS = 2 };

struct check {
    const struct hot_contact *c;
    struct sockaddr_storage server;
    int port;
    uid_t uid;    /* of the process */
    int proc_fds; /* its /proc/PID/fd, -1 where we may not look */
    struct rel_diag_socket stranger;
    bool has_stranger;
    unsigned listener_n;
};

/* Its user as the kernel notes it in a socket: the last of "Uid:  real  effective  saved  fs". The
 * owner of /proc/PID would be root where the process may not be traced (proc(5)). */
static bool read_uid(pid_t pid, uid_t *uid)
{
    rel_autofree char *path = rel_strf("/proc/%d/status", (int)pid), *text = NULL;
    struct rel_err e = {0};
    unsigned long id = 0;
    char *at;
    size_t len;

    if (rel_read_file(AT_FDCWD, path, STATUS_MAX, &text, &len, &e) < 0)
        return false;
    at = strstr(text, "\nUid:");
    if (!at)
        return false;
    at += strlen("\nUid:");
    for (int i = 0; i < 4; i++)
        id = strtoul(at, &at, 10);
    *uid = (uid_t)id;
    return *at == '\n';
}

/* Numbers go up in /proc/PID/fd, and a node's listener is one of its first. */
static bool has_socket(int proc_fds, uint64_t inode)
{
    rel_autofree char *want = rel_strf("socket:[%" PRIu64 "]", inode);
    int copy = openat(proc_fds, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rel_autoclosedir DIR *d = copy < 0 ? NULL : fdopendir(copy);

    for (const struct dirent *f = d ? readdir(d) : NULL; f; f = readdir(d)) {
        char target[64];
        ssize_t n = readlinkat(proc_fds, f->d_name, target, sizeof(target) - 1);

        target[n > 0 ? n : 0] = '\0';
        if (!strcmp(target, want))
            return true;
    }
    return false;
}

/* Would it be given a connection to the address that we called? */
static bool listens_for(const struct check *k, const struct rel_diag_socket *s)
{
    const struct in_addr *called = &((const struct sockaddr_in *)&k->server)->sin_addr;
    uint32_t v4 = s->local.s6_addr32[s->family == AF_INET ? 0 : 3];

    if (s->family == AF_INET)
        return v4 == called->s_addr || v4 == htonl(INADDR_ANY);
    if (IN6_IS_ADDR_UNSPECIFIED(&s->local))
        return !s->v6only;
    return IN6_IS_ADDR_V4MAPPED(&s->local) && (v4 == called->s_addr || v4 == htonl(INADDR_ANY));
}

static void look_at(void *ctx, const struct rel_diag_socket *s)
{
    struct check *k = ctx;

    if (!listens_for(k, s))
        return;
    k->listener_n++;
    if (s->uid == k->uid && (k->proc_fds < 0 || has_socket(k->proc_fds, s->inode)))
        return;
    k->stranger = *s;
    k->has_stranger = true;
}

static pid_t pid_of(uint64_t inode)
{
    rel_autoclosedir DIR *proc = inode ? opendir("/proc") : NULL;

    for (const struct dirent *f = proc ? readdir(proc) : NULL; f; f = readdir(proc)) {
        rel_autofree char *path = rel_strf("/proc/%s/fd", f->d_name);
        rel_autoclose int fds = *f->d_name >= '0' && *f->d_name <= '9'
                                    ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                                    : -1;

        if (fds >= 0 && has_socket(fds, inode))
            return (pid_t)strtol(f->d_name, NULL, 10);
    }
    return 0;
}

static int refuse(const struct check *k, struct rel_err *e)
{
    rel_autofree char *user = rel_user_name(k->stranger.uid);
    pid_t pid = pid_of(k->stranger.inode);
    rel_autofree char *name = user ? rel_steal(&user) : rel_strf("%u", (unsigned)k->stranger.uid);
    rel_autofree char *process = pid ? rel_strf(" (process %d)", (int)pid) : rel_xstrdup("");

    return rel_fail(e, REL_E_UNREACHABLE, 0,
                    "what listens on port %d is not node %s: it belongs to user %s%s", k->port,
                    k->c->node, name, process);
}

/* Until the last packet of its three is worked off the connection has no socket over there. */
static int find_other_end(const struct check *k, int fd, int64_t until_ms,
                          struct rel_diag_socket *s, struct rel_err *e)
{
    struct sockaddr_storage us = {0};
    socklen_t len = sizeof(us);

    if (getsockname(fd, (struct sockaddr *)&us, &len) < 0)
        return rel_fail(e, REL_E_UNREACHABLE, errno, "node %s hung up", k->c->node);
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        if (rel_diag_other_end(&us, &k->server, s, e) == 0 && s->state == REL_DIAG_ESTABLISHED)
            return 0;
        if (e->code != REL_E_NONE && e->code != REL_E_UNREACHABLE)
            return rel_wrap(e, "who listens on port %d cannot be told", k->port);
        rel_err_clear(e);
        if (poll(&p, 1, LOOK_AGAIN_MS) > 0)
            return rel_fail(e, REL_E_UNREACHABLE, 0,
                            "what listens on port %d is not node %s: it hung up", k->port,
                            k->c->node);
        if (!rel_left_ms(until_ms))
            return rel_fail(e, REL_E_UNREACHABLE, 0, "node %s does not answer in time", k->c->node);
    }
}

/* Who took the connection may have stopped listening since: his socket counts, too. */
static int check(struct check *k, int fd, int64_t until_ms, struct rel_err *e)
{
    struct rel_diag_socket end;

    if (find_other_end(k, fd, until_ms, &end, e) < 0 ||
        rel_diag_dump(AF_INET, (in_port_t)k->port, REL_DIAG_LISTEN, look_at, k, e) < 0 ||
        rel_diag_dump(AF_INET6, (in_port_t)k->port, REL_DIAG_LISTEN, look_at, k, e) < 0)
        return -1;
    if (!k->has_stranger && end.uid != k->uid) {
        k->has_stranger = true;
        k->stranger = end;
    }
    if (k->has_stranger)
        return refuse(k, e);
    if (!k->listener_n)
        return rel_fail(e, REL_E_UNREACHABLE, 0,
                        "node %s is not running: nothing listens on port %d any more", k->c->node,
                        k->port);
    return 0;
}

/* -1 where we may not look: another's process, or one with capabilities that we lack (ptrace(2)).
 */
static int open_fds(pid_t pid)
{
    rel_autofree char *path = rel_strf("/proc/%d/fd", (int)pid);
    rel_autoclose int fds = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char target[64];

    if (fds < 0 || (readlinkat(fds, "0", target, sizeof(target)) < 0 && errno != ENOENT))
        return -1;
    return rel_steal_fd(&fds);
}

static int ended(const struct hot_contact *c, struct rel_err *e)
{
    return rel_fail(e, REL_E_UNREACHABLE, 0, "%s is not running: its process %d has ended",
                    c->name ? c->name : c->node, (int)c->pid);
}

int hot_port_check(int fd, const struct hot_contact *c, int64_t until_ms, struct rel_err *e)
{
    struct check k = {.c = c};
    rel_autoclose int fds = -1;
    socklen_t len = sizeof(k.server);

    if (!c->pid)
        return 0;
    if (getpeername(fd, (struct sockaddr *)&k.server, &len) < 0)
        return rel_fail(e, REL_E_UNREACHABLE, errno, "node %s hung up", c->node);
    k.port = ntohs(((const struct sockaddr_in *)&k.server)->sin_port);
    if (!read_uid(c->pid, &k.uid))
        return ended(c, e);
    k.proc_fds = fds = open_fds(c->pid);
    if (check(&k, fd, until_ms, e) < 0)
        return -1;
    return hot_contact_alive(c) ? 0 : ended(c, e); /* so its number was no other's meanwhile */
}
