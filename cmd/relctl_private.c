/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/rel_io.h"
#include "cmd/relctl.h"

/* Whose release it is could change its code as well. */
static bool is_trusted(uid_t uid, const char *root)
{
    struct stat st;

    return uid == 0 || uid == geteuid() || (stat(root, &st) == 0 && st.st_uid == uid);
}

int relctl_make_tmp(const char *root, const char *tmp_dir, struct rel_err *e)
{
    struct stat st;

    if (rel_mkdirs(AT_FDCWD, tmp_dir, 0700, e) < 0)
        return -1;
    if (stat(tmp_dir, &st) < 0)
        return rel_fail(e, REL_E_IO, errno, "stat %s", tmp_dir);
    if (!is_trusted(st.st_uid, root))
        return rel_fail(e, REL_E_INPUT, 0,
                        "%s belongs to another user, who could change what runs: set RELEASE_TMP "
                        "to a folder of this user",
                        tmp_dir);
    /* of root: what container platforms mount */
    if (st.st_uid != 0 && (st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
        return rel_fail(e, REL_E_INPUT, 0,
                        "all can write %s and change what runs: 'chmod o-w %s', or set RELEASE_TMP "
                        "to a folder of this user",
                        tmp_dir, tmp_dir);
    return 0;
}

int relctl_make_private(const char *path, struct rel_err *e)
{
    struct stat st;

    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return rel_fail(e, REL_E_IO, errno, "create %s", path);
    if (lstat(path, &st) < 0)
        return rel_fail(e, REL_E_IO, errno, "stat %s", path);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
        return rel_fail(e, REL_E_INPUT, 0, "%s must be a folder of this user with mode 0700", path);
    return 0;
}

int relctl_trust_contact(const char *root, const char *path, struct rel_err *e)
{
    struct stat st;

    if (geteuid() == 0 || lstat(path, &st) < 0 || is_trusted(st.st_uid, root))
        return 0;
    return rel_fail(e, REL_E_INPUT, 0,
                    "%s belongs to another user: set RELEASE_TMP to a folder of this user", path);
}
