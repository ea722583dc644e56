/* SPDX-License-Identifier: Apache-2.0 */
/* Which releases served, by the history of a home: the way that `relsup rollback` goes back. Pure.
 *
 *   an upgrade that is done             its release comes on top
 *   a rollback that is done             what is above its target is left: no further rollback
 *                                       leads there, until an upgrade brings it again
 *   a boot, a restart, a recovery       the release that booted is on top: what is above it did
 *                                       not hold, one that is not there yet is added
 *   refused, undone, only checked       nothing: it never served, or is not to serve again
 *
 * Each release is there at most once. */
#ifndef SUP_PAST_H
#define SUP_PAST_H

#include <jansson.h>
#include <stdbool.h>

#include "base/rel_err.h"

struct sup_past {
    char **v; /* folders in releases/, oldest first; the last one is what serves */
    size_t n;
};

/* One more entry of the history, in its order. What it lacks of the entries of today it may lack.
 */
void sup_past_add(struct sup_past *past, const json_t *entry);

/* That one serves now, whatever the history says: an entry of it may be lost. */
void sup_past_serves(struct sup_past *past, const char *dir);

bool sup_past_has(const struct sup_past *past, const char *dir);
void sup_past_fini(struct sup_past *past);

/* All of the history of a home (blocking). *past is empty, or to be released, in every case. */
REL_MUST_USE int sup_past_read(const char *home, struct sup_past *past, struct rel_err *e);

#endif
