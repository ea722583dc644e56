/* SPDX-License-Identifier: Apache-2.0 */
/* The whole way from a project's folder to a release: find out what it is, compile it, resolve its
 * applications, assemble the tree, pack it. One thread. */
#ifndef PKG_BUILD_H
#define PKG_BUILD_H

#include "pkg/pkg_archive.h"
#include "pkg/pkg_check.h"
#include "pkg/pkg_project.h"
#include "pkg/pkg_sign.h"

struct pkg_build {
    const char *dir;     /* of the project */
    const char *release; /* which of the project's; NULL: its default */
    const char *output;  /* folder that gets the result; NULL: the kind's own */
    bool tar;
    enum pkg_format format;
    bool compile;
    bool no_erts;
    bool bundle_libs;         /* also when relpack.json does not ask for it */
    const char *relctl;       /* the program that goes along as bin/relctl */
    const char *allow;        /* checks that are left out, beside those of relpack.json */
    bool strict;              /* a finding refuses the release */
    size_t warnings;          /* lines for one check, at most; 0: all */
    const char *target_glibc; /* of the oldest host, "2.31"; NULL: that of the VM */
    const char *expires; /* a time or a duration (pkg_expiry.h); NULL: as relpack.json has it */
    int64_t now_s;       /* what a duration begins at */
    const struct pkg_key *key; /* the secret one that signs it; NULL: it is not signed */
    struct rel_progress progress;
};

struct pkg_built {
    char *path; /* of the tree or the tarball, absolute */
    char *name, *vsn, *erts_vsn;
    enum pkg_project_kind kind;
    size_t app_n;
    uint64_t bytes; /* of the tarball; 0 for a tree */
    struct pkg_findings findings;
};
void pkg_built_fini(struct pkg_built *built);

/* 0: `path` is whole and on disk. -1 or a crash: what was there is as it was; nothing new is left
 * but a project's own _build, and after a crash a temporary name beside `path`. */
REL_MUST_USE int pkg_build(const struct pkg_build *build, struct pkg_built *built,
                           struct rel_err *e);

/* What `dir` holds: mix.exs before rebar.config before relpack.json. REL_E_INPUT for none. */
REL_MUST_USE int pkg_project_find(const char *dir, enum pkg_project_kind *kind, struct rel_err *e);

#endif
