/* SPDX-License-Identifier: Apache-2.0 */
#include "hotload/hot_fetch.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "hotload/hot_agent.h"
#include "hotload/hot_beams.h"

static int listen_at(const char *path, int *fd, struct rel_err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    rel_autoclose int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (strlen(path) >= sizeof(a.sun_path))
        return rel_fail(e, REL_E_INPUT, 0, "%s is too long for a socket", path);
    memcpy(a.sun_path, path, strlen(path));
    (void)!unlink(path); /* left by a crash */
    /* before bind(2), so that the file is never another's to open (unix(7)) */
    if (s < 0 || fchmod(s, 0600) < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 ||
        listen(s, 1) < 0)
        return rel_fail(e, REL_E_IO, errno, "listen on %s", path);
    *fd = rel_steal_fd(&s);
    return 0;
}

static int order(const struct hot_contact *c, const char *path, int vm_fd, int timeout_ms,
                 struct rel_err *e)
{
    int64_t until_ms = rel_mono_ms() + timeout_ms;
    hot_autonode struct hot_node *node = NULL;
    hot_autoterm struct hot_term result = {0};
    hot_autox ei_x_buff args = {0};
    struct hot_call call = {hot_beam_relsup_agent.module, "send_fd", &args, until_ms};

    if (hot_node_open(c, timeout_ms, &node, e) < 0 ||
        hot_agent_ensure(node, &hot_beam_relsup_agent, until_ms, e) < 0)
        return -1;
    hot_x_new(&args);
    hot_put_list(&args, 2);
    hot_put_text(&args, path);
    hot_put_int(&args, vm_fd);
    hot_put_nil(&args);
    return hot_node_call(node, &call, &result, e);
}

/* Whoever connected has sent them, one or several, asked for or not. */
static void close_all(struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
        for (size_t at = CMSG_LEN(0); c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
                                      at + sizeof(int) <= c->cmsg_len;
             at += sizeof(int)) {
            int fd;

            memcpy(&fd, (const char *)c + at, sizeof(fd));
            close(fd);
        }
}

int hot_fetch_take(int listener, int *fd, struct rel_err *e)
{
    rel_autoclose int s = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec io = {.iov_base = &byte, .iov_len = 1};
    struct msghdr m = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    const struct cmsghdr *c;
    ssize_t n = s < 0 ? -1 : recvmsg(s, &m, MSG_CMSG_CLOEXEC);

    if (n < 0)
        return rel_fail(e, REL_E_REMOTE, errno, "the agent sends no descriptor");
    c = CMSG_FIRSTHDR(&m);
    if (n != 1 || !c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
        c->cmsg_len != CMSG_LEN(sizeof(int))) {
        close_all(&m);
        return rel_fail(e, REL_E_REMOTE, 0, "the agent sends something else than a descriptor");
    }
    memcpy(fd, CMSG_DATA(c), sizeof(*fd));
    return 0;
}

int hot_fetch_fd(const struct hot_contact *c, const char *path, int vm_fd, int timeout_ms, int *fd,
                 struct rel_err *e)
{
    rel_autoclose int listener = -1;
    int rc = listen_at(path, &listener, e);

    if (!rc)
        rc = order(c, path, vm_fd, timeout_ms, e);
    if (!rc)
        rc = hot_fetch_take(listener, fd, e);
    (void)!unlink(path);
    return rc;
}
