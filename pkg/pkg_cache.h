/* SPDX-License-Identifier: Apache-2.0 */
/* Results by the SHA-256 of what they were made from, in $RELPACK_CACHE, else
 * $XDG_CACHE_HOME/relpack, else ~/.cache/relpack; RELPACK_CACHE=off: none.
 *
 * A result carries a checksum, so that a damaged one is made anew; a folder that belongs to
 * somebody else or that others may write to is not used. Nothing here ever fails a build: where
 * there is no folder to write to, nothing is found and nothing is kept. Any thread. */
#ifndef PKG_CACHE_H
#define PKG_CACHE_H

#include <stdbool.h>

#include "pkg/pkg_digest.h"

struct pkg_cache;

/* NULL when there is none to use. */
struct pkg_cache *pkg_cache_open(void);
/* Removes what was not used for longest when it has grown beyond 512 MiB. */
void pkg_cache_close(struct pkg_cache *c);

/* Appends the result to `out`. */
bool pkg_cache_get(struct pkg_cache *c, const unsigned char key[PKG_SHA256_LEN],
                   struct rel_buf *out);
void pkg_cache_put(struct pkg_cache *c, const unsigned char key[PKG_SHA256_LEN], const void *p,
                   size_t n);

#endif
