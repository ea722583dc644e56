/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rel_io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

int rel_read_fd(int fd, const char *path, size_t max, char **data, size_t *len, struct rel_err *e)
{
    rel_autobuf struct rel_buf b = {0};
    struct stat st;
    char chunk[65536];

    if (fstat(fd, &st) < 0)
        return rel_fail(e, REL_E_IO, errno, "stat %s", path);
    if (S_ISDIR(st.st_mode))
        return rel_fail(e, REL_E_INPUT, EISDIR, "read %s", path);
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return rel_fail(e, REL_E_IO, errno, "read %s", path);
        if (n == 0)
            break;
        if ((size_t)n > max - b.len)
            return rel_fail(e, REL_E_INPUT, 0, "%s is larger than %zu bytes", path, max);
        rel_buf_add(&b, chunk, (size_t)n);
    }
    *len = b.len;
    *data = rel_buf_take(&b);
    return 0;
}

int rel_read_file(int dir_fd, const char *path, size_t max, char **data, size_t *len,
                  struct rel_err *e)
{
    rel_autoclose int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return rel_fail(e, REL_E_IO, errno, "open %s", path);
    return rel_read_fd(fd, path, max, data, len, e);
}

int rel_write_all(int fd, const void *data, size_t len, struct rel_err *e)
{
    const char *p = data;

    while (len) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return rel_fail(e, REL_E_IO, errno, "write");
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Splits path into the descriptor of its directory and its last component. */
static int open_parent(int dir_fd, const char *path, int *parent_fd, char **name, struct rel_err *e)
{
    const char *slash = strrchr(path, '/');
    rel_autofree char *dir = NULL;
    int fd;

    if (!slash)
        dir = rel_xstrdup(".");
    else if (slash == path)
        dir = rel_xstrdup("/");
    else
        dir = rel_xstrndup(path, (size_t)(slash - path));
    fd = openat(dir_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return rel_fail(e, REL_E_IO, errno, "open the folder of %s", path);
    *parent_fd = fd;
    *name = rel_xstrdup(slash ? slash + 1 : path);
    return 0;
}

int rel_random(void *out, size_t n, struct rel_err *e)
{
    char *p = out;

    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return rel_fail(e, REL_E_IO, errno, "ask the system for random bytes");
        p += got;
        n -= (size_t)got;
    }
    return 0;
}

static int make_tmp_name(const char *name, char **tmp_name, struct rel_err *e)
{
    uint64_t r;

    if (rel_random(&r, sizeof(r), e) < 0)
        return -1;
    *tmp_name = rel_strf(".%.200s.%016" PRIx64 ".tmp", name, r);
    return 0;
}

int rel_tmp_open(struct rel_tmp *t, int dir_fd, const char *path, mode_t mode, struct rel_err *e)
{
    *t = (struct rel_tmp)REL_TMP_INIT;
    if (open_parent(dir_fd, path, &t->dir_fd, &t->name, e) < 0)
        return -1;
    if (make_tmp_name(t->name, &t->tmp_name, e) < 0)
        goto undo;
    t->fd =
        openat(t->dir_fd, t->tmp_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (t->fd < 0) {
        rel_fail(e, REL_E_IO, errno, "create a file beside %s", path);
        goto undo;
    }
    if (fchmod(t->fd, mode) < 0) {
        rel_fail(e, REL_E_IO, errno, "set the mode of %s", path);
        goto undo;
    }
    return 0;
undo:
    rel_tmp_abandon(t);
    return -1;
}

int rel_tmp_commit(struct rel_tmp *t, struct rel_err *e)
{
    if (fsync(t->fd) < 0) {
        rel_fail(e, REL_E_IO, errno, "sync %s", t->name);
        goto undo;
    }
    if (close(rel_steal_fd(&t->fd)) < 0) {
        rel_fail(e, REL_E_IO, errno, "close %s", t->name);
        goto undo;
    }
    if (renameat(t->dir_fd, t->tmp_name, t->dir_fd, t->name) < 0) {
        rel_fail(e, REL_E_IO, errno, "replace %s", t->name);
        goto undo;
    }
    free(rel_steal(&t->tmp_name));
    if (fsync(t->dir_fd) < 0) {
        rel_fail(e, REL_E_IO, errno, "sync the folder of %s", t->name);
        goto undo;
    }
    rel_tmp_abandon(t);
    return 0;
undo:
    rel_tmp_abandon(t);
    return -1;
}

void rel_tmp_abandon(struct rel_tmp *t)
{
    int saved = errno;

    if (t->fd >= 0)
        close(t->fd);
    if (t->dir_fd >= 0) {
        if (t->tmp_name)
            unlinkat(t->dir_fd, t->tmp_name, 0);
        close(t->dir_fd);
    }
    free(t->name);
    free(t->tmp_name);
    *t = (struct rel_tmp)REL_TMP_INIT;
    errno = saved;
}

int rel_replace_file(int dir_fd, const char *path, const void *data, size_t len, mode_t mode,
                     struct rel_err *e)
{
    rel_autotmp struct rel_tmp t = REL_TMP_INIT;

    if (rel_tmp_open(&t, dir_fd, path, mode, e) < 0)
        return -1;
    if (rel_write_all(t.fd, data, len, e) < 0)
        return rel_wrap(e, "%s", path);
    return rel_tmp_commit(&t, e);
}

int rel_replace_link(int dir_fd, const char *path, const char *target, struct rel_err *e)
{
    rel_autoclose int parent_fd = -1;
    rel_autofree char *name = NULL, *next = NULL;

    if (open_parent(dir_fd, path, &parent_fd, &name, e) < 0)
        return -1;
    next = rel_strf(".%.200s.next", name);
    if (unlinkat(parent_fd, next, 0) < 0 && errno != ENOENT) /* left by a crash */
        return rel_fail(e, REL_E_IO, errno, "remove the stale %s", next);
    if (symlinkat(target, parent_fd, next) < 0)
        return rel_fail(e, REL_E_IO, errno, "create %s", next);
    if (renameat(parent_fd, next, parent_fd, name) < 0)
        return rel_fail(e, REL_E_IO, errno, "replace %s", path);
    if (fsync(parent_fd) < 0) /* the rename survives a power loss */
        return rel_fail(e, REL_E_IO, errno, "sync the folder of %s", path);
    return 0;
}

int rel_rename_dir(int dir_fd, const char *from, const char *to, struct rel_err *e)
{
    rel_autoclose int parent_fd = -1;
    rel_autofree char *name = NULL;

    if (open_parent(dir_fd, to, &parent_fd, &name, e) < 0)
        return -1;
    if (renameat(dir_fd, from, parent_fd, name) < 0)
        return rel_fail(e, REL_E_IO, errno, "move %s to %s", from, to);
    if (fsync(parent_fd) < 0)
        return rel_fail(e, REL_E_IO, errno, "sync the folder of %s", to);
    return 0;
}

int rel_mkdirs(int dir_fd, const char *path, mode_t mode, struct rel_err *e)
{
    rel_autofree char *copy = rel_xstrdup(path);

    for (char *p = copy + 1;; p++) {
        char c = *p;

        if (c != '/' && c != '\0')
            continue;
        *p = '\0';
        if (mkdirat(dir_fd, copy, mode) < 0 && errno != EEXIST)
            return rel_fail(e, REL_E_IO, errno, "make the folder %s", copy);
        *p = c;
        if (c == '\0')
            break;
    }
    if (!rel_is_dir(dir_fd, path))
        return rel_fail(e, REL_E_IO, ENOTDIR, "make the folder %s", path);
    return 0;
}

static int remove_at(int dir_fd, const char *name, dev_t dev, int depth, struct rel_err *e);

static int remove_children(int fd, const char *name, dev_t dev, int depth, struct rel_err *e)
{
    rel_autoclosedir DIR *d = fdopendir(fd);
    struct dirent *entry;

    if (!d) {
        close(fd);
        return rel_fail(e, REL_E_IO, errno, "read the folder %s", name);
    }
    while (errno = 0, entry = readdir(d)) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (remove_at(dirfd(d), entry->d_name, dev, depth + 1, e) < 0)
            return -1;
    }
    if (errno)
        return rel_fail(e, REL_E_IO, errno, "read the folder %s", name);
    return 0;
}

static int remove_at(int dir_fd, const char *name, dev_t dev, int depth, struct rel_err *e)
{
    struct stat st;
    int fd;

    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return rel_fail(e, REL_E_IO, errno, "remove %s", name);
    if (depth > 500) /* one descriptor a level */
        return rel_fail(e, REL_E_IO, ELOOP, "remove %s", name);
    fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return rel_fail(e, REL_E_IO, errno, "open the folder %s", name);
    if (fstat(fd, &st) < 0 || (dev && st.st_dev != dev)) {
        close(fd);
        return rel_fail(e, REL_E_IO, EXDEV, "remove %s", name);
    }
    fchmod(fd, 0700); /* a folder of an archive may forbid its owner to write */
    if (remove_children(fd, name, st.st_dev, depth, e) < 0)
        return -1;
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) < 0)
        return rel_fail(e, REL_E_IO, errno, "remove the folder %s", name);
    return 0;
}

int rel_remove_tree(int dir_fd, const char *path, struct rel_err *e)
{
    return remove_at(dir_fd, path, 0, 0, e);
}

int rel_sync_tree(int dir_fd, const char *path, struct rel_err *e)
{
    rel_autoclose int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return rel_fail(e, REL_E_IO, errno, "open %s", path);
    if (syncfs(fd) < 0)
        return rel_fail(e, REL_E_IO, errno, "sync %s", path);
    return 0;
}

bool rel_is_dir(int dir_fd, const char *path)
{
    struct stat st;

    return fstatat(dir_fd, path, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

bool rel_is_file(int dir_fd, const char *path)
{
    struct stat st;

    return fstatat(dir_fd, path, &st, 0) == 0 && S_ISREG(st.st_mode);
}
