/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor has to know of a release of its home. A worker finds it out when the release
 * comes in, from files that nobody vouches for, and writes it into the folder's mark,
 * PKG_HOME_MARK, as the last of all files; from then on the supervisor reads the mark alone. A
 * folder with a mark is whole. Any thread. */
#ifndef SUP_RELEASE_H
#define SUP_RELEASE_H

#include "pkg/pkg_digest.h"
#include "pkg/pkg_release.h"

struct sup_release {
    enum pkg_kind kind;
    char *root;    /* absolute */
    char *name;    /* of the release: the launcher is bin/<name> */
    char *vsn;     /* of the release: the folder releases/<vsn> in it */
    char *vsn_dir; /* absolute */
    char *erts_vsn;
    bool elixir;
    char *listen_options;        /* as of struct pkg_release; or NULL */
    char *expires;               /* pkg_expiry.h; NULL: never */
    char sha256[PKG_SHA256_HEX]; /* of the archive that it came in as; "" where nobody knows */
};

void sup_release_free(struct sup_release *r);
void sup_release_free_p(struct sup_release **r);
#define sup_autorelease __attribute__((cleanup(sup_release_free_p)))

/* Longer names, those with a '/', a control character or a leading dot are nobody's: neither of a
 * release nor of its folder. */
bool sup_is_name(const char *s);

/* The release in the folder `root`, by its mark. REL_E_INPUT: it has none, or one that is no mark
 * of this version; a worker can make it (sup_worker.h). The caller frees *r. */
REL_MUST_USE int sup_release_read(const char *root, struct sup_release **r, struct rel_err *e);

/* It may not come in any more, and what it has known faults of may not serve any more. */
bool sup_release_is_expired(const struct sup_release *r);

/* Does it have a mark that can be read? */
bool sup_release_is_marked(const char *root);

/* The text of a mark, without the folder: root and vsn_dir stay NULL. Strict: no key missing or too
 * many, each value of its type and form. `name` is for messages. */
REL_MUST_USE int sup_release_parse(const char *text, size_t len, const char *name,
                                   struct sup_release **r, struct rel_err *e);

/* The text of the mark of `r`, owned by the caller. `expires` may be NULL. REL_E_INPUT: a name in
 * it is nobody's. */
REL_MUST_USE int sup_release_text(const struct pkg_release *r, const char *sha256,
                                  const char *expires, char **text, struct rel_err *e);

/* Writes that text, which must be one that sup_release_parse takes, into the folder `root`,
 * durably: after a crash the mark is whole or not there. */
REL_MUST_USE int sup_release_mark(const char *root, const char *text, struct rel_err *e);

#endif
