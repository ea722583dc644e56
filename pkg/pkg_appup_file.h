/* SPDX-License-Identifier: Apache-2.0 */
/* An appup or relup file as a term: {NewVsn, [{OldVsn, ...}], [{OldVsn, ...}]}; used by pkg_appup.c
 * and pkg_relup.c. Of a file with a term for each version it is the first one, and an entry that is
 * none is passed over, as systools does (systools_lib:read_term/1). Terms lie in the arena. */
#ifndef PKG_APPUP_FILE_H
#define PKG_APPUP_FILE_H

#include "pkg/pkg_survey.h"

/* Zeroed: there is none. */
struct pkg_appup_file {
    const struct pkg_term *term; /* the whole */
    const char *vsn;
    const struct pkg_term *up, *down; /* lists of entries */
};

/* REL_E_INPUT for what is no such file. */
REL_MUST_USE int pkg_appup_file_read(struct pkg_arena *a, const char *text, const char *name,
                                     struct pkg_appup_file *file, struct rel_err *e);

/* The entry for that version, as systools_relup:appup_search_for_version/2 finds it: the version
 * itself, or a pattern (a binary) that matches all of it. A pattern that is none counts as one
 * that matches: its author meant some version. NULL when there is none, and for entries NULL. */
const struct pkg_term *pkg_appup_entry(const struct pkg_term *entries, const char *vsn);

/* {vsn, [up | rest], [down | rest]}: the rest are the entries of `file` for other versions, when it
 * is of the same vsn. */
const struct pkg_term *pkg_appup_file_put(struct pkg_arena *a, const struct pkg_appup_file *file,
                                          const char *vsn, const struct pkg_term *up,
                                          const struct pkg_term *down);

#endif
