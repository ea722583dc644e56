/* SPDX-License-Identifier: Apache-2.0 */
/* What the groups of checks share. Each group is one file, pkg_check_<group>.c, and one function
 * that adds what it finds. */
#ifndef PKG_CHECK_INTERNAL_H
#define PKG_CHECK_INTERNAL_H

#include "pkg/pkg_check.h"

/* An application of the release. */
struct pkg_check_app {
    const struct pkg_rel_app *rel;
    char *dir;     /* "lib/shop-0.1.0/" */
    bool examined; /* not OTP's own and not Elixir's */
    bool own;      /* of these, written by those who build, not fetched */
};

/* A module of the release, by its BEAM file, or without one by its .app file (no ERTS). */
struct pkg_check_module {
    const char *name;
    const struct pkg_check_app *app;     /* NULL: a consolidated protocol */
    const struct pkg_file *file;         /* NULL: known by its name only */
    const struct pkg_beam_mfa **exports; /* sorted, made when first asked for */
};

struct pkg_checking {
    const struct pkg_check *c;
    struct pkg_findings *found;
    struct pkg_check_app *apps; /* as in c->rel */
    size_t app_n;
    struct pkg_check_module *modules; /* sorted by name; those with a file first */
    size_t module_n;
    struct pkg_arena arena;
    const struct pkg_term *preloaded; /* list of atoms: modules inside the VM */
};

/* Is it looked for? */
bool pkg_checking_wants(const struct pkg_checking *k, enum pkg_check_code code);
/* Takes `text`. `file` is copied, or NULL. */
void pkg_checking_add(struct pkg_checking *k, enum pkg_check_code code, const char *file,
                      char *text);
/* The application that the file lies in, or NULL. */
const struct pkg_check_app *pkg_checking_app_of(const struct pkg_checking *k, const char *path);
const char *pkg_checking_app_name(const struct pkg_check_app *app);
/* NULL when there is none; a preloaded one is not in the table. */
struct pkg_check_module *pkg_checking_module(const struct pkg_checking *k, const char *name);

/* The groups. */
REL_MUST_USE int pkg_check_modules(struct pkg_checking *k, struct rel_err *e);
void pkg_check_calls(struct pkg_checking *k);
void pkg_check_config(struct pkg_checking *k);
REL_MUST_USE int pkg_check_native(struct pkg_checking *k, struct rel_err *e);
REL_MUST_USE int pkg_check_private(struct pkg_checking *k, struct rel_err *e);
REL_MUST_USE int pkg_check_files(struct pkg_checking *k, struct rel_err *e);

#endif
