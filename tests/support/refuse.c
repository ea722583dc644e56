/* SPDX-License-Identifier: Apache-2.0 */
/* refuse: runs a program in a sandbox that refuses what some sandboxes refuse (seccomp(2)), so that
 * the way round it is really taken.
 *
 *   refuse getfd|steer|random_bytes PROGRAM ARGS...
 *
 * getfd: pidfd_getfd fails with EPERM. steer: attaching a program to a listener group does.
 * random_bytes: getrandom does. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field)     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define UNLESS(k, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, 0, skip)
#define ANSWER(k)       BPF_STMT(BPF_RET | BPF_K, k)
#define REFUSED         ANSWER(SECCOMP_RET_ERRNO | EPERM)
#define ALLOWED         ANSWER(SECCOMP_RET_ALLOW)

static struct sock_filter getfd[] = {LOAD(nr), UNLESS(SYS_pidfd_getfd, 1), REFUSED, ALLOWED};

static struct sock_filter steer[] = {LOAD(nr),      UNLESS(SYS_setsockopt, 3),
                                     LOAD(args[2]), UNLESS(SO_ATTACH_REUSEPORT_CBPF, 1),
                                     REFUSED,       ALLOWED};

static struct sock_filter random_bytes[] = {LOAD(nr), UNLESS(SYS_getrandom, 1), REFUSED, ALLOWED};

#define PROGRAM(filter)                            \
    {                                              \
        sizeof(filter) / sizeof(*(filter)), filter \
    }

static const struct {
    const char *name;
    struct sock_fprog program;
} sandboxes[] = {
    {"getfd", PROGRAM(getfd)}, {"steer", PROGRAM(steer)}, {"random_bytes", PROGRAM(random_bytes)}};

int main(int argc, char **argv)
{
    const struct sock_fprog *program = NULL;

    for (size_t i = 0; argc > 2 && i < sizeof(sandboxes) / sizeof(*sandboxes); i++)
        if (!strcmp(argv[1], sandboxes[i].name))
            program = &sandboxes[i].program;
    if (!program) {
        fputs("usage: refuse getfd|steer|random_bytes PROGRAM ARGS...\n", stderr);
        return 2;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program) < 0) {
        perror("refuse");
        return 1;
    }
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 1;
}
