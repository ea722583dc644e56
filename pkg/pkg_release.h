/* SPDX-License-Identifier: Apache-2.0 */
/* What an unpacked release is, told from its files: ours, one of `mix release`, one of relx. */
#ifndef PKG_RELEASE_H
#define PKG_RELEASE_H

#include <stdbool.h>

#include "base/rel_err.h"

enum pkg_kind { PKG_KIND_RELPACK, PKG_KIND_MIX, PKG_KIND_RELX };

struct pkg_release_app {
    char *name, *vsn;
    char *type; /* "permanent", as the .rel says or by default; "transient", "load", "none", ... */
    char *ebin; /* absolute, lib/<name>-<vsn>/ebin; NULL when it is not in the release (no ERTS) */
};

struct pkg_release {
    enum pkg_kind kind;
    char *root;                   /* absolute */
    char *name;                   /* of the release: the launcher is bin/<name> */
    char *vsn;                    /* of the release: the folder releases/<vsn> */
    char *erts_vsn;               /* "13.1.5" */
    char *erts_dir;               /* absolute, or NULL for a release without ERTS */
    bool elixir;                  /* the application elixir is in it */
    struct pkg_release_app *apps; /* of the .rel file, in its order */
    size_t app_n;
    char *vsn_dir;        /* absolute, releases/<vsn> */
    char *consolidated;   /* absolute, releases/<vsn>/consolidated, or NULL */
    char *listen_options; /* the term of kernel's inet_default_listen_options in its sys.config, as
                             text "[...]", or NULL: what relsup adds to it must be merged in */
};

/* Reads bin/, releases/start_erl.data, the .rel file and sys.config below `root`.
 * REL_E_INPUT when it is no release, with what is missing. The caller frees *r. */
REL_MUST_USE int pkg_release_read(const char *root, struct pkg_release **r, struct rel_err *e);
void pkg_release_free(struct pkg_release *r);
void pkg_release_free_p(struct pkg_release **r);
#define pkg_autorelease __attribute__((cleanup(pkg_release_free_p)))

/* Every module of every application and of the consolidated protocols (app = "" for those). */
struct pkg_module {
    char *app, *module;
    char *path;            /* absolute path of the .beam */
    unsigned char md5[16]; /* beam_lib:md5/1 */
    bool nif;              /* has native code: imports erlang:load_nif/2 */
    bool on_load;          /* has an -on_load function */
};
struct pkg_modules {
    struct pkg_module *v; /* sorted by module name, then app */
    size_t n;
};
REL_MUST_USE int pkg_release_modules(const struct pkg_release *r, struct pkg_modules *m,
                                     struct rel_err *e);
void pkg_modules_fini(struct pkg_modules *m);

#endif
