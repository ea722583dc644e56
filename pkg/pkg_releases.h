/* SPDX-License-Identifier: Apache-2.0 */
/* What OTP's release_handler needs beside a release: releases/RELEASES, which says what is
 * installed, and a copy of the .rel file under the name of the archive. One thread. */
#ifndef PKG_RELEASES_H
#define PKG_RELEASES_H

#include "pkg/pkg_entries.h"
#include "pkg/pkg_rel.h"

#define PKG_RELEASES_PATH "releases/RELEASES"

/* The term of release_handler:create_RELEASES("", RelDir, RelFile, []): the one release, permanent,
 * its applications by paths relative to its root, so that it may lie anywhere. In `a`. */
const struct pkg_term *pkg_releases_term(struct pkg_arena *a, const struct pkg_rel_head *head);

/* "releases/shop-0.1.0.rel": what unpack_release("shop-0.1.0") takes from shop-0.1.0.tar.gz. */
char *pkg_releases_rel_path(const char *name, const char *vsn);

/* Adds both files, when sasl is in the release and started: without it nobody asks for them. */
REL_MUST_USE int pkg_releases_add(const struct pkg_rel *rel, struct pkg_entries *es,
                                  struct rel_err *e);

#endif
