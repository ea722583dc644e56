/* SPDX-License-Identifier: Apache-2.0 */
/* A descriptor over a Unix socket, from somebody who may send anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hotload/hot_fetch.h"

enum { MOST = 8 };

struct line {
    char path[64];
    int listener, client;
};

static struct line connect_line(void)
{
    struct line l = {.path = "/tmp/test_hot_fetch.XXXXXX"};
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    assert_non_null(mkdtemp(l.path));
    memcpy(l.path + strlen(l.path), "/s", sizeof("/s"));
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", l.path);
    l.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    l.client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(l.listener, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(l.listener, 1), 0);
    assert_int_equal(connect(l.client, (struct sockaddr *)&a, sizeof(a)), 0);
    return l;
}

static void close_line(struct line *l)
{
    close(l->listener);
    close(l->client);
    unlink(l->path);
    *strrchr(l->path, '/') = '\0';
    rmdir(l->path);
}

static void send_fds(const struct line *l, int n)
{
    char byte = 'f', control[CMSG_SPACE(MOST * sizeof(int))] = {0};
    struct iovec io = {.iov_base = &byte, .iov_len = 1};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
    int fds[MOST];

    for (int i = 0; i < n; i++)
        fds[i] = STDIN_FILENO;
    if (n) {
        m.msg_control = control;
        m.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
        *CMSG_FIRSTHDR(&m) = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                              .cmsg_type = SCM_RIGHTS,
                                              .cmsg_len = CMSG_LEN((size_t)n * sizeof(int))};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, (size_t)n * sizeof(int));
    }
    assert_int_equal(sendmsg(l->client, &m, 0), 1);
}

static int open_n(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void one_is_taken(void **state)
{
    struct line l = connect_line();
    struct rel_err e = {0};
    int fd = -1;

    (void)state;
    send_fds(&l, 1);
    assert_int_equal(hot_fetch_take(l.listener, &fd, &e), 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
    close_line(&l);
}

/* And none of what came instead stays open. */
static void other_numbers_are_refused(void **state)
{
    (void)state;
    for (int n = 0; n <= MOST; n++) {
        struct line l = connect_line();
        struct rel_err e = {0};
        int fd = -1, before;

        if (n == 1) {
            close_line(&l);
            continue;
        }
        send_fds(&l, n);
        before = open_n();
        assert_int_equal(hot_fetch_take(l.listener, &fd, &e), -1);
        assert_int_equal(e.code, REL_E_REMOTE);
        assert_int_equal(open_n(), before);
        close_line(&l);
    }
}

static void silence_is_no_wait(void **state)
{
    struct line l = connect_line();
    struct rel_err e = {0};
    int fd = -1;

    (void)state;
    assert_int_equal(hot_fetch_take(l.listener, &fd, &e), -1);
    assert_int_equal(e.code, REL_E_REMOTE);
    rel_err_clear(&e);
    assert_int_equal(hot_fetch_take(l.listener, &fd, &e), -1); /* nobody has connected */
    assert_int_equal(e.code, REL_E_REMOTE);
    close_line(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_is_taken),
        cmocka_unit_test(other_numbers_are_refused),
        cmocka_unit_test(silence_is_no_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
