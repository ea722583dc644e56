/* SPDX-License-Identifier: Apache-2.0 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "pkg/pkg_manifest.h"
#include "pkg/pkg_tar.h"

enum { READ_BLOCK = 1 << 18, NAME_BYTES_MAX = 64 << 20 };

struct pkg_tar_reader {
    struct archive *a;
    const struct pkg_unpack_limits *limits;
    const struct rel_progress *progress;
    uint64_t bytes, size; /* of content so far; of the tarball */
    unsigned told_percent;
    char name[PATH_MAX], target[PATH_MAX]; /* of the entry that is lent */
    char *data;
    char **names; /* each "d" or "f" and the name */
    size_t name_n, name_cap, name_bytes;
};

static int refuse(const char *name, const char *why, struct rel_err *e)
{
    return rel_fail(e, REL_E_INPUT, 0, "the entry %s %s", name, why);
}

/* `in`: what was read when it went wrong, or NULL. */
static int read_fail(struct pkg_tar_reader *r, const char *in, struct rel_err *e)
{
    const char *text = archive_error_string(r->a);

    return rel_fail(e, REL_E_INPUT, 0, "it is damaged or no archive%s%s: %s", in ? ", at " : "",
                    in ? in : "", text ? text : "unreadable");
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
    if (strlen(target) >= PATH_MAX)
        return refuse(name, "is a link whose target is too long", e);
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

static int tell_kind(struct archive_entry *from, const char *name, enum pkg_tar_kind *kind,
                     struct rel_err *e)
{
    if (archive_entry_perm(from) & (S_ISUID | S_ISGID))
        return refuse(name, "has a setuid or setgid bit", e);
    *kind = PKG_TAR_HARDLINK;
    if (archive_entry_hardlink(from))
        return 0;
    switch (archive_entry_filetype(from)) {
    case AE_IFREG:
        *kind = PKG_TAR_FILE;
        return 0;
    case AE_IFDIR:
        *kind = PKG_TAR_DIR;
        return 0;
    case AE_IFLNK:
        *kind = PKG_TAR_LINK;
        return check_symlink(name, archive_entry_symlink(from), e);
    case AE_IFCHR:
    case AE_IFBLK:
        return refuse(name, "is a device", e);
    default:
        return refuse(name, "is no file, folder or link", e);
    }
}

static int remember(struct pkg_tar_reader *r, const char *name, bool dir, struct rel_err *e)
{
    if (r->name_n >= r->limits->files)
        return rel_fail(e, REL_E_INPUT, 0, "it holds more than %llu files",
                        (unsigned long long)r->limits->files);
    r->name_bytes += strlen(name) + 2;
    if (r->name_bytes > NAME_BYTES_MAX)
        return rel_fail(e, REL_E_INPUT, 0, "the names of its files have more than %d MiB",
                        NAME_BYTES_MAX >> 20);
    if (r->name_n == r->name_cap) {
        r->name_cap = r->name_cap ? 2 * r->name_cap : 1024;
        r->names = rel_xrealloc(r->names, r->name_cap, sizeof(*r->names));
    }
    r->names[r->name_n++] = rel_strf("%c%s", dir ? 'd' : 'f', name);
    return 0;
}

static int by_name(const void *x, const void *y)
{
    return strcmp(*(char *const *)x + 1, *(char *const *)y + 1);
}

/* A folder may be named twice, nothing else. */
static int check_duplicates(struct pkg_tar_reader *r, struct rel_err *e)
{
    qsort(r->names, r->name_n, sizeof(*r->names), by_name);
    for (size_t i = 1; i < r->name_n; i++)
        if (!by_name(&r->names[i - 1], &r->names[i]) &&
            (*r->names[i - 1] != 'd' || *r->names[i] != 'd'))
            return refuse(r->names[i] + 1, "is there twice", e);
    return 0;
}

static int count(struct pkg_tar_reader *r, uint64_t n, struct rel_err *e)
{
    if (n > r->limits->bytes || r->bytes > r->limits->bytes - n)
        return rel_fail(e, REL_E_INPUT, 0, "it unpacks to more than %llu bytes",
                        (unsigned long long)r->limits->bytes);
    r->bytes += n;
    return 0;
}

/* Each percent of the tarball once. */
static void tell(struct pkg_tar_reader *r)
{
    uint64_t read = (uint64_t)archive_filter_bytes(r->a, -1);
    unsigned percent = (unsigned)(100 * read / r->size);

    if (percent == r->told_percent)
        return;
    r->told_percent = percent;
    rel_progress_news(r->progress, r->name, read, r->size);
}

static int check_end(struct pkg_tar_reader *r, struct rel_err *e)
{
    if (r->name_n == 0)
        return rel_fail(e, REL_E_INPUT, 0, "it is empty");
    /* libarchive takes an end of file for an end of the archive; only the two empty blocks are
     * one (tar(5)), and only behind them it has read on. */
    if (archive_filter_bytes(r->a, 0) <= archive_read_header_position(r->a))
        return rel_fail(e, REL_E_INPUT, 0, "it is truncated");
    return check_duplicates(r, e);
}

/* The next one that has a name: the folder "." is none. */
static int next_header(struct pkg_tar_reader *r, struct archive_entry **from,
                       enum pkg_tar_kind *kind, bool *more, struct rel_err *e)
{
    for (;;) {
        int status = archive_read_next_header(r->a, from);

        *more = status != ARCHIVE_EOF;
        if (!*more)
            return check_end(r, e);
        if (status != ARCHIVE_OK)
            return read_fail(r, *r->name ? r->name : NULL, e);
        if (clean_name(archive_entry_pathname(*from), r->name, e) < 0 ||
            tell_kind(*from, r->name, kind, e) < 0)
            return -1;
        if (pkg_is_home_mark(r->name))
            return refuse(r->name, "is a mark that only relsup makes, in a home of its own", e);
        if (*r->name)
            return 0;
        if (*kind != PKG_TAR_DIR)
            return rel_fail(e, REL_E_INPUT, 0, "an entry that is no folder is named '.'");
    }
}

int pkg_tar_next(struct pkg_tar_reader *r, struct pkg_tar_entry *entry, bool *more,
                 struct rel_err *e)
{
    struct pkg_tar_entry read = {.name = r->name, .target = r->target};
    struct archive_entry *from;

    if (rel_progress_check(r->progress, e) < 0)
        return -1;
    if (next_header(r, &from, &read.kind, more, e) < 0)
        return -1;
    if (!*more)
        return 0;
    if (read.kind == PKG_TAR_LINK)
        snprintf(r->target, sizeof(r->target), "%s", archive_entry_symlink(from));
    if (read.kind == PKG_TAR_HARDLINK && clean_name(archive_entry_hardlink(from), r->target, e) < 0)
        return rel_wrap(e, "the hard link %s leaves the archive", r->name);
    read.mode = archive_entry_perm(from) & 0777;
    read.size = read.kind == PKG_TAR_FILE ? (uint64_t)archive_entry_size(from) : 0;
    *entry = read;
    return remember(r, r->name, read.kind == PKG_TAR_DIR, e) < 0 ? -1 : count(r, read.size, e);
}

/* A sparse file reads as the zeros it stands for; its size has been counted with the header. */
int pkg_tar_data(struct pkg_tar_reader *r, const void **p, size_t *n, struct rel_err *e)
{
    la_ssize_t got = archive_read_data(r->a, r->data, READ_BLOCK);

    if (got < 0)
        return read_fail(r, r->name, e);
    tell(r);
    *p = r->data;
    *n = (size_t)got;
    return 0;
}

static int open_file(struct pkg_tar_reader *r, const char *path, struct rel_err *e)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return rel_fail(e, errno == ENOENT ? REL_E_INPUT : REL_E_IO, errno, "open");
    if (!S_ISREG(st.st_mode))
        return rel_fail(e, REL_E_INPUT, 0, "it is no file");
    if (st.st_size == 0)
        return rel_fail(e, REL_E_INPUT, 0, "it is empty");
    r->size = (uint64_t)st.st_size;
    r->a = archive_read_new();
    if (!r->a)
        abort();
    /* Not all filters: some would run a program that the tarball chooses (lrzip, lzop, grzip). */
    archive_read_support_filter_gzip(r->a);
    archive_read_support_filter_zstd(r->a);
    archive_read_support_filter_xz(r->a);
    archive_read_support_filter_bzip2(r->a);
    archive_read_support_format_tar(r->a);
    if (archive_read_open_filename(r->a, path, READ_BLOCK) != ARCHIVE_OK)
        return read_fail(r, NULL, e);
    return 0;
}

int pkg_tar_open(const char *path, const struct pkg_unpack_limits *limits,
                 const struct rel_progress *progress, struct pkg_tar_reader **r, struct rel_err *e)
{
    pkg_autotar struct pkg_tar_reader *made = rel_xcalloc(1, sizeof(*made));

    made->limits = limits ? limits : &pkg_unpack_limits_default;
    made->progress = progress;
    made->data = rel_xmalloc(READ_BLOCK);
    if (open_file(made, path, e) < 0)
        return -1;
    *r = rel_steal(&made);
    return 0;
}

void pkg_tar_close(struct pkg_tar_reader **r)
{
    if (!*r)
        return;
    archive_read_free((*r)->a);
    for (size_t i = 0; i < (*r)->name_n; i++)
        free((*r)->names[i]);
    free((*r)->names);
    free((*r)->data);
    free(*r);
    *r = NULL;
}
