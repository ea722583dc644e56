/* SPDX-License-Identifier: Apache-2.0 */
/* Boot scripts: the term of start.script, equal to what systools:make_script/2 makes of the same
 * .rel file, and the bytes of start.boot, without a VM.
 *
 * What depends on the OTP version (the preloaded modules, those loaded first, the kernel processes)
 * is taken from that OTP's own bin/start_clean.boot. No state. */
#ifndef PKG_SCRIPT_H
#define PKG_SCRIPT_H

#include "pkg/pkg_rel.h"

struct pkg_script_base {
    const struct pkg_term *preloaded;    /* list of atoms */
    const struct pkg_term *mandatory;    /* of the first primLoad */
    const struct pkg_term *kernel_procs; /* list of {kernelProcess, Name, MFA} */
};

/* From e.g. /usr/lib/erlang/bin/start_clean.boot; lives in `a`. */
REL_MUST_USE int pkg_script_base_read(struct pkg_arena *a, const char *start_clean_boot,
                                      struct pkg_script_base *base, struct rel_err *e);

/* All zero is what systools:make_script(Rel, []) makes. */
struct pkg_script_options {
    bool no_dot_erlang;     /* do not load $HOME/.erlang at boot */
    const char *lib_prefix; /* NULL: "$ROOT/lib"; applications are PREFIX/name-vsn/ebin */
    /* For applications outside of `otp_lib` (none given: for all): NULL means lib_prefix. mix uses
     * "$RELEASE_LIB". */
    const char *own_prefix;
    const char *otp_lib; /* the library folder of OTP, as given to pkg_lib_open */
    /* Put before the path of every application outside of otp_lib and before the whole path,
     * e.g. "$ROOT/releases/0.1.0/consolidated"; NULL for none. */
    const char *consolidated;
    /* {apply,{M,F,A}} for each, right after the start of stdlib; e.g. Elixir's
     * {'Elixir.Config.Provider',boot,[]}. */
    const struct pkg_term *const *after_stdlib;
    size_t after_stdlib_n;
};

/* {script,{Name,Vsn},[...]} in `a`; it points into `rel`, which must outlive it. Cannot fail: the
 * release was checked when it was made. */
const struct pkg_term *pkg_script_make(struct pkg_arena *a, const struct pkg_rel *rel,
                                       const struct pkg_script_base *base,
                                       const struct pkg_script_options *options);

/* Writes DIR/NAME.script and DIR/NAME.boot. -1 or a crash: each is whole, old or new. */
REL_MUST_USE int pkg_script_write(const struct pkg_term *script, const char *dir, const char *name,
                                  struct rel_err *e);

#endif
