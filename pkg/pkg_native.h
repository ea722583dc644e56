/* SPDX-License-Identifier: Apache-2.0 */
/* What lies below priv/ of an application: native code (shared libraries, port programs), as a
 * running VM has it loaded, and all else. Pure but for reading the two folders; any thread. */
#ifndef PKG_NATIVE_H
#define PKG_NATIVE_H

#include "base/rel_err.h"

/* The first ELF file below priv/ of `old_dir` (lib/<app>-<vsn>) whose bytes are others in
 * `new_dir`, or that is gone there: its path below the folder, owned by the caller; *changed is
 * NULL when there is none. New files are no change. */
REL_MUST_USE int pkg_native_changed(const char *old_dir, const char *new_dir, char **changed,
                                    struct rel_err *e);

/* The same for any file there, and also for those that are new. */
REL_MUST_USE int pkg_priv_changed(const char *old_dir, const char *new_dir, char **changed,
                                  struct rel_err *e);

#endif
