/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_diff.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/rel_io.h"
#include "pkg/pkg_native.h"
#include "pkg/pkg_release.h"

enum {
    CONFIG_MAX = 16 << 20,
    TEXT_MAX = PATH_MAX,
    MD5_HEX = 32,
    MODULE_COLUMNS = 5,
    APP_COLUMNS = 7
};

/* Two releases side by side, and what differs. */
struct diff {
    struct pkg_release *old, *new;
    struct pkg_modules old_modules, new_modules;
    struct hot_module *modules;
    size_t module_n;
    struct hot_app_change *apps;
    size_t app_n;
};

static void diff_fini(struct diff *d)
{
    pkg_release_free(d->old);
    pkg_release_free(d->new);
    pkg_modules_fini(&d->old_modules);
    pkg_modules_fini(&d->new_modules);
    free(d->modules);
    free(d->apps);
}

static void add_module(struct diff *d, const struct pkg_module *old, const struct pkg_module *new)
{
    const struct pkg_module *any = new ? new : old;
    struct hot_module m = {.old_path = old ? old->path : NULL, .new_path = new ? new->path : NULL};

    if (!any || (old && new && !memcmp(old->md5, new->md5, sizeof(m.new_md5))))
        return;
    m.app = any->app;
    m.module = any->module;
    if (new)
        memcpy(m.new_md5, new->md5, sizeof(m.new_md5));
    d->modules = rel_xrealloc(d->modules, d->module_n + 1, sizeof(*d->modules));
    d->modules[d->module_n++] = m;
}

/* Sorted by name, then by application, that of consolidated protocols ("") first: it is what is
 * loaded, and hides the one of the same name in its application. */
static size_t behind(const struct pkg_modules *m, size_t i)
{
    const char *name = m->v[i].module;

    do {
        i++;
    } while (i < m->n && !strcmp(m->v[i].module, name));
    return i;
}

/* Both lists are sorted: a merge. */
static void diff_modules(struct diff *d)
{
    const struct pkg_modules *o = &d->old_modules, *n = &d->new_modules;
    size_t i = 0, j = 0;

    while (i < o->n || j < n->n) {
        int c = i == o->n ? 1 : j == n->n ? -1 : strcmp(o->v[i].module, n->v[j].module);

        add_module(d, c <= 0 ? &o->v[i] : NULL, c >= 0 ? &n->v[j] : NULL);
        i = c <= 0 ? behind(o, i) : i;
        j = c >= 0 ? behind(n, j) : j;
    }
}

static const struct pkg_release_app *find_app(const struct pkg_release *r, const char *name)
{
    for (size_t i = 0; i < r->app_n; i++)
        if (!strcmp(r->apps[i].name, name))
            return &r->apps[i];
    return NULL;
}

static void add_app(struct diff *d, const struct pkg_release_app *old,
                    const struct pkg_release_app *new, bool priv)
{
    d->apps = rel_xrealloc(d->apps, d->app_n + 1, sizeof(*d->apps));
    d->apps[d->app_n++] = (struct hot_app_change){.app = old ? old->name : new->name,
                                                  .old_vsn = old ? old->vsn : NULL,
                                                  .new_vsn = new ? new->vsn : NULL,
                                                  .old_ebin = old ? old->ebin : NULL,
                                                  .new_ebin = new ? new->ebin : NULL,
                                                  .type = new ? new->type : old->type,
                                                  .priv = priv};
}

/* An application changes when its version does or a module of it does. */
static bool app_changes(const struct diff *d, const struct pkg_release_app *old,
                        const struct pkg_release_app *new)
{
    if (!old || strcmp(old->vsn, new->vsn) != 0)
        return true;
    for (size_t i = 0; i < d->module_n; i++)
        if (!strcmp(d->modules[i].app, new->name))
            return true;
    return false;
}

/* What lies in priv. The VM keeps the library that it has loaded, whatever its file says. */
static int diff_priv(const struct pkg_release_app *old, const struct pkg_release_app *new,
                     char **native, char **any, struct rel_err *e)
{
    rel_autofree char *from = NULL, *to = NULL;

    if (!old || !old->ebin || !new->ebin)
        return 0;
    from = rel_strf("%s/..", old->ebin);
    to = rel_strf("%s/..", new->ebin);
    if (pkg_priv_changed(from, to, any, e) < 0)
        return -1;
    return *any ? pkg_native_changed(from, to, native, e) : 0;
}

static int diff_app(struct diff *d, const struct pkg_release_app *new, struct rel_err *e)
{
    const struct pkg_release_app *old = find_app(d->old, new->name);
    rel_autofree char *native = NULL, *priv = NULL;

    if (diff_priv(old, new, &native, &priv, e) < 0)
        return -1;
    if (!priv && !app_changes(d, old, new))
        return 0;
    if (native)
        return rel_fail(e, REL_E_INPUT, 0,
                        "native code of application %s changes (%s), which a running VM cannot "
                        "exchange: use --swap",
                        new->name, native);
    add_app(d, old, new, priv != NULL);
    return 0;
}

static int diff_read(struct diff *d, const char *old_root, const char *new_root, struct rel_err *e)
{
    if (pkg_release_read(old_root, &d->old, e) < 0 || pkg_release_read(new_root, &d->new, e) < 0)
        return -1;
    if (strcmp(d->old->erts_vsn, d->new->erts_vsn) != 0)
        return rel_fail(e, REL_E_INPUT, 0, "the new release has ERTS %s, %s runs: use --swap",
                        d->new->erts_vsn, d->old->erts_vsn);
    if (pkg_release_modules(d->old, &d->old_modules, e) < 0 ||
        pkg_release_modules(d->new, &d->new_modules, e) < 0)
        return -1;
    diff_modules(d);
    for (size_t i = 0; i < d->new->app_n; i++)
        if (diff_app(d, &d->new->apps[i], e) < 0)
            return -1;
    for (size_t i = 0; i < d->old->app_n; i++)
        if (!find_app(d->new, d->old->apps[i].name))
            add_app(d, &d->old->apps[i], NULL, false);
    return 0;
}

/* What a boot of a release reads its configuration from; `text` is NULL where it has none. */
struct config {
    char *path; /* of sys.config, where it is final; NULL: variables or providers have a say */
    char *text;
    bool evaluates;
};

static void config_fini(struct config *c)
{
    free(c->path);
    free(c->text);
}

/* mix marks what providers write into, and names them in it. */
static int config_read(const struct pkg_release *r, struct config *c, struct rel_err *e)
{
    rel_autofree char *path = rel_strf("%s/sys.config", r->vsn_dir),
                      *src = rel_strf("%s.src", path);
    bool is_src = !rel_is_file(AT_FDCWD, path);
    size_t len;

    if (is_src && !rel_is_file(AT_FDCWD, src))
        return 0;
    if (rel_read_file(AT_FDCWD, is_src ? src : path, CONFIG_MAX, &c->text, &len, e) < 0)
        return -1;
    c->evaluates = is_src || strstr(c->text, "RUNTIME_CONFIG=true") != NULL ||
                   strstr(c->text, "config_provider_init") != NULL;
    if (!c->evaluates)
        c->path = rel_steal(&path);
    return 0;
}

/* The start script of relx does it ahead of the VM, and nothing else. */
static char *unknown_config(const struct diff *d, const struct config *old,
                            const struct config *new)
{
    if (!new->evaluates || d->new->kind != PKG_KIND_RELX ||
        (old->text && !strcmp(old->text, new->text)))
        return NULL;
    return rel_strf("the script of a relx release fills sys.config.src in at its start alone, and "
                    "that of %s differs",
                    d->new->vsn);
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

/* NULL: a text in it is no UTF-8. */
static json_t *row_of(const char *const *texts, size_t n)
{
    json_t *row = json_array();

    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(row, text_or_null(texts[i])) < 0) {
            json_decref(row);
            return NULL;
        }
    return row;
}

static json_t *modules_json(const struct diff *d)
{
    json_t *list = json_array();

    for (size_t i = 0; i < d->module_n; i++) {
        const struct hot_module *m = &d->modules[i];
        char md5[MD5_HEX + 1] = "";

        for (size_t j = 0; j < sizeof(m->new_md5); j++)
            snprintf(md5 + 2 * j, 3, "%02x", m->new_md5[j]);
        if (json_array_append_new(list, row_of((const char *const[]){m->app, m->module, m->old_path,
                                                                     m->new_path, md5},
                                               MODULE_COLUMNS)) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *apps_json(const struct diff *d)
{
    json_t *list = json_array();

    for (size_t i = 0; i < d->app_n; i++) {
        const struct hot_app_change *a = &d->apps[i];

        if (json_array_append_new(
                list, row_of((const char *const[]){a->app, a->old_vsn, a->new_vsn, a->old_ebin,
                                                   a->new_ebin, a->type, a->priv ? "priv" : NULL},
                             APP_COLUMNS)) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *diff_json(const struct diff *d, const struct config *old, const struct config *new)
{
    rel_autofree char *unknown = unknown_config(d, old, new);
    bool evaluates = new->evaluates && d->new->kind != PKG_KIND_RELX;

    return json_pack(
        "{s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o}", "modules", modules_json(d), "apps",
        apps_json(d), "evaluates", evaluates, "unknown", text_or_null(unknown), "old_sys_config",
        text_or_null(old->path), "new_sys_config", text_or_null(new->path), "old_consolidated",
        text_or_null(d->old->consolidated), "new_consolidated", text_or_null(d->new->consolidated));
}

int sup_diff_make(const char *old_root, const char *new_root, json_t **doc, struct rel_err *e)
{
    __attribute__((cleanup(config_fini))) struct config old = {0}, new = {0};
    struct diff d = {0};
    int rc = diff_read(&d, old_root, new_root, e);

    if (!rc && (config_read(d.old, &old, e) < 0 || config_read(d.new, &new, e) < 0))
        rc = -1;
    if (!rc) {
        *doc = diff_json(&d, &old, &new);
        if (!*doc)
            rc = rel_fail(e, REL_E_INPUT, 0, "a name in %s or %s is not UTF-8", old_root, new_root);
    }
    diff_fini(&d);
    return rc;
}

/* The folders that the paths of a difference must lie in, and what was wrong. */
struct check {
    const char *old_root, *new_root;
    bool wrong;
};

/* A text of a row; NULL for a null, where that may be. */
static const char *text_at(struct check *c, const json_t *row, size_t i, bool may_be_null)
{
    const json_t *v = json_array_get(row, i);
    const char *text = json_string_value(v);

    c->wrong |= text ? strlen(text) > TEXT_MAX : !(may_be_null && json_is_null(v));
    return text;
}

static const char *checked_path(struct check *c, const char *text, const char *root)
{
    size_t n = strlen(root);

    if (text && (strncmp(text, root, n) != 0 || text[n] != '/' || strstr(text, "/../")))
        c->wrong = true;
    return text;
}

static unsigned digit(char hex)
{
    return (unsigned)(hex <= '9' ? hex - '0' : hex - 'a' + 10);
}

static void take_md5(struct check *c, const char *hex, unsigned char md5[MD5_HEX / 2])
{
    if (c->wrong || strlen(hex) != MD5_HEX || strspn(hex, "0123456789abcdef") != MD5_HEX) {
        c->wrong = true;
        return;
    }
    for (size_t i = 0; i < MD5_HEX / 2; i++)
        md5[i] = (unsigned char)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
}

static void take_modules(struct check *c, const json_t *list, struct sup_diff *d)
{
    const json_t *row;
    size_t i;

    d->modules = rel_xcalloc(json_array_size(list), sizeof(*d->modules));
    json_array_foreach (list, i, row) {
        struct hot_module *m = &d->modules[d->module_n++];

        c->wrong |= json_array_size(row) != MODULE_COLUMNS;
        m->app = text_at(c, row, 0, false);
        m->module = text_at(c, row, 1, false);
        m->old_path = checked_path(c, text_at(c, row, 2, true), c->old_root);
        m->new_path = checked_path(c, text_at(c, row, 3, true), c->new_root);
        take_md5(c, text_at(c, row, 4, false), m->new_md5);
    }
}

static void take_apps(struct check *c, const json_t *list, struct sup_diff *d)
{
    const json_t *row;
    size_t i;

    d->apps = rel_xcalloc(json_array_size(list), sizeof(*d->apps));
    json_array_foreach (list, i, row) {
        struct hot_app_change *a = &d->apps[d->app_n++];

        c->wrong |= json_array_size(row) != APP_COLUMNS;
        a->app = text_at(c, row, 0, false);
        a->old_vsn = text_at(c, row, 1, true);
        a->new_vsn = text_at(c, row, 2, true);
        a->old_ebin = checked_path(c, text_at(c, row, 3, true), c->old_root);
        a->new_ebin = checked_path(c, text_at(c, row, 4, true), c->new_root);
        a->type = text_at(c, row, 5, false);
        a->priv = text_at(c, row, 6, true) != NULL;
        c->wrong |= !a->old_vsn && !a->new_vsn;
    }
}

static const char *path_of(struct check *c, const json_t *v, const char *root)
{
    c->wrong |= !json_is_string(v) && !json_is_null(v);
    return checked_path(c, json_string_value(v), root);
}

int sup_diff_parse(const json_t *doc, const char *old_root, const char *new_root,
                   struct sup_diff *d, struct rel_err *e)
{
    rel_autofree char *old_real = realpath(old_root, NULL), *new_real = realpath(new_root, NULL);
    struct check c = {.old_root = old_real ? old_real : "?", .new_root = new_real ? new_real : "?"};
    struct sup_diff made = {0};
    json_t *modules, *apps, *unknown, *old_config, *new_config, *old_c, *new_c;
    int evaluates;

    if (json_unpack_ex((json_t *)(uintptr_t)doc, NULL, JSON_STRICT,
                       "{s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o}", "modules", &modules, "apps",
                       &apps, "evaluates", &evaluates, "unknown", &unknown, "old_sys_config",
                       &old_config, "new_sys_config", &new_config, "old_consolidated", &old_c,
                       "new_consolidated", &new_c) < 0 ||
        !json_is_array(modules) || !json_is_array(apps))
        return rel_fail(e, REL_E_INTERNAL, 0,
                        "the worker's answer is not a difference of two releases");
    take_modules(&c, modules, &made);
    take_apps(&c, apps, &made);
    made.evaluates = evaluates;
    made.unknown = json_string_value(unknown);
    made.old_sys_config = path_of(&c, old_config, c.old_root);
    made.new_sys_config = path_of(&c, new_config, c.new_root);
    made.old_consolidated = path_of(&c, old_c, c.old_root);
    made.new_consolidated = path_of(&c, new_c, c.new_root);
    made.doc = json_incref((json_t *)(uintptr_t)doc);
    if (c.wrong) {
        sup_diff_fini(&made);
        return rel_fail(e, REL_E_INTERNAL, 0,
                        "the worker's answer is not a difference of two releases");
    }
    *d = made;
    return 0;
}

void sup_diff_fini(struct sup_diff *d)
{
    json_decref(d->doc);
    free(d->modules);
    free(d->apps);
    *d = (struct sup_diff){0};
}
