/* SPDX-License-Identifier: Apache-2.0 */
/* A growing list of texts for people. */
#ifndef PKG_LINES_H
#define PKG_LINES_H

#include "base/rel_own.h"

/* Zeroed: empty. */
struct pkg_lines {
    char **v; /* owned */
    size_t n;
};

/* Takes `text`. */
void pkg_lines_add(struct pkg_lines *lines, char *text);
void pkg_lines_fini(struct pkg_lines *lines);

#endif
