/* SPDX-License-Identifier: Apache-2.0 */
/* What a surveyed release is: its name, its applications, where its settings are. Ours, one of
 * `mix release` or one of relx. Everything is lent by the survey or lies in the arena. */
#ifndef PKG_OUTLINE_H
#define PKG_OUTLINE_H

#include "pkg/pkg_rel.h"
#include "pkg/pkg_release.h"
#include "pkg/pkg_survey.h"

struct pkg_outline_app {
    const char *name, *vsn;
    const char *dir;      /* "lib/shop-0.1.0", or NULL when it is not in the release (no ERTS) */
    enum pkg_start start; /* of the .rel file */
    const struct pkg_file *app_file; /* NULL when dir is */
    size_t file_n, module_n;         /* below dir */
    uint64_t bytes;                  /* of its files */
};

struct pkg_outline {
    struct pkg_arena arena;
    enum pkg_kind kind;
    const char *name, *vsn, *erts_vsn;
    const char *vsn_dir;  /* "releases/0.1.0" */
    const char *erts_dir; /* "erts-13.1.5", or NULL */
    const char *otp;      /* "25", from that of ERTS; NULL before OTP 23 */
    bool elixir;
    struct pkg_outline_app *apps; /* in the order of the .rel file */
    size_t app_n;
    const struct pkg_file *rel_file, *sys_config, *vm_args, *runtime_exs; /* each may be NULL but
                                                                            the first */
    const struct pkg_file *manifest, *signature; /* releases/VSN/relpack.json and relpack.sig */
};

/* REL_E_INPUT when it is no release, with what is missing, or when a text in it is broken. */
REL_MUST_USE int pkg_outline_read(const struct pkg_survey *s, struct pkg_outline *o,
                                  struct rel_err *e);
void pkg_outline_fini(struct pkg_outline *o);
#define pkg_autooutline __attribute__((cleanup(pkg_outline_fini)))

/* The application whose folder `path` lies in, or NULL. */
const struct pkg_outline_app *pkg_outline_app_of(const struct pkg_outline *o, const char *path);

#endif
