/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of pkg_diff share: both sides, and how a finding is put down. Texts that are put
 * down are taken over. */
#ifndef PKG_DIFF_INTERNAL_H
#define PKG_DIFF_INTERNAL_H

#include "pkg/pkg_diff.h"

struct pkg_sides {
    const struct pkg_survey *old_survey, *new_survey;
    const struct pkg_outline *old, *new;
    struct pkg_diff *d;
    bool erts_files; /* native code of ERTS differs */
};

/* The item is valid until the next one is added. */
struct pkg_diff_item *pkg_diff_add(struct pkg_diff *d, enum pkg_diff_section section,
                                   enum pkg_change change, const char *name);
void pkg_diff_not_hot(struct pkg_diff *d, char *why);
void pkg_diff_not_swap(struct pkg_diff *d, char *why);
void pkg_diff_note(struct pkg_diff *d, char *note);
enum pkg_change pkg_diff_change(const void *old, const void *new);

/* pkg_diff_settings.c: sys.config and vm.args. */
void pkg_diff_settings(struct pkg_sides *s);

/* pkg_diff_apps.c: the applications by their versions and .app files; then, with all items there
 * and sorted, which of them a running node refuses to change. */
void pkg_diff_apps(struct pkg_sides *s);
void pkg_diff_apps_not_hot(struct pkg_sides *s);
const struct pkg_outline_app *pkg_diff_app_named(const struct pkg_outline *o, const char *name);

#endif
