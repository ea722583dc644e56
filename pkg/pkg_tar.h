/* SPDX-License-Identifier: Apache-2.0 */
/* Tarballs entry by entry, by libarchive: reading one that nobody vouches for, and writing one
 * whose bytes depend on nothing but what is put in. Used by pkg_archive.c, pkg_unpack.c and
 * pkg_survey.c. One thread an object. */
#ifndef PKG_TAR_H
#define PKG_TAR_H

#include "pkg/pkg_archive.h"

enum pkg_tar_kind { PKG_TAR_FILE, PKG_TAR_DIR, PKG_TAR_LINK, PKG_TAR_HARDLINK };

struct pkg_tar_entry {
    enum pkg_tar_kind kind;
    const char *name; /* without "./" in front, "//" inside or "/" at its end */
    const char *target;
    mode_t mode; /* permission bits */
    uint64_t size;
};

struct pkg_tar_reader;

/* REL_E_INPUT when it is no archive. The messages of a reader say what is wrong in the tarball; its
 * own path is put in front by whoever asked for it. */
REL_MUST_USE int pkg_tar_open(const char *path, const struct pkg_unpack_limits *limits,
                              const struct rel_progress *progress, struct pkg_tar_reader **r,
                              struct rel_err *e);
void pkg_tar_close(struct pkg_tar_reader **r);
#define pkg_autotar __attribute__((cleanup(pkg_tar_close)))

/* The next entry, checked as pkg_archive_unpack says, lent until the next call; what was not read
 * of the one before is skipped. *more false: the end, and the whole is no more than the limits, not
 * truncated, not empty and without duplicates. */
REL_MUST_USE int pkg_tar_next(struct pkg_tar_reader *r, struct pkg_tar_entry *entry, bool *more,
                              struct rel_err *e);

/* The next bytes of the entry's content, lent until the next call; *n is 0 behind the last. */
REL_MUST_USE int pkg_tar_data(struct pkg_tar_reader *r, const void **p, size_t *n,
                              struct rel_err *e);

struct pkg_tar_writer;

/* Where the bytes of the tar go; returns 0 or -1 with the error. */
typedef int (*pkg_tar_sink)(void *ctx, const void *p, size_t n, struct rel_err *e);

/* mtime is SOURCE_DATE_EPOCH or 0. REL_E_USAGE when that is no number. */
REL_MUST_USE int pkg_tar_begin(pkg_tar_sink sink, void *ctx, struct pkg_tar_writer **w,
                               struct rel_err *e);
REL_MUST_USE int pkg_tar_put(struct pkg_tar_writer *w, const struct pkg_tar_entry *entry,
                             struct rel_err *e);
/* Content of the entry put last, in pieces, `size` bytes in all. */
REL_MUST_USE int pkg_tar_put_data(struct pkg_tar_writer *w, const void *p, size_t n,
                                  struct rel_err *e);
/* The end of the tar. Without it the writer is dropped and what the sink got is no archive. */
REL_MUST_USE int pkg_tar_end(struct pkg_tar_writer *w, struct rel_err *e);
void pkg_tar_drop(struct pkg_tar_writer **w);
#define pkg_autotarwriter __attribute__((cleanup(pkg_tar_drop)))

#endif
