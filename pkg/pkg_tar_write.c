/* SPDX-License-Identifier: Apache-2.0 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>

#include "pkg/pkg_tar.h"

struct pkg_tar_writer {
    struct archive *a;
    struct archive_entry *entry;
    pkg_tar_sink sink;
    void *ctx;
    time_t mtime;
    struct rel_err err; /* the sink's */
};

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

static int write_fail(struct pkg_tar_writer *w, const char *what, struct rel_err *e)
{
    const char *text = archive_error_string(w->a);

    if (w->err.code) {
        *e = w->err;
        return -1;
    }
    return rel_fail(e, REL_E_IO, 0, "%s: %s", what, text ? text : "libarchive failed");
}

static la_ssize_t to_sink(struct archive *a, void *ctx, const void *p, size_t n)
{
    struct pkg_tar_writer *w = ctx;

    (void)a;
    /* After a failure libarchive still writes what it holds, when it is freed. */
    if (w->err.code || w->sink(w->ctx, p, n, &w->err) < 0)
        return -1;
    return (la_ssize_t)n;
}

int pkg_tar_begin(pkg_tar_sink sink, void *ctx, struct pkg_tar_writer **w, struct rel_err *e)
{
    pkg_autotarwriter struct pkg_tar_writer *made = rel_xcalloc(1, sizeof(*made));

    if (read_epoch(&made->mtime, e) < 0)
        return -1;
    made->sink = sink;
    made->ctx = ctx;
    made->entry = archive_entry_new();
    made->a = archive_write_new();
    if (!made->a || !made->entry)
        abort();
    /* ustar, with a pax header only for a name that does not fit into it; unbuffered, so that the
     * sink sees where an entry ends */
    archive_write_set_format_pax_restricted(made->a);
    archive_write_set_bytes_per_block(made->a, 0);
    if (archive_write_open(made->a, made, NULL, to_sink, NULL) != ARCHIVE_OK)
        return write_fail(made, "begin the archive", e);
    *w = rel_steal(&made);
    return 0;
}

int pkg_tar_put(struct pkg_tar_writer *w, const struct pkg_tar_entry *entry, struct rel_err *e)
{
    struct archive_entry *to = archive_entry_clear(w->entry);

    archive_entry_set_pathname(to, entry->name);
    archive_entry_set_mtime(to, w->mtime, 0);
    archive_entry_set_uid(to, 0);
    archive_entry_set_gid(to, 0);
    archive_entry_set_perm(to, entry->mode);
    archive_entry_set_filetype(to, entry->kind == PKG_TAR_DIR    ? AE_IFDIR
                                   : entry->kind == PKG_TAR_LINK ? AE_IFLNK
                                                                 : AE_IFREG);
    if (entry->kind == PKG_TAR_LINK)
        archive_entry_set_symlink(to, entry->target);
    if (entry->kind == PKG_TAR_HARDLINK)
        archive_entry_set_hardlink(to, entry->target);
    archive_entry_set_size(to, entry->kind == PKG_TAR_FILE ? (la_int64_t)entry->size : 0);
    if (archive_write_header(w->a, to) != ARCHIVE_OK)
        return write_fail(w, entry->name, e);
    return 0;
}

int pkg_tar_put_data(struct pkg_tar_writer *w, const void *p, size_t n, struct rel_err *e)
{
    if (n && archive_write_data(w->a, p, n) != (la_ssize_t)n)
        return write_fail(w, "write the archive", e);
    return 0;
}

int pkg_tar_end(struct pkg_tar_writer *w, struct rel_err *e)
{
    /* What is still in its buffer is written only here. */
    if (archive_write_close(w->a) != ARCHIVE_OK)
        return write_fail(w, "write the end of the archive", e);
    return 0;
}

void pkg_tar_drop(struct pkg_tar_writer **w)
{
    if (!*w)
        return;
    if (!(*w)->err.code)
        rel_fail(&(*w)->err, REL_E_INTERNAL, 0, "dropped"); /* the sink hears no more */
    archive_write_free((*w)->a);
    archive_entry_free((*w)->entry);
    free(*w);
    *w = NULL;
}
