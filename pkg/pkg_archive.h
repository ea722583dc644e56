/* SPDX-License-Identifier: Apache-2.0 */
/* The release tarball: written and unpacked by libarchive, and nothing else touches one. */
#ifndef PKG_ARCHIVE_H
#define PKG_ARCHIVE_H

#include "base/rel_err.h"
#include "base/rel_out.h"

/* Writes every file below `root` into the tarball `path`: entries sorted by name without a leading
 * "./", uid and gid 0, no names of users, modes 0644, 0755 or a link, mtime SOURCE_DATE_EPOCH or 0,
 * no timestamp in the gzip header. The same tree gives the same bytes.
 * 0: `path` is whole and on disk. -1 or a crash: `path` is as it was. */
REL_MUST_USE int pkg_archive_write(const char *root, const char *path,
                                   const struct rel_progress *progress, struct rel_err *e);

struct pkg_unpack_limits {
    uint64_t bytes; /* unpacked, in all */
    uint64_t files;
};
extern const struct pkg_unpack_limits pkg_unpack_limits_default;

/* Unpacks the tarball `path` (any compression libarchive knows) into the new folder `dir`, which
 * must not exist and whose parent must. Refused as REL_E_INPUT, with the entry's name: truncated,
 * empty, not an archive; absolute names, "..", links that leave the tree, devices, FIFOs, setuid or
 * setgid bits, duplicate names, more than the limits.
 * 0: the whole tree is on disk under `dir`. -1: `dir` does not exist. A crash: `dir` may hold a
 * part; the caller unpacks under a temporary name and renames. */
REL_MUST_USE int pkg_archive_unpack(const char *path, const char *dir,
                                    const struct pkg_unpack_limits *limits,
                                    const struct rel_progress *progress, struct rel_err *e);

#endif
