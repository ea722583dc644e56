/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>

#include "supervisor/sup_engine.h"
#include "supervisor/sup_fetch.h"

enum { OWN_GROUPS_MAX = 1024 };

bool sup_is_guest(void *ctx, uid_t uid)
{
    const struct sup *s = ctx;
    const struct sup_peer *all[] = {s->active, s->candidate, s->old, s->revival.peer};

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        if (all[i] && all[i]->uid == uid)
            return true;
    return false;
}

/* Opens it as that user would. The system calls themselves change this thread alone, where those
 * of the C library change all of them (nptl(7)). */
static int open_as(const struct sup_user *user, const char *path)
{
    gid_t own[OWN_GROUPS_MAX];
    int n = getgroups(OWN_GROUPS_MAX, own), fd, saved;

    if (n < 0 || syscall(SYS_setgroups, user->group_n, user->groups) < 0)
        return -1;
    setfsgid(user->gid);
    setfsuid(user->uid);
    fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    saved = errno;
    setfsuid(geteuid());
    setfsgid(getegid());
    if (syscall(SYS_setgroups, n, own) < 0)
        abort(); /* never go on with less than is ours */
    errno = saved;
    return fd;
}

static int check_release(const struct sup *s, uid_t uid, const char *path, struct rel_err *e)
{
    struct sup_user user = {0};
    rel_autoclose int fd = -1;
    int err;

    if (sup_user_find(s->config.user, NULL, &user, e) < 0)
        return -1;
    if (user.uid != uid) {
        sup_user_fini(&user);
        return rel_fail(e, REL_E_INPUT, 0, "peers run as another user from now on");
    }
    fd = open_as(&user, path);
    err = errno;
    sup_user_fini(&user);
    return fd < 0 ? rel_fail(e, REL_E_INPUT, err, "open %s as the user of the peer", path) : 0;
}

int sup_guest_check(const struct sup *s, uid_t uid, const struct sup_request *r, struct rel_err *e)
{
    const char *release = json_string_value(json_object_get(r->args, "release"));

    if (uid == 0 || uid == geteuid() || r->cmd == SUP_CMD_STATUS)
        return 0;
    if (r->cmd != SUP_CMD_UPGRADE)
        return rel_fail(e, REL_E_INPUT, 0,
                        "the user of the peers may ask for the status and an upgrade, not for '%s'",
                        sup_cmd_name(r->cmd));
    return !release || sup_is_url(release) ? 0 : check_release(s, uid, release, e);
}
