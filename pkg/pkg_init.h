/* SPDX-License-Identifier: Apache-2.0 */
/* The first relpack.json of a project, made from what lies in its folder. No state. */
#ifndef PKG_INIT_H
#define PKG_INIT_H

#include "pkg/pkg_project.h"

struct pkg_draft {
    char *text; /* owned by the caller */
    enum pkg_project_kind kind;
};

/* Beside mix.exs or rebar.config it holds no more than what those cannot say; otherwise the
 * applications that are found. REL_E_INPUT when nothing is there to pack, or dir/relpack.json
 * exists. Nothing is written. */
REL_MUST_USE int pkg_init_draft(const char *dir, struct pkg_draft *draft, struct rel_err *e);

#endif
