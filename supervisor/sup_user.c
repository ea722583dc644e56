/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_user.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/rel_own.h"
#include "supervisor/sup_config.h"

enum { GROUPS_MAX = 65536, PASSWD_MAX = 65536, CAPABILITY_END = 64 };

void sup_user_fini(struct sup_user *user)
{
    free(user->name);
    free(user->home);
    free(user->groups);
    *user = (struct sup_user){0};
}

bool sup_user_is_other(const struct sup_user *user)
{
    return user->name && user->uid != geteuid();
}

static uint64_t bit(int capability)
{
    return (uint64_t)1 << capability;
}

/* What this process may use, or give to a child. */
static int read_permitted(uint64_t *permitted, struct rel_err *e)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};

    if (syscall(SYS_capget, &head, data) < 0)
        return rel_fail(e, REL_E_IO, errno, "read the capabilities of this process");
    *permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
    return 0;
}

static int find_capabilities(char *const *names, uint64_t *wanted, struct rel_err *e)
{
    uint64_t permitted;

    if (read_permitted(&permitted, e) < 0)
        return -1;
    for (char *const *p = names; p && *p; p++) {
        int n = sup_capability_number(*p);

        if (n < 0 || n >= CAPABILITY_END)
            return rel_fail(e, REL_E_INPUT, 0, "capabilities: there is no capability '%s'", *p);
        if (!(permitted & bit(n)))
            return rel_fail(e, REL_E_INPUT, 0,
                            "capabilities: relsup itself does not have '%s': give it to its "
                            "service (AmbientCapabilities=)",
                            *p);
        *wanted |= bit(n);
    }
    return 0;
}

static int find_groups(struct sup_user *user, struct rel_err *e)
{
    int n = 64;

    for (;;) {
        int room = n;

        user->groups = rel_xrealloc(user->groups, (size_t)n, sizeof(*user->groups));
        if (getgrouplist(user->name, user->gid, user->groups, &n) >= 0)
            break;
        if (n <= room || n > GROUPS_MAX)
            return rel_fail(e, REL_E_INPUT, 0, "user: '%s' is in too many groups", user->name);
    }
    user->group_n = (size_t)n;
    return 0;
}

static int find_user(const char *name, struct sup_user *user, struct rel_err *e)
{
    rel_autofree char *text = rel_xmalloc(PASSWD_MAX);
    struct passwd one, *pw = NULL;
    int rc = getpwnam_r(name, &one, text, PASSWD_MAX, &pw);

    if (!pw)
        return rel_fail(e, REL_E_INPUT, rc, "user: there is no user '%s' on this host", name);
    if (geteuid() != 0 && pw->pw_uid != geteuid())
        return rel_fail(e, REL_E_INPUT, 0,
                        "user: relsup must be started by root to run its children as '%s'", name);
    user->name = rel_xstrdup(pw->pw_name);
    user->home = rel_xstrdup(pw->pw_dir);
    user->uid = pw->pw_uid;
    user->gid = pw->pw_gid;
    return find_groups(user, e);
}

int sup_user_find(const char *name, char *const *capabilities, struct sup_user *user,
                  struct rel_err *e)
{
    struct sup_user found = {.uid = geteuid(), .gid = getegid(), .limit = name || capabilities};

    if ((name && find_user(name, &found, e) < 0) ||
        find_capabilities(capabilities, &found.capabilities, e) < 0) {
        sup_user_fini(&found);
        return -1;
    }
    *user = found;
    return 0;
}

/* What is not in the bounding set cannot come back by an exec, not even of root. */
static int bound(uint64_t wanted, struct rel_err *e)
{
    for (int n = 0; n < CAPABILITY_END; n++) {
        int there = prctl(PR_CAPBSET_READ, n, 0, 0, 0);

        if (there < 0) /* beyond the last one of this kernel */
            return 0;
        if (there && !(wanted & bit(n)) && prctl(PR_CAPBSET_DROP, n, 0, 0, 0) < 0 && errno != EPERM)
            return rel_fail(e, REL_E_IO, errno, "drop capability %d for good", n);
    }
    return 0;
}

/* The ambient set is what an unprivileged user keeps over an exec (capabilities(7)). */
static int keep(uint64_t wanted, struct rel_err *e)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};

    for (int i = 0; i < 2; i++)
        data[i].effective = data[i].permitted = data[i].inheritable = (uint32_t)(wanted >> 32 * i);
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
        syscall(SYS_capset, &head, data) < 0)
        return rel_fail(e, REL_E_IO, errno, "drop capabilities");
    for (int n = 0; n < CAPABILITY_END; n++)
        if ((wanted & bit(n)) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, n, 0, 0) < 0)
            return rel_fail(e, REL_E_IO, errno, "keep capability %d", n);
    return 0;
}

int sup_user_become(const struct sup_user *user, struct rel_err *e)
{
    bool root = geteuid() == 0;

    if (user->limit && bound(user->capabilities, e) < 0)
        return -1;
    if (user->name && root) {
        if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(user->group_n, user->groups) < 0 ||
            setresgid(user->gid, user->gid, user->gid) < 0 ||
            setresuid(user->uid, user->uid, user->uid) < 0)
            return rel_fail(e, REL_E_IO, errno, "become user %s", user->name);
    }
    if (user->limit && keep(user->capabilities, e) < 0)
        return -1;
    if (user->name && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return rel_fail(e, REL_E_IO, errno, "forbid new privileges");
    return 0;
}
