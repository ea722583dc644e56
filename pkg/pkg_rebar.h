/* SPDX-License-Identifier: Apache-2.0 */
/* rebar3 projects: the release section of rebar.config, and compiling. No state. */
#ifndef PKG_REBAR_H
#define PKG_REBAR_H

#include "pkg/pkg_project.h"

/* Fills `p`, whose dir is set, from its rebar.config: the relx section with that of the profile
 * prod over it. `release` names one of several; NULL: the first. REL_E_INPUT with file and line for
 * what is broken, or what relpack does not know. */
REL_MUST_USE int pkg_rebar_read(struct pkg_project *p, const char *release, struct rel_err *e);

/* Runs `rebar3 as prod compile`. */
REL_MUST_USE int pkg_rebar_compile(const struct pkg_project *p, const struct rel_progress *progress,
                                   struct rel_err *e);

/* Adds the folders in which rebar3 has left applications. */
REL_MUST_USE int pkg_rebar_lib_dirs(struct pkg_project *p, struct rel_err *e);

#endif
