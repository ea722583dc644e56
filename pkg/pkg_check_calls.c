/* SPDX-License-Identifier: Apache-2.0 */
/* Calls out of an application: to what is not there, and to what may not be started. Told from the
 * imports of the BEAM files, so apply/3 and calls to a variable module are not seen. */
#include <ctype.h>
#include <string.h>

#include "pkg/pkg_check_internal.h"

/* The calls of one application that were complained of already: one finding for each target. */
struct told {
    char **v;
    size_t n, cap;
};

struct calls {
    struct pkg_checking *k;
    const struct pkg_check_app *app; /* the caller */
    struct pkg_check_module *module;
    struct told told;
    bool *reached; /* by index of k->apps: started with the caller */
};

static void told_fini(struct told *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->v[i]);
    free(t->v);
    *t = (struct told){0};
}

/* True the first time. Takes `what`. */
static bool tell_once(struct told *t, char *what)
{
    for (size_t i = 0; i < t->n; i++)
        if (!strcmp(t->v[i], what)) {
            free(what);
            return false;
        }
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 16;
        t->v = rel_xrealloc(t->v, t->cap, sizeof(*t->v));
    }
    t->v[t->n++] = what;
    return true;
}

/* "Shop.Repo" for 'Elixir.Shop.Repo' */
static const char *shown(const char *module)
{
    return strncmp(module, "Elixir.", 7) != 0 ? module : module + 7;
}

static bool begins(const char *s, const char *with)
{
    size_t n = strlen(with);

    return !strncmp(s, with, n) && (!s[n] || s[n] == '.');
}

/* What only runs under mix, in a shell or in a test: no release has it, and the libraries that call
 * it ask first whether it is there. */
static bool is_tool(const char *module)
{
    static const char *const tools[] = {"Elixir.Mix", "Elixir.IEx", "Elixir.ExUnit", "Elixir.Hex"};

    for (size_t i = 0; i < sizeof(tools) / sizeof(*tools); i++)
        if (begins(module, tools[i]))
            return true;
    return false;
}

/* What a module calls in its generated test/0 (eunit.hrl), and what plugins of rebar3 call. */
static bool is_test_tool(const char *module)
{
    return !strcmp(module, "eunit") || !strcmp(module, "ct") || !strncmp(module, "rebar_", 6);
}

static bool is_inside_vm(const struct pkg_checking *k, const char *module)
{
    for (size_t i = 0; i < pkg_len(k->preloaded); i++)
        if (pkg_is_atom(pkg_at(k->preloaded, i), module))
            return true;
    return false;
}

/* -ignore_xref([Module, {Module, Function, Arity}, {Module, Function}]), as rebar3 reads it. */
static bool is_ignored(const struct calls *x, const struct pkg_beam_mfa *mfa)
{
    const struct pkg_term *all = x->module->file->module->attributes;

    for (size_t i = 0; i < pkg_len(all); i++) {
        const struct pkg_term *list = pkg_at(pkg_at(all, i), 1);

        if (!pkg_is_tagged(pkg_at(all, i), "ignore_xref", 2))
            continue;
        for (size_t n = 0; n < pkg_len(list); n++) {
            const struct pkg_term *one = pkg_at(list, n), *arity = pkg_at(one, 2);

            if (pkg_is_atom(one, mfa->m))
                return true;
            if (one && one->kind == PKG_TUPLE && pkg_is_atom(pkg_at(one, 0), mfa->m) &&
                pkg_is_atom(pkg_at(one, 1), mfa->f) &&
                (!arity || (arity->kind == PKG_INT && arity->i == mfa->arity)))
                return true;
        }
    }
    return false;
}

/* 'Elixir.Plug.Cowboy.Handler' and plug_cowboy, hackney_pool and hackney: letters and digits of
 * the module's name begin with those of the application's. */
static bool is_named_after(const char *module, const char *app)
{
    module = shown(module);
    for (;; module++, app++) {
        while (*app == '_')
            app++;
        while (*module == '_' || *module == '.')
            module++;
        if (!*app)
            return true;
        if (tolower((unsigned char)*module) != *app)
            return false;
    }
}

/* The caller declares that it does without the application. Its modules are not known, only its
 * name. */
static bool is_optional(const struct calls *x, const char *module)
{
    const struct pkg_names *optional = &x->app->rel->app->optional;

    for (size_t i = 0; i < optional->n; i++)
        if (pkg_rel_index(x->k->c->rel, optional->v[i]) < 0 &&
            is_named_after(module, optional->v[i]))
            return true;
    return false;
}

/* The application outside the release that has the module, or NULL. */
static const char *home_of(const struct calls *x, const char *module)
{
    struct pkg_names names = pkg_lib_names(x->k->c->lib);

    for (size_t i = 0; i < names.n; i++) {
        const struct pkg_app *app;
        struct rel_err ignored = {0};

        if (pkg_rel_index(x->k->c->rel, names.v[i]) < 0 &&
            pkg_lib_find(x->k->c->lib, names.v[i], NULL, &app, &ignored) == 0 && app &&
            pkg_names_have(&app->modules, module))
            return app->name;
    }
    return NULL;
}

static void tell_undefined(struct calls *x, const struct pkg_beam_mfa *mfa)
{
    const char *app = pkg_checking_app_name(x->app), *home;
    char *text;

    if (!pkg_checking_wants(x->k, PKG_CHECK_UNDEFINED) || (!x->app->own && is_tool(mfa->m)) ||
        is_test_tool(mfa->m) || is_optional(x, mfa->m) || !tell_once(&x->told, rel_xstrdup(mfa->m)))
        return;
    home = is_tool(mfa->m) ? NULL : home_of(x, mfa->m);
    if (home)
        text = rel_strf("%s calls %s (in %s), whose application %s is not in the release; add %s "
                        "to the applications of %s.app",
                        app, shown(mfa->m), shown(x->module->name), home, home, app);
    else if (is_tool(mfa->m))
        text = rel_strf("%s calls %s (in %s), which is there while building only; call it from a "
                        "macro or mix.exs, or read the configuration instead",
                        app, shown(mfa->m), shown(x->module->name));
    else
        text = rel_strf("%s calls %s (in %s), which no application of the release has; add the "
                        "one that has it",
                        app, shown(mfa->m), shown(x->module->name));
    pkg_checking_add(x->k, PKG_CHECK_UNDEFINED, x->module->file->path, text);
}

static int compare_exports(const void *x, const void *y)
{
    const struct pkg_beam_mfa *a = *(const struct pkg_beam_mfa *const *)x;
    const struct pkg_beam_mfa *b = *(const struct pkg_beam_mfa *const *)y;
    int order = strcmp(a->f, b->f);

    return order ? order : (a->arity > b->arity) - (a->arity < b->arity);
}

static bool exports(struct pkg_check_module *m, const char *function, uint32_t arity)
{
    const struct pkg_module_facts *facts = m->file->module;
    const struct pkg_beam_mfa wanted = {.f = function, .arity = arity}, *key = &wanted;

    if (!m->exports) {
        m->exports = rel_xcalloc(facts->export_n, sizeof(*m->exports));
        for (size_t i = 0; i < facts->export_n; i++)
            m->exports[i] = &facts->exports[i];
        qsort(m->exports, facts->export_n, sizeof(*m->exports), compare_exports);
    }
    return bsearch(&key, m->exports, facts->export_n, sizeof(*m->exports), compare_exports);
}

/* The code server lets a module answer for what it does not export (error_handler in OTP). */
static void check_function(struct calls *x, struct pkg_check_module *to,
                           const struct pkg_beam_mfa *mfa)
{
    rel_autofree char *what = rel_strf("%s:%s/%u", shown(mfa->m), mfa->f, mfa->arity);
    const char *in = to->app ? pkg_checking_app_name(to->app) : "the consolidated protocols";

    if (!to->file || exports(to, mfa->f, mfa->arity) ||
        exports(to, "$handle_undefined_function", 2) || is_ignored(x, mfa) ||
        !tell_once(&x->told, rel_xstrdup(what)))
        return;
    pkg_checking_add(x->k, PKG_CHECK_UNDEFINED_FUNCTION, x->module->file->path,
                     rel_strf("%s calls %s (in %s), which the %s of the release does not export; "
                              "is it another version than %s was written for?",
                              pkg_checking_app_name(x->app), what, shown(x->module->name), in,
                              pkg_checking_app_name(x->app)));
}

/* A library without processes works unstarted; kernel and stdlib always are. */
static void check_started(struct calls *x, const struct pkg_check_module *to,
                          const struct pkg_beam_mfa *mfa)
{
    const char *app = pkg_checking_app_name(x->app), *other;
    const struct pkg_app *of = to->app ? to->app->rel->app : NULL;

    if (!of || !of->mod || x->reached[to->app - x->k->apps] || is_ignored(x, mfa))
        return;
    other = of->name;
    if (pkg_names_have(&x->app->rel->app->optional, other) ||
        !tell_once(&x->told, rel_strf("application %s", other)))
        return;
    pkg_checking_add(x->k, PKG_CHECK_NOT_STARTED, x->module->file->path,
                     rel_strf("%s calls %s (%s in %s), but %s.app names it neither itself nor "
                              "through others, so nothing starts it first; add %s to its "
                              "applications",
                              app, other, shown(mfa->m), shown(x->module->name), app, other));
}

static void check_call(struct calls *x, const struct pkg_beam_mfa *mfa)
{
    struct pkg_check_module *to = pkg_checking_module(x->k, mfa->m);

    if (!to) {
        if (!is_inside_vm(x->k, mfa->m) && !is_ignored(x, mfa))
            tell_undefined(x, mfa);
        return;
    }
    if (pkg_checking_wants(x->k, PKG_CHECK_UNDEFINED_FUNCTION))
        check_function(x, to, mfa);
    if (pkg_checking_wants(x->k, PKG_CHECK_NOT_STARTED))
        check_started(x, to, mfa);
}

static void reach(struct calls *x, const char *name)
{
    long i = pkg_rel_index(x->k->c->rel, name);
    const struct pkg_app *app;

    if (i < 0 || x->reached[i])
        return;
    x->reached[i] = true;
    app = x->k->apps[i].rel->app;
    for (size_t n = 0; n < app->applications.n; n++)
        reach(x, app->applications.v[n]);
    for (size_t n = 0; n < app->included.n; n++)
        reach(x, app->included.v[n]);
}

/* A tool's tasks travel along with a library and never run in a release. A protocol of Elixir calls
 * implementations that need not be there, and takes the error for an answer. */
static bool runs(struct pkg_check_module *m)
{
    return m->file && !is_tool(m->name) && !exports(m, "__protocol__", 1);
}

void pkg_check_calls(struct pkg_checking *k)
{
    for (size_t i = 0; i < k->app_n; i++) {
        rel_autofree bool *reached = rel_xcalloc(k->app_n, sizeof(*reached));
        struct calls x = {.k = k, .app = &k->apps[i], .reached = reached};

        if (!k->apps[i].examined)
            continue;
        reach(&x, "kernel");
        reach(&x, "stdlib");
        reach(&x, pkg_checking_app_name(x.app));
        for (size_t m = 0; m < k->module_n; m++) {
            const struct pkg_module_facts *facts;

            x.module = &k->modules[m];
            if (x.module->app != x.app || !runs(x.module))
                continue;
            facts = x.module->file->module;
            for (size_t n = 0; n < facts->import_n; n++)
                check_call(&x, &facts->imports[n]);
        }
        told_fini(&x.told);
    }
}
