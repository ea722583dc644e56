/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { ARENAS = 2, STACK = 1 << 20 };

/* landlock(7), of a kernel whose headers may be newer than the host's: what is handled is denied
 * but where a rule allows it. */
static const int rights_of_abi[] = {0, 13, 14, 15, 15, 16};
struct ruleset {
    uint64_t fs, net, scoped;
};
enum { NET_ALL = 3, NET_CONNECT = 2, SCOPE_ALL = 3 };

static const uint64_t may_read = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t of_file =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | UINT64_C(1) << 14;
/* no program, device, socket or FIFO in what it writes */
static const uint64_t never = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                              LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                              LANDLOCK_ACCESS_FS_MAKE_FIFO;

/* The shadow of a sanitizer takes terabytes of address space, and it looks into /proc. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

int sup_landlock_abi(void)
{
    int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return abi > 0 ? abi : 0;
}

static uint64_t all_rights(int abi)
{
    int last = (int)(sizeof(rights_of_abi) / sizeof(*rights_of_abi)) - 1;

    return (UINT64_C(1) << rights_of_abi[abi < last ? abi : last]) - 1;
}

/* What is not there needs no rule. */
static int allow(int ruleset_fd, const char *path, uint64_t rights, struct rel_err *e)
{
    rel_autoclose int fd = open(path, O_PATH | O_CLOEXEC);
    struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return 0;
    if (!S_ISDIR(st.st_mode))
        rule.allowed_access &= of_file;
    if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return rel_fail(e, REL_E_UNSUPPORTED, errno, "allow %s", path);
    return 0;
}

static int lock_files(const struct sup_confine *how, struct rel_err *e)
{
    int abi = sup_landlock_abi();
    uint64_t all = all_rights(abi);
    struct ruleset set = {.fs = all,
                          .net = abi < 4        ? 0
                                 : how->network ? NET_ALL & ~NET_CONNECT
                                                : NET_ALL,
                          .scoped = abi < 6 ? 0 : SCOPE_ALL};
    rel_autoclose int fd = -1;

    if (!abi)
        return 0;
    fd = (int)syscall(SYS_landlock_create_ruleset, &set, sizeof(set), 0);
    if (fd < 0)
        return rel_fail(e, REL_E_UNSUPPORTED, errno, "make a Landlock ruleset");
    for (const char *const *p = how->read; *p; p++)
        if (allow(fd, *p, may_read, e) < 0)
            return -1;
    for (const char *const *p = how->write; *p; p++)
        if (allow(fd, *p, all & ~never, e) < 0)
            return -1;
    if (SANITIZED && allow(fd, "/proc", may_read, e) < 0)
        return -1;
    if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        return rel_fail(e, REL_E_UNSUPPORTED, errno, "enter the Landlock ruleset");
    return 0;
}

static int limit(int what, rlim_t to, struct rel_err *e)
{
    struct rlimit r = {.rlim_cur = to, .rlim_max = to};

    return setrlimit(what, &r) < 0 ? rel_fail(e, REL_E_UNSUPPORTED, errno, "set a limit") : 0;
}

/* A thread takes 8 MiB for its stack and 64 for its arena unless it is told otherwise: all cores
 * together would be out of the limit before they did anything. */
static void make_threads_small(void)
{
    pthread_attr_t attr;

    mallopt(M_ARENA_MAX, ARENAS);
    if (pthread_attr_init(&attr) == 0) {
        if (pthread_attr_setstacksize(&attr, STACK) == 0)
            pthread_setattr_default_np(&attr);
        pthread_attr_destroy(&attr);
    }
}

int sup_confine(const struct sup_confine *how, struct rel_err *e)
{
    make_threads_small();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return rel_fail(e, REL_E_UNSUPPORTED, errno, "give up new privileges");
    if (limit(RLIMIT_CORE, 0, e) < 0 ||
        (!SANITIZED && limit(RLIMIT_AS, (rlim_t)SUP_CONFINE_MIB << 20, e) < 0))
        return -1;
    return lock_files(how, e);
}
