/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_lines.h"

void pkg_lines_add(struct pkg_lines *lines, char *text)
{
    lines->v = rel_xrealloc(lines->v, lines->n + 1, sizeof(*lines->v));
    lines->v[lines->n++] = text;
}

void pkg_lines_fini(struct pkg_lines *lines)
{
    for (size_t i = 0; i < lines->n; i++)
        free(lines->v[i]);
    free(lines->v);
    *lines = (struct pkg_lines){0};
}
