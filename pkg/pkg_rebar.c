/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_rebar.h"

#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"
#include "pkg/pkg_run.h"

enum { COMPILE_MS = 30 * 60 * 1000 }; /* dependencies are fetched and compiled in it */

struct rebar {
    struct pkg_project *p;
    struct pkg_arena *a;
    const char *file, *wanted;                /* wanted: name of the release; NULL: the first */
    const struct pkg_term *base, *prod, *own; /* relx sections; `own` is that of the release */
};

static int wrong(const struct rebar *r, const struct pkg_term *at, const char *what,
                 struct rel_err *e)
{
    return rel_fail(e, REL_E_INPUT, 0, "%s:%d: %s", r->file, at ? at->line : 0, what);
}

/* The whole tuple {Key, ...}; prod's before that of everybody. */
static const struct pkg_term *option(const struct rebar *r, const char *key)
{
    const struct pkg_term *t = pkg_keyfind(r->own, key);

    if (!t)
        t = pkg_keyfind(r->prod, key);
    return t ? t : pkg_keyfind(r->base, key);
}

/* A path, name or number as text. */
static const char *as_text(struct pkg_project *p, const struct pkg_term *t)
{
    const char *s = pkg_chars(t);

    if (!s)
        s = pkg_atom_text(t);
    if (s)
        return pkg_project_strf(p, "%s", s);
    if (t && t->kind == PKG_INT)
        return pkg_project_strf(p, "%lld", (long long)t->i);
    return NULL;
}

static int read_vsn(struct rebar *r, const struct pkg_term *t, struct rel_err *e)
{
    const char *what = pkg_is_tagged(t, "git", 2) ? pkg_atom_text(pkg_at(t, 1)) : NULL;

    if (pkg_is_atom(t, "git") || pkg_is_atom(t, "semver"))
        return pkg_project_git_vsn(r->p, PKG_GIT_DESCRIBE, e);
    if (what && !strcmp(what, "short"))
        return pkg_project_git_vsn(r->p, PKG_GIT_SHORT, e);
    if (what && !strcmp(what, "long"))
        return pkg_project_git_vsn(r->p, PKG_GIT_LONG, e);
    if (pkg_is_tagged(t, "file", 2) || pkg_is_tagged(t, "cmd", 2))
        return pkg_project_read_vsn(r->p, pkg_is_tagged(t, "cmd", 2), pkg_chars(pkg_at(t, 1)), e);
    if (!pkg_chars(t))
        return wrong(r, t,
                     "relx: the version must be a string, git, {git, short}, {file, File} or "
                     "{cmd, Command}",
                     e);
    r->p->vsn = as_text(r->p, t);
    return 0;
}

/* App, {App, Type}, {App, Vsn} or {App, Vsn, Type}; the version is what was compiled. */
static int read_app(struct rebar *r, const struct pkg_term *t, struct rel_err *e)
{
    enum pkg_start type = PKG_START_PERMANENT;
    const char *name = pkg_atom_text(t);

    if (!name && t->kind == PKG_TUPLE && pkg_len(t) >= 2) {
        const char *start = pkg_atom_text(pkg_at(t, pkg_len(t) - 1));

        name = pkg_atom_text(pkg_at(t, 0));
        if (start && pkg_start_from_name(start, &type, e) < 0)
            return rel_wrap(e, "%s:%d", r->file, t->line);
    }
    if (!name)
        return wrong(r, t, "relx: an application must be a name or {name, start_type}", e);
    pkg_project_add_want(r->p, name, type);
    return 0;
}

/* {release, {Name, Version}, Applications} or {release, {Name, Version, {extend, Other}}, ...}; of
 * several the first, as relx takes it, or the one called `name`. */
static const struct pkg_term *find_release(const struct rebar *r, const char *name)
{
    const struct pkg_term *sections[] = {r->prod, r->base};

    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < pkg_len(sections[i]); j++) {
            const struct pkg_term *t = pkg_at(sections[i], j);
            const char *has;

            if (!pkg_is_tagged(t, "release", 3) && !pkg_is_tagged(t, "release", 4))
                continue;
            has = as_text(r->p, pkg_at(pkg_at(t, 1), 0));
            if (!name || (has && !strcmp(has, name)))
                return t;
        }
    return NULL;
}

static int no_release(const struct rebar *r, struct rel_err *e)
{
    const struct pkg_term *first = find_release(r, NULL);
    rel_autobuf struct rel_buf names = {0};
    const struct pkg_term *sections[] = {r->prod, r->base};

    if (!first)
        return rel_fail(e, REL_E_INPUT, 0,
                        "%s: no {relx, [{release, {Name, Version}, Applications}]} in it", r->file);
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < pkg_len(sections[i]); j++) {
            const struct pkg_term *t = pkg_at(sections[i], j);
            const char *has = pkg_is_atom(pkg_at(t, 0), "release")
                                  ? as_text(r->p, pkg_at(pkg_at(t, 1), 0))
                                  : NULL;

            if (has)
                rel_buf_addf(&names, "%s%s", names.len ? ", " : "", has);
        }
    return rel_fail(e, REL_E_INPUT, 0, "%s: there is no release %s, but %s", r->file, r->wanted,
                    names.p);
}

/* What another release has comes first, then what this one adds. `depth` bounds a circle. */
static int read_apps(struct rebar *r, const struct pkg_term *release, int depth, struct rel_err *e)
{
    const struct pkg_term *extend = pkg_at(pkg_at(release, 1), 2), *apps = pkg_at(release, 2);
    const struct pkg_term *other = NULL;

    if (extend) {
        const char *name = as_text(r->p, pkg_at(extend, 1));

        other = name ? find_release(r, name) : NULL;
        if (!pkg_is_tagged(extend, "extend", 2) || !other || depth > 20)
            return wrong(r, extend, "relx: must be {extend, Name} of another release", e);
        if (read_apps(r, other, depth + 1, e) < 0)
            return -1;
    }
    if (!pkg_is_list(apps) || apps->kind != PKG_LIST)
        return wrong(r, release, "relx: must be {release, {Name, Version}, Applications}", e);
    for (size_t i = 0; i < pkg_len(apps); i++)
        if (read_app(r, pkg_at(apps, i), e) < 0)
            return -1;
    return 0;
}

static int read_release(struct rebar *r, struct rel_err *e)
{
    const struct pkg_term *t = find_release(r, r->wanted), *id = pkg_at(t, 1);

    if (!t)
        return no_release(r, e);
    if ((!pkg_is_tuple(id, 2) && !pkg_is_tuple(id, 3)) || !as_text(r->p, pkg_at(id, 0)))
        return wrong(r, t, "relx: must be {release, {Name, Version}, Applications}", e);
    r->own = pkg_at(t, 3);
    r->p->name = as_text(r->p, pkg_at(id, 0));
    return read_vsn(r, pkg_at(id, 1), e) < 0 ? -1 : read_apps(r, t, 0, e);
}

/* The option `key`, else the file `fallback` when it is there. */
static int read_file_option(struct rebar *r, const char *key, const char *fallback,
                            struct pkg_content *c, struct rel_err *e)
{
    const struct pkg_term *t = option(r, key);
    const char *path = pkg_project_path(r->p, fallback), *given;

    if (t && pkg_is_atom(pkg_at(t, 1), "false"))
        return 0;
    if (t) {
        given = as_text(r->p, pkg_at(t, 1));
        if (!given || pkg_len(t) != 2)
            return wrong(r, t, "relx: sys_config and vm_args must name a file", e);
        path = pkg_project_path(r->p, given);
        if (!rel_is_file(AT_FDCWD, path))
            return rel_fail(e, REL_E_INPUT, 0, "%s:%d: %s: there is no file %s", r->file, t->line,
                            key, path);
    }
    if (rel_is_file(AT_FDCWD, path))
        c->path = path;
    return 0;
}

/* It stands over the plain one, as in relx. */
static int read_src_option(struct rebar *r, const char *key, struct pkg_content *c,
                           struct rel_err *e)
{
    if (!option(r, key))
        return 0;
    *c = (struct pkg_content){.vars = true};
    return read_file_option(r, key, "", c, e);
}

static int add_vars(struct rebar *r, const struct pkg_term *vars, struct rel_err *e)
{
    for (size_t i = 0; i < pkg_len(vars); i++) {
        const struct pkg_term *var = pkg_at(vars, i);
        const char *name = as_text(r->p, pkg_at(var, 0)), *value = as_text(r->p, pkg_at(var, 1));

        if (!pkg_is_tuple(var, 2) || !name)
            return wrong(r, var, "relx: overlay_vars must be {name, value}", e);
        if (value)
            pkg_project_add_var(r->p, name, value);
    }
    return 0;
}

static int read_var_file(struct rebar *r, const char *path, struct rel_err *e)
{
    struct pkg_terms terms;

    if (pkg_terms_read(r->a, AT_FDCWD, pkg_project_path(r->p, path), &terms, e) < 0) {
        e->code = REL_E_INPUT;
        return -1;
    }
    return add_vars(r, pkg_seq(r->a, PKG_LIST, terms.v, terms.n), e);
}

/* A file, a list of files, or the variables themselves. */
static int read_vars(struct rebar *r, struct rel_err *e)
{
    const struct pkg_term *t = option(r, "overlay_vars"), *v = pkg_at(t, 1);

    if (!t)
        return 0;
    if (v && v->kind == PKG_STRING)
        return read_var_file(r, pkg_chars(v), e);
    for (size_t i = 0; i < pkg_len(v); i++) {
        const struct pkg_term *item = pkg_at(v, i);

        if (item->kind == PKG_TUPLE)
            return add_vars(r, v, e);
        if (!pkg_chars(item))
            return wrong(r, item, "relx: overlay_vars must name a file", e);
        if (read_var_file(r, pkg_chars(item), e) < 0)
            return -1;
    }
    return 0;
}

/* {pre_start, [{custom, "hooks/x"}, {pid, "/run/x.pid"}, wait_for_vm_start, ...]}: scripts lie
 * below bin/. */
static int read_hook(struct rebar *r, const char *when, const struct pkg_term *t, struct rel_err *e)
{
    const char *what = pkg_atom_text(t->kind == PKG_TUPLE ? pkg_at(t, 0) : t);
    const char *arg = t->kind == PKG_TUPLE ? as_text(r->p, pkg_at(t, 1)) : "";
    struct pkg_hook hook = {.when = when, .what = what, .arg = arg};
    bool known = what && arg &&
                 (!strcmp(what, "custom") || !strcmp(what, "pid") ||
                  !strcmp(what, "wait_for_vm_start") || !strcmp(what, "wait_for_process"));

    if (what && !strcmp(what, "builtin_status"))
        return 0; /* what `status` does without a hook */
    if (!known)
        return wrong(r, t,
                     "relx: a hook is {custom, Script}, {pid, File}, wait_for_vm_start or "
                     "{wait_for_process, Name}",
                     e);
    if (!strcmp(what, "custom"))
        hook.arg = pkg_project_strf(r->p, "bin/%s", arg);
    return pkg_project_add_hook(r->p, &hook, e);
}

static int read_hooks(struct rebar *r, struct rel_err *e)
{
    static const char *const known[] = {"pre_start", "post_start", "pre_stop", "post_stop",
                                        "status"};
    const struct pkg_term *hooks = pkg_at(option(r, "extended_start_script_hooks"), 1);
    const struct pkg_term *commands = pkg_at(option(r, "extended_start_script_extensions"), 1);

    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        const struct pkg_term *list = pkg_get(hooks, known[i]);

        for (size_t j = 0; j < pkg_len(list); j++)
            if (read_hook(r, known[i], pkg_at(list, j), e) < 0)
                return -1;
    }
    for (size_t i = 0; i < pkg_len(commands); i++) {
        const struct pkg_term *t = pkg_at(commands, i);
        const char *name = as_text(r->p, pkg_at(t, 0)), *script = as_text(r->p, pkg_at(t, 1));
        struct pkg_hook hook = {.when = "command", .what = name, .arg = ""};

        if (!name || !script)
            return wrong(r, t, "relx: an extension must be {name, Script}", e);
        hook.arg = pkg_project_strf(r->p, "bin/%s", script);
        if (pkg_project_add_hook(r->p, &hook, e) < 0)
            return -1;
    }
    return 0;
}

static int read_overlay_one(struct rebar *r, const struct pkg_term *t, struct rel_err *e)
{
    const char *kind = pkg_atom_text(pkg_at(t, 0));
    const char *first = as_text(r->p, pkg_at(t, 1)), *second = as_text(r->p, pkg_at(t, 2));
    struct pkg_overlay o = {.kind = PKG_OVERLAY_MKDIR, .to = first};

    if (kind && !strcmp(kind, "mkdir") && pkg_len(t) == 2 && first) {
        pkg_project_add_overlay(r->p, o);
        return 0;
    }
    if (kind && !strcmp(kind, "chmod") && second && pkg_at(t, 1)->kind == PKG_INT) {
        o = (struct pkg_overlay){.kind = PKG_OVERLAY_CHMOD, .to = second};
        o.mode = (unsigned)pkg_at(t, 1)->i & 0777;
        pkg_project_add_overlay(r->p, o);
        return 0;
    }
    if (!kind || pkg_len(t) != 3 || !first || !second ||
        (strcmp(kind, "copy") != 0 && strcmp(kind, "template") != 0 && strcmp(kind, "link") != 0))
        return wrong(r, t,
                     "relx: overlay knows {mkdir, Dir}, {copy, From, To}, {link, From, To}, "
                     "{template, From, To}, {chmod, Mode, File}",
                     e);
    /* relx links to the file of the building machine, which the host does not have: it is copied */
    o.kind = *kind == 't' ? PKG_OVERLAY_TEMPLATE : PKG_OVERLAY_COPY;
    o.from = pkg_project_path(r->p, first);
    o.to = second;
    pkg_project_add_overlay(r->p, o);
    return 0;
}

static int read_overlay(struct rebar *r, struct rel_err *e)
{
    const struct pkg_term *t = option(r, "overlay"), *list = pkg_at(t, 1);

    if (t && (!list || list->kind != PKG_LIST))
        return wrong(r, t, "relx: overlay must be a list", e);
    for (size_t i = 0; i < pkg_len(list); i++)
        if (read_overlay_one(r, pkg_at(list, i), e) < 0)
            return -1;
    return 0;
}

static int read_include_erts(struct rebar *r, struct rel_err *e)
{
    const struct pkg_term *t = option(r, "include_erts"), *v = pkg_at(t, 1);

    if (!t || pkg_is_atom(v, "true"))
        return 0;
    if (pkg_is_atom(v, "false"))
        r->p->include_erts = false;
    else if (pkg_chars(v))
        r->p->erts_dir = pkg_project_path(r->p, pkg_chars(v));
    else
        return wrong(r, t, "relx: include_erts must be true, false or a path", e);
    return 0;
}

/* Names of applications, or {App, [Module]}. */
static void read_excluded(struct rebar *r)
{
    const struct pkg_term *apps = pkg_at(option(r, "exclude_apps"), 1);
    const struct pkg_term *modules = pkg_at(option(r, "exclude_modules"), 1);

    for (size_t i = 0; i < pkg_len(apps); i++)
        if (pkg_atom_text(pkg_at(apps, i)))
            pkg_strings_add(r->p, &r->p->exclude_apps, pkg_atom_text(pkg_at(apps, i)));
    for (size_t i = 0; i < pkg_len(modules); i++) {
        const struct pkg_term *list = pkg_at(pkg_at(modules, i), 1);

        for (size_t j = 0; j < pkg_len(list); j++)
            if (pkg_atom_text(pkg_at(list, j)))
                pkg_strings_add(r->p, &r->p->exclude_modules, pkg_atom_text(pkg_at(list, j)));
    }
}

static int read_options(struct rebar *r, struct rel_err *e)
{
    r->p->include_src = pkg_is_atom(pkg_at(option(r, "include_src"), 1), "true");
    r->p->strip_beams = !pkg_is_atom(pkg_at(option(r, "debug_info"), 1), "keep");
    read_excluded(r);
    if (pkg_is_atom(pkg_at(option(r, "mode"), 1), "minimal"))
        r->p->include_erts = false;

    if (option(r, "config_providers"))
        return wrong(r, option(r, "config_providers"),
                     "relx: config_providers are Elixir's and run in mix projects only", e);
    if (read_include_erts(r, e) < 0 ||
        read_file_option(r, "sys_config", "config/sys.config", &r->p->sys_config, e) < 0 ||
        read_file_option(r, "vm_args", "config/vm.args", &r->p->vm_args, e) < 0 ||
        read_src_option(r, "sys_config_src", &r->p->sys_config, e) < 0 ||
        read_src_option(r, "vm_args_src", &r->p->vm_args, e) < 0)
        return -1;
    return read_hooks(r, e) < 0 || read_vars(r, e) < 0 ? -1 : read_overlay(r, e);
}

int pkg_rebar_read(struct pkg_project *p, const char *release, struct rel_err *e)
{
    struct rebar r = {
        .p = p, .a = &p->arena, .file = pkg_project_path(p, "rebar.config"), .wanted = release};
    const struct pkg_term *all, *profiles;
    struct pkg_terms terms;

    if (pkg_terms_read(r.a, AT_FDCWD, r.file, &terms, e) < 0)
        return -1;
    all = pkg_seq(r.a, PKG_LIST, terms.v, terms.n);
    r.base = pkg_get(all, "relx");
    profiles = pkg_get(all, "profiles");
    r.prod = pkg_get(pkg_get(profiles, "prod"), "relx");
    p->template_config = true;
    return read_release(&r, e) < 0 ? -1 : read_options(&r, e);
}

int pkg_rebar_compile(const struct pkg_project *p, const struct rel_progress *progress,
                      struct rel_err *e)
{
    const char *const argv[] = {"rebar3", "as", "prod", "compile", NULL};
    struct pkg_run run = {
        .argv = argv, .dir = p->dir, .timeout_ms = COMPILE_MS, .progress = progress};
    rel_autobuf struct rel_buf out = {0};

    return pkg_run(&run, &out, e);
}

int pkg_rebar_lib_dirs(struct pkg_project *p, struct rel_err *e)
{
    static const char *const dirs[] = {"_build/prod/checkouts", "_build/prod/lib"};
    size_t n = p->lib_dirs.n;

    for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
        const char *dir = pkg_project_path(p, dirs[i]);

        if (rel_is_dir(AT_FDCWD, dir))
            pkg_strings_add(p, &p->lib_dirs, dir);
    }
    if (p->lib_dirs.n == n)
        return rel_fail(e, REL_E_INPUT, 0, "%s is not compiled: there is no _build/prod/lib",
                        p->dir);
    return 0;
}
