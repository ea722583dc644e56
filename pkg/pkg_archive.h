/* SPDX-License-Identifier: Apache-2.0 */
/* The release tarball: written and unpacked by libarchive, and nothing else touches one. */
#ifndef PKG_ARCHIVE_H
#define PKG_ARCHIVE_H

#include "base/rel_err.h"
#include "base/rel_out.h"
#include "pkg/pkg_entries.h"

enum pkg_format { PKG_FORMAT_GZ, PKG_FORMAT_ZST };

/* Writes the entries, which must be sorted, into the tarball `path`: uid and gid 0, no names of
 * users, mtime SOURCE_DATE_EPOCH or 0, no timestamp in the gzip header. The same entries give the
 * same bytes, on any number of cores. gzip is one member, because erl_tar reads no more than one.
 * A surveyed entry whose content is another by now is an error. Memory: some MiB a core.
 * 0: `path` is whole and on disk. -1 or a crash: `path` is as it was. */
REL_MUST_USE int pkg_archive_write_entries(const struct pkg_entries *es, const char *path,
                                           enum pkg_format format,
                                           const struct rel_progress *progress, struct rel_err *e);

/* The same for every file below `root`, as it is, by gzip, without the mark of a home. */
REL_MUST_USE int pkg_archive_write(const char *root, const char *path,
                                   const struct rel_progress *progress, struct rel_err *e);

/* Copies the tarball `path` to `output`, which may be the same, in the same compression, with the
 * entry `put` (of kind BYTES) in its sorted place or instead of the one of its path. Same promises.
 * `output` has the mode of `path`. REL_E_INPUT for a compression that relpack does not write, and
 * for an `output` that is there and no file. */
REL_MUST_USE int pkg_archive_rewrite(const char *path, const char *output,
                                     const struct pkg_entry *put,
                                     const struct rel_progress *progress, struct rel_err *e);

/* What relpack writes carries the SHA-256 of all its other bytes (pkg_segments.h), which finds also
 * what decompressors do not look at. *present: it is there, whole or damaged. REL_E_INPUT: it is
 * there, and the file is not what it was made from. */
REL_MUST_USE int pkg_archive_check_digest(const char *path, bool *present, struct rel_err *e);

struct pkg_manifest;

struct pkg_unpack_limits {
    uint64_t bytes; /* unpacked, in all */
    uint64_t files; /* whose names have no more than 64 MiB, in all */
    /* Nothing else is unpacked, and of each file no more than it says; NULL: anything. */
    const struct pkg_manifest *only;
};
extern const struct pkg_unpack_limits pkg_unpack_limits_default;

/* Unpacks the tarball `path` (plain, gzip, zstd, xz or bzip2) into the new folder `dir`, which
 * must not exist and whose parent must. Refused as REL_E_INPUT, with the entry's name: truncated,
 * empty, not an archive; absolute names, "..", links that leave the tree, devices, FIFOs, setuid or
 * setgid bits, duplicate names, more than the limits.
 * 0: the whole tree is on disk under `dir`. -1: `dir` does not exist. A crash: `dir` may hold a
 * part; the caller unpacks under a temporary name and renames. */
REL_MUST_USE int pkg_archive_unpack(const char *path, const char *dir,
                                    const struct pkg_unpack_limits *limits,
                                    const struct rel_progress *progress, struct rel_err *e);

/* The mode of a file of that mode once it is unpacked. */
mode_t pkg_unpacked_mode(mode_t mode);

#endif
