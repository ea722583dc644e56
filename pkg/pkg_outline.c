/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_outline.h"

#include <string.h>

struct reader {
    const struct pkg_survey *s;
    struct pkg_outline *o;
};

static const struct pkg_file *find(const struct reader *r, const char *dir, const char *name)
{
    rel_autofree char *path = rel_strf("%s/%s", dir, name);

    return pkg_survey_find(r->s, path);
}

static int no_release(const char *what, struct rel_err *e)
{
    return rel_fail(e, REL_E_INPUT, 0, "it is no release: %s", what);
}

/* releases/start_erl.data: "ErtsVsn RelVsn". */
static int read_vsn(struct reader *r, struct rel_err *e)
{
    const struct pkg_file *data = pkg_survey_find(r->s, "releases/start_erl.data");
    rel_autofree char *text = NULL;
    char *rest = NULL, *vsn;

    if (!data || !data->text)
        return no_release("releases/start_erl.data is missing", e);
    text = rel_xstrdup(data->text);
    strtok_r(text, " \t\r\n", &rest);
    vsn = strtok_r(NULL, " \t\r\n", &rest);
    if (!pkg_is_path_part(vsn))
        return no_release("releases/start_erl.data names no version", e);
    r->o->vsn = pkg_arena_strf(&r->o->arena, "%s", vsn);
    r->o->vsn_dir = pkg_arena_strf(&r->o->arena, "releases/%s", vsn);
    return 0;
}

static int add_app(struct reader *r, const struct pkg_term *row, const char *path,
                   struct rel_err *e)
{
    struct pkg_outline *o = r->o;
    const char *name = pkg_atom_text(pkg_at(row, 0)), *vsn = pkg_chars(pkg_at(row, 1));
    struct pkg_outline_app *app = &o->apps[o->app_n];
    rel_autofree char *dir = NULL, *app_path = NULL;

    if (!row || row->kind != PKG_TUPLE || !pkg_is_path_part(name) || !pkg_is_path_part(vsn))
        return rel_fail(e, REL_E_INPUT, 0, "%s:%d: not {application, \"version\", ...}", path,
                        row ? row->line : 0);
    *app = (struct pkg_outline_app){.name = pkg_arena_strf(&o->arena, "%s", name),
                                    .vsn = pkg_arena_strf(&o->arena, "%s", vsn),
                                    .start = PKG_START_PERMANENT};
    for (size_t i = 2; i < pkg_len(row); i++) {
        const char *type = pkg_atom_text(pkg_at(row, i));

        if (type && pkg_start_from_name(type, &app->start, e) < 0)
            return rel_wrap(e, "%s:%d", path, row->line);
    }
    dir = rel_strf("lib/%s-%s", name, vsn);
    app_path = rel_strf("%s/ebin/%s.app", dir, name);
    app->app_file = pkg_survey_find(r->s, app_path);
    if (app->app_file)
        app->dir = pkg_arena_strf(&o->arena, "%s", dir);
    o->elixir |= !strcmp(name, "elixir");
    o->app_n++;
    return 0;
}

/* *mine: it describes the version that start_erl.data names, and its launcher is there. */
static int try_rel(struct reader *r, const struct pkg_file *f, bool *mine, struct rel_err *e)
{
    struct pkg_outline *o = r->o;
    struct pkg_rel_head head;
    struct pkg_terms terms;

    if (pkg_terms_parse(&o->arena, f->text, strlen(f->text), f->path, &terms, e) < 0 ||
        pkg_rel_read_head(terms.n == 1 ? terms.v[0] : NULL, f->path, &head, e) < 0)
        return -1;
    *mine = !strcmp(head.vsn, o->vsn) && find(r, "bin", head.name);
    if (!*mine)
        return 0;
    o->rel_file = f;
    o->name = pkg_arena_strf(&o->arena, "%s", head.name);
    o->erts_vsn = pkg_arena_strf(&o->arena, "%s", head.erts_vsn);
    o->apps = pkg_arena_alloc(&o->arena, (pkg_len(head.rows) + 1) * sizeof(*o->apps));
    for (size_t i = 0; i < pkg_len(head.rows); i++)
        if (add_app(r, pkg_at(head.rows, i), f->path, e) < 0)
            return -1;
    return 0;
}

/* mix and newer relx: releases/<vsn>/<name>.rel; older relx: releases/<name>-<vsn>.rel. */
static int read_rel(struct reader *r, struct rel_err *e)
{
    size_t n = strlen(r->o->vsn_dir);
    bool mine = false, seen = false;

    for (int inside = 1; inside >= 0; inside--)
        for (size_t i = 0; i < r->s->n && !mine; i++) {
            const struct pkg_file *f = &r->s->v[i];
            size_t len = strlen(f->path);
            bool in_vsn = !strncmp(f->path, r->o->vsn_dir, n) && f->path[n] == '/';

            if (!f->text || len <= 4 || strcmp(f->path + len - 4, ".rel") != 0 ||
                (inside ? !in_vsn : strchr(f->path + 9, '/') != NULL))
                continue;
            seen = true;
            if (try_rel(r, f, &mine, e) < 0)
                return -1;
        }
    if (mine)
        return 0;
    return no_release(seen ? "there is no launcher bin/<name> for its .rel file"
                           : "it holds no .rel file of its version",
                      e);
}

/* ERTS and OTP go in step since OTP 23, whose ERTS was 11. */
static const char *otp_of(struct pkg_outline *o)
{
    long erts = strtol(o->erts_vsn, NULL, 10);

    return erts >= 11 && erts < 1000 ? pkg_arena_strf(&o->arena, "%ld", erts + 12) : NULL;
}

static void tell_kind(struct reader *r)
{
    struct pkg_outline *o = r->o;

    if (pkg_survey_find(r->s, "bin/relctl"))
        o->kind = PKG_KIND_RELPACK;
    else if (find(r, o->vsn_dir, "elixir"))
        o->kind = PKG_KIND_MIX;
    else
        o->kind = PKG_KIND_RELX;
}

static void count_files(struct reader *r)
{
    for (size_t i = 0; i < r->s->n; i++) {
        const struct pkg_file *f = &r->s->v[i];
        struct pkg_outline_app *app =
            (struct pkg_outline_app *)(uintptr_t)pkg_outline_app_of(r->o, f->path);

        if (!app || f->kind == PKG_FILE_DIR)
            continue;
        app->file_n++;
        app->module_n += f->module != NULL;
        app->bytes += f->size;
    }
}

int pkg_outline_read(const struct pkg_survey *s, struct pkg_outline *o, struct rel_err *e)
{
    pkg_autooutline struct pkg_outline made = {0};
    struct reader r = {.s = s, .o = &made};
    rel_autofree char *erts = NULL;

    if (read_vsn(&r, e) < 0 || read_rel(&r, e) < 0)
        return rel_wrap(e, "%s", s->origin);
    tell_kind(&r);
    made.otp = otp_of(&made);
    erts = rel_strf("erts-%s/bin", made.erts_vsn);
    if (find(&r, erts, "beam.smp") || find(&r, erts, "erlexec"))
        made.erts_dir = pkg_arena_strf(&made.arena, "erts-%s", made.erts_vsn);
    made.sys_config = find(&r, made.vsn_dir, "sys.config");
    if (!made.sys_config)
        made.sys_config = find(&r, made.vsn_dir, "sys.config.src");
    made.vm_args = find(&r, made.vsn_dir, "vm.args");
    if (!made.vm_args)
        made.vm_args = find(&r, made.vsn_dir, "vm.args.src");
    made.runtime_exs = find(&r, made.vsn_dir, "runtime.exs");
    made.manifest = find(&r, made.vsn_dir, "relpack.json");
    made.signature = find(&r, made.vsn_dir, "relpack.sig");
    count_files(&r);
    *o = made;
    made = (struct pkg_outline){0};
    return 0;
}

void pkg_outline_fini(struct pkg_outline *o)
{
    pkg_arena_fini(&o->arena);
    *o = (struct pkg_outline){0};
}

const struct pkg_outline_app *pkg_outline_app_of(const struct pkg_outline *o, const char *path)
{
    for (size_t i = 0; i < o->app_n; i++) {
        const char *dir = o->apps[i].dir;
        size_t n = dir ? strlen(dir) : 0;

        if (n && !strncmp(path, dir, n) && (path[n] == '/' || !path[n]))
            return &o->apps[i];
    }
    return NULL;
}
