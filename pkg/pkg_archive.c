/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_archive.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rel_io.h"
#include "pkg/pkg_digest.h"
#include "pkg/pkg_manifest.h"
#include "pkg/pkg_segments.h"
#include "pkg/pkg_tar.h"

enum { READ_BLOCK = 256 << 10 };

/* An archive being written: entries become a tar, the tar becomes segments. */
struct writer {
    struct pkg_segments *segments;
    struct pkg_tar_writer *tar;
    char *group;
    char *block;
};

static int to_segments(void *ctx, const void *p, size_t n, struct rel_err *e)
{
    return pkg_segments_write(ctx, p, n, e);
}

static int writer_begin(struct writer *w, int fd, enum pkg_format format, struct rel_err *e)
{
    w->block = rel_xmalloc(READ_BLOCK);
    return pkg_segments_begin(fd, format, &w->segments, e) < 0
               ? -1
               : pkg_tar_begin(to_segments, w->segments, &w->tar, e);
}

static int writer_end(struct writer *w, struct rel_err *e)
{
    return pkg_tar_end(w->tar, e) < 0 ? -1 : pkg_segments_end(w->segments, e);
}

static void writer_fini(struct writer *w)
{
    pkg_tar_drop(&w->tar);
    pkg_segments_free(&w->segments);
    free(w->group);
    free(w->block);
}
#define autowriter __attribute__((cleanup(writer_fini)))

/* What changes together lies together, "lib/stdlib-4.2": a segment ends where that does, so that
 * what is equal in two releases is equal in segments too, and need not be compressed again. */
static int put_header(struct writer *w, const struct pkg_tar_entry *entry, struct rel_err *e)
{
    const char *slash = strchr(entry->name, '/');
    size_t n = slash ? (size_t)(slash - entry->name) + 1 : 0;

    n += strcspn(entry->name + n, "/");
    if (!w->group || strlen(w->group) != n || strncmp(w->group, entry->name, n) != 0) {
        free(w->group);
        w->group = rel_xstrndup(entry->name, n);
        if (pkg_segments_cut(w->segments, e) < 0)
            return -1;
    }
    return pkg_tar_put(w->tar, entry, e);
}

static int changed(const struct pkg_entry *from, struct rel_err *e)
{
    return rel_fail(e, REL_E_IO, 0, "%s changed while it was packed, try again", from->source);
}

/* Piece by piece: a file may be larger than what should be in memory. */
static int put_file(struct writer *w, const struct pkg_entry *from, struct pkg_tar_entry *to,
                    struct rel_err *e)
{
    rel_autoclose int fd = open(from->source, O_RDONLY | O_CLOEXEC);
    unsigned char sha256[PKG_SHA256_LEN];
    pkg_autodigest struct pkg_digest d;
    struct stat st;

    pkg_digest_init(&d);
    if (fd < 0 || fstat(fd, &st) < 0)
        return rel_fail(e, REL_E_INPUT, errno, "read %s", from->source);
    to->size = (uint64_t)st.st_size;
    if (put_header(w, to, e) < 0)
        return -1;
    for (uint64_t left = to->size; left;) {
        ssize_t n = read(fd, w->block, left < READ_BLOCK ? (size_t)left : READ_BLOCK);

        if (n < 0)
            return rel_fail(e, REL_E_IO, errno, "read %s", from->source);
        if (n == 0)
            return changed(from, e);
        pkg_digest_add(&d, w->block, (size_t)n);
        if (pkg_tar_put_data(w->tar, w->block, (size_t)n, e) < 0)
            return -1;
        left -= (uint64_t)n;
    }
    pkg_digest_take(&d, sha256);
    return from->surveyed && memcmp(sha256, from->sha256, sizeof(sha256)) != 0 ? changed(from, e)
                                                                               : 0;
}

static int put_content(struct writer *w, const struct pkg_entry *from, struct pkg_tar_entry *to,
                       struct rel_err *e)
{
    rel_autofree char *data = NULL;
    unsigned char sha256[PKG_SHA256_LEN];
    size_t len;

    if (pkg_entry_content(from, &data, &len, e) < 0)
        return -1;
    pkg_sha256(data, len, sha256);
    if (from->surveyed && memcmp(sha256, from->sha256, sizeof(sha256)) != 0)
        return changed(from, e);
    to->size = len;
    return put_header(w, to, e) < 0 ? -1 : pkg_tar_put_data(w->tar, data, len, e);
}

static int put_entry(struct writer *w, const struct pkg_entry *from, struct rel_err *e)
{
    struct pkg_tar_entry to = {.name = from->path, .mode = from->mode, .target = from->source};

    switch (from->kind) {
    case PKG_ENTRY_DIR:
        to.kind = PKG_TAR_DIR;
        return put_header(w, &to, e);
    case PKG_ENTRY_LINK:
        to.kind = PKG_TAR_LINK;
        return put_header(w, &to, e);
    case PKG_ENTRY_FILE:
        return put_file(w, from, &to, e);
    case PKG_ENTRY_BEAM:
    case PKG_ENTRY_BYTES:
        break;
    }
    return put_content(w, from, &to, e);
}

static int write_entries(const struct pkg_entries *es, int fd, enum pkg_format format,
                         const struct rel_progress *progress, struct rel_err *e)
{
    autowriter struct writer w = {0};

    if (writer_begin(&w, fd, format, e) < 0)
        return -1;
    for (size_t i = 0; i < es->n; i++) {
        if (rel_progress_check(progress, e) < 0 || put_entry(&w, &es->v[i], e) < 0)
            return -1;
        if (100 * i / es->n != 100 * (i + 1) / es->n)
            rel_progress_news(progress, es->v[i].path, i + 1, es->n);
    }
    return writer_end(&w, e);
}

int pkg_archive_write_entries(const struct pkg_entries *es, const char *path,
                              enum pkg_format format, const struct rel_progress *progress,
                              struct rel_err *e)
{
    rel_autotmp struct rel_tmp tmp = REL_TMP_INIT;

    if (rel_tmp_open(&tmp, AT_FDCWD, path, 0644, e) < 0 ||
        write_entries(es, tmp.fd, format, progress, e) < 0 || rel_tmp_commit(&tmp, e) < 0)
        return rel_wrap(e, "write %s", path);
    return 0;
}

static bool is_of_release(const char *rel, void *ctx)
{
    (void)ctx;
    return !pkg_is_home_mark(rel);
}

int pkg_archive_write(const char *root, const char *path, const struct rel_progress *progress,
                      struct rel_err *e)
{
    pkg_autoentries struct pkg_entries es = {0};
    struct pkg_add_tree all = {.from = root, .to = "", .take = is_of_release};

    if (pkg_entries_add_tree(&es, &all, e) < 0)
        return -1;
    pkg_entries_sort(&es);
    return pkg_archive_write_entries(&es, path, PKG_FORMAT_GZ, progress, e);
}

static int copy_entry(struct writer *w, struct pkg_tar_reader *r, const struct pkg_tar_entry *entry,
                      struct rel_err *e)
{
    const void *p;
    size_t n = 1;

    if (put_header(w, entry, e) < 0)
        return -1;
    while (entry->size && n)
        if (pkg_tar_data(r, &p, &n, e) < 0 || pkg_tar_put_data(w->tar, p, n, e) < 0)
            return -1;
    return 0;
}

static int copy_entries(struct writer *w, struct pkg_tar_reader *r, const struct pkg_entry *put,
                        struct rel_err *e)
{
    struct pkg_tar_entry entry;
    bool more = true, done = false;

    while (more) {
        int order;

        if (pkg_tar_next(r, &entry, &more, e) < 0)
            return -1;
        order = more ? strcmp(entry.name, put->path) : 1;
        if (!done && order >= 0 && put_entry(w, put, e) < 0)
            return -1;
        done |= order >= 0;
        if (more && order != 0 && copy_entry(w, r, &entry, e) < 0)
            return -1;
    }
    return 0;
}

static int read_format(const char *path, enum pkg_format *format, mode_t *mode, struct rel_err *e)
{
    rel_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    unsigned char magic[4] = {0};
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return rel_fail(e, REL_E_INPUT, errno, "open");
    if (!S_ISREG(st.st_mode))
        return rel_fail(e, REL_E_INPUT, 0, "it is no file; only a tarball can be signed");
    if (read(fd, magic, sizeof(magic)) < 0)
        return rel_fail(e, REL_E_IO, errno, "read");
    if (memcmp(magic, "\x28\xb5\x2f\xfd", 4) != 0 && memcmp(magic, "\x1f\x8b", 2) != 0)
        return rel_fail(
            e, REL_E_INPUT, 0,
            "it is compressed neither by gzip nor by zstd, and relpack writes no other");
    *mode = st.st_mode & 0777;
    *format = *magic == 0x28 ? PKG_FORMAT_ZST : PKG_FORMAT_GZ;
    return 0;
}

int pkg_archive_rewrite(const char *path, const char *output, const struct pkg_entry *put,
                        const struct rel_progress *progress, struct rel_err *e)
{
    rel_autotmp struct rel_tmp tmp = REL_TMP_INIT;
    pkg_autotar struct pkg_tar_reader *r = NULL;
    autowriter struct writer w = {0};
    enum pkg_format format;
    struct stat st;
    mode_t mode;

    if (read_format(path, &format, &mode, e) < 0 || pkg_tar_open(path, NULL, progress, &r, e) < 0)
        return rel_wrap(e, "%s", path);
    if (stat(output, &st) == 0 && !S_ISREG(st.st_mode)) /* renaming would replace a device, too */
        return rel_fail(e, REL_E_INPUT, 0, "cannot write %s: it is no file", output);
    if (rel_tmp_open(&tmp, AT_FDCWD, output, mode, e) < 0 ||
        writer_begin(&w, tmp.fd, format, e) < 0)
        return rel_wrap(e, "write %s", output);
    if (copy_entries(&w, r, put, e) < 0)
        return rel_wrap(e, "%s", path);
    if (writer_end(&w, e) < 0 || rel_tmp_commit(&tmp, e) < 0)
        return rel_wrap(e, "write %s", output);
    return 0;
}
