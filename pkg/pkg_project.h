/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be packed, told in the same way for every kind of project: filled from mix.exs,
 * rebar.config or relpack.json, read by pkg_build.c. All its strings lie in its arena. One thread.
 */
#ifndef PKG_PROJECT_H
#define PKG_PROJECT_H

#include "base/rel_out.h"
#include "pkg/pkg_rel.h"

enum pkg_project_kind { PKG_PROJECT_MIX, PKG_PROJECT_REBAR3, PKG_PROJECT_PLAIN };
const char *pkg_project_kind_name(enum pkg_project_kind kind);

enum pkg_overlay_kind {
    PKG_OVERLAY_MKDIR,
    PKG_OVERLAY_COPY,
    PKG_OVERLAY_TEMPLATE,
    PKG_OVERLAY_LINK,  /* `to` points at `from`, which is taken as it is written */
    PKG_OVERLAY_CHMOD, /* `to` gets the mode `mode` */
};
struct pkg_overlay {
    enum pkg_overlay_kind kind;
    const char *from; /* absolute; of a link its target; NULL for mkdir and chmod */
    const char *to;   /* in the release; may hold {{variables}} */
    unsigned mode;    /* of chmod; as everywhere, only whether it can be executed counts */
};

/* What the launcher does before or behind a command, or as a command of its own. Written into
 * releases/VSN/hooks, one a line. */
struct pkg_hook {
    const char *when; /* "pre_start", "post_start", "pre_stop", "post_stop", "status", "command" */
    const char *what; /* "custom", "pid", "wait_for_vm_start", "wait_for_process"; of a command its
                         name */
    const char *arg;  /* path of a script in the release, ...; "" for none */
};

/* A value of a template's {{name}}. */
struct pkg_var {
    const char *name, *value;
};

/* Where a file of releases/VSN comes from: of all NULL, relpack's own is taken. */
struct pkg_content {
    const char *path, *text;
    bool vars; /* packed as NAME.src; ${VARIABLES} in it are filled in at boot */
};

struct pkg_strings {
    const char **v; /* NULL-terminated; NULL when empty */
    size_t n;
};

struct pkg_project {
    struct pkg_arena arena;
    enum pkg_project_kind kind;
    const char *dir; /* absolute */
    const char *name, *vsn;
    const char *vsn_of_app; /* the version is that of this application; then vsn is NULL */
    struct pkg_want *want;
    size_t want_n;
    /* mix decides on the applications itself: the list of a .rel file, and where to write that
     * file. Then want is empty. */
    const struct pkg_term *rel_apps;
    const char *rel_file;
    struct pkg_strings lib_dirs; /* absolute; OTP's own comes last and is not in here */
    struct pkg_content sys_config, vm_args, remote_vm_args, env_sh, runtime_exs;
    bool template_config; /* {{variables}} in sys_config and vm_args are replaced, as relx does */
    struct pkg_overlay *overlays;
    size_t overlay_n;
    struct pkg_hook *hooks;
    size_t hook_n;
    struct pkg_strings overlay_dirs; /* laid over the root of the release */
    struct pkg_var *vars;
    size_t var_n;
    const char *consolidated;                /* folder of consolidated protocols, or NULL */
    const struct pkg_term *config_providers; /* arguments of Config.Provider.boot, or NULL */
    bool include_erts, strip_beams, bundle_libs;
    struct pkg_strings exclude_apps, exclude_modules; /* left out, also where an .app names them */
    bool include_src;              /* src and include of the applications that are not OTP's */
    struct pkg_strings strip_keep; /* chunks of BEAM files that stay */
    bool mix_steps;       /* mix has functions to run on the assembled tree (pkg_mix_run_steps) */
    const char *allow;    /* what checks leave out, see pkg_check.h; or NULL */
    const char *expires;  /* a time or a duration (pkg_expiry.h), or NULL */
    const char *erts_dir; /* root of the Erlang to pack; NULL: that of `erl` in PATH */
};

void pkg_project_fini(struct pkg_project *p);
#define pkg_autoproject __attribute__((cleanup(pkg_project_fini)))

/* Is it a file whose variables are filled in at boot, "sys.config.src"? */
bool pkg_path_is_src(const char *path);

/* Into the arena. */
char *pkg_project_strf(struct pkg_project *p, const char *fmt, ...) REL_PRINTF(2, 3);
/* `path` as it is when absolute, else below the project. */
const char *pkg_project_path(struct pkg_project *p, const char *path);
void pkg_project_add_want(struct pkg_project *p, const char *name, enum pkg_start type);
void pkg_project_add_overlay(struct pkg_project *p, struct pkg_overlay overlay);
/* Copies the strings. REL_E_INPUT for what cannot be a line of releases/VSN/hooks. */
REL_MUST_USE int pkg_project_add_hook(struct pkg_project *p, const struct pkg_hook *hook,
                                      struct rel_err *e);
/* An earlier variable of that name is replaced. */
void pkg_project_add_var(struct pkg_project *p, const char *name, const char *value);
void pkg_strings_add(struct pkg_project *p, struct pkg_strings *list, const char *s);

/* "git": the last tag, with "+build.N.refHASH" when there are commits behind it, as rebar3 names
 * it; short and long are the hash of HEAD. REL_E_INPUT when git knows no version here. */
enum pkg_git_vsn { PKG_GIT_DESCRIBE, PKG_GIT_SHORT, PKG_GIT_LONG };
REL_MUST_USE int pkg_project_git_vsn(struct pkg_project *p, enum pkg_git_vsn what,
                                     struct rel_err *e);

/* The first line of a file of the project, or of what a command prints. REL_E_INPUT for none. */
REL_MUST_USE int pkg_project_read_vsn(struct pkg_project *p, bool command, const char *what,
                                      struct rel_err *e);

/* *revision is that of HEAD, in the arena, where the project lies in a git repository; *dirty: a
 * file that git knows differs from it. Without one, or without git, both stay as they are. */
void pkg_project_git_state(struct pkg_project *p, const char **revision, bool *dirty);

/* Replaces {{name}} and {{{name}}} in `text`. What is no known variable is left as it is, or with
 * `strict` REL_E_INPUT naming `file`. */
REL_MUST_USE int pkg_project_render(const struct pkg_project *p, const char *file, const char *text,
                                    bool strict, struct rel_buf *out, struct rel_err *e);

#endif
