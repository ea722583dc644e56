/* SPDX-License-Identifier: Apache-2.0 */
/* Which applications a release consists of, and in which order they are loaded and started: the
 * closure over .app files, the .rel file, and the checks and the order of systools_make.
 *
 * Nothing is added but kernel and stdlib: `mix release` also puts {sasl, permanent} and {iex, none}
 * into its release; whoever builds as mix does names them in `want`.
 *
 * A struct pkg_rel lends its applications from the struct pkg_lib, which must outlive it. */
#ifndef PKG_REL_H
#define PKG_REL_H

#include "pkg/pkg_app.h"

/* XX(constant, the atom in a .rel file) */
#define PKG_START_MAP(XX)              \
    XX(PKG_START_PERMANENT, permanent) \
    XX(PKG_START_TRANSIENT, transient) \
    XX(PKG_START_TEMPORARY, temporary) \
    XX(PKG_START_LOAD, load)           \
    XX(PKG_START_NONE, none)

enum pkg_start {
#define XX(constant, atom) constant,
    PKG_START_MAP(XX)
#undef XX
};

const char *pkg_start_name(enum pkg_start type);
/* 0 with *type, or REL_E_INPUT naming the five. */
REL_MUST_USE int pkg_start_from_name(const char *name, enum pkg_start *type, struct rel_err *e);

struct pkg_want {
    const char *name;
    enum pkg_start type;
};

struct pkg_rel_app {
    const struct pkg_app *app;
    enum pkg_start type;
    const struct pkg_term *includes_override; /* the .rel's own list of included ones, or NULL */
    struct pkg_names uses; /* as in a start script: included ones replaced by their top, sorted */
    struct pkg_names includes; /* sorted by the order of the .rel */
};

struct pkg_rel {
    struct pkg_arena arena;
    const char *name, *vsn, *erts_vsn;
    struct pkg_rel_app *apps; /* in the order of the .rel file */
    size_t app_n;
    size_t *order; /* app_n indices into apps: the order of loading and starting */
};

/* The release `name` of `vsn` made of `want` and everything that is needed by it: applications,
 * included_applications, and optional_applications that exist. kernel and stdlib are always in it
 * and permanent. The .rel order: kernel, stdlib, then each after what it needs, in the order of
 * `want` and of the .app files. What is not in `want` is permanent when something started needs it,
 * otherwise load or none like the one that needs it; included ones are load.
 * REL_E_INPUT: not found (says who needs it), a cycle (names it), two applications with one
 * registered name or one module or one included application, a started application that needs one
 * which is only load or none. */
struct pkg_rel_id {
    const char *name, *vsn, *erts_vsn;
};
REL_MUST_USE int pkg_rel_close(struct pkg_lib *lib, const struct pkg_rel_id *id,
                               const struct pkg_want *want, size_t want_n, struct pkg_rel **rel,
                               struct rel_err *e);

/* The head of a .rel file, and its applications. Lent by the term. */
struct pkg_rel_head {
    const char *name, *vsn, *erts_vsn;
    const struct pkg_term *rows;
};

/* REL_E_INPUT with `file` for another term, or NULL, and for names that cannot be parts of a path.
 */
REL_MUST_USE int pkg_rel_read_head(const struct pkg_term *t, const char *file,
                                   struct pkg_rel_head *head, struct rel_err *e);

/* A name or version that becomes one part of a path. NULL is none. */
bool pkg_is_path_part(const char *s);

/* A .rel file as it is: exactly its applications and versions. Same errors. */
REL_MUST_USE int pkg_rel_read(struct pkg_lib *lib, const char *path, struct pkg_rel **rel,
                              struct rel_err *e);

/* The same release with nothing loaded or started but kernel and stdlib, the rest only on the code
 * path: for start_clean.boot. So mix 1.14 makes it; an application that were loaded already would
 * break `:ok = Application.load(app)` in an eval. Shares the lib; its own to free. */
struct pkg_rel *pkg_rel_clean(const struct pkg_rel *rel);

void pkg_rel_free(struct pkg_rel *rel);
void pkg_rel_free_p(struct pkg_rel **rel);
#define pkg_autorel __attribute__((cleanup(pkg_rel_free_p)))

/* {release,{Name,Vsn},{erts,V},[{App,Vsn,Type}...]}, in `a`. */
const struct pkg_term *pkg_rel_term(const struct pkg_rel *rel, struct pkg_arena *a);

/* Index in rel->apps, or -1. */
long pkg_rel_index(const struct pkg_rel *rel, const char *name);

#endif
