/* SPDX-License-Identifier: Apache-2.0 */
/* What happened in a home: log/history.jsonl, one JSON object a line, only ever appended to. Only
 * its last 4 MiB are read; a line that a crash cut is passed over, and costs no other. Blocking;
 * any thread; appended to by the supervisor alone. */
#ifndef SUP_HISTORY_H
#define SUP_HISTORY_H

#include <jansson.h>

#include "base/rel_err.h"

/* Takes `entry`. 0: it is on disk. -1, or a crash: it is there, cut, or not. */
REL_MUST_USE int sup_history_add(const char *home, json_t *entry, struct rel_err *e);

/* Each entry that can be read, oldest first; `entry` is lent. A home without history has none. */
REL_MUST_USE int sup_history_each(const char *home, void (*entry)(void *ctx, json_t *entry),
                                  void *ctx, struct rel_err *e);

#endif
