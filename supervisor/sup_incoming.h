/* SPDX-License-Identifier: Apache-2.0 */
/* How a release comes into a home. In two halves, because the first one reads what nobody vouches
 * for and is done by a worker, which may write into one hidden folder and nowhere else:
 *   prepare  fetches, verifies and unpacks it there, and says where it belongs;
 *   settle   believes only what it can check of that, writes the mark, and moves it into its place.
 * Blocking; any thread; one at a time for a home. */
#ifndef SUP_INCOMING_H
#define SUP_INCOMING_H

#include <jansson.h>
#include <stdbool.h>

#include "base/rel_err.h"

/* What a release must be to come in. */
struct sup_must {
    const char *app; /* name of the application; NULL: any */
    const char *key; /* file of the public key that must have signed it; NULL: none */
};

/* What a worker says of a release that it prepared. */
struct sup_arrival {
    char *dir;  /* its folder's name */
    bool there; /* the same, file by file, is in the home under that name */
    char *mark; /* the text of its mark */
};
void sup_arrival_fini(struct sup_arrival *a);
#define sup_autoarrival __attribute__((cleanup(sup_arrival_fini)))

json_t *sup_arrival_json(const struct sup_arrival *a);
/* REL_E_INTERNAL: it is no arrival. */
REL_MUST_USE int sup_arrival_parse(const json_t *v, struct sup_arrival *a, struct rel_err *e);

/* The new hidden folder of a release on its way in, owned by the caller; there is one at a time.
 * What a crash or a failed removal leaves of it goes with the next one, or the next sup_store_open.
 */
REL_MUST_USE int sup_incoming_open(const char *home, char **incoming, struct rel_err *e);
/* Removes it, and frees the name; NULL is none. */
void sup_incoming_drop(char **incoming);
#define sup_autoincoming __attribute__((cleanup(sup_incoming_drop)))

/* Unpacks the URL, tarball or folder `release` into `incoming`. Another build of a version that is
 * there already becomes <vsn>+<8 hex digits of the SHA-256 of its archive>; the same build is found
 * again, if it is whole: each of its files is looked at.
 * A tarball with a manifest must be what that says; one without (of mix, of relx) is taken as it
 * is, and so is a folder, in which somebody may have edited a setting. With a key both must have a
 * manifest that it signed, and be what that says.
 * With a key the manifest and its signature are read first, then what the manifest lists is
 * unpacked and nothing else, and that is checked as a whole: `release` may be replaced in between,
 * its signature cannot. Without one it is checked while it is unpacked, and what is put in its
 * place in between comes in unchecked. */
REL_MUST_USE int sup_incoming_prepare(const char *home, const char *incoming, const char *release,
                                      const struct sup_must *must, struct sup_arrival *a,
                                      struct rel_err *e);

/* Moves it into its place, marked; what is there under its name and not whole goes away. *added:
 * nothing was there under its name, so that whoever wants it no more may remove it. 0:
 * releases/<dir> is whole. -1, or a crash: it is whole or not there. */
REL_MUST_USE int sup_incoming_settle(const char *home, const char *incoming,
                                     const struct sup_must *must, const struct sup_arrival *a,
                                     bool *added, struct rel_err *e);

/* Both halves in this process, for a command that endangers nobody but itself. *dir is the folder's
 * name, owned by the caller. */
REL_MUST_USE int sup_incoming_add(const char *home, const char *release,
                                  const struct sup_must *must, char **dir, bool *added,
                                  struct rel_err *e);

/* The mark of a release that lies in a home without one, or with that of an older relsup; owned by
 * the caller. REL_E_INPUT: it is no release, or not the one that its manifest says. */
REL_MUST_USE int sup_incoming_inspect(const char *root, char **mark, struct rel_err *e);

#endif
