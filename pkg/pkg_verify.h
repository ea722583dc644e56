/* SPDX-License-Identifier: Apache-2.0 */
/* Is a release what its manifest says, and who says so? Nothing is unpacked or changed. */
#ifndef PKG_VERIFY_H
#define PKG_VERIFY_H

#include "base/rel_out.h"
#include "pkg/pkg_manifest.h"
#include "pkg/pkg_sign.h"

struct pkg_verify {
    const struct pkg_key *key; /* public: it must be signed by this one; NULL: by nobody */
    bool manifest_optional;    /* one of mix or relx passes, with nothing verified */
    bool more_is_fine;         /* files that the manifest does not list pass */
    int64_t now_s;             /* a release that expired by then fails; 0: none does */
    const struct rel_progress *progress;
};

struct pkg_verified {
    char *name, *vsn;            /* owned; NULL without a manifest */
    char *expires;               /* NULL: never */
    char *manifest;              /* its text */
    size_t manifest_len, file_n; /* files in it */
    bool is_signed;              /* there is a signature; checked only with a key */
    char key_id[PKG_KEY_ID_LEN]; /* that it names */
    bool whole;                  /* a tarball whose every byte is as relpack wrote it */
};
void pkg_verified_fini(struct pkg_verified *v);
#define pkg_autoverified __attribute__((cleanup(pkg_verified_fini)))

/* A tarball or a folder. REL_E_INPUT with what is wrong, naming the file where one is. */
REL_MUST_USE int pkg_verify(const char *path, const struct pkg_verify *how, struct pkg_verified *v,
                            struct rel_err *e);

/* Of a tarball, before anything else of it is looked at: its manifest, which `key` signed. Nothing
 * but that, the signature and the name of the version is kept of what is read. */
REL_MUST_USE int pkg_verify_first(const char *path, const struct pkg_key *key,
                                  struct pkg_manifest *m, struct rel_err *e);

#endif
