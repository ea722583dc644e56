/* SPDX-License-Identifier: Apache-2.0 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rel_io.h"
#include "pkg/pkg_manifest.h"
#include "pkg/pkg_tar.h"

const struct pkg_unpack_limits pkg_unpack_limits_default = {
    .bytes = UINT64_C(16) << 30,
    .files = 1000000,
};

/* A tarball being unpacked. Nothing of an entry is taken as it is: the reader has checked it, and a
 * clean entry of our own making goes to the disk. */
struct unpack {
    struct pkg_tar_reader *from;
    struct archive *to;
    const struct pkg_manifest *only; /* NULL: anything */
    char *dir;                       /* real path of the new folder */
};

static void unpack_fini(struct unpack *u)
{
    pkg_tar_close(&u->from);
    archive_write_free(u->to);
    free(u->dir);
}
#define autounpack __attribute__((cleanup(unpack_fini)))

static void entry_free_p(struct archive_entry **entry)
{
    archive_entry_free(*entry);
}
#define autoentry __attribute__((cleanup(entry_free_p)))

static int write_fail(struct unpack *u, const char *name, struct rel_err *e)
{
    const char *text = archive_error_string(u->to);
    int sys = archive_errno(u->to);

    if (sys > 0 && sys != ELOOP && sys != ENOTDIR && sys != EISDIR)
        return rel_fail(e, REL_E_IO, sys, "unpack %s", name);
    return rel_fail(e, REL_E_INPUT, 0, "the entry %s: %s", name, text ? text : "cannot be made");
}

static int set_hardlink(struct unpack *u, const struct pkg_tar_entry *from,
                        struct archive_entry *made, struct rel_err *e)
{
    rel_autofree char *full = rel_strf("%s/%s", u->dir, from->target);
    struct stat st;

    if (lstat(full, &st) < 0 || !S_ISREG(st.st_mode))
        return rel_fail(e, REL_E_INPUT, 0,
                        "the entry %s is a hard link to what is no file of the archive",
                        from->name);
    archive_entry_set_hardlink(made, full);
    return 0;
}

/* Nobody but its owner writes it. */
mode_t pkg_unpacked_mode(mode_t mode)
{
    return (mode & 0755) | 0600;
}

static int make_entry(struct unpack *u, const struct pkg_tar_entry *from,
                      struct archive_entry *made, struct rel_err *e)
{
    rel_autofree char *full = rel_strf("%s/%s", u->dir, from->name);

    archive_entry_set_pathname(made, full);
    archive_entry_set_filetype(made, from->kind == PKG_TAR_DIR    ? AE_IFDIR
                                     : from->kind == PKG_TAR_LINK ? AE_IFLNK
                                                                  : AE_IFREG);
    archive_entry_set_perm(made, from->kind == PKG_TAR_DIR ? 0755 : pkg_unpacked_mode(from->mode));
    if (from->kind == PKG_TAR_HARDLINK)
        return set_hardlink(u, from, made, e);
    if (from->kind == PKG_TAR_LINK)
        archive_entry_set_symlink(made, from->target);
    else
        archive_entry_set_size(made, (la_int64_t)from->size);
    return 0;
}

static int copy_data(struct unpack *u, const char *name, struct rel_err *e)
{
    const void *p;
    size_t n;

    while (pkg_tar_data(u->from, &p, &n, e) == 0) {
        if (!n)
            return 0;
        if (archive_write_data(u->to, p, n) != (la_ssize_t)n)
            return write_fail(u, name, e);
    }
    return -1;
}

static int unpack_one(struct unpack *u, const struct pkg_tar_entry *from, struct rel_err *e)
{
    autoentry struct archive_entry *made = archive_entry_new();

    if (u->only && from->kind != PKG_TAR_DIR &&
        pkg_manifest_admit(u->only, from->name, from->size, e) < 0)
        return -1;
    if (make_entry(u, from, made, e) < 0)
        return -1;
    if (archive_write_header(u->to, made) < ARCHIVE_OK)
        return write_fail(u, from->name, e);
    if (from->size && copy_data(u, from->name, e) < 0)
        return -1;
    return archive_write_finish_entry(u->to) < ARCHIVE_OK ? write_fail(u, from->name, e) : 0;
}

static int unpack_all(struct unpack *u, struct rel_err *e)
{
    struct pkg_tar_entry entry;
    bool more;

    while (pkg_tar_next(u->from, &entry, &more, e) == 0) {
        if (more && unpack_one(u, &entry, e) < 0)
            return -1;
        if (more)
            continue;
        if (archive_write_close(u->to) != ARCHIVE_OK)
            return write_fail(u, "the last entry", e);
        return rel_sync_tree(AT_FDCWD, u->dir, e);
    }
    return -1;
}

int pkg_archive_unpack(const char *path, const char *dir, const struct pkg_unpack_limits *limits,
                       const struct rel_progress *progress, struct rel_err *e)
{
    autounpack struct unpack u = {.only = limits ? limits->only : NULL};
    struct rel_err ignored = {0};

    if (pkg_tar_open(path, limits, progress, &u.from, e) < 0)
        return rel_wrap(e, "%s", path);
    if (mkdir(dir, 0755) < 0)
        return rel_fail(e, REL_E_IO, errno, "create the folder %s", dir);
    u.to = archive_write_disk_new();
    if (!u.to)
        abort();
    /* No SECURE_NOABSOLUTEPATHS: it is we who put the absolute folder in front of checked names,
     * because the working directory belongs to all threads. */
    archive_write_disk_set_options(u.to, ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_SECURE_NODOTDOT |
                                             ARCHIVE_EXTRACT_SECURE_SYMLINKS);
    u.dir = realpath(dir, NULL);
    if (!u.dir) {
        rel_fail(e, REL_E_IO, errno, "find the folder %s", dir);
        goto undo;
    }
    if (unpack_all(&u, e) < 0) {
        rel_wrap(e, "%s", path);
        goto undo;
    }
    return 0;

undo:
    /* Before the folder goes: closing sets the modes of what lies in it. */
    archive_write_free(rel_steal(&u.to));
    if (rel_remove_tree(AT_FDCWD, dir, &ignored) < 0)
        rel_progress_warn(progress, "left behind: %s", ignored.msg);
    return -1;
}
