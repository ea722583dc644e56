/* SPDX-License-Identifier: Apache-2.0 */
/* The Erlang installation that a release is made from: where it lies, and what of its ERTS goes
 * along. Found by its files, without starting a VM. Any thread. */
#ifndef PKG_ERTS_H
#define PKG_ERTS_H

#include "pkg/pkg_entries.h"
#include "pkg/pkg_project.h"

struct pkg_otp {
    const char *root;        /* absolute, e.g. /usr/lib/erlang; all in the project's arena */
    const char *erts_vsn;    /* "13.1.5" */
    const char *erts_dir;    /* ROOT/erts-13.1.5 */
    const char *lib;         /* ROOT/lib */
    const char *start_clean; /* a start_clean.boot to copy what is general from */
};

/* The one in p->erts_dir (its root or its erts-V), else that of `erl` in PATH. REL_E_INPUT with
 * what is missing. */
REL_MUST_USE int pkg_otp_find(struct pkg_project *p, struct pkg_otp *otp, struct rel_err *e);

/* erts-V/bin without the tools of a developer, with an `erl` that finds its own folder. */
REL_MUST_USE int pkg_erts_add(const struct pkg_otp *otp, struct pkg_entries *es, struct rel_err *e);

#endif
