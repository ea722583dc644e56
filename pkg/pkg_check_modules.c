/* SPDX-License-Identifier: Apache-2.0 */
/* Modules and the lists of the .app files: what is there twice, missing, broken or not listed. */
#include <string.h>

#include "pkg/pkg_check_internal.h"

static bool is_beam_name(const char *path)
{
    size_t n = strlen(path);

    return n > 5 && !strcmp(path + n - 5, ".beam");
}

/* A file that the VM would look at and could not load. What is stripped was read before. */
static int check_whole(const struct pkg_checking *k, struct rel_err *e)
{
    const struct pkg_survey *s = k->c->survey;

    for (size_t i = 0; i < s->n; i++) {
        const struct pkg_check_app *app = pkg_checking_app_of(k, s->v[i].path);

        if (s->v[i].why_not && app && is_beam_name(s->v[i].path) &&
            !strncmp(s->v[i].path + strlen(app->dir), "ebin/", 5))
            return rel_fail(e, REL_E_INPUT, 0, "%s is no BEAM file: %s; compile it again",
                            s->v[i].path, s->v[i].why_not);
    }
    return 0;
}

static void check_duplicates(struct pkg_checking *k)
{
    for (size_t i = 1; i < k->module_n; i++) {
        const struct pkg_check_module *a = &k->modules[i - 1], *b = &k->modules[i];

        if (strcmp(a->name, b->name) != 0 || !a->file || !b->file || !a->app || !b->app ||
            a->app == b->app)
            continue;
        pkg_checking_add(k, PKG_CHECK_DUPLICATE_MODULE, b->file->path,
                         rel_strf("the module %s is in %s and in %s; remove one of them", a->name,
                                  pkg_checking_app_name(a->app), pkg_checking_app_name(b->app)));
    }
}

static void check_missing(struct pkg_checking *k, const struct pkg_check_app *app)
{
    const struct pkg_app *of = app->rel->app;
    rel_autofree char *app_file = rel_strf("%sebin/%s.app", app->dir, of->name);

    if (!pkg_survey_find(k->c->survey, app_file))
        return;
    for (size_t i = 0; i < of->modules.n; i++) {
        rel_autofree char *path = rel_strf("%sebin/%s.beam", app->dir, of->modules.v[i]);

        if (!pkg_survey_find(k->c->survey, path))
            pkg_checking_add(k, PKG_CHECK_MISSING_MODULE, path,
                             rel_strf("%s.app lists the module %s, but there is no %s/%s.beam; "
                                      "compile it, or take it out of the list",
                                      of->name, of->modules.v[i], of->ebin, of->modules.v[i]));
    }
}

static int compare_names(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* Thousands of modules in one application: the list is sorted once. */
static void check_unlisted(struct pkg_checking *k, const struct pkg_check_app *app)
{
    const struct pkg_names *listed = &app->rel->app->modules;
    rel_autofree const char **sorted = rel_xcalloc(listed->n, sizeof(*sorted));

    if (listed->n)
        memcpy(sorted, listed->v, listed->n * sizeof(*sorted));
    qsort(sorted, listed->n, sizeof(*sorted), compare_names);
    for (size_t i = 0; i < k->module_n; i++) {
        const struct pkg_check_module *m = &k->modules[i];

        if (m->app != app || !m->file ||
            bsearch(&m->name, sorted, listed->n, sizeof(*sorted), compare_names))
            continue;
        pkg_checking_add(k, PKG_CHECK_UNLISTED_MODULE, m->file->path,
                         rel_strf("%s.app does not list the module %s, so it is not loaded at "
                                  "boot; add it to modules, or remove %s",
                                  pkg_checking_app_name(app), m->name, m->file->path));
    }
}

int pkg_check_modules(struct pkg_checking *k, struct rel_err *e)
{
    if (check_whole(k, e) < 0)
        return -1;
    if (pkg_checking_wants(k, PKG_CHECK_DUPLICATE_MODULE))
        check_duplicates(k);
    for (size_t i = 0; i < k->app_n; i++) {
        if (!k->apps[i].examined)
            continue;
        if (pkg_checking_wants(k, PKG_CHECK_MISSING_MODULE))
            check_missing(k, &k->apps[i]);
        if (pkg_checking_wants(k, PKG_CHECK_UNLISTED_MODULE))
            check_unlisted(k, &k->apps[i]);
    }
    return 0;
}
