/* SPDX-License-Identifier: Apache-2.0 */
/* Compressing a stream on all cores: it is cut into segments, each is compressed by itself, and
 * they are written in their order into one standard gzip member or a row of zstd frames.
 *
 * The same stream and the same cuts give the same bytes, whatever the number of cores. Memory: a
 * few segments a core, whatever the length of the stream. What was compressed once is taken from a
 * cache (pkg_cache.h), so that a build after a small change compresses little.
 *
 * Into the file goes also the SHA-256 of all its other bytes, where decompressors do not look (an
 * extra field of the gzip header, RFC 1952 2.3.1.1; a skippable frame at the end, RFC 8878 3.1.2):
 * it covers what their own checksums leave out. One thread an object. */
#ifndef PKG_SEGMENTS_H
#define PKG_SEGMENTS_H

#include "pkg/pkg_archive.h"

struct pkg_segments;

/* Writes to `fd`, an empty file, lent. */
REL_MUST_USE int pkg_segments_begin(int fd, enum pkg_format format, struct pkg_segments **s,
                                    struct rel_err *e);
REL_MUST_USE int pkg_segments_write(struct pkg_segments *s, const void *p, size_t n,
                                    struct rel_err *e);
/* A good place to cut: what follows is of another kind. Taken when the segment is worth it. */
REL_MUST_USE int pkg_segments_cut(struct pkg_segments *s, struct rel_err *e);
/* Everything is written; not synced. */
REL_MUST_USE int pkg_segments_end(struct pkg_segments *s, struct rel_err *e);
/* Ends the threads, whatever state it is in. */
void pkg_segments_free(struct pkg_segments **s);
#define pkg_autosegments __attribute__((cleanup(pkg_segments_free)))

#endif
