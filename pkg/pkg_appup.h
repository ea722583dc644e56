/* SPDX-License-Identifier: Apache-2.0 */
/* Application upgrade files, appup(4), derived from what differs between two releases: for each
 * application of another version the instructions up and down.
 *
 * A module that is new is added first, one that is gone is deleted last. A changed one is updated
 * as its behaviour asks for, with the changed modules of its application that it calls as DepMods.
 * The same two releases give the same bytes. What the files of a release do not tell is not in it:
 * children of supervisors, work to be done once, consolidated protocols. docs/appup.md. */
#ifndef PKG_APPUP_H
#define PKG_APPUP_H

#include "pkg/pkg_lines.h"
#include "pkg/pkg_pair.h"

/* XX(constant, name in JSON) */
#define PKG_APPUP_MAP(XX)          \
    XX(PKG_APPUP_DERIVED, derived) \
    XX(PKG_APPUP_OWN, own) /* the new release brings one for the old version */

enum pkg_appup_origin {
#define XX(constant, name) constant,
    PKG_APPUP_MAP(XX)
#undef XX
};
const char *pkg_appup_origin_name(enum pkg_appup_origin origin);

/* Of one application. Terms and strings live in the arena of struct pkg_appups. */
struct pkg_appup {
    const char *app, *old_vsn, *new_vsn;
    const char *path; /* in the new release: "lib/shop-0.2.0/ebin/shop.appup" */
    enum pkg_appup_origin origin;
    const struct pkg_term *up, *down; /* the instructions; NULL unless derived */
    const struct pkg_term *term; /* the whole file: a derived one has also the entries for other
                                  * versions of the file that the new release brings */
    const char *file;            /* where pkg_appups_write put it, or NULL */
};

struct pkg_appups {
    struct pkg_arena arena;
    struct pkg_appup *v; /* in the order of the new release's .rel file */
    size_t n;
    struct pkg_lines notes; /* what a person should know */
    struct pkg_lines gaps;  /* what differs and no appup brings in, with the reason */
};

/* `force`: what the new release brings is passed over. REL_E_INPUT for an appup or .app file that
 * is broken, and for an appup of another version. */
REL_MUST_USE int pkg_appups_derive(const struct pkg_pair *pair, bool force, struct pkg_appups *ups,
                                   struct rel_err *e);
void pkg_appups_fini(struct pkg_appups *ups);
#define pkg_autoappups __attribute__((cleanup(pkg_appups_fini)))

/* Writes each derived one into its ebin folder below `root`, the folder of the new release, or into
 * `output`, which is made when it is not there. 0: all are on disk. -1 or a crash: each is as it
 * was, or new and whole. */
REL_MUST_USE int pkg_appups_write(struct pkg_appups *ups, const char *root, const char *output,
                                  struct rel_err *e);

#endif
