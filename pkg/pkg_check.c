/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_check.h"

#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"
#include "pkg/pkg_check_internal.h"
#include "pkg/pkg_script.h"

enum { APP_LINES = 3 }; /* of one code and application, before they become one line */

static const struct {
    const char *name, *meaning;
    bool is_error;
} codes[PKG_CHECK_COUNT] = {
#define XX(constant, code, error, text) \
    [constant] = {.name = #code, .meaning = (text), .is_error = (error)},
    PKG_CHECK_MAP(XX)
#undef XX
};

const char *pkg_check_name(enum pkg_check_code code)
{
    return codes[code].name;
}

const char *pkg_check_meaning(enum pkg_check_code code)
{
    return codes[code].meaning;
}

bool pkg_check_is_error(enum pkg_check_code code)
{
    return codes[code].is_error;
}

static int unknown_code(const char *name, size_t n, struct rel_err *e)
{
    rel_autobuf struct rel_buf known = {0};

    for (int c = 0; c < PKG_CHECK_COUNT; c++)
        rel_buf_addf(&known, "%s, ", codes[c].name);
    return rel_fail(e, REL_E_INPUT, 0, "allow: there is no check '%.*s'; there are %sand all",
                    (int)n, name, known.p);
}

/* The code of the item of `n` bytes, PKG_CHECK_COUNT for "all", -1 for none. */
static int code_of(const char *item, size_t n)
{
    for (int c = 0; c < PKG_CHECK_COUNT; c++)
        if (strlen(codes[c].name) == n && !strncmp(codes[c].name, item, n))
            return c;
    return n == 3 && !strncmp(item, "all", n) ? PKG_CHECK_COUNT : -1;
}

int pkg_check_allow_read(const char *list, struct rel_err *e)
{
    for (;;) {
        size_t n = strcspn(list, ","), code_n = strcspn(list, ",:");

        if (code_of(list, code_n) < 0)
            return unknown_code(list, code_n, e);
        if (code_n + 1 == n)
            return rel_fail(e, REL_E_INPUT, 0, "allow: '%.*s' names no application", (int)n, list);
        if (!list[n])
            return 0;
        list += n + 1;
    }
}

bool pkg_check_allows(const char *list, enum pkg_check_code code, const char *app)
{
    while (list && *list) {
        size_t n = strcspn(list, ","), code_n = strcspn(list, ",:");
        int found = code_of(list, code_n);
        const char *only = list + code_n + 1;

        if ((found == (int)code || found == PKG_CHECK_COUNT) &&
            (code_n == n ||
             (app && strlen(app) == n - code_n - 1 && !strncmp(only, app, n - code_n - 1))))
            return true;
        list += n;
        list += *list == ',';
    }
    return false;
}

void pkg_findings_fini(struct pkg_findings *fs)
{
    for (size_t i = 0; i < fs->n; i++) {
        free(fs->v[i].text);
        free(fs->v[i].file);
        free(fs->v[i].app);
    }
    free(fs->v);
    *fs = (struct pkg_findings){0};
}

bool pkg_checking_wants(const struct pkg_checking *k, enum pkg_check_code code)
{
    return !pkg_check_allows(k->c->allow[0], code, NULL) &&
           !pkg_check_allows(k->c->allow[1], code, NULL);
}

void pkg_checking_add(struct pkg_checking *k, enum pkg_check_code code, const char *file,
                      char *text)
{
    const struct pkg_check_app *app = file ? pkg_checking_app_of(k, file) : NULL;
    const char *name = app ? pkg_checking_app_name(app) : NULL;
    struct pkg_findings *fs = k->found;

    if (pkg_check_allows(k->c->allow[0], code, name) ||
        pkg_check_allows(k->c->allow[1], code, name)) {
        free(text);
        return;
    }
    if (fs->n == fs->cap) {
        fs->cap = fs->cap ? fs->cap * 2 : 16;
        fs->v = rel_xrealloc(fs->v, fs->cap, sizeof(*fs->v));
    }
    fs->v[fs->n++] = (struct pkg_finding){.code = code,
                                          .text = text,
                                          .file = file ? rel_xstrdup(file) : NULL,
                                          .app = name ? rel_xstrdup(name) : NULL};
}

const char *pkg_checking_app_name(const struct pkg_check_app *app)
{
    return app->rel->app->name;
}

const struct pkg_check_app *pkg_checking_app_of(const struct pkg_checking *k, const char *path)
{
    for (size_t i = 0; i < k->app_n; i++)
        if (!strncmp(path, k->apps[i].dir, strlen(k->apps[i].dir)))
            return &k->apps[i];
    return NULL;
}

static int compare_modules(const void *x, const void *y)
{
    const struct pkg_check_module *a = x, *b = y;
    int order = strcmp(a->name, b->name);

    if (order)
        return order;
    if (!a->file != !b->file)
        return a->file ? -1 : 1;
    return a->file ? strcmp(a->file->path, b->file->path) : 0;
}

struct pkg_check_module *pkg_checking_module(const struct pkg_checking *k, const char *name)
{
    size_t low = 0, high = k->module_n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(k->modules[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < k->module_n && !strcmp(k->modules[low].name, name) ? &k->modules[low] : NULL;
}

/* Debian keeps some of OTP's neighbours in OTP's folder too, without a version in the name. */
static bool is_examined(const struct pkg_check *c, const struct pkg_app *app)
{
    static const char *const elixirs[] = {"elixir", "eex", "ex_unit", "iex", "logger", "mix"};
    size_t n = strlen(c->otp->lib);

    if (!strncmp(app->file, c->otp->lib, n) && app->file[n] == '/')
        return false;
    for (size_t i = 0; i < sizeof(elixirs) / sizeof(*elixirs); i++)
        if (!strcmp(app->name, elixirs[i]) && pkg_rel_index(c->rel, "elixir") >= 0)
            return false;
    return true;
}

/* By where each kind of project keeps its own applications. A plain folder says nothing of it. */
static bool is_own(const struct pkg_project *p, const char *name)
{
    static const char *const rebar3[] = {"src/%s.app.src", "src/%s.app.src.script", "apps/%s",
                                         "lib/%s"};
    rel_autofree char *fetched = rel_strf("%s/deps/%s", p->dir, name);

    if (p->kind == PKG_PROJECT_MIX)
        return !rel_is_dir(AT_FDCWD, fetched);
    for (size_t i = 0; i < sizeof(rebar3) / sizeof(*rebar3); i++) {
        const char *at = strstr(rebar3[i], "%s");
        rel_autofree char *path =
            rel_strf("%s/%.*s%s%s", p->dir, (int)(at - rebar3[i]), rebar3[i], name, at + 2);

        if (access(path, F_OK) == 0)
            return true;
    }
    return p->kind == PKG_PROJECT_PLAIN;
}

static void find_apps(struct pkg_checking *k)
{
    const struct pkg_rel *rel = k->c->rel;

    k->app_n = rel->app_n;
    k->apps = rel_xcalloc(rel->app_n, sizeof(*k->apps));
    for (size_t i = 0; i < rel->app_n; i++) {
        const struct pkg_app *app = rel->apps[i].app;

        k->apps[i] = (struct pkg_check_app){.rel = &rel->apps[i],
                                            .dir = rel_strf("lib/%s-%s/", app->name, app->vsn),
                                            .examined = is_examined(k->c, app)};
        k->apps[i].own = k->apps[i].examined && is_own(k->c->project, app->name);
    }
}

/* Is it where the code server looks: an ebin folder, or the consolidated protocols? */
static bool is_loadable(const struct pkg_checking *k, const struct pkg_check_app *app,
                        const char *path)
{
    rel_autofree char *consolidated = NULL;

    if (app)
        return !strncmp(path + strlen(app->dir), "ebin/", 5) &&
               !strchr(path + strlen(app->dir) + 5, '/');
    consolidated = rel_strf("releases/%s/consolidated/", k->c->rel->vsn);
    return !strncmp(path, consolidated, strlen(consolidated));
}

static bool is_packed(const struct pkg_checking *k, const struct pkg_check_app *app)
{
    rel_autofree char *file = rel_strf("%sebin/%s.app", app->dir, pkg_checking_app_name(app));

    return pkg_survey_find(k->c->survey, file) != NULL;
}

static void find_modules(struct pkg_checking *k)
{
    const struct pkg_survey *s = k->c->survey;
    size_t max = s->n, n = 0;

    for (size_t i = 0; i < k->app_n; i++)
        max += k->apps[i].rel->app->modules.n;
    k->modules = rel_xcalloc(max, sizeof(*k->modules));
    for (size_t i = 0; i < s->n; i++) {
        const struct pkg_check_app *app;

        if (!s->v[i].module)
            continue;
        app = pkg_checking_app_of(k, s->v[i].path);
        if (is_loadable(k, app, s->v[i].path))
            k->modules[n++] = (struct pkg_check_module){
                .name = s->v[i].module->module, .app = app, .file = &s->v[i]};
    }
    for (size_t i = 0; i < k->app_n; i++) {
        const struct pkg_names *names = &k->apps[i].rel->app->modules;

        if (is_packed(k, &k->apps[i]))
            continue;
        for (size_t m = 0; m < names->n; m++)
            k->modules[n++] = (struct pkg_check_module){.name = names->v[m], .app = &k->apps[i]};
    }
    k->module_n = n;
    qsort(k->modules, n, sizeof(*k->modules), compare_modules);
}

static void checking_fini(struct pkg_checking *k)
{
    for (size_t i = 0; i < k->app_n; i++)
        free(k->apps[i].dir);
    for (size_t i = 0; i < k->module_n; i++)
        free(k->modules[i].exports);
    free(k->apps);
    free(k->modules);
    pkg_arena_fini(&k->arena);
}

/* By code; those of a code stay as they were found. */
static void sort_findings(struct pkg_findings *fs)
{
    struct pkg_finding *sorted = rel_xcalloc(fs->n, sizeof(*sorted));
    size_t n = 0;

    for (int c = 0; c < PKG_CHECK_COUNT; c++)
        for (size_t i = 0; i < fs->n; i++)
            if ((int)fs->v[i].code == c)
                sorted[n++] = fs->v[i];
    free(fs->v);
    fs->v = sorted;
    fs->cap = fs->n;
}

int pkg_check_run(const struct pkg_check *check, struct pkg_findings *found, struct rel_err *e)
{
    __attribute__((cleanup(checking_fini))) struct pkg_checking k = {.c = check};
    pkg_autofindings struct pkg_findings fs = {0};
    struct pkg_script_base base;

    k.found = &fs;
    if (pkg_script_base_read(&k.arena, check->otp->start_clean, &base, e) < 0)
        return -1;
    k.preloaded = base.preloaded;
    find_apps(&k);
    find_modules(&k);
    if (pkg_check_modules(&k, e) < 0 || pkg_check_native(&k, e) < 0 ||
        pkg_check_private(&k, e) < 0 || pkg_check_files(&k, e) < 0)
        return -1;
    pkg_check_calls(&k);
    pkg_check_config(&k);
    sort_findings(&fs);
    *found = fs;
    fs = (struct pkg_findings){0};
    return 0;
}

static bool same_app(const struct pkg_finding *a, const struct pkg_finding *b)
{
    return a->app && b->app && !strcmp(a->app, b->app);
}

static bool refuses(const struct pkg_finding *f, const struct pkg_check_report *report)
{
    return report->strict || codes[f->code].is_error;
}

/* The end of the findings from index `i` on that are of its code; with `apps` also of its
 * application. */
static size_t end_of(const struct pkg_findings *fs, size_t i, bool apps)
{
    size_t end = i + 1;

    while (end < fs->n && fs->v[end].code == fs->v[i].code &&
           (!apps || same_app(&fs->v[end], &fs->v[i])))
        end++;
    return end;
}

/* Those of one code, [i, end). Many of one application are one line. That of index `told` is told
 * by the error. */
static void warn(const struct pkg_findings *fs, size_t i, size_t end, size_t told,
                 const struct pkg_check_report *report)
{
    const char *code = codes[fs->v[i].code].name;

    for (size_t lines = 0; i < end && (!report->lines || lines < report->lines); lines++) {
        size_t more = end_of(fs, i, true) - i - 1;

        if (report->lines && more >= APP_LINES) {
            rel_progress_warn(report->progress, "[%s] %s (and %zu more of %s, see --json)", code,
                              fs->v[i].text, more, fs->v[i].app);
            i += more;
        } else if (i != told) {
            rel_progress_warn(report->progress, "[%s] %s", code, fs->v[i].text);
        }
        i++;
    }
    if (i < end)
        rel_progress_warn(report->progress, "[%s] and %zu more, see --json", code, end - i);
}

int pkg_check_tell(const struct pkg_findings *fs, const struct pkg_check_report *report,
                   struct rel_err *e)
{
    size_t refusing = 0, first = fs->n;
    const char *code;

    for (size_t i = fs->n; i-- > 0;)
        if (refuses(&fs->v[i], report)) {
            first = i;
            refusing++;
        }
    for (size_t i = 0, end; i < fs->n; i = end) {
        end = end_of(fs, i, false);
        warn(fs, i, end, first, report);
    }
    if (!refusing)
        return 0;
    code = codes[fs->v[first].code].name;
    if (refusing > 1)
        return rel_fail(e, REL_E_INPUT, 0, "[%s] %.400s (and %zu more)", code, fs->v[first].text,
                        refusing - 1);
    return rel_fail(e, REL_E_INPUT, 0, "[%s] %.400s", code, fs->v[first].text);
}
