/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rel_io.h"

enum { CHUNK = 64 << 10, DEPTH_MAX = 200 };

/* Open folders, and what both sides are read into. */
struct walk {
    char *there, *fresh;
    bool holds;
};

static ssize_t read_full(int fd, char *to, size_t max)
{
    size_t got = 0;

    while (got < max) {
        ssize_t n = read(fd, to + got, max - got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -1 : (ssize_t)got;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

static int compare_files(struct walk *w, int there_fd, int fresh_fd, const char *name,
                         struct rel_err *e)
{
    rel_autoclose int x = openat(there_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    rel_autoclose int y = openat(fresh_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t n = 1, m;

    if (x < 0 || y < 0)
        return rel_fail(e, REL_E_IO, errno, "read %s", name);
    while (w->holds && n) {
        n = read_full(x, w->there, CHUNK);
        m = read_full(y, w->fresh, CHUNK);
        if (n < 0 || m < 0)
            return rel_fail(e, REL_E_IO, errno, "read %s", name);
        w->holds = n == m && !memcmp(w->there, w->fresh, (size_t)n);
    }
    return 0;
}

static bool same_link(int there_fd, int fresh_fd, const char *name)
{
    char x[PATH_MAX], y[PATH_MAX];
    ssize_t n = readlinkat(there_fd, name, x, sizeof(x));
    ssize_t m = readlinkat(fresh_fd, name, y, sizeof(y));

    return n > 0 && n == m && !memcmp(x, y, (size_t)n);
}

static int compare_folders(struct walk *w, int there_fd, int fresh_fd, int depth,
                           struct rel_err *e);

static int compare_entry(struct walk *w, int there_fd, int fresh_fd, const char *name, int depth,
                         struct rel_err *e)
{
    struct stat x, y;

    if (fstatat(fresh_fd, name, &y, AT_SYMLINK_NOFOLLOW) < 0)
        return rel_fail(e, REL_E_IO, errno, "look at %s", name);
    w->holds = fstatat(there_fd, name, &x, AT_SYMLINK_NOFOLLOW) == 0 && x.st_mode == y.st_mode &&
               (!S_ISREG(y.st_mode) || x.st_size == y.st_size);
    if (!w->holds)
        return 0;
    if (S_ISLNK(y.st_mode)) {
        w->holds = same_link(there_fd, fresh_fd, name);
        return 0;
    }
    if (S_ISREG(y.st_mode))
        return compare_files(w, there_fd, fresh_fd, name, e);
    return compare_folders(w, openat(there_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                           openat(fresh_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), depth + 1,
                           e);
}

/* Takes both descriptors. */
static int compare_folders(struct walk *w, int there_fd, int fresh_fd, int depth, struct rel_err *e)
{
    rel_autoclose int there = there_fd;
    rel_autoclosedir DIR *d = fresh_fd >= 0 ? fdopendir(fresh_fd) : NULL;
    struct dirent *entry;

    if (!d && fresh_fd >= 0)
        close(fresh_fd);
    if (there < 0 || !d || depth > DEPTH_MAX)
        return rel_fail(e, REL_E_IO, errno ? errno : ELOOP, "read a folder of the release");
    while (errno = 0, w->holds && (entry = readdir(d)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            compare_entry(w, there, dirfd(d), entry->d_name, depth, e) < 0)
            return -1;
    return errno ? rel_fail(e, REL_E_IO, errno, "read a folder of the release") : 0;
}

int sup_tree_holds(const char *there, const char *fresh, bool *holds, struct rel_err *e)
{
    rel_autofree char *x = rel_xmalloc(CHUNK), *y = rel_xmalloc(CHUNK);
    struct walk w = {.there = x, .fresh = y, .holds = true};

    if (compare_folders(&w, open(there, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                        open(fresh, O_RDONLY | O_DIRECTORY | O_CLOEXEC), 0, e) < 0)
        return -1;
    *holds = w.holds;
    return 0;
}
