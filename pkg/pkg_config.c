/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_config.h"

#include <fcntl.h>
#include <glob.h>
#include <jansson.h>
#include <string.h>

#include "base/rel_io.h"
#include "base/rel_json.h"
#include "pkg/pkg_check.h"
#include "pkg/pkg_expiry.h"

enum { FILE_MAX = 1 << 20 };

struct config {
    struct pkg_project *p;
    const char *file;
    const char *text;
    const char *key; /* of the top level that is being read */
};

static int wrong(const struct config *c, const char *what, struct rel_err *e)
{
    return rel_fail(e, REL_E_INPUT, 0, "%s:%d: %s %s", c->file,
                    rel_json_line(c->text, rel_json_find_key(c->text, c->key, 1)), c->key, what);
}

static int unknown_key(const struct config *c, const char *key, struct rel_err *e)
{
    const char *from = c->key ? rel_json_find_key(c->text, c->key, 1) : c->text;

    return rel_fail(e, REL_E_INPUT, 0, "%s:%d: unknown key '%s'", c->file,
                    rel_json_line(c->text, rel_json_find_key(from, key, c->key ? 0 : 1)), key);
}

static int read_name(struct config *c, const json_t *v, struct rel_err *e)
{
    if (!json_is_string(v))
        return wrong(c, "must be a string", e);
    c->p->name = pkg_project_strf(c->p, "%s", json_string_value(v));
    return 0;
}

static int read_version(struct config *c, const json_t *v, struct rel_err *e)
{
    const json_t *app = json_object_get(v, "app");

    c->p->vsn_of_app = NULL;
    if (json_is_string(v) && !strcmp(json_string_value(v), "git"))
        return pkg_project_git_vsn(c->p, PKG_GIT_DESCRIBE, e);
    if (json_is_string(v))
        c->p->vsn = pkg_project_strf(c->p, "%s", json_string_value(v));
    else if (json_is_string(app) && json_object_size(v) == 1)
        c->p->vsn_of_app = pkg_project_strf(c->p, "%s", json_string_value(app));
    else
        return wrong(c, "must be a string, \"git\" or {\"app\": \"name\"}", e);
    return 0;
}

static int read_application(struct config *c, const json_t *v, struct rel_err *e)
{
    enum pkg_start type;
    const char *name;
    json_t *start;

    if (json_is_string(v)) {
        pkg_project_add_want(c->p, json_string_value(v), PKG_START_PERMANENT);
        return 0;
    }
    if (!json_is_object(v) || json_object_size(v) != 1)
        return wrong(c, "must be names or {\"name\": \"start type\"}", e);
    json_object_foreach ((json_t *)v, name, start) {
        struct rel_err unknown = {0};

        if (!json_is_string(start) ||
            pkg_start_from_name(json_string_value(start), &type, &unknown) < 0)
            return wrong(c, "must have the start types permanent, transient, temporary, load, none",
                         e);
        pkg_project_add_want(c->p, name, type);
    }
    return 0;
}

static int read_applications(struct config *c, const json_t *v, struct rel_err *e)
{
    const json_t *item;
    size_t i;

    if (!json_is_array(v))
        return wrong(c, "must be a list", e);
    c->p->want_n = 0;
    c->p->rel_apps = NULL;
    json_array_foreach (v, i, item)
        if (read_application(c, item, e) < 0)
            return -1;
    return 0;
}

static int add_lib_dirs(struct config *c, const char *pattern, struct pkg_strings *list,
                        struct rel_err *e)
{
    glob_t found = {0};

    if (glob(pkg_project_path(c->p, pattern), 0, NULL, &found) != 0) {
        globfree(&found);
        return rel_fail(e, REL_E_INPUT, 0, "%s:%d: lib_dirs: there is no %s", c->file,
                        rel_json_line(c->text, rel_json_find_key(c->text, c->key, 1)), pattern);
    }
    for (size_t i = 0; i < found.gl_pathc; i++)
        if (rel_is_dir(AT_FDCWD, found.gl_pathv[i]))
            pkg_strings_add(c->p, list, found.gl_pathv[i]);
    globfree(&found);
    return 0;
}

/* In front of those that the project brings: they say where else to look. */
static int read_lib_dirs(struct config *c, const json_t *v, struct rel_err *e)
{
    struct pkg_strings list = {0};
    const json_t *item;
    size_t i;

    if (!json_is_array(v))
        return wrong(c, "must be a list of strings", e);
    json_array_foreach (v, i, item) {
        if (!json_is_string(item))
            return wrong(c, "must be a list of strings", e);
        if (add_lib_dirs(c, json_string_value(item), &list, e) < 0)
            return -1;
    }
    for (i = 0; i < c->p->lib_dirs.n; i++)
        pkg_strings_add(c->p, &list, c->p->lib_dirs.v[i]);
    c->p->lib_dirs = list;
    return 0;
}

static int read_content(struct config *c, const json_t *v, struct pkg_content *content,
                        struct rel_err *e)
{
    struct pkg_content read = {0};

    if (!json_is_string(v) && !json_is_null(v))
        return wrong(c, "must be a path or null", e);
    if (json_is_string(v)) {
        read.path = pkg_project_path(c->p, json_string_value(v));
        if (!rel_is_file(AT_FDCWD, read.path))
            return rel_fail(e, REL_E_INPUT, 0, "%s:%d: %s: there is no file %s", c->file,
                            rel_json_line(c->text, rel_json_find_key(c->text, c->key, 1)), c->key,
                            read.path);
    }
    read.vars = read.path && pkg_path_is_src(read.path);
    *content = read;
    return 0;
}

static int read_sys_config(struct config *c, const json_t *v, struct rel_err *e)
{
    return read_content(c, v, &c->p->sys_config, e);
}

static int read_vm_args(struct config *c, const json_t *v, struct rel_err *e)
{
    return read_content(c, v, &c->p->vm_args, e);
}

static int read_env_sh(struct config *c, const json_t *v, struct rel_err *e)
{
    return read_content(c, v, &c->p->env_sh, e);
}

static int read_overlay_one(struct config *c, const char *kind, const json_t *v, struct rel_err *e)
{
    static const struct {
        const char *name;
        enum pkg_overlay_kind kind;
    } rows[] = {{"copy", PKG_OVERLAY_COPY},
                {"template", PKG_OVERLAY_TEMPLATE},
                {"link", PKG_OVERLAY_LINK},
                {"chmod", PKG_OVERLAY_CHMOD}};
    struct pkg_overlay o = {.kind = PKG_OVERLAY_MKDIR};
    size_t row = 0;
    char *end = NULL;
    const char *from = json_string_value(json_array_get(v, 0));
    const char *to = json_string_value(json_array_get(v, 1));

    if (!strcmp(kind, "mkdir")) {
        if (!json_is_string(v))
            return wrong(c, "must have mkdir with one path", e);
        o.to = pkg_project_strf(c->p, "%s", json_string_value(v));
        pkg_project_add_overlay(c->p, o);
        return 0;
    }
    for (; row < sizeof(rows) / sizeof(*rows) && strcmp(rows[row].name, kind) != 0; row++)
        ;
    if (row == sizeof(rows) / sizeof(*rows))
        return unknown_key(c, kind, e);
    o.kind = rows[row].kind;
    if (json_array_size(v) != 2 || !from || !to)
        return wrong(
            c, "must have copy, template and link with [from, to], chmod with [mode, path]", e);
    o.to = pkg_project_strf(c->p, "%s", to);
    if (o.kind == PKG_OVERLAY_CHMOD)
        o.mode = (unsigned)strtoul(from, &end, 8);
    else if (o.kind == PKG_OVERLAY_LINK)
        o.from = pkg_project_strf(c->p, "%s", from);
    else
        o.from = pkg_project_path(c->p, from);
    if (end && (*end || o.mode > 0777))
        return wrong(c, "must have a mode like \"0755\" for chmod", e);
    pkg_project_add_overlay(c->p, o);
    return 0;
}

static int read_overlay(struct config *c, const json_t *v, struct rel_err *e)
{
    const json_t *item;
    const char *kind;
    json_t *what;
    size_t i;

    if (!json_is_array(v))
        return wrong(c, "must be a list", e);
    c->p->overlay_n = 0;
    json_array_foreach (v, i, item) {
        if (!json_is_object(item) || json_object_size(item) != 1)
            return wrong(c, "must be a list of {\"mkdir\"|\"copy\"|\"template\": ...}", e);
        json_object_foreach ((json_t *)item, kind, what)
            if (read_overlay_one(c, kind, what, e) < 0)
                return -1;
    }
    return 0;
}

static int read_bool(struct config *c, const json_t *v, bool *b, struct rel_err *e)
{
    if (!json_is_boolean(v))
        return wrong(c, "must be true or false", e);
    *b = json_is_true(v);
    return 0;
}

static int read_include_erts(struct config *c, const json_t *v, struct rel_err *e)
{
    return read_bool(c, v, &c->p->include_erts, e);
}

static bool is_hook(const char *name)
{
    static const char *const names[] = {"pre_start", "post_start", "pre_stop", "post_stop",
                                        "status"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

static int read_hooks(struct config *c, const json_t *v, struct rel_err *e)
{
    const char *name;
    json_t *list, *script;
    size_t i;

    if (!json_is_object(v))
        return wrong(c, "must be an object of lists of scripts", e);
    json_object_foreach ((json_t *)v, name, list) {
        struct pkg_hook hook = {.when = name, .what = "custom"};

        if (!is_hook(name))
            return unknown_key(c, name, e);
        if (!json_is_array(list))
            return wrong(c, "must be an object of lists of scripts", e);
        json_array_foreach (list, i, script) {
            hook.arg = json_string_value(script);
            if (!hook.arg)
                return wrong(c, "must be an object of lists of scripts", e);
            if (pkg_project_add_hook(c->p, &hook, e) < 0)
                return -1;
        }
    }
    return 0;
}

static int read_commands(struct config *c, const json_t *v, struct rel_err *e)
{
    const char *name;
    json_t *script;

    if (!json_is_object(v))
        return wrong(c, "must be an object of names and scripts", e);
    json_object_foreach ((json_t *)v, name, script) {
        struct pkg_hook hook = {.when = "command", .what = name, .arg = json_string_value(script)};

        if (!hook.arg)
            return wrong(c, "must be an object of names and scripts", e);
        if (pkg_project_add_hook(c->p, &hook, e) < 0)
            return -1;
    }
    return 0;
}

static int read_names(struct config *c, const json_t *v, struct pkg_strings *names,
                      struct rel_err *e)
{
    const json_t *name;
    size_t i;

    *names = (struct pkg_strings){0};
    json_array_foreach (v, i, name) {
        if (!json_is_string(name))
            return wrong(c, "must be a list of names", e);
        pkg_strings_add(c->p, names, json_string_value(name));
    }
    return json_is_array(v) ? 0 : wrong(c, "must be a list of names", e);
}

static int read_exclude_apps(struct config *c, const json_t *v, struct rel_err *e)
{
    return read_names(c, v, &c->p->exclude_apps, e);
}

static int read_exclude_modules(struct config *c, const json_t *v, struct rel_err *e)
{
    return read_names(c, v, &c->p->exclude_modules, e);
}

static int read_include_src(struct config *c, const json_t *v, struct rel_err *e)
{
    return read_bool(c, v, &c->p->include_src, e);
}

static int read_bundle_libs(struct config *c, const json_t *v, struct rel_err *e)
{
    return read_bool(c, v, &c->p->bundle_libs, e);
}

/* true, false, or {"keep": ["Docs"]}: stripped but for these chunks. */
static int read_strip_beams(struct config *c, const json_t *v, struct rel_err *e)
{
    const json_t *keep = json_object_get(v, "keep");

    c->p->strip_keep = (struct pkg_strings){0};
    if (!json_is_object(v))
        return read_bool(c, v, &c->p->strip_beams, e);
    if (!keep || json_object_size(v) != 1)
        return wrong(c, "must be true, false or {\"keep\": [\"Docs\", ...]}", e);
    c->p->strip_beams = true;
    return read_names(c, keep, &c->p->strip_keep, e);
}

static int read_expires(struct config *c, const json_t *v, struct rel_err *e)
{
    char until[PKG_EXPIRY_LEN];

    if (!json_is_string(v))
        return wrong(c, "must be a time like 2026-12-31T23:59:59Z or a duration like 90d", e);
    c->p->expires = pkg_project_strf(c->p, "%s", json_string_value(v));
    return pkg_expiry_make(c->p->expires, 0, until, e);
}

static int read_erts_dir(struct config *c, const json_t *v, struct rel_err *e)
{
    if (!json_is_string(v) && !json_is_null(v))
        return wrong(c, "must be a path or null", e);
    c->p->erts_dir = json_is_string(v) ? pkg_project_path(c->p, json_string_value(v)) : NULL;
    return 0;
}

static int read_allow(struct config *c, const json_t *v, struct rel_err *e)
{
    const json_t *item;
    size_t i;

    if (!json_is_array(v))
        return wrong(c, "must be a list of checks", e);
    json_array_foreach (v, i, item) {
        if (!json_is_string(item))
            return wrong(c, "must be a list of checks", e);
        if (pkg_check_allow_read(json_string_value(item), e) < 0)
            return rel_wrap(e, "%s:%d", c->file,
                            rel_json_line(c->text, rel_json_find_key(c->text, c->key, 1)));
        c->p->allow = pkg_project_strf(c->p, "%s%s%s", c->p->allow ? c->p->allow : "",
                                       c->p->allow ? "," : "", json_string_value(item));
    }
    return 0;
}

/* "$schema" is for editors. */
static int skip_schema(struct config *c, const json_t *v, struct rel_err *e)
{
    return json_is_string(v) ? 0 : wrong(c, "must be a string", e);
}

static const struct {
    const char *key;
    int (*read)(struct config *c, const json_t *v, struct rel_err *e);
} keys[] = {
    {"$schema", skip_schema},
    {"name", read_name},
    {"version", read_version},
    {"applications", read_applications},
    {"lib_dirs", read_lib_dirs},
    {"sys_config", read_sys_config},
    {"vm_args", read_vm_args},
    {"env_sh", read_env_sh},
    {"overlay", read_overlay},
    {"include_erts", read_include_erts},
    {"strip_beams", read_strip_beams},
    {"bundle_libs", read_bundle_libs},
    {"exclude_apps", read_exclude_apps},
    {"exclude_modules", read_exclude_modules},
    {"include_src", read_include_src},
    {"hooks", read_hooks},
    {"commands", read_commands},
    {"erts_dir", read_erts_dir},
    {"expires", read_expires},
    {"allow", read_allow},
};

static int read_key(struct config *c, const char *key, const json_t *v, struct rel_err *e)
{
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        if (!strcmp(keys[i].key, key)) {
            c->key = key;
            return keys[i].read(c, v, e);
        }
    c->key = NULL;
    return unknown_key(c, key, e);
}

int pkg_config_read(struct pkg_project *p, const char *file, struct rel_err *e)
{
    rel_autofree char *text = NULL;
    json_auto_t *doc = NULL;
    json_error_t error;
    struct config c = {.p = p, .file = file};
    const char *key;
    json_t *v;
    size_t len;

    if (rel_read_file(AT_FDCWD, file, FILE_MAX, &text, &len, e) < 0)
        return -1;
    doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!doc)
        return rel_fail(e, REL_E_INPUT, 0, "%s:%d:%d: %s", file, error.line, error.column,
                        error.text);
    if (!json_is_object(doc))
        return rel_fail(e, REL_E_INPUT, 0, "%s:1: must be one object", file);
    c.text = text;
    json_object_foreach (doc, key, v)
        if (read_key(&c, key, v, e) < 0)
            return -1;
    return 0;
}
