/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_peer_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rel_io.h"
#include "hotload/hot_cookie.h"

enum { DEPTH_MAX = 8 };

/* Who may connect: the kernel asks for the right to write (unix(7)), we ask who it is. */
static int let_ask(const char *home, const struct sup_user *user, struct rel_err *e)
{
    rel_autofree char *path = rel_strf("%s/run/control.sock", home);

    if ((lchown(path, (uid_t)-1, user->gid) < 0 || chmod(path, 0660) < 0) && errno != ENOENT)
        return rel_fail(e, REL_E_IO, errno, "let %s connect to %s", user->name, path);
    return 0;
}

int sup_files_let_in(const char *home, const struct sup_user *user, struct rel_err *e)
{
    static const char *const folders[] = {"", "/releases", "/run", "/secret", "/log"};

    for (size_t i = 0; sup_user_is_other(user) && i < sizeof(folders) / sizeof(*folders); i++) {
        rel_autofree char *path = rel_strf("%s%s", home, folders[i]);
        rel_autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
            return rel_fail(e, REL_E_IO, errno, "open %s", path);
        /* the group first: what it may do is meant for that one */
        if (st.st_gid != user->gid && fchown(fd, (uid_t)-1, user->gid) < 0)
            return rel_fail(e, REL_E_IO, errno, "give %s to the group of %s", path, user->name);
        if ((st.st_mode & 0070) != 0010 && fchmod(fd, (st.st_mode & 07707) | 0010) < 0)
            return rel_fail(e, REL_E_IO, errno, "let %s pass through %s", user->name, path);
    }
    return sup_user_is_other(user) ? let_ask(home, user, e) : 0;
}

int sup_files_make(const char *path, struct rel_err *e)
{
    return rel_remove_tree(AT_FDCWD, path, e) < 0 ? -1 : rel_mkdirs(AT_FDCWD, path, 0700, e);
}

/* Without following a link: what is given away last holds nothing of anybody else before. */
static int give_at(int dir_fd, const char *name, const struct sup_user *user, int depth,
                   struct rel_err *e)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    rel_autoclosedir DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

    if (d && depth < DEPTH_MAX)
        for (struct dirent *f = readdir(d); f; f = readdir(d))
            if (strcmp(f->d_name, ".") != 0 && strcmp(f->d_name, "..") != 0 &&
                give_at(dirfd(d), f->d_name, user, depth + 1, e) < 0)
                return -1;
    if (fchownat(dir_fd, name, user->uid, user->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return rel_fail(e, REL_E_IO, errno, "give %s to %s", name, user->name);
    return 0;
}

int sup_files_give(const char *path, const struct sup_user *user, struct rel_err *e)
{
    return sup_user_is_other(user) ? give_at(AT_FDCWD, path, user, 0, e) : 0;
}

char *sup_files_secret_path(const char *home, int generation)
{
    return rel_strf("%s/secret/peer-%d", home, generation);
}

int sup_files_secret(const char *home, int generation, const struct sup_user *user,
                     struct rel_err *e)
{
    rel_autofree char *dir = sup_files_secret_path(home, generation), *cookie = NULL;

    if (sup_files_make(dir, e) < 0 || hot_cookie_new(&cookie, e) < 0 ||
        hot_cookie_put(dir, cookie, e) < 0)
        return -1;
    return sup_files_give(dir, user, e);
}

int sup_files_dump(const char *path, const struct sup_user *user, struct rel_err *e)
{
    rel_autoclose int fd = -1;

    if (!sup_user_is_other(user))
        return 0;
    (void)!unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || fchown(fd, user->uid, user->gid) < 0)
        return rel_fail(e, REL_E_IO, errno, "make %s", path);
    return 0;
}
