/* SPDX-License-Identifier: Apache-2.0 */
/* The relup from one release to another, which OTP's release_handler follows: made by systools of
 * the later release, in its own VM, or in that of the host when the release has none. No
 * application is started, and neither release is touched before the relup is whole. One thread. */
#ifndef PKG_RELUP_H
#define PKG_RELUP_H

#include "pkg/pkg_appup.h"

struct pkg_relup_make {
    const struct pkg_pair *pair;
    const struct pkg_appups *appups; /* those that were derived stand in for what is not there */
    const char *output;              /* folder; NULL: that of the later release, releases/VSN */
    int timeout_ms;                  /* of systools */
    const struct rel_progress *progress;
};

struct pkg_relup {
    char *file;              /* where it lies */
    struct pkg_lines beside; /* files written for release_handler beside it */
    size_t up_n, down_n;     /* low-level instructions */
    struct pkg_lines notes;  /* what systools and we have to say */
};

/* REL_E_INPUT: a release without sasl, or both of one version; a gap (pkg_appup.h); no VM; what
 * systools refuses. 0: relup is on disk, with the entries for other versions that lay there; in the
 * folder of a release also releases/RELEASES and releases/NAME-VSN.rel, where they were not. -1 or
 * a crash: each file is as it was, or new and whole. */
REL_MUST_USE int pkg_relup_make(const struct pkg_relup_make *make, struct pkg_relup *relup,
                                struct rel_err *e);
void pkg_relup_fini(struct pkg_relup *relup);
#define pkg_autorelup __attribute__((cleanup(pkg_relup_fini)))

#endif
