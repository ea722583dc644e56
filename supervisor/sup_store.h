/* SPDX-License-Identifier: Apache-2.0 */
/* The home on disk: releases, `current`, secret, logs, history. Blocking; any thread but for
 * sup_store_open. A release folder is complete or absent: it is unpacked under a temporary name and
 * renamed. */
#ifndef SUP_STORE_H
#define SUP_STORE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/rel_err.h"
#include "pkg/pkg_release.h"

struct sup_store {
    char *home;  /* absolute */
    int lock_fd; /* run/lock is held while this is open */
};

/* Makes what is missing of the home (0700), takes its lock, removes half-unpacked releases, makes
 * the cookie. REL_E_BUSY when another supervisor holds it. REL_E_INPUT, and nothing is made: others
 * own or can write it (sup_trust.h). */
REL_MUST_USE int sup_store_open(const char *home, struct sup_store *s, struct rel_err *e);
void sup_store_close(struct sup_store *s);

/* What a release must be to come in. */
struct sup_must {
    const char *app; /* name of the application; NULL: any */
    const char *key; /* file of the public key that must have signed it; NULL: none */
};

/* Brings the tarball or folder `release` in as releases/<vsn>; another build of a version that is
 * there already becomes <vsn>+<8 hex digits of the SHA-256 of its archive>, the same build is found
 * again. *dir is the folder's name, owned by the caller; *added: it is new.
 * A tarball with a manifest must be what that says; one without (of mix, of relx) is taken as it
 * is, and so is a folder, in which somebody may have edited a setting. With a key both must have a
 * manifest that it signed, and be what that says.
 * With a key that is checked before anything is unpacked, and once more on what was unpacked:
 * `release` may be replaced in between, its signature cannot. Without one it is checked while it is
 * unpacked under a hidden name, and what is put in its place in between comes in unchecked. */
REL_MUST_USE int sup_store_add(const char *home, const char *release, const struct sup_must *must,
                               char **dir, bool *added, struct rel_err *e);

/* The folder of a release, "HOME/releases/DIR"; owned by the caller. */
char *sup_store_path(const char *home, const char *dir);

/* Name of the folder that `current` points at; REL_E_INPUT when there is none. */
REL_MUST_USE int sup_store_current(const char *home, char **dir, struct rel_err *e);
REL_MUST_USE int sup_store_set_current(const char *home, const char *dir, struct rel_err *e);

/* Removes all but the `keep` newest releases; those of `spared` stay, and count. */
REL_MUST_USE int sup_store_prune(const char *home, int keep, char *const *spared, size_t spared_n,
                                 struct rel_err *e);

/* The last lines of a file, at most `max` bytes, owned by the caller; "" when it cannot be read. */
char *sup_store_tail(const char *path, size_t max);

#endif
