/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rel_io.h"

/* Up to this many bytes the tar is made in memory and compressed by libdeflate, which is three
 * times as fast as zlib and packs tighter, but knows no streams. */
enum { IN_MEMORY_MAX = 1 << 30, GZIP_LEVEL = 6 };

static void write_free_p(struct archive **a)
{
    archive_write_free(*a);
}
#define autowrite __attribute__((cleanup(write_free_p)))

static void entry_free_p(struct archive_entry **entry)
{
    archive_entry_free(*entry);
}
#define autoentry __attribute__((cleanup(entry_free_p)))

static int archive_fail(struct archive *a, const char *what, struct rel_err *e)
{
    const char *text = archive_error_string(a);
    int sys = archive_errno(a);

    /* Its own error numbers are negative. */
    if (sys > 0)
        return rel_fail(e, REL_E_IO, sys, "%s", what);
    return rel_fail(e, REL_E_IO, 0, "%s: %s", what, text ? text : "libarchive failed");
}

/* https://reproducible-builds.org/specs/source-date-epoch/ */
static int read_epoch(time_t *epoch, struct rel_err *e)
{
    const char *text = getenv("SOURCE_DATE_EPOCH");
    char *end;
    long long n;

    *epoch = 0;
    if (!text || !*text)
        return 0;
    errno = 0;
    n = strtoll(text, &end, 10);
    if (errno || *end || n < 0)
        return rel_fail(e, REL_E_USAGE, 0, "SOURCE_DATE_EPOCH is '%s', no count of seconds", text);
    *epoch = (time_t)n;
    return 0;
}

static int write_one(struct archive *a, const struct pkg_entry *from, time_t mtime,
                     struct rel_err *e)
{
    autoentry struct archive_entry *to = archive_entry_new();
    rel_autofree char *data = NULL;
    size_t len = 0;

    archive_entry_set_pathname(to, from->path);
    archive_entry_set_mtime(to, mtime, 0);
    archive_entry_set_uid(to, 0);
    archive_entry_set_gid(to, 0);
    archive_entry_set_perm(to, from->mode);
    if (from->kind == PKG_ENTRY_DIR) {
        archive_entry_set_filetype(to, AE_IFDIR);
    } else if (from->kind == PKG_ENTRY_LINK) {
        archive_entry_set_filetype(to, AE_IFLNK);
        archive_entry_set_symlink(to, from->source);
    } else {
        if (pkg_entry_content(from, &data, &len, e) < 0)
            return -1;
        archive_entry_set_filetype(to, AE_IFREG);
    }
    archive_entry_set_size(to, (la_int64_t)len);
    if (archive_write_header(a, to) != ARCHIVE_OK)
        return archive_fail(a, from->path, e);
    if (len && archive_write_data(a, data, len) != (la_ssize_t)len)
        return archive_fail(a, from->path, e);
    return 0;
}

static int write_all(struct archive *a, const struct pkg_entries *es,
                     const struct rel_progress *progress, struct rel_err *e)
{
    time_t mtime;

    if (read_epoch(&mtime, e) < 0)
        return -1;
    for (size_t i = 0; i < es->n; i++) {
        if (write_one(a, &es->v[i], mtime, e) < 0)
            return -1;
        if (100 * i / es->n != 100 * (i + 1) / es->n)
            rel_progress_news(progress, es->v[i].path, i + 1, es->n);
    }
    /* What is still in its buffer is written only here. */
    if (archive_write_close(a) != ARCHIVE_OK)
        return archive_fail(a, "write the end of the archive", e);
    return 0;
}

static struct archive *new_tar(void)
{
    struct archive *a = archive_write_new();

    if (!a)
        abort();
    /* ustar, with a pax header only for a name that does not fit into it */
    archive_write_set_format_pax_restricted(a);
    archive_write_set_bytes_in_last_block(a, 1);
    return a;
}

static la_ssize_t to_buffer(struct archive *a, void *ctx, const void *p, size_t n)
{
    (void)a;
    rel_buf_add(ctx, p, n);
    return (la_ssize_t)n;
}

static int write_in_memory(const struct pkg_entries *es, int fd,
                           const struct rel_progress *progress, struct rel_err *e)
{
    /* Outlives the archive: freeing that one writes what it still holds. */
    rel_autobuf struct rel_buf tar = {0};
    autowrite struct archive *a = new_tar();
    rel_autofree char *packed = NULL;
    struct libdeflate_compressor *c;
    size_t max, n;

    archive_write_add_filter_none(a);
    archive_write_set_bytes_per_block(a, 1 << 20);
    if (archive_write_open(a, &tar, NULL, to_buffer, NULL) != ARCHIVE_OK)
        return archive_fail(a, "begin the archive", e);
    if (write_all(a, es, progress, e) < 0)
        return -1;
    c = libdeflate_alloc_compressor(GZIP_LEVEL);
    if (!c)
        abort();
    max = libdeflate_gzip_compress_bound(c, tar.len);
    packed = rel_xmalloc(max);
    n = libdeflate_gzip_compress(c, tar.p, tar.len, packed, max);
    libdeflate_free_compressor(c);
    if (n == 0)
        return rel_fail(e, REL_E_INTERNAL, 0, "the compressed archive exceeds its bound");
    return rel_write_all(fd, packed, n, e);
}

static int write_stream(const struct pkg_entries *es, int fd, enum pkg_format format,
                        const struct rel_progress *progress, struct rel_err *e)
{
    autowrite struct archive *a = new_tar();
    int status;

    if (format == PKG_FORMAT_ZST) {
        status = archive_write_add_filter_zstd(a);
        if (status == ARCHIVE_OK)
            status = archive_write_set_options(a, "zstd:compression-level=9");
    } else {
        status = archive_write_add_filter_gzip(a);
        if (status == ARCHIVE_OK)
            status = archive_write_set_options(a, "gzip:compression-level=6,gzip:!timestamp");
    }
    if (status != ARCHIVE_OK || archive_write_open_fd(a, fd) != ARCHIVE_OK)
        return archive_fail(a, "begin the archive", e);
    return write_all(a, es, progress, e);
}

/* Of the content before it is packed; stripping only makes it less. */
static uint64_t content_bytes(const struct pkg_entries *es)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < es->n; i++) {
        const struct pkg_entry *entry = &es->v[i];
        struct stat st;

        if (entry->kind == PKG_ENTRY_BYTES)
            sum += entry->len;
        else if ((entry->kind == PKG_ENTRY_FILE || entry->kind == PKG_ENTRY_BEAM) &&
                 stat(entry->source, &st) == 0)
            sum += (uint64_t)st.st_size;
    }
    return sum;
}

int pkg_archive_write_entries(const struct pkg_entries *es, const char *path,
                              enum pkg_format format, const struct rel_progress *progress,
                              struct rel_err *e)
{
    rel_autotmp struct rel_tmp tmp = REL_TMP_INIT;
    int status;

    if (rel_tmp_open(&tmp, AT_FDCWD, path, 0644, e) < 0)
        return rel_wrap(e, "write %s", path);
    if (format == PKG_FORMAT_GZ && content_bytes(es) <= IN_MEMORY_MAX)
        status = write_in_memory(es, tmp.fd, progress, e);
    else
        status = write_stream(es, tmp.fd, format, progress, e);
    if (status < 0 || rel_tmp_commit(&tmp, e) < 0)
        return rel_wrap(e, "write %s", path);
    return 0;
}

int pkg_archive_write(const char *root, const char *path, const struct rel_progress *progress,
                      struct rel_err *e)
{
    pkg_autoentries struct pkg_entries es = {0};
    struct pkg_add_tree all = {.from = root, .to = ""};

    if (pkg_entries_add_tree(&es, &all, e) < 0)
        return -1;
    pkg_entries_sort(&es);
    return pkg_archive_write_entries(&es, path, PKG_FORMAT_GZ, progress, e);
}
