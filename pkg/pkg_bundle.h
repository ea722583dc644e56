/* SPDX-License-Identifier: Apache-2.0 */
/* The shared libraries that native code of a release needs travel along, so that the host must have
 * nothing but the C library.
 *
 * They lie in erts-V/lib: the code server takes the folders of lib/ for applications and mix copies
 * erts-V as a whole, so nobody looks for anything else there. Each file that needs one of them gets
 * a run path relative to itself ($ORIGIN, ld.so(8)), set by patchelf on a copy. What a program
 * opens by name while it runs is not seen, but for OpenSSL's legacy provider; nor is what is for
 * another machine than the VM's. One thread. */
#ifndef PKG_BUNDLE_H
#define PKG_BUNDLE_H

#include "base/rel_out.h"
#include "pkg/pkg_entries.h"

/* The copies, which must outlive the entries' use. */
struct pkg_bundle {
    char *dir; /* NULL: none were made */
};
void pkg_bundle_fini(struct pkg_bundle *b); /* removes them */

/* Adds the libraries to the sorted entries and sorts them again. REL_E_INPUT: a library is nowhere
 * on this machine, is needed by its path, or is not the one that another program needs by the same
 * name, with who needs it; patchelf is not installed. */
REL_MUST_USE int pkg_bundle_add(struct pkg_entries *es, const char *erts_vsn,
                                const struct rel_progress *progress, struct pkg_bundle *b,
                                struct rel_err *e);

#endif
