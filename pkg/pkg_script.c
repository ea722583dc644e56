/* SPDX-License-Identifier: Apache-2.0 */
/* A translation of systools_make:generate_script (OTP 25, lib/sasl). */
#include "pkg/pkg_script.h"

#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"
#include "pkg/pkg_etf.h"

struct maker {
    struct pkg_arena *a;
    const struct pkg_rel *rel;
    const struct pkg_script_base *base;
    const struct pkg_script_options *options;
    struct pkg_list_build out;
};

static void emit(struct maker *m, const struct pkg_term *t)
{
    pkg_list_add(m->a, &m->out, t);
}

static const struct pkg_term *tagged(struct maker *m, const char *tag, const struct pkg_term *t)
{
    return pkg_tuple(m->a, 2, pkg_atom(m->a, tag), t);
}

static void emit_progress(struct maker *m, const char *what)
{
    emit(m, tagged(m, "progress", pkg_atom(m->a, what)));
}

/* {apply, {Module, Function, Args}} */
static void emit_apply(struct maker *m, const char *module, const char *function,
                       const struct pkg_term *args)
{
    emit(m, tagged(m, "apply",
                   pkg_tuple(m->a, 3, pkg_atom(m->a, module), pkg_atom(m->a, function), args)));
}

static const struct pkg_rel_app *nth(const struct maker *m, size_t i)
{
    return &m->rel->apps[m->rel->order[i]];
}

/* Not one of OTP's own, which a release without ERTS finds on its host. */
static bool is_own(const struct maker *m, const struct pkg_app *app)
{
    return !m->options->otp_lib || !pkg_app_lies_in(app, m->options->otp_lib);
}

static const struct pkg_term *app_path(struct maker *m, const struct pkg_app *app)
{
    const struct pkg_script_options *o = m->options;
    const char *prefix = o->lib_prefix ? o->lib_prefix : "$ROOT/lib";
    rel_autofree char *path = NULL;

    if (o->own_prefix && is_own(m, app))
        prefix = o->own_prefix;
    path = rel_strf("%s/%s-%s/ebin", prefix, app->name, app->vsn);
    return pkg_string(m->a, path);
}

static void add_consolidated(struct maker *m, struct pkg_list_build *paths)
{
    if (m->options->consolidated)
        pkg_list_add(m->a, paths, pkg_string(m->a, m->options->consolidated));
}

static const struct pkg_term *atoms(struct maker *m, const struct pkg_names *names)
{
    struct pkg_list_build b = {0};

    for (size_t i = 0; i < names->n; i++)
        pkg_list_add(m->a, &b, pkg_atom(m->a, names->v[i]));
    return pkg_list_done(m->a, &b);
}

static bool has_atom(const struct pkg_term *list, const char *name)
{
    for (size_t i = 0; i < pkg_len(list); i++)
        if (pkg_is_atom(pkg_at(list, i), name))
            return true;
    return false;
}

static int compare_texts(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* UTF-8 sorts as lists:sort/1 sorts atoms: by code point. */
static const struct pkg_term *modules_to_load(struct maker *m, const struct pkg_app *app)
{
    const char **v = pkg_arena_alloc(m->a, (app->modules.n + 1) * sizeof(*v));
    size_t n = 0;

    for (size_t i = 0; i < app->modules.n; i++)
        if (!has_atom(m->base->mandatory, app->modules.v[i]) &&
            !has_atom(m->base->preloaded, app->modules.v[i]))
            v[n++] = app->modules.v[i];
    qsort(v, n, sizeof(*v), compare_texts);
    return atoms(m, &(struct pkg_names){v, n});
}

/* pack_app */
static const struct pkg_term *packed(struct maker *m, const struct pkg_rel_app *r)
{
    const struct pkg_app *app = r->app;
    const struct {
        const char *key;
        const struct pkg_term *value;
    } keys[] = {
        {"description", app->description},
        {"vsn", pkg_string(m->a, app->vsn)},
        {"id", app->id},
        {"modules", app->modules_term},
        {"registered", app->registered_term},
        {"applications", atoms(m, &r->uses)},
        {"optional_applications", app->optional_term},
        {"included_applications", atoms(m, &r->includes)},
        {"env", app->env},
        {"maxT", app->max_t},
        {"maxP", app->max_p},
        {"start_phases", app->start_phases},
        {"mod", app->mod},
    };
    struct pkg_list_build items = {0};

    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        if (keys[i].value)
            pkg_list_add(m->a, &items, tagged(m, keys[i].key, keys[i].value));
    return pkg_tuple(m->a, 3, pkg_atom(m->a, "application"), pkg_atom(m->a, app->name),
                     pkg_list_done(m->a, &items));
}

static bool is_base(const struct pkg_app *app)
{
    return !strcmp(app->name, "kernel") || !strcmp(app->name, "stdlib");
}

static void emit_kernel_load(struct maker *m)
{
    struct pkg_list_build paths = {0};

    emit(m, tagged(m, "preLoaded", m->base->preloaded));
    emit_progress(m, "preloaded");
    for (size_t i = 0; i < m->rel->app_n; i++)
        if (is_base(nth(m, i)->app))
            pkg_list_add(m->a, &paths, app_path(m, nth(m, i)->app));
    emit(m, tagged(m, "path", pkg_list_done(m->a, &paths)));
    emit(m, tagged(m, "primLoad", m->base->mandatory));
    emit(m, pkg_tuple(m->a, 1, pkg_atom(m->a, "kernel_load_completed")));
    emit_progress(m, "kernel_load_completed");
}

static void emit_module_loads(struct maker *m)
{
    struct pkg_list_build all = {0};

    add_consolidated(m, &all);
    for (size_t i = 0; i < m->rel->app_n; i++) {
        const struct pkg_app *app = nth(m, i)->app;
        const struct pkg_term *path = app_path(m, app);
        struct pkg_list_build paths = {0};

        if (is_own(m, app))
            add_consolidated(m, &paths);
        pkg_list_add(m->a, &paths, path);
        pkg_list_add(m->a, &all, path);
        emit(m, tagged(m, "path", pkg_list_done(m->a, &paths)));
        emit(m, tagged(m, "primLoad", modules_to_load(m, app)));
    }
    emit_progress(m, "modules_loaded");
    emit(m, tagged(m, "path", pkg_list_done(m->a, &all)));
}

/* As in OTP's own boot file, but the application controller gets this release's kernel. */
static void emit_kernel_procs(struct maker *m)
{
    const struct pkg_term *kernel = packed(m, &m->rel->apps[pkg_rel_index(m->rel, "kernel")]);

    for (size_t i = 0; i < pkg_len(m->base->kernel_procs); i++) {
        const struct pkg_term *proc = pkg_at(m->base->kernel_procs, i), *mfa = pkg_at(proc, 2);

        if (pkg_is_atom(pkg_at(proc, 1), "application_controller"))
            proc = pkg_tuple(
                m->a, 3, pkg_at(proc, 0), pkg_at(proc, 1),
                pkg_tuple(m->a, 3, pkg_at(mfa, 0), pkg_at(mfa, 1), pkg_list(m->a, 1, kernel)));
        emit(m, proc);
    }
    emit_progress(m, "init_kernel_started");
}

static void emit_app_loads(struct maker *m)
{
    for (size_t i = 0; i < m->rel->app_n; i++) {
        const struct pkg_rel_app *r = nth(m, i);

        if (r->type != PKG_START_NONE && strcmp(r->app->name, "kernel") != 0)
            emit_apply(m, "application", "load", pkg_list(m->a, 1, packed(m, r)));
    }
    emit_progress(m, "applications_loaded");
}

static bool is_included(const struct maker *m, const char *name)
{
    for (size_t i = 0; i < m->rel->app_n; i++)
        if (pkg_names_have(&m->rel->apps[i].includes, name))
            return true;
    return false;
}

static void emit_starts(struct maker *m)
{
    for (size_t i = 0; i < m->rel->app_n; i++) {
        const struct pkg_rel_app *r = nth(m, i);

        if (r->type == PKG_START_NONE || r->type == PKG_START_LOAD || is_included(m, r->app->name))
            continue;
        emit_apply(m, "application", "start_boot",
                   pkg_list(m->a, 2, pkg_atom(m->a, r->app->name),
                            pkg_atom(m->a, pkg_start_name(r->type))));
        for (size_t k = 0; k < m->options->after_stdlib_n; k++)
            if (!strcmp(r->app->name, "stdlib"))
                emit(m, m->options->after_stdlib[k]);
    }
}

const struct pkg_term *pkg_script_make(struct pkg_arena *a, const struct pkg_rel *rel,
                                       const struct pkg_script_base *base,
                                       const struct pkg_script_options *options)
{
    struct maker m = {.a = a, .rel = rel, .base = base, .options = options};

    emit_kernel_load(&m);
    emit_module_loads(&m);
    emit_kernel_procs(&m);
    emit_app_loads(&m);
    emit_starts(&m);
    if (!options->no_dot_erlang)
        emit_apply(&m, "c", "erlangrc", pkg_list(a, 0));
    emit_progress(&m, "started");
    return pkg_tuple(a, 3, pkg_atom(a, "script"),
                     pkg_tuple(a, 2, pkg_string(a, rel->name), pkg_string(a, rel->vsn)),
                     pkg_list_done(a, &m.out));
}

/* A list of atoms. */
static bool is_modules(const struct pkg_term *t)
{
    if (!pkg_is_list(t) || t->kind != PKG_LIST || !t->seq.n)
        return false;
    for (size_t i = 0; i < t->seq.n; i++)
        if (!pkg_is_atom(t->seq.v[i], NULL))
            return false;
    return true;
}

static bool is_kernel_proc(const struct pkg_term *t)
{
    return pkg_is_tagged(t, "kernelProcess", 3) && pkg_is_tuple(pkg_at(t, 2), 3);
}

int pkg_script_base_read(struct pkg_arena *a, const char *start_clean_boot,
                         struct pkg_script_base *base, struct rel_err *e)
{
    const struct pkg_term *t, *commands, *preloaded, *mandatory;
    struct pkg_list_build procs = {0};

    if (pkg_etf_read(a, start_clean_boot, &t, e) < 0)
        return -1;
    commands = pkg_is_tagged(t, "script", 3) ? t->seq.v[2] : NULL;
    preloaded = pkg_get(commands, "preLoaded");
    mandatory = pkg_get(commands, "primLoad");
    for (size_t i = 0; commands && i < pkg_len(commands); i++)
        if (is_kernel_proc(pkg_at(commands, i)))
            pkg_list_add(a, &procs, pkg_at(commands, i));
    if (!is_modules(preloaded) || !is_modules(mandatory) || !procs.n)
        return rel_fail(e, REL_E_INPUT, 0, "%s: not a boot file of OTP", start_clean_boot);
    base->preloaded = preloaded;
    base->mandatory = mandatory;
    base->kernel_procs = pkg_list_done(a, &procs);
    return 0;
}

int pkg_script_write(const struct pkg_term *script, const char *dir, const char *name,
                     struct rel_err *e)
{
    rel_autobuf struct rel_buf text = {0}, boot = {0};
    rel_autofree char *text_path = rel_strf("%s/%s.script", dir, name);
    rel_autofree char *boot_path = rel_strf("%s/%s.boot", dir, name);

    pkg_term_format_file(script, &text);
    if (pkg_etf_encode(script, &boot, e) < 0 ||
        rel_replace_file(AT_FDCWD, text_path, text.p, text.len, 0644, e) < 0)
        return -1;
    return rel_replace_file(AT_FDCWD, boot_path, boot.p, boot.len, 0644, e);
}
