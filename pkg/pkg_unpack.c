/* SPDX-License-Identifier: Apache-2.0 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rel_io.h"
#include "pkg/pkg_archive.h"

const struct pkg_unpack_limits pkg_unpack_limits_default = {
    .bytes = UINT64_C(16) << 30,
    .files = 1000000,
};

/* A tarball being unpacked. Nothing of an entry is taken as it is: it is checked, and a clean entry
 * of our own making goes to the disk. */
struct unpack {
    struct archive *from, *to;
    const char *path;
    char *dir; /* real path of the new folder */
    const struct pkg_unpack_limits *limits;
    const struct rel_progress *progress;
    uint64_t bytes, size; /* unpacked so far; of the tarball */
    unsigned told_percent;
    char **names; /* each "d" or "f" and the name */
    size_t name_n, name_cap;
};

static void unpack_fini(struct unpack *u)
{
    archive_read_free(u->from);
    archive_write_free(u->to);
    for (size_t i = 0; i < u->name_n; i++)
        free(u->names[i]);
    free(u->names);
    free(u->dir);
}
#define autounpack __attribute__((cleanup(unpack_fini)))

static void entry_free_p(struct archive_entry **entry)
{
    archive_entry_free(*entry);
}
#define autoentry __attribute__((cleanup(entry_free_p)))

static int refuse(const char *name, const char *why, struct rel_err *e)
{
    return rel_fail(e, REL_E_INPUT, 0, "the entry %s %s", name, why);
}

static int read_fail(struct unpack *u, struct rel_err *e)
{
    const char *text = archive_error_string(u->from);

    return rel_fail(e, REL_E_INPUT, 0, "it is damaged or no archive: %s",
                    text ? text : "unreadable");
}

static int write_fail(struct unpack *u, const char *name, struct rel_err *e)
{
    const char *text = archive_error_string(u->to);
    int sys = archive_errno(u->to);

    if (sys > 0 && sys != ELOOP && sys != ENOTDIR && sys != EISDIR)
        return rel_fail(e, REL_E_IO, sys, "unpack %s", name);
    return rel_fail(e, REL_E_INPUT, 0, "the entry %s: %s", name, text ? text : "cannot be made");
}

/* A name without "./" in front, "//" or "/" at the end, in `clean`. */
static int clean_name(const char *name, char clean[PATH_MAX], struct rel_err *e)
{
    size_t n = 0;

    if (!name || strlen(name) >= PATH_MAX)
        return rel_fail(e, REL_E_INPUT, 0, "an entry has no name, or one that is too long");
    if (*name == '/')
        return refuse(name, "has an absolute name", e);
    while (*name) {
        size_t part = strcspn(name, "/");

        if (part == 2 && !strncmp(name, "..", 2))
            return rel_fail(e, REL_E_INPUT, 0, "an entry has '..' in its name");
        if (part && !(part == 1 && *name == '.')) {
            if (n)
                clean[n++] = '/';
            memcpy(clean + n, name, part);
            n += part;
        }
        name += part;
        name += *name == '/';
    }
    clean[n] = '\0';
    return 0;
}

/* The folder of a link is real, because nothing is written through a link; so its leading ".." can
 * be counted. A ".." behind a name could start from another link: refused. */
static int check_symlink(const char *name, const char *target, struct rel_err *e)
{
    int depth = 0;
    bool in_names = false;

    for (const char *p = name; *p; p++)
        depth += *p == '/';
    if (!target || !*target || *target == '/')
        return refuse(name, "is a link to an absolute path", e);
    while (*target) {
        size_t part = strcspn(target, "/");

        if (part == 2 && !strncmp(target, "..", 2)) {
            if (in_names || --depth < 0)
                return refuse(name, "is a link that leaves the archive", e);
        } else if (part && !(part == 1 && *target == '.')) {
            in_names = true;
        }
        target += part;
        target += *target == '/';
    }
    return 0;
}

static int check_kind(struct archive_entry *from, const char *name, struct rel_err *e)
{
    if (archive_entry_perm(from) & (S_ISUID | S_ISGID))
        return refuse(name, "has a setuid or setgid bit", e);
    if (archive_entry_hardlink(from))
        return 0;
    switch (archive_entry_filetype(from)) {
    case AE_IFREG:
    case AE_IFDIR:
        return 0;
    case AE_IFLNK:
        return check_symlink(name, archive_entry_symlink(from), e);
    case AE_IFCHR:
    case AE_IFBLK:
        return refuse(name, "is a device", e);
    default:
        return refuse(name, "is no file, folder or link", e);
    }
}

static int remember(struct unpack *u, const char *name, bool dir, struct rel_err *e)
{
    if (u->name_n >= u->limits->files)
        return rel_fail(e, REL_E_INPUT, 0, "it holds more than %llu files",
                        (unsigned long long)u->limits->files);
    if (u->name_n == u->name_cap) {
        u->name_cap = u->name_cap ? 2 * u->name_cap : 1024;
        u->names = rel_xrealloc(u->names, u->name_cap, sizeof(*u->names));
    }
    u->names[u->name_n++] = rel_strf("%c%s", dir ? 'd' : 'f', name);
    return 0;
}

static int by_name(const void *x, const void *y)
{
    return strcmp(*(char *const *)x + 1, *(char *const *)y + 1);
}

/* A folder may be named twice, nothing else. */
static int check_duplicates(struct unpack *u, struct rel_err *e)
{
    qsort(u->names, u->name_n, sizeof(*u->names), by_name);
    for (size_t i = 1; i < u->name_n; i++)
        if (!by_name(&u->names[i - 1], &u->names[i]) &&
            (*u->names[i - 1] != 'd' || *u->names[i] != 'd'))
            return refuse(u->names[i] + 1, "is there twice", e);
    return 0;
}

static int count(struct unpack *u, uint64_t n, struct rel_err *e)
{
    if (n > u->limits->bytes || u->bytes > u->limits->bytes - n)
        return rel_fail(e, REL_E_INPUT, 0, "it unpacks to more than %llu bytes",
                        (unsigned long long)u->limits->bytes);
    u->bytes += n;
    return 0;
}

/* Each percent of the tarball once. */
static void tell(struct unpack *u, const char *name)
{
    uint64_t read = (uint64_t)archive_filter_bytes(u->from, -1);
    unsigned percent = (unsigned)(100 * read / u->size);

    if (percent == u->told_percent)
        return;
    u->told_percent = percent;
    rel_progress_news(u->progress, name, read, u->size);
}

static int copy_data(struct unpack *u, const char *name, struct rel_err *e)
{
    const void *block;
    la_int64_t offset;
    size_t n;
    int status;

    while ((status = archive_read_data_block(u->from, &block, &n, &offset)) == ARCHIVE_OK) {
        if (count(u, n, e) < 0)
            return -1;
        if (archive_write_data_block(u->to, block, n, offset) < ARCHIVE_OK)
            return write_fail(u, name, e);
        tell(u, name);
    }
    return status == ARCHIVE_EOF ? 0 : read_fail(u, e);
}

/* The kind, with its target where it is a link. */
static int make_kind(struct unpack *u, struct archive_entry *from, const char *name,
                     struct archive_entry *made, struct rel_err *e)
{
    const char *hardlink = archive_entry_hardlink(from);
    rel_autofree char *full = NULL;
    char target[PATH_MAX];
    struct stat st;

    archive_entry_set_filetype(made, archive_entry_filetype(from));
    archive_entry_set_perm(made, archive_entry_filetype(from) == AE_IFDIR
                                     ? 0755
                                     : (archive_entry_perm(from) & 0777) | 0600);
    if (!hardlink) {
        if (archive_entry_filetype(from) == AE_IFLNK)
            archive_entry_set_symlink(made, archive_entry_symlink(from));
        else
            archive_entry_set_size(made, archive_entry_size(from));
        return 0;
    }
    if (clean_name(hardlink, target, e) < 0)
        return rel_wrap(e, "the hard link %s leaves the archive", name);
    full = rel_strf("%s/%s", u->dir, target);
    if (lstat(full, &st) < 0 || !S_ISREG(st.st_mode))
        return refuse(name, "is a hard link to what is no file of the archive", e);
    archive_entry_set_hardlink(made, full);
    return 0;
}

static int unpack_one(struct unpack *u, struct archive_entry *from, struct rel_err *e)
{
    autoentry struct archive_entry *made = archive_entry_new();
    char name[PATH_MAX];
    rel_autofree char *full = NULL;
    bool dir = archive_entry_filetype(from) == AE_IFDIR && !archive_entry_hardlink(from);

    if (clean_name(archive_entry_pathname(from), name, e) < 0)
        return -1;
    if (!*name)
        return dir ? 0 : rel_fail(e, REL_E_INPUT, 0, "an entry that is no folder is named '.'");
    if (check_kind(from, name, e) < 0 || remember(u, name, dir, e) < 0 ||
        make_kind(u, from, name, made, e) < 0)
        return -1;
    if (archive_entry_size(from) > 0 && (uint64_t)archive_entry_size(from) > u->limits->bytes)
        return count(u, (uint64_t)archive_entry_size(from), e);
    full = rel_strf("%s/%s", u->dir, name);
    archive_entry_set_pathname(made, full);
    if (archive_write_header(u->to, made) < ARCHIVE_OK)
        return write_fail(u, name, e);
    if (archive_entry_size(made) > 0 && copy_data(u, name, e) < 0)
        return -1;
    if (archive_write_finish_entry(u->to) < ARCHIVE_OK)
        return write_fail(u, name, e);
    return 0;
}

static int unpack_entries(struct unpack *u, struct rel_err *e)
{
    struct archive_entry *from;
    int status;

    while ((status = archive_read_next_header(u->from, &from)) == ARCHIVE_OK)
        if (unpack_one(u, from, e) < 0)
            return -1;
    if (status != ARCHIVE_EOF)
        return read_fail(u, e);
    if (u->name_n == 0)
        return rel_fail(e, REL_E_INPUT, 0, "it is empty");
    /* libarchive takes an end of file for an end of the archive; only the two empty blocks are
     * one (tar(5)), and only behind them it has read on. */
    if (archive_filter_bytes(u->from, 0) <= archive_read_header_position(u->from))
        return rel_fail(e, REL_E_INPUT, 0, "it is truncated");
    if (check_duplicates(u, e) < 0)
        return -1;
    if (archive_write_close(u->to) != ARCHIVE_OK)
        return write_fail(u, "the last entry", e);
    return rel_sync_tree(AT_FDCWD, u->dir, e);
}

static int open_archive(struct unpack *u, struct rel_err *e)
{
    struct stat st;

    if (stat(u->path, &st) < 0)
        return rel_fail(e, errno == ENOENT ? REL_E_INPUT : REL_E_IO, errno, "open");
    if (!S_ISREG(st.st_mode))
        return rel_fail(e, REL_E_INPUT, 0, "it is no file");
    if (st.st_size == 0)
        return rel_fail(e, REL_E_INPUT, 0, "it is empty");
    u->size = (uint64_t)st.st_size;
    u->from = archive_read_new();
    u->to = archive_write_disk_new();
    if (!u->from || !u->to)
        abort();
    archive_read_support_filter_all(u->from);
    archive_read_support_format_tar(u->from);
    /* No SECURE_NOABSOLUTEPATHS: it is we who put the absolute folder in front of checked names,
     * because the working directory belongs to all threads. */
    archive_write_disk_set_options(u->to, ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_SECURE_NODOTDOT |
                                              ARCHIVE_EXTRACT_SECURE_SYMLINKS);
    if (archive_read_open_filename(u->from, u->path, 1 << 18) != ARCHIVE_OK)
        return read_fail(u, e);
    return 0;
}

int pkg_archive_unpack(const char *path, const char *dir, const struct pkg_unpack_limits *limits,
                       const struct rel_progress *progress, struct rel_err *e)
{
    autounpack struct unpack u = {
        .path = path, .limits = limits ? limits : &pkg_unpack_limits_default, .progress = progress};
    struct rel_err ignored = {0};

    if (open_archive(&u, e) < 0)
        return rel_wrap(e, "%s", path);
    if (mkdir(dir, 0755) < 0)
        return rel_fail(e, REL_E_IO, errno, "create the folder %s", dir);
    u.dir = realpath(dir, NULL);
    if (!u.dir) {
        rel_fail(e, REL_E_IO, errno, "find the folder %s", dir);
        goto undo;
    }
    if (unpack_entries(&u, e) < 0) {
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
