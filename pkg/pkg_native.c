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

/* A file that is a link to the same inode is the same. */
static bool is_changed(const char *old_path, const char *new_path)
{
    rel_autoclose int old = open(old_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    rel_autoclose int new = open(new_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    return old >= 0 && is_elf(old) && (new < 0 || !same_bytes(old, new));
}

static int search(const char *old_dir, const char *new_dir, const char *at, int depth,
                  char **changed, struct rel_err *e)
{
    rel_autofree char *dir = rel_strf("%s/%s", old_dir, at);
    rel_autoclosedir DIR *d = opendir(dir);
    struct dirent *f;

    if (!d)
        return errno == ENOENT || errno == ENOTDIR ? 0
                                                   : rel_fail(e, REL_E_IO, errno, "list %s", dir);
    while (!*changed && (f = readdir(d))) {
        rel_autofree char *name = rel_strf("%s/%s", at, f->d_name);
        rel_autofree char *old = rel_strf("%s/%s", old_dir, name);
        rel_autofree char *new = rel_strf("%s/%s", new_dir, name);
        struct stat st;

        if (!strcmp(f->d_name, ".") || !strcmp(f->d_name, "..") || stat(old, &st) < 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
            if (search(old_dir, new_dir, name, depth + 1, changed, e) < 0)
                return -1;
        } else if (S_ISREG(st.st_mode) && is_changed(old, new)) {
            *changed = rel_steal(&name);
        }
    }
    return 0;
}

int pkg_native_changed(const char *old_dir, const char *new_dir, char **changed, struct rel_err *e)
{
    *changed = NULL;
    return search(old_dir, new_dir, "priv", 0, changed, e);
}
