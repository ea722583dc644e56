/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_native.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rel_io.h"
#include "base/rel_own.h"

enum { DEPTH_MAX = 32, CHUNK = 65536 };

static bool is_elf(int fd)
{
    char magic[SELFMAG];

    return pread(fd, magic, sizeof(magic), 0) == SELFMAG && !memcmp(magic, ELFMAG, SELFMAG);
}

static bool same_bytes(int a, int b)
{
    rel_autofree char *x = rel_xmalloc(CHUNK), *y = rel_xmalloc(CHUNK);
    off_t at = 0;

    for (;;) {
        ssize_t n = pread(a, x, CHUNK, at), m = pread(b, y, CHUNK, at);

        if (n != m || n < 0 || memcmp(x, y, (size_t)n) != 0)
            return false;
        if (n == 0)
            return true;
        at += n;
    }
}

/* Links to one inode are one file. */
static bool differs(const char *path, const char *other_path)
{
    rel_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    rel_autoclose int other = open(other_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat a, b;

    if (fd < 0 || other < 0 || fstat(fd, &a) < 0 || fstat(other, &b) < 0)
        return true;
    if (a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return false;
    return a.st_size != b.st_size || !same_bytes(fd, other);
}

static bool is_missing(const char *path, const char *other_path)
{
    struct stat st;

    (void)path;
    return stat(other_path, &st) < 0;
}

static bool is_native_changed(const char *old_path, const char *new_path)
{
    rel_autoclose int old = open(old_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    rel_autoclose int new = open(new_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    return old >= 0 && is_elf(old) && (new < 0 || !same_bytes(old, new));
}

/* Two folders, and what about a file of the first and that of the same name in the second is looked
 * for. */
struct search {
    const char *dir, *other;
    bool (*found)(const char *path, const char *other_path);
};

static int search(const struct search *s, const char *at, int depth, char **changed,
                  struct rel_err *e)
{
    rel_autofree char *dir = rel_strf("%s/%s", s->dir, at);
    rel_autoclosedir DIR *d = opendir(dir);
    struct dirent *f;

    if (!d)
        return errno == ENOENT || errno == ENOTDIR ? 0
                                                   : rel_fail(e, REL_E_IO, errno, "list %s", dir);
    while (!*changed && (f = readdir(d))) {
        rel_autofree char *name = rel_strf("%s/%s", at, f->d_name);
        rel_autofree char *path = rel_strf("%s/%s", s->dir, name);
        rel_autofree char *other = rel_strf("%s/%s", s->other, name);
        struct stat st;

        if (!strcmp(f->d_name, ".") || !strcmp(f->d_name, "..") || stat(path, &st) < 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
            if (search(s, name, depth + 1, changed, e) < 0)
                return -1;
        } else if (S_ISREG(st.st_mode) && s->found(path, other)) {
            *changed = rel_steal(&name);
        }
    }
    return 0;
}

int pkg_native_changed(const char *old_dir, const char *new_dir, char **changed, struct rel_err *e)
{
    const struct search s = {old_dir, new_dir, is_native_changed};

    *changed = NULL;
    return search(&s, "priv", 0, changed, e);
}

int pkg_priv_changed(const char *old_dir, const char *new_dir, char **changed, struct rel_err *e)
{
    const struct search old = {old_dir, new_dir, differs}, new = {new_dir, old_dir, is_missing};

    *changed = NULL;
    if (search(&old, "priv", 0, changed, e) < 0)
        return -1;
    return *changed ? 0 : search(&new, "priv", 0, changed, e);
}
