/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_assemble.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rel_io.h"
#include "pkg/pkg_etf.h"
#include "pkg/pkg_releases.h"
#include "pkg/pkg_script.h"
#include "templates/templates.h"

enum { TEXT_MAX = 16 << 20 };

struct tree {
    struct pkg_project *p;
    const struct pkg_assemble *how;
    struct pkg_entries *es;
};

/* Takes `buf`. */
static void add_buf(struct tree *t, const char *path, struct rel_buf *buf, mode_t mode)
{
    size_t len = buf->len;

    pkg_entries_add_bytes(t->es, path, rel_buf_take(buf), len, mode);
}

static void add_text(struct tree *t, const char *path, const char *text, size_t len, mode_t mode)
{
    rel_autobuf struct rel_buf buf = {0};

    rel_buf_add(&buf, text, len);
    add_buf(t, path, &buf, mode);
}

/* An ebin folder has no folders. `ctx`: the modules that are left out. */
static bool loadable(const char *rel, void *ctx)
{
    const struct pkg_strings *out = ctx;
    size_t n = strlen(rel);

    for (size_t i = 0; i < out->n; i++)
        if (n == strlen(out->v[i]) + 5 && !strncmp(rel, out->v[i], n - 5) &&
            !strcmp(rel + n - 5, ".beam"))
            return false;
    return !strchr(rel, '/');
}

static int add_sources(struct tree *t, const struct pkg_app *app, struct rel_err *e)
{
    static const char *const folders[] = {"src", "include"};

    for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
        rel_autofree char *from = rel_strf("%s/%s", app->dir, folders[i]);
        rel_autofree char *to = rel_strf("lib/%s-%s/%s", app->name, app->vsn, folders[i]);
        struct pkg_add_tree add = {.from = from, .to = to};

        if (rel_is_dir(AT_FDCWD, from) && pkg_entries_add_tree(t->es, &add, e) < 0)
            return -1;
    }
    return 0;
}

/* The .app file as it was changed by what is left out. */
static void add_app_file(struct tree *t, const struct pkg_app *app)
{
    rel_autofree char *path = rel_strf("lib/%s-%s/ebin/%s.app", app->name, app->vsn, app->name);
    rel_autobuf struct rel_buf text = {0};

    pkg_term_format_file(app->term, &text);
    add_buf(t, path, &text, 0644);
}

static int add_app(struct tree *t, const struct pkg_app *app, struct rel_err *e)
{
    rel_autofree char *ebin = rel_strf("lib/%s-%s/ebin", app->name, app->vsn);
    rel_autofree char *priv = rel_strf("lib/%s-%s/priv", app->name, app->vsn);
    rel_autofree char *priv_from = rel_strf("%s/priv", app->dir);
    struct pkg_add_tree add = {.from = app->ebin,
                               .to = ebin,
                               .strip_beams = t->p->strip_beams,
                               .keep = t->p->strip_keep.v,
                               .take = loadable,
                               .ctx = &t->p->exclude_modules};
    /* OTP's own are packed as their distribution links them. */
    const char *const roots[] = {t->p->dir, t->how->otp->root, NULL};
    bool of_otp = pkg_lies_below(app->dir, t->how->otp->root);
    struct pkg_add_tree add_priv = {.from = priv_from, .to = priv, .roots = of_otp ? NULL : roots};

    if (!t->p->include_erts && pkg_app_lies_in(app, t->how->otp->lib))
        return 0;
    if (pkg_entries_add_tree(t->es, &add, e) < 0)
        return -1;
    if (app->changed)
        add_app_file(t, app);
    if (t->p->include_src && !of_otp && add_sources(t, app, e) < 0)
        return -1;
    if (!rel_is_dir(AT_FDCWD, priv_from))
        return 0;
    return pkg_entries_add_tree(t->es, &add_priv, e);
}

/* DIR/NAME.script and DIR/NAME.boot */
static int add_script(struct tree *t, const struct pkg_term *script, const char *name,
                      struct rel_err *e)
{
    rel_autofree char *text_path = rel_strf("releases/%s/%s.script", t->p->vsn, name);
    rel_autofree char *boot_path = rel_strf("releases/%s/%s.boot", t->p->vsn, name);
    rel_autobuf struct rel_buf text = {0}, boot = {0};

    if (pkg_etf_encode(script, &boot, e) < 0)
        return rel_wrap(e, "%s.boot", name);
    pkg_term_format_file(script, &text);
    add_buf(t, text_path, &text, 0644);
    add_buf(t, boot_path, &boot, 0644);
    return 0;
}

/* As mix makes them: what is not OTP's is found by the variable RELEASE_LIB, which the launcher
 * sets, and looks into the consolidated protocols first. */
static void script_options(struct tree *t, struct pkg_arena *a, const struct pkg_term **provider,
                           struct pkg_script_options *o)
{
    struct pkg_project *p = t->p;

    *o = (struct pkg_script_options){.no_dot_erlang = true};
    if (!p->include_erts || p->kind == PKG_PROJECT_MIX) {
        o->own_prefix = "$RELEASE_LIB";
        o->otp_lib = t->how->otp->lib;
    }
    if (p->consolidated)
        o->consolidated = pkg_project_strf(p, "$RELEASE_LIB/../releases/%s/consolidated", p->vsn);
    if (p->config_providers) {
        *provider =
            pkg_tuple(a, 2, pkg_atom(a, "apply"),
                      pkg_tuple(a, 3, pkg_atom(a, "Elixir.Config.Provider"),
                                pkg_at(p->config_providers, 0), pkg_at(p->config_providers, 1)));
        o->after_stdlib = provider;
        o->after_stdlib_n = 1;
    }
}

static int add_boot_files(struct tree *t, struct rel_err *e)
{
    pkg_autoarena struct pkg_arena a = {0};
    pkg_autorel struct pkg_rel *clean = pkg_rel_clean(t->how->rel);
    rel_autofree char *rel_path = rel_strf("releases/%s/%s.rel", t->p->vsn, t->p->name);
    rel_autobuf struct rel_buf rel_text = {0};
    struct pkg_script_base base;
    struct pkg_script_options options;
    const struct pkg_term *provider;

    if (pkg_script_base_read(&a, t->how->otp->start_clean, &base, e) < 0)
        return -1;
    script_options(t, &a, &provider, &options);
    if (add_script(t, pkg_script_make(&a, t->how->rel, &base, &options), "start", e) < 0)
        return -1;
    if (add_script(t, pkg_script_make(&a, clean, &base, &options), "start_clean", e) < 0)
        return -1;
    pkg_term_format_file(pkg_rel_term(t->how->rel, &a), &rel_text);
    add_buf(t, rel_path, &rel_text, 0644);
    return 0;
}

/* The text of a content, or NULL where relpack's own is to be taken. */
static int read_content(struct tree *t, const struct pkg_content *c, char **text, struct rel_err *e)
{
    rel_autofree char *raw = NULL;
    rel_autobuf struct rel_buf rendered = {0};
    size_t len;

    *text = NULL;
    if (c->text)
        *text = rel_xstrdup(c->text);
    if (c->text || !c->path)
        return 0;
    if (rel_read_file(AT_FDCWD, c->path, TEXT_MAX, &raw, &len, e) < 0) {
        e->code = REL_E_INPUT;
        return -1;
    }
    if (t->p->template_config) {
        if (pkg_project_render(t->p, c->path, raw, false, &rendered, e) < 0)
            return -1;
        *text = rel_buf_take(&rendered);
    } else {
        *text = rel_steal(&raw);
    }
    return 0;
}

static char *settings_path(const struct tree *t, const char *name, const struct pkg_content *c)
{
    return rel_strf("releases/%s/%s%s", t->p->vsn, name, c->vars ? ".src" : "");
}

static int add_sys_config(struct tree *t, struct rel_err *e)
{
    rel_autofree char *path = settings_path(t, "sys.config", &t->p->sys_config), *text = NULL;
    pkg_autoarena struct pkg_arena a = {0};
    struct pkg_terms terms;
    const char *name = t->p->sys_config.path ? t->p->sys_config.path : "sys.config";

    if (read_content(t, &t->p->sys_config, &text, e) < 0)
        return rel_wrap(e, "sys_config");
    if (!text)
        text = rel_xstrdup("[].\n");
    if (t->p->sys_config.vars) {
        /* no term yet */
        add_text(t, path, text, strlen(text), 0644);
        return 0;
    }
    if (pkg_terms_parse(&a, text, strlen(text), name, &terms, e) < 0)
        return -1;
    if (terms.n != 1 || !pkg_is_list(terms.v[0]))
        return rel_fail(e, REL_E_INPUT, 0, "%s: must be one list", name);
    add_text(t, path, text, strlen(text), 0644);
    return 0;
}

/* A cookie is a secret of a host: one that is written into the release stays out of the archive. */
static void add_vm_args_text(struct tree *t, const char *path, const char *text)
{
    rel_autobuf struct rel_buf kept = {0};

    while (*text) {
        size_t n = strcspn(text, "\n");
        size_t space = strspn(text, " \t");

        n += text[n] == '\n';
        if (!strncmp(text + space, "-setcookie", 10))
            rel_progress_warn(t->how->progress,
                              "%s: -setcookie is left out, set RELEASE_COOKIE on the host instead",
                              path);
        else
            rel_buf_add(&kept, text, n);
        text += n;
    }
    rel_buf_adds(&kept, "");
    add_buf(t, path, &kept, 0644);
}

static int add_vm_args(struct tree *t, const struct pkg_content *c, const char *name,
                       const char *own, struct rel_err *e)
{
    rel_autofree char *path = settings_path(t, name, c), *text = NULL;

    if (read_content(t, c, &text, e) < 0)
        return rel_wrap(e, "%s", name);
    add_vm_args_text(t, path, text ? text : own);
    return 0;
}

static int add_settings(struct tree *t, struct rel_err *e)
{
    struct pkg_project *p = t->p;
    rel_autofree char *env = rel_strf("releases/%s/env.sh", p->vsn), *env_text = NULL;
    rel_autofree char *runtime = rel_strf("releases/%s/runtime.exs", p->vsn), *exs = NULL;

    if (add_sys_config(t, e) < 0 ||
        add_vm_args(t, &p->vm_args, "vm.args", template_vm_args, e) < 0 ||
        add_vm_args(t, &p->remote_vm_args, "remote.vm.args", template_remote_vm_args, e) < 0)
        return -1;
    if (read_content(t, &p->env_sh, &env_text, e) < 0)
        return rel_wrap(e, "env_sh");
    add_text(t, env, env_text ? env_text : template_env,
             env_text ? strlen(env_text) : TEMPLATE_LEN(env), 0644);
    if (read_content(t, &p->runtime_exs, &exs, e) < 0)
        return rel_wrap(e, "runtime.exs");
    if (exs)
        add_text(t, runtime, exs, strlen(exs), 0644);
    return 0;
}

static int add_programs(struct tree *t, struct rel_err *e)
{
    rel_autofree char *launcher = rel_strf("bin/%s", t->p->name);
    rel_autofree char *data = rel_strf("%s %s\n", t->how->otp->erts_vsn, t->p->vsn);

    if (!rel_is_file(AT_FDCWD, t->how->relctl))
        return rel_fail(e, REL_E_IO, 0, "relctl is missing beside relpack, install it again (%s)",
                        t->how->relctl);
    add_text(t, launcher, template_launcher, TEMPLATE_LEN(launcher), 0755);
    pkg_entries_add_file(t->es, "bin/relctl", t->how->relctl, 0755);
    add_text(t, "releases/start_erl.data", data, strlen(data), 0644);
    return t->p->include_erts ? pkg_erts_add(t->how->otp, t->es, e) : 0;
}

/* Where in the release an overlay goes: rendered, and not out of it. */
static int overlay_target(struct tree *t, const struct pkg_overlay *o, bool folder, char **to,
                          struct rel_err *e)
{
    rel_autobuf struct rel_buf out = {0};
    const char *base = o->from ? strrchr(o->from, '/') : NULL, *p;

    if (pkg_project_render(t->p, "overlay", o->to, true, &out, e) < 0)
        return -1;
    if (base && (!out.len || out.p[out.len - 1] == '/'))
        rel_buf_adds(&out, base + (out.len ? 1 : !folder));
    while (out.len && out.p[out.len - 1] == '/')
        out.p[--out.len] = '\0';
    p = out.p;
    while (!strncmp(p, "./", 2))
        p += 2;
    for (const char *part = p; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (!strncmp(part, "..", 2) && (part[2] == '/' || !part[2]))
            return rel_fail(e, REL_E_INPUT, 0, "overlay: %s leaves the release", o->to);
    }
    if (*p == '/')
        return rel_fail(e, REL_E_INPUT, 0, "overlay: %s must be a path in the release", o->to);
    *to = rel_xstrdup(p);
    return 0;
}

static int add_template(struct tree *t, const char *from, const char *to, mode_t mode,
                        struct rel_err *e)
{
    rel_autofree char *text = NULL;
    rel_autobuf struct rel_buf out = {0};
    size_t len;

    if (rel_read_file(AT_FDCWD, from, TEXT_MAX, &text, &len, e) < 0 ||
        pkg_project_render(t->p, from, text, true, &out, e) < 0)
        return -1;
    add_buf(t, to, &out, mode);
    return 0;
}

/* Mode of what is there by now: the last entry of that path is the one that counts. */
static int change_mode(struct tree *t, const char *path, mode_t mode, struct rel_err *e)
{
    for (size_t i = t->es->n; i-- > 0;) {
        struct pkg_entry *entry = &t->es->v[i];

        if (strcmp(entry->path, path) != 0)
            continue;
        if (entry->kind != PKG_ENTRY_LINK && entry->kind != PKG_ENTRY_DIR)
            entry->mode = mode & 0111 ? 0755 : 0644;
        return 0;
    }
    return rel_fail(e, REL_E_INPUT, 0, "overlay: chmod: there is no %s in the release", path);
}

/* From a path in the release to another one in it. */
static int add_link(struct tree *t, const char *path, const char *target, struct rel_err *e)
{
    if (!pkg_link_stays(path, target))
        return rel_fail(e, REL_E_INPUT, 0,
                        "overlay: the link %s to %s must be relative and stay in the release", path,
                        target);
    pkg_entries_add_link(t->es, path, target);
    return 0;
}

static int add_file_or_tree(struct tree *t, const struct pkg_overlay *o, struct rel_err *e)
{
    struct pkg_add_tree add = {.from = o->from};
    rel_autofree char *to = NULL;
    struct stat st;

    if (stat(o->from, &st) < 0)
        return rel_fail(e, REL_E_INPUT, 0, "overlay: %s is not there", o->from);
    if (overlay_target(t, o, S_ISDIR(st.st_mode), &to, e) < 0)
        return -1;
    if (S_ISDIR(st.st_mode)) {
        add.to = to;
        if (o->kind == PKG_OVERLAY_TEMPLATE)
            return rel_fail(e, REL_E_INPUT, 0, "overlay: the template %s is a folder", o->from);
        return pkg_entries_add_tree(t->es, &add, e);
    }
    if (!S_ISREG(st.st_mode))
        return rel_fail(e, REL_E_INPUT, 0, "overlay: %s is no file, folder or link", o->from);
    if (o->kind == PKG_OVERLAY_TEMPLATE)
        return add_template(t, o->from, to, st.st_mode, e);
    pkg_entries_add_file(t->es, to, o->from, st.st_mode);
    return 0;
}

static int add_overlay(struct tree *t, const struct pkg_overlay *o, struct rel_err *e)
{
    struct pkg_overlay target = *o;
    rel_autofree char *to = NULL;

    if (o->kind == PKG_OVERLAY_COPY || o->kind == PKG_OVERLAY_TEMPLATE)
        return add_file_or_tree(t, o, e);
    target.from = NULL;
    if (overlay_target(t, &target, false, &to, e) < 0)
        return -1;
    if (o->kind == PKG_OVERLAY_CHMOD)
        return change_mode(t, to, o->mode, e);
    if (o->kind == PKG_OVERLAY_LINK)
        return add_link(t, to, o->from, e);
    pkg_entries_add_dir(t->es, to);
    return 0;
}

static int add_overlays(struct tree *t, struct rel_err *e)
{
    for (size_t i = 0; i < t->p->overlay_dirs.n; i++) {
        struct pkg_add_tree add = {.from = t->p->overlay_dirs.v[i], .to = ""};

        if (!rel_is_dir(AT_FDCWD, add.from))
            return rel_fail(e, REL_E_INPUT, 0, "the overlay folder %s is not there", add.from);
        if (pkg_entries_add_tree(t->es, &add, e) < 0)
            return -1;
    }
    for (size_t i = 0; i < t->p->overlay_n; i++)
        if (add_overlay(t, &t->p->overlays[i], e) < 0)
            return -1;
    return 0;
}

static bool has_file(const struct pkg_entries *es, const char *path)
{
    for (size_t i = es->n; i-- > 0;)
        if (!strcmp(es->v[i].path, path))
            return true;
    return false;
}

/* Last, because overlays bring the scripts. */
static int add_hooks(struct tree *t, struct rel_err *e)
{
    rel_autofree char *path = rel_strf("releases/%s/hooks", t->p->vsn);
    rel_autobuf struct rel_buf out = {0};

    for (size_t i = 0; i < t->p->hook_n; i++) {
        const struct pkg_hook *h = &t->p->hooks[i];
        bool script = !strcmp(h->what, "custom") || !strcmp(h->when, "command");

        if (script && !has_file(t->es, h->arg))
            return rel_fail(e, REL_E_INPUT, 0,
                            "%s: there is no %s in the release, bring it by an overlay", h->when,
                            h->arg);
        rel_buf_addf(&out, "%s %s %s\n", h->when, h->what, h->arg);
    }
    if (out.len)
        add_buf(t, path, &out, 0644);
    return 0;
}

static void add_variables(struct tree *t)
{
    struct pkg_project *p = t->p;

    pkg_project_add_var(p, "release_name", p->name);
    pkg_project_add_var(p, "rel_name", p->name);
    pkg_project_add_var(p, "release_version", p->vsn);
    pkg_project_add_var(p, "rel_vsn", p->vsn);
    pkg_project_add_var(p, "erts_vsn", t->how->otp->erts_vsn);
    pkg_project_add_var(p, "release_erts_version", t->how->otp->erts_vsn);
}

int pkg_assemble(struct pkg_project *p, const struct pkg_assemble *how, struct pkg_entries *es,
                 struct rel_err *e)
{
    struct tree t = {.p = p, .how = how, .es = es};
    rel_autofree char *consolidated = rel_strf("releases/%s/consolidated", p->vsn);
    struct pkg_add_tree add = {.from = p->consolidated,
                               .to = consolidated,
                               .strip_beams = p->strip_beams,
                               .keep = p->strip_keep.v};

    add_variables(&t);
    if (add_programs(&t, e) < 0)
        return -1;
    for (size_t i = 0; i < how->rel->app_n; i++)
        if (add_app(&t, how->rel->apps[i].app, e) < 0)
            return rel_wrap(e, "application %s", how->rel->apps[i].app->name);
    if (p->consolidated && pkg_entries_add_tree(es, &add, e) < 0)
        return -1;
    if (add_boot_files(&t, e) < 0 || add_settings(&t, e) < 0)
        return -1;
    /* Without ERTS the root that release_handler knows is that of the host's Erlang. */
    if (p->include_erts && pkg_releases_add(how->rel, es, e) < 0)
        return -1;
    return add_overlays(&t, e) < 0 ? -1 : add_hooks(&t, e);
}
