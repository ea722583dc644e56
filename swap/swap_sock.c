/* SPDX-License-Identifier: Apache-2.0 */
#include "swap/swap_sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/kcmp.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

bool swap_key_equal(const struct swap_key *a, const struct swap_key *b)
{
    return !memcmp(&a->address, &b->address, sizeof(a->address)) && a->v6only == b->v6only &&
           !strcmp(a->device, b->device) && a->uid == b->uid;
}

in_port_t swap_key_port(const struct swap_key *key)
{
    /* at the same place in both (ip(7), ipv6(7)) */
    return ntohs(((const struct sockaddr_in *)&key->address)->sin_port);
}

char *swap_key_text(const struct swap_key *key)
{
    const struct sockaddr_in *a4 = (const struct sockaddr_in *)&key->address;
    const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)&key->address;
    bool v4 = key->address.ss_family == AF_INET;
    char text[INET6_ADDRSTRLEN] = "";

    inet_ntop(key->address.ss_family, v4 ? (const void *)&a4->sin_addr : &a6->sin6_addr, text,
              sizeof(text));
    return rel_strf(v4 ? "%s:%d" : "[%s]:%d", text, (int)swap_key_port(key));
}

struct swap_listener swap_key_listener(const struct swap_key *key)
{
    const struct sockaddr_in *a4 = (const struct sockaddr_in *)&key->address;
    const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)&key->address;
    bool v4 = key->address.ss_family == AF_INET;
    struct swap_listener l = {.family = key->address.ss_family,
                              .port = swap_key_port(key),
                              .fd = -1,
                              .v6only = key->v6only};

    inet_ntop(l.family, v4 ? (const void *)&a4->sin_addr : &a6->sin6_addr, l.address,
              sizeof(l.address));
    return l;
}

static int read_key(int fd, struct swap_key *key, uint64_t *inode)
{
    socklen_t len = sizeof(key->address), device_len = sizeof(key->device);
    int v6only = 0;
    socklen_t v6only_len = sizeof(v6only);
    struct stat st;

    if (fstat(fd, &st) < 0 || getsockname(fd, (struct sockaddr *)&key->address, &len) < 0)
        return -1;
    *inode = st.st_ino;
    key->uid = st.st_uid;
    (void)!getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, key->device, &device_len);
    if (key->address.ss_family == AF_INET6 &&
        getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &v6only_len) == 0)
        key->v6only = v6only != 0;
    return 0;
}

static int take_copy(pid_t pid, int vm_fd, const struct swap_fetch *fetch, int *fd,
                     struct rel_err *e)
{
    rel_autoclose int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    int copy = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, vm_fd, 0), sys = errno;
    bool refused = sys == EPERM || sys == EACCES || sys == ENOSYS;

    if (copy >= 0) {
        *fd = copy;
        return 0;
    }
    if (refused && fetch->fetch && fetch->fetch(fetch->ctx, pid, vm_fd, fd, e) == 0)
        return 0;
    rel_err_clear(e);
    return rel_fail(e, refused ? REL_E_UNSUPPORTED : REL_E_IO, sys,
                    "take a copy of a listening socket of process %d", (int)pid);
}

int swap_sock_hold(pid_t pid, const struct swap_listener *listener, const struct swap_fetch *fetch,
                   struct swap_sock *sock, struct rel_err *e)
{
    struct swap_sock got = {.vm_fd = listener->fd};
    rel_autoclose int fd = -1;

    if (take_copy(pid, listener->fd, fetch, &fd, e) < 0)
        return -1;
    if (read_key(fd, &got.key, &got.inode) < 0 || got.inode != listener->inode)
        return rel_fail(e, REL_E_IO, 0, "process %d closed a listening socket just now", (int)pid);
    got.fd = rel_steal_fd(&fd);
    *sock = got;
    return 0;
}

/* Where kcmp(2) is not permitted, or not built in. */
static bool link_says_open(const struct swap_sock *sock, pid_t pid)
{
    rel_autofree char *path = rel_strf("/proc/%d/fd/%d", (int)pid, sock->vm_fd);
    rel_autofree char *wanted = rel_strf("socket:[%llu]", (unsigned long long)sock->inode);
    char target[64];
    ssize_t n = readlink(path, target, sizeof(target) - 1);

    if (n < 0)
        return errno != ENOENT;
    target[n] = '\0';
    return !strcmp(target, wanted);
}

bool swap_sock_is_open(const struct swap_sock *sock, pid_t pid)
{
    long order = syscall(SYS_kcmp, getpid(), pid, KCMP_FILE, sock->fd, sock->vm_fd);

    if (order < 0 && errno != EBADF && errno != ESRCH)
        return link_says_open(sock, pid);
    return order == 0;
}

/* Of a listening socket tcpi_unacked is the queue and tcpi_sacked its limit (tcp_get_info()). */
static struct tcp_info info_of(const struct swap_sock *sock)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    (void)!getsockopt(sock->fd, IPPROTO_TCP, TCP_INFO, &info, &len);
    return info;
}

unsigned swap_sock_queue(const struct swap_sock *sock)
{
    return info_of(sock).tcpi_unacked;
}

unsigned swap_sock_backlog(const struct swap_sock *sock)
{
    return info_of(sock).tcpi_sacked;
}

void swap_sock_set_backlog(const struct swap_sock *sock, int backlog)
{
    (void)!listen(sock->fd, backlog);
}
