/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_init.h"

#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <string.h>

#include "base/rel_io.h"

/* Where applications are looked for, below the project. */
static const char *const places[] = {".", "lib", "apps", "_build/default/lib", "_build/prod/lib"};
enum { PLACE_N = sizeof(places) / sizeof(*places) };

static bool has_file(const char *dir, const char *name)
{
    rel_autofree char *path = rel_strf("%s/%s", dir, name);

    return rel_is_file(AT_FDCWD, path);
}

static int needed_by_other(struct pkg_lib *lib, const char *name, bool *needed, struct rel_err *e)
{
    struct pkg_names names = pkg_lib_names(lib);
    const struct pkg_app *app;

    *needed = false;
    for (size_t i = 0; i < names.n; i++) {
        if (pkg_lib_find(lib, names.v[i], NULL, &app, e) < 0)
            return -1;
        *needed |= app && (pkg_names_have(&app->applications, name) ||
                           pkg_names_have(&app->included, name));
    }
    return 0;
}

/* Those that no other one needs: the rest comes along by itself. */
static int list_tops(struct pkg_lib *lib, json_t *tops, struct rel_err *e)
{
    struct pkg_names names = pkg_lib_names(lib);

    for (size_t i = 0; i < names.n; i++) {
        bool needed;

        if (needed_by_other(lib, names.v[i], &needed, e) < 0)
            return -1;
        if (!needed)
            json_array_append_new(tops, json_string(names.v[i]));
    }
    if (!json_array_size(tops))
        return rel_fail(e, REL_E_INPUT, 0, "the applications in %s all need each other",
                        pkg_lib_searched(lib));
    return 0;
}

/* The application that is named like the folder, else the first. */
static const char *main_app(const char *dir, const json_t *tops)
{
    char real[PATH_MAX];
    const char *base = realpath(dir, real) ? strrchr(real, '/') + 1 : "";
    const json_t *name;
    size_t i;

    json_array_foreach (tops, i, name)
        if (!strcmp(json_string_value(name), base))
            return json_string_value(name);
    return json_string_value(json_array_get(tops, 0));
}

static int draft_plain(const char *dir, json_t *doc, struct rel_err *e)
{
    pkg_autolib struct pkg_lib *lib = NULL;
    json_auto_t *tops = json_array(), *lib_dirs = json_array();
    pkg_autoarena struct pkg_arena a = {0};
    const char *found[PLACE_N];
    size_t n = 0;
    int status;

    for (size_t i = 0; i < PLACE_N; i++) {
        rel_autofree char *path = rel_strf("%s/%s", dir, places[i]);

        if (!rel_is_dir(AT_FDCWD, path))
            continue;
        json_array_append_new(lib_dirs, json_string(places[i]));
        found[n++] = pkg_arena_strndup(&a, path, strlen(path));
    }
    status = pkg_lib_open(found, n, &lib, e);
    if (status == 0 && !pkg_lib_names(lib).n)
        status = rel_fail(e, REL_E_INPUT, 0,
                          "no project in %s: no mix.exs, no rebar.config and no NAME/ebin/NAME.app",
                          dir);
    if (status == 0)
        status = list_tops(lib, tops, e);
    if (status == 0) {
        json_object_set_new(doc, "name", json_string(main_app(dir, tops)));
        json_object_set_new(doc, "version", json_pack("{s:s}", "app", main_app(dir, tops)));
        json_object_set(doc, "applications", tops);
        json_object_set(doc, "lib_dirs", lib_dirs);
    }
    return status;
}

int pkg_init_draft(const char *dir, struct pkg_draft *draft, struct rel_err *e)
{
    json_auto_t *doc = json_object();
    enum pkg_project_kind kind = PKG_PROJECT_PLAIN;
    rel_autofree char *text = NULL;

    if (!rel_is_dir(AT_FDCWD, dir))
        return rel_fail(e, REL_E_INPUT, 0, "there is no folder %s", dir);
    if (has_file(dir, "relpack.json"))
        return rel_fail(e, REL_E_INPUT, 0, "%s/relpack.json is there already", dir);
    if (has_file(dir, "mix.exs"))
        kind = PKG_PROJECT_MIX;
    else if (has_file(dir, "rebar.config"))
        kind = PKG_PROJECT_REBAR3;
    else if (draft_plain(dir, doc, e) < 0)
        return -1;
    if (kind == PKG_PROJECT_PLAIN && has_file(dir, "config/sys.config"))
        json_object_set_new(doc, "sys_config", json_string("config/sys.config"));
    if (kind == PKG_PROJECT_PLAIN && has_file(dir, "config/vm.args"))
        json_object_set_new(doc, "vm_args", json_string("config/vm.args"));
    if (kind == PKG_PROJECT_PLAIN)
        json_object_set_new(doc, "include_erts", json_true());
    json_object_set_new(doc, "strip_beams", json_true());
    text = json_dumps(doc, JSON_INDENT(2));
    if (!text)
        return rel_fail(e, REL_E_INPUT, 0, "a name in %s is not UTF-8", dir);
    draft->text = rel_strf("%s\n", text);
    draft->kind = kind;
    return 0;
}
