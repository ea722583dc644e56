/* SPDX-License-Identifier: Apache-2.0 */
/* Applications: .app files, and finding an application by its name in library folders.
 *
 * A struct pkg_lib owns the applications that were found through it. One thread. */
#ifndef PKG_APP_H
#define PKG_APP_H

#include "pkg/pkg_term.h"

struct pkg_names {
    const char *const *v; /* UTF-8 */
    size_t n;
};

/* A .app file. Keys that it does not have carry OTP's defaults (systools_make:parse_application):
 * lists [], maxT and maxP infinity; start_phases and mod are NULL. Terms and names live in arena.
 */
struct pkg_app {
    struct pkg_arena arena;
    const struct pkg_term *term; /* the whole file */
    bool changed;                /* by pkg_app_leave_out: `term` is not what lies on disk */
    const char *name, *vsn;
    const char *file; /* as it was named by the caller */
    const char *ebin; /* the folder of `file`: .../ebin; absolute when the lib folder was */
    const char *dir;  /* the folder above: has priv/, include/ */
    struct pkg_names modules, registered, applications, optional, included;
    const struct pkg_term *description, *id, *modules_term, *registered_term, *optional_term, *env,
        *max_t, *max_p, *start_phases, *mod;
};

/* REL_E_INPUT with the file, the line and the key that is wrong. Mandatory, as for systools: vsn,
 * description, modules, registered, applications. */
REL_MUST_USE int pkg_app_read(const char *file, struct pkg_app **app, struct rel_err *e);
void pkg_app_free(struct pkg_app *app);

/* As if its .app file named none of these. */
void pkg_app_leave_out(struct pkg_app *app, const struct pkg_names *apps,
                       const struct pkg_names *modules);

/* Does it lie in the library folder `dir` under the name NAME-VSN, where a boot script that leaves
 * it there looks for it? (Debian has some without the version, or with another name.) */
bool pkg_app_lies_in(const struct pkg_app *app, const char *dir);

bool pkg_names_have(const struct pkg_names *names, const char *name);

/* Versions by their parts, numbers as numbers: "1.9" < "1.10", "1.0-rc1" < "1.0" (a part of letters
 * after "-" is a pre-release). <0, 0, >0. */
int pkg_vsn_compare(const char *x, const char *y);

struct pkg_lib;

/* Lists the applications below each of `dirs`, in order: DIR/<any>/ebin/NAME.app; also DIR/ebin/
 * NAME.app and DIR/NAME.app, for a DIR that is itself an application or an ebin folder. The name is
 * that of the .app file, whatever the folder is called. A DIR that does not exist is REL_E_INPUT.
 * No .app file is read yet. The caller frees *lib. */
REL_MUST_USE int pkg_lib_open(const char *const *dirs, size_t n, struct pkg_lib **lib,
                              struct rel_err *e);
void pkg_lib_free(struct pkg_lib *lib);
void pkg_lib_free_p(struct pkg_lib **lib);
#define pkg_autolib __attribute__((cleanup(pkg_lib_free_p)))

/* What a release leaves out: no .app file read from now on names it. Both are lent. */
void pkg_lib_leave_out(struct pkg_lib *lib, struct pkg_names apps, struct pkg_names modules);

/* The application `name`: that of the first folder which has it, in it the highest version; with
 * `vsn` not NULL the first one of exactly that version. *app is lent by `lib`, NULL when there is
 * none. -1: its .app file is broken. */
REL_MUST_USE int pkg_lib_find(struct pkg_lib *lib, const char *name, const char *vsn,
                              const struct pkg_app **app, struct rel_err *e);

/* Folders that were searched, separated by ", ", for messages. Lent. */
const char *pkg_lib_searched(const struct pkg_lib *lib);

/* Every application name found, sorted, for those who list. Lent. */
struct pkg_names pkg_lib_names(const struct pkg_lib *lib);

#endif
