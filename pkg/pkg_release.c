/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_release.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/rel_io.h"
#include "pkg/pkg_rel.h"

enum { LAUNCHER_MAX = 1 << 20, DATA_MAX = 4096 };

static bool is_dir(const char *path)
{
    return rel_is_dir(AT_FDCWD, path);
}

static bool is_file(const char *path)
{
    return rel_is_file(AT_FDCWD, path);
}

/* releases/start_erl.data: "ErtsVsn RelVsn". */
static int read_vsn(struct pkg_release *r, struct rel_err *e)
{
    rel_autofree char *path = rel_strf("%s/releases/start_erl.data", r->root);
    rel_autofree char *text = NULL;
    char *rest = NULL, *vsn;
    size_t len;

    if (!is_file(path))
        return rel_fail(e, REL_E_INPUT, 0, "%s is no release: releases/start_erl.data is missing",
                        r->root);
    if (rel_read_file(AT_FDCWD, path, DATA_MAX, &text, &len, e) < 0)
        return -1;
    strtok_r(text, " \t\r\n", &rest);
    vsn = strtok_r(NULL, " \t\r\n", &rest);
    if (!pkg_is_path_part(vsn))
        return rel_fail(e, REL_E_INPUT, 0, "%s names no version", path);
    r->vsn = rel_xstrdup(vsn);
    r->vsn_dir = rel_strf("%s/releases/%s", r->root, vsn);
    if (!is_dir(r->vsn_dir))
        return rel_fail(e, REL_E_INPUT, 0, "%s is no release: releases/%s is missing", r->root,
                        vsn);
    return 0;
}

static int add_app(struct pkg_release *r, const struct pkg_term *row, const char *path,
                   struct rel_err *e)
{
    const char *name = pkg_atom_text(pkg_at(row, 0)), *vsn = pkg_chars(pkg_at(row, 1));
    const char *type = pkg_atom_text(pkg_at(row, 2)); /* a list there: included applications */
    struct pkg_release_app *app;

    if (row->kind != PKG_TUPLE || !pkg_is_path_part(name) || !pkg_is_path_part(vsn))
        return rel_fail(e, REL_E_INPUT, 0, "%s:%d: not {application, \"version\", ...}", path,
                        row->line);
    r->apps = rel_xrealloc(r->apps, r->app_n + 1, sizeof(*r->apps));
    app = &r->apps[r->app_n++];
    *app = (struct pkg_release_app){
        .name = rel_xstrdup(name),
        .vsn = rel_xstrdup(vsn),
        .type = rel_xstrdup(type ? type : "permanent"),
        .ebin = rel_strf("%s/lib/%s-%s/ebin", r->root, name, vsn),
    };
    if (!is_dir(app->ebin)) {
        free(app->ebin);
        app->ebin = NULL;
    }
    r->elixir |= !strcmp(name, "elixir");
    return 0;
}

/* *mine says whether the file describes this version and has its launcher. */
static int try_rel(struct pkg_release *r, const char *path, bool *mine, struct rel_err *e)
{
    pkg_autoarena struct pkg_arena a = {0};
    const struct pkg_term *t;
    struct pkg_rel_head head;
    rel_autofree char *launcher = NULL;

    if (pkg_term_read_one(&a, AT_FDCWD, path, &t, e) < 0 ||
        pkg_rel_read_head(t, path, &head, e) < 0)
        return -1;
    launcher = rel_strf("%s/bin/%s", r->root, head.name);
    *mine = !strcmp(head.vsn, r->vsn) && is_file(launcher);
    if (!*mine)
        return 0;
    r->name = rel_xstrdup(head.name);
    r->erts_vsn = rel_xstrdup(head.erts_vsn);
    for (size_t i = 0; i < head.rows->seq.n; i++)
        if (add_app(r, head.rows->seq.v[i], path, e) < 0)
            return -1;
    return 0;
}

/* The first .rel file of `dir` that is this release's. */
static int search_rel(struct pkg_release *r, const char *dir, size_t *seen, struct rel_err *e)
{
    rel_autoclosedir DIR *d = opendir(dir);
    struct dirent *f;

    if (!d)
        return rel_fail(e, REL_E_IO, errno, "list %s", dir);
    while (!r->name && (f = readdir(d))) {
        size_t n = strlen(f->d_name);
        rel_autofree char *path = rel_strf("%s/%s", dir, f->d_name);
        bool mine = false;

        if (n <= 4 || strcmp(f->d_name + n - 4, ".rel") != 0 || !is_file(path))
            continue;
        ++*seen;
        if (try_rel(r, path, &mine, e) < 0)
            return -1;
    }
    return 0;
}

/* mix and newer relx: releases/<vsn>/<name>.rel; older relx: releases/<name>-<vsn>.rel. */
static int read_rel(struct pkg_release *r, struct rel_err *e)
{
    rel_autofree char *releases = rel_strf("%s/releases", r->root);
    size_t seen = 0;

    if (search_rel(r, r->vsn_dir, &seen, e) < 0)
        return -1;
    if (!r->name && search_rel(r, releases, &seen, e) < 0)
        return -1;
    if (!r->name && !seen)
        return rel_fail(e, REL_E_INPUT, 0, "%s is no release: releases/%s holds no .rel file",
                        r->root, r->vsn);
    if (!r->name)
        return rel_fail(e, REL_E_INPUT, 0,
                        "%s is no release: no launcher bin/<name> for the .rel file of version %s",
                        r->root, r->vsn);
    return 0;
}

static bool file_in(const char *dir, const char *name)
{
    rel_autofree char *path = rel_strf("%s/%s", dir, name);

    return is_file(path);
}

/* What the launcher understands, and so how relsup has to start it, is known by who made it. */
static int tell_kind(struct pkg_release *r, struct rel_err *e)
{
    rel_autofree char *path = rel_strf("%s/bin/%s", r->root, r->name);
    rel_autofree char *text = NULL;
    size_t len;

    if (file_in(r->root, "bin/relctl")) {
        r->kind = PKG_KIND_RELPACK;
        return 0;
    }
    if (rel_read_file(AT_FDCWD, path, LAUNCHER_MAX, &text, &len, e) < 0)
        return -1;
    if (strstr(text, "RELEASE_BOOT_SCRIPT_CLEAN") && file_in(r->vsn_dir, "elixir")) {
        r->kind = PKG_KIND_MIX;
        return 0;
    }
    if (strstr(text, "relx_") || file_in(r->root, "bin/install_upgrade.escript")) {
        r->kind = PKG_KIND_RELX;
        return 0;
    }
    return rel_fail(e, REL_E_INPUT, 0, "launcher %s was made by neither relpack, mix nor relx",
                    path);
}

/* The configuration of `app` in a sys.config, whose list may also hold names of other files. */
static const struct pkg_term *config_of(const struct pkg_term *config, const char *app)
{
    return pkg_get(pkg_is_list(config) ? config : NULL, app);
}

/* A relx sys.config may hold ${VARIABLES} that only its launcher fills in, so one that cannot be
 * read is wrong only if it has the option that must not get lost. */
static int read_listen_options(struct pkg_release *r, struct rel_err *e)
{
    static const char option[] = "inet_default_listen_options";
    rel_autofree char *path = rel_strf("%s/sys.config", r->vsn_dir);
    pkg_autoarena struct pkg_arena a = {0};
    rel_autofree char *text = NULL;
    rel_autobuf struct rel_buf out = {0};
    struct pkg_terms terms;
    const struct pkg_term *value;
    size_t len;

    if (!is_file(path))
        return 0;
    if (rel_read_file(AT_FDCWD, path, PKG_TERM_FILE_MAX, &text, &len, e) < 0)
        return -1;
    if (!memmem(text, len, option, strlen(option)))
        return 0;
    if (pkg_terms_parse(&a, text, len, path, &terms, e) < 0)
        return -1;
    value = terms.n ? pkg_get(config_of(terms.v[0], "kernel"), option) : NULL;
    if (!value)
        return 0;
    if (!pkg_is_list(value))
        return rel_fail(e, REL_E_INPUT, 0, "%s:%d: %s must be a list", path, value->line, option);
    pkg_term_format(value, 0, 0, &out);
    r->listen_options = rel_buf_take(&out);
    return 0;
}

static int read_release(struct pkg_release *r, struct rel_err *e)
{
    if (read_vsn(r, e) < 0 || read_rel(r, e) < 0 || tell_kind(r, e) < 0)
        return -1;
    r->erts_dir = rel_strf("%s/erts-%s", r->root, r->erts_vsn);
    if (!is_dir(r->erts_dir)) {
        free(r->erts_dir);
        r->erts_dir = NULL;
    }
    r->consolidated = rel_strf("%s/consolidated", r->vsn_dir);
    if (!is_dir(r->consolidated)) {
        free(r->consolidated);
        r->consolidated = NULL;
    }
    return read_listen_options(r, e);
}

int pkg_release_read(const char *root, struct pkg_release **r, struct rel_err *e)
{
    pkg_autorelease struct pkg_release *made = rel_xcalloc(1, sizeof(*made));

    made->root = realpath(root, NULL);
    if (!made->root)
        return rel_fail(e, REL_E_INPUT, errno, "release %s", root);
    if (!is_dir(made->root))
        return rel_fail(e, REL_E_INPUT, 0, "%s is no release: it is not a folder", root);
    if (read_release(made, e) < 0)
        return -1;
    *r = rel_steal(&made);
    return 0;
}

void pkg_release_free(struct pkg_release *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->app_n; i++) {
        free(r->apps[i].name);
        free(r->apps[i].vsn);
        free(r->apps[i].type);
        free(r->apps[i].ebin);
    }
    free(r->apps);
    free(r->root);
    free(r->name);
    free(r->vsn);
    free(r->erts_vsn);
    free(r->erts_dir);
    free(r->vsn_dir);
    free(r->consolidated);
    free(r->listen_options);
    free(r);
}

void pkg_release_free_p(struct pkg_release **r)
{
    pkg_release_free(*r);
    *r = NULL;
}
