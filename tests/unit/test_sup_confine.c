/* SPDX-License-Identifier: Apache-2.0 */
/* What a confined process may do: a child of ours tries each, because it is for good. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "base/rel_io.h"
#include "supervisor/sup_confine.h"

/* The tries; each says whether it was let. */
struct place {
    char *read, *write, *other;
    int port;
};

static bool opens(const char *dir, int flags)
{
    rel_autofree char *path = rel_strf("%s/file", dir);
    int fd = open(path, flags | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool reads_what_it_may(const struct place *p)
{
    return opens(p->read, O_RDONLY) && opens(p->write, O_RDONLY);
}

static bool reads_elsewhere(const struct place *p)
{
    return opens(p->other, O_RDONLY);
}

static bool writes_what_it_may(const struct place *p)
{
    rel_autofree char *dir = rel_strf("%s/new", p->write);

    return opens(p->write, O_WRONLY | O_TRUNC) && mkdir(dir, 0700) == 0 && rmdir(dir) == 0;
}

static bool writes_what_it_reads(const struct place *p)
{
    return opens(p->read, O_WRONLY);
}

static bool makes_a_fifo(const struct place *p)
{
    rel_autofree char *path = rel_strf("%s/fifo", p->write);

    return mkfifo(path, 0600) == 0;
}

static bool runs_a_program(const struct place *p)
{
    (void)p;
    execl("/bin/true", "true", NULL);
    return errno != EACCES;
}

static bool signals_its_parent(const struct place *p)
{
    (void)p;
    return kill(getppid(), 0) == 0;
}

static bool connects(const struct place *p)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)p->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    rel_autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
}

static bool has_its_limits(const struct place *p)
{
    struct rlimit core;

    (void)p;
    return getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 &&
           prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

static bool is_let(const struct place *p, bool network, bool (*try)(const struct place *p))
{
    struct sup_confine how = {.read = (const char *const[]){p->read, "/not/there", NULL},
                              .write = (const char *const[]){p->write, NULL},
                              .network = network};
    struct rel_err e = {0};
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(sup_confine(&how, &e) < 0 ? 2 : try(p) ? 1 : 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    return WEXITSTATUS(status) == 1;
}

static int listen_somewhere(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(a);

    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static void it_may_do_its_work_and_nothing_else(void **state)
{
    char dir[] = "/tmp/confine.XXXXXX";
    static const char *const names[] = {"read", "write", "other"};
    char *paths[3];
    struct place p;
    struct rel_err e = {0};
    rel_autoclose int listener = listen_somewhere(&p.port);
    int abi = sup_landlock_abi();

    (void)state;
    assert_true(listener >= 0);
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < 3; i++) {
        rel_autofree char *file = rel_strf("%s/%s/file", dir, names[i]);

        paths[i] = rel_strf("%s/%s", dir, names[i]);
        assert_int_equal(rel_mkdirs(AT_FDCWD, paths[i], 0700, &e), 0);
        assert_int_equal(rel_replace_file(AT_FDCWD, file, "x", 1, 0600, &e), 0);
    }
    p.read = paths[0];
    p.write = paths[1];
    p.other = paths[2];
    assert_true(is_let(&p, false, reads_what_it_may));
    assert_true(is_let(&p, false, writes_what_it_may));
    assert_true(is_let(&p, true, connects));
    assert_true(is_let(&p, false, has_its_limits));
    assert_int_equal(is_let(&p, false, reads_elsewhere), abi < 1);
    assert_int_equal(is_let(&p, false, writes_what_it_reads), abi < 1);
    assert_int_equal(is_let(&p, false, makes_a_fifo), abi < 1);
    assert_int_equal(is_let(&p, false, runs_a_program), abi < 1);
    assert_int_equal(is_let(&p, false, connects), abi < 4);
    assert_int_equal(is_let(&p, false, signals_its_parent), abi < 6);
    assert_int_equal(rel_remove_tree(AT_FDCWD, dir, &e), 0);
    for (int i = 0; i < 3; i++)
        free(paths[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_may_do_its_work_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
