/* SPDX-License-Identifier: Apache-2.0 */
/* The home on disk: releases, `current`, secret, logs, history. Blocking; any thread but for
 * sup_store_open. A release folder is complete or absent: it comes in under a hidden name and is
 * renamed (sup_incoming.h), and is renamed to one before it is removed. */
#ifndef SUP_STORE_H
#define SUP_STORE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/rel_err.h"

/* Of folders in releases/ that are not there yet, or not any more. */
#define SUP_INCOMING ".incoming-"
#define SUP_REMOVING ".removing-"

struct sup_store {
    char *home;  /* absolute */
    int lock_fd; /* run/lock is held while this is open */
};

/* Makes what is missing of the home (0700), takes its lock, removes what was on its way in or
 * out. REL_E_BUSY when another supervisor holds it. REL_E_INPUT, and nothing is made:
 * others own or can write it (sup_trust.h). */
REL_MUST_USE int sup_store_open(const char *home, struct sup_store *s, struct rel_err *e);
void sup_store_close(struct sup_store *s);

/* Removes what a crash, or a removal that failed, left of releases on their way in or out; for when
 * none is. Part of sup_store_open, too. */
REL_MUST_USE int sup_store_tidy(const char *home, struct rel_err *e);

/* The folder of a release, "HOME/releases/DIR"; owned by the caller. */
char *sup_store_path(const char *home, const char *dir);

/* Name of the folder that `current` points at; REL_E_INPUT when there is none. */
REL_MUST_USE int sup_store_current(const char *home, char **dir, struct rel_err *e);
REL_MUST_USE int sup_store_set_current(const char *home, const char *dir, struct rel_err *e);

/* Removes a release, or whatever has its name; none is fine. The only way in which one goes.
 * 0: it is gone. -1, or a crash: it is whole, or gone; what is left of it has a hidden name, and is
 * removed by the next sup_store_tidy. */
REL_MUST_USE int sup_store_remove(const char *home, const char *dir, struct rel_err *e);

/* Removes all but the `keep` newest releases; those of `spared` stay, and count. */
REL_MUST_USE int sup_store_prune(const char *home, int keep, char *const *spared, size_t spared_n,
                                 struct rel_err *e);

/* The last lines of a file, at most `max` bytes, owned by the caller; "" when it cannot be read. */
char *sup_store_tail(const char *path, size_t max);

#endif
