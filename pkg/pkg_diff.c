/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_diff.h"

#include <string.h>

#include "pkg/pkg_manifest.h"
#include "pkg/pkg_settings.h"

const char *pkg_diff_key(enum pkg_diff_section section)
{
    static const char *const keys[] = {
#define XX(constant, key, heading) [constant] = #key,
        PKG_DIFF_MAP(XX)
#undef XX
    };

    return keys[section];
}

const char *pkg_diff_heading(enum pkg_diff_section section)
{
    static const char *const headings[] = {
#define XX(constant, key, heading) [constant] = heading,
        PKG_DIFF_MAP(XX)
#undef XX
    };

    return headings[section];
}

const char *pkg_change_name(enum pkg_change change)
{
    static const char *const names[] = {"added", "removed", "changed"};

    return names[change];
}

/* Both sides. */
struct sides {
    const struct pkg_survey *old_survey, *new_survey;
    const struct pkg_outline *old, *new;
    struct pkg_diff *d;
};

static struct pkg_diff_item *add(struct pkg_diff *d, enum pkg_diff_section section,
                                 enum pkg_change change, const char *name)
{
    struct pkg_diff_item *item;

    if (!(d->n & (d->n - 1)))
        d->v = rel_xrealloc(d->v, d->n ? 2 * d->n : 1, sizeof(*d->v));
    item = &d->v[d->n++];
    *item = (struct pkg_diff_item){.section = section, .change = change, .name = rel_xstrdup(name)};
    return item;
}

static void say(char ***list, size_t *n, char *text)
{
    *list = rel_xrealloc(*list, *n + 1, sizeof(**list));
    (*list)[(*n)++] = text;
}

static void not_hot(struct sides *s, char *why)
{
    say(&s->d->not_hot, &s->d->not_hot_n, why);
}

static enum pkg_change change_of(const void *old, const void *new)
{
    return !old ? PKG_ADDED : !new ? PKG_REMOVED : PKG_CHANGED;
}

static bool same(const char *x, const char *y)
{
    return x && y ? !strcmp(x, y) : !x && !y;
}

/* One line of the runtime: ERTS, OTP, Elixir. */
static void diff_version(struct sides *s, const char *what, const char *old, const char *new)
{
    if (same(old, new))
        return;
    add(s->d, PKG_DIFF_RUNTIME, change_of(old, new), what)->detail =
        rel_strf("%s -> %s", old ? old : "none", new ? new : "none");
}

static const struct pkg_outline_app *app_named(const struct pkg_outline *o, const char *name)
{
    for (size_t i = 0; i < o->app_n; i++)
        if (!strcmp(o->apps[i].name, name))
            return &o->apps[i];
    return NULL;
}

static const char *elixir_of(const struct pkg_outline *o)
{
    const struct pkg_outline_app *app = app_named(o, "elixir");

    return app ? app->vsn : NULL;
}

static void diff_runtime(struct sides *s)
{
    rel_autobuf struct rel_buf old = {0}, new = {0};

    diff_version(s, "ERTS", s->old->erts_vsn, s->new->erts_vsn);
    diff_version(s, "OTP", s->old->otp, s->new->otp);
    diff_version(s, "Elixir", elixir_of(s->old), elixir_of(s->new));
    if (!same(s->old->erts_vsn, s->new->erts_vsn))
        not_hot(s, rel_strf("ERTS changes from %s to %s", s->old->erts_vsn, s->new->erts_vsn));
    if (strcmp(s->old->name, s->new->name) != 0)
        say(&s->d->not_swap, &s->d->not_swap_n,
            rel_strf("%s and %s are two applications", s->old->name, s->new->name));
    if (pkg_manifest_machine(s->old_survey, &old) && pkg_manifest_machine(s->new_survey, &new) &&
        strcmp(old.p, new.p) != 0) {
        diff_version(s, "machine", old.p, new.p);
        say(&s->d->not_swap, &s->d->not_swap_n, rel_strf("it is for another machine, %s", new.p));
    }
}

static void diff_app(struct sides *s, const struct pkg_outline_app *old,
                     const struct pkg_outline_app *new)
{
    const char *name = old ? old->name : new->name;
    bool core = !strcmp(name, "kernel") || !strcmp(name, "stdlib");

    if (old && new &&same(old->vsn, new->vsn) && old->start == new->start)
        return;
    if (!old || !new) {
        add(s->d, PKG_DIFF_APPLICATION, change_of(old, new), name)->detail =
            rel_xstrdup(old ? old->vsn : new->vsn);
        not_hot(s, rel_strf("application %s is %s", name, old ? "removed" : "new"));
    } else if (!same(old->vsn, new->vsn)) {
        add(s->d, PKG_DIFF_APPLICATION, PKG_CHANGED, name)->detail =
            rel_strf("%s -> %s", old->vsn, new->vsn);
        if (core)
            not_hot(s, rel_strf("%s changes, and cannot in a running node", name));
    } else {
        add(s->d, PKG_DIFF_APPLICATION, PKG_CHANGED, name)->detail =
            rel_strf("starts as %s -> %s", pkg_start_name(old->start), pkg_start_name(new->start));
    }
}

static void diff_apps(struct sides *s)
{
    for (size_t i = 0; i < s->old->app_n; i++)
        diff_app(s, &s->old->apps[i], app_named(s->new, s->old->apps[i].name));
    for (size_t i = 0; i < s->new->app_n; i++)
        if (!app_named(s->old, s->new->apps[i].name))
            diff_app(s, NULL, &s->new->apps[i]);
}

/* Where a file stands whatever the versions are: "lib/shop/ebin/shop.beam", "releases/sys.config".
 */
static char *place_of(const struct pkg_outline *o, const char *path)
{
    const struct pkg_outline_app *app = pkg_outline_app_of(o, path);
    size_t vsn_n = strlen(o->vsn_dir), erts_n = o->erts_dir ? strlen(o->erts_dir) : 0;

    if (app)
        return rel_strf("lib/%s%s", app->name, path + strlen(app->dir));
    if (!strncmp(path, o->vsn_dir, vsn_n) && path[vsn_n] == '/')
        return rel_strf("releases%s", path + vsn_n);
    if (erts_n && !strncmp(path, o->erts_dir, erts_n) && path[erts_n] == '/')
        return rel_strf("erts%s", path + erts_n);
    return rel_xstrdup(path);
}

struct placed {
    char *place;
    const struct pkg_file *file;
};

static int by_place(const void *x, const void *y)
{
    return strcmp(((const struct placed *)x)->place, ((const struct placed *)y)->place);
}

static struct placed *place_all(const struct pkg_survey *s, const struct pkg_outline *o, size_t *n)
{
    struct placed *v = rel_xcalloc(s->n + 1, sizeof(*v));

    *n = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].kind != PKG_FILE_DIR)
            v[(*n)++] = (struct placed){place_of(o, s->v[i].path), &s->v[i]};
    qsort(v, *n, sizeof(*v), by_place);
    return v;
}

static void free_places(struct placed *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(v[i].place);
    free(v);
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), end_n = strlen(end);

    return n >= end_n && !strcmp(s + n - end_n, end);
}

/* Told by other sections, or made anew by every build. */
static bool is_told_elsewhere(const char *place)
{
    static const char *const names[] = {"releases/sys.config",     "releases/sys.config.src",
                                        "releases/vm.args",        "releases/vm.args.src",
                                        "releases/relpack.json",   "releases/relpack.sig",
                                        "releases/start_erl.data", "releases/COOKIE",
                                        "releases/RELEASES",       PKG_HOME_MARK};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!strcmp(names[i], place))
            return true;
    return ends_with(place, ".boot") || ends_with(place, ".script") || ends_with(place, ".rel") ||
           ends_with(place, ".app");
}

static char *group_of(const char *place)
{
    if (strncmp(place, "lib/", 4) != 0)
        return NULL;
    return rel_xstrndup(place + 4, strcspn(place + 4, "/"));
}

static void diff_module(struct sides *s, const char *place, const struct pkg_file *old,
                        const struct pkg_file *new)
{
    bool protocol = !strncmp(place, "releases/consolidated/", 22);
    const struct pkg_module_facts *o = old ? old->module : NULL, *n = new ? new->module : NULL;
    const char *name = n ? n->module : o->module;
    enum pkg_diff_section section = protocol ? PKG_DIFF_PROTOCOL : PKG_DIFF_MODULE;
    struct pkg_diff_item *item;

    if (o && n && !memcmp(o->md5, n->md5, sizeof(o->md5))) {
        if (!memcmp(o->other, n->other, sizeof(o->other)))
            return;
        section = PKG_DIFF_LINES;
    }
    item = add(s->d, section, change_of(o, n), name);
    item->group = group_of(place);
    if (section == PKG_DIFF_MODULE && item->group &&
        (!strcmp(item->group, "kernel") || !strcmp(item->group, "stdlib")))
        not_hot(s, rel_strf("module %s of %s cannot change in a running node", name, item->group));
    if (section != PKG_DIFF_LINES && ((o && o->nif) || (n && n->nif)))
        not_hot(s, rel_strf("module %s has native functions", name));
    else if (section != PKG_DIFF_LINES && n && n->on_load)
        not_hot(s, rel_strf("module %s has an on_load function", name));
}

static void diff_file(struct sides *s, const char *place, const struct pkg_file *old,
                      const struct pkg_file *new)
{
    const struct pkg_file *any = new ? new : old;
    struct pkg_diff_item *item;

    if ((old && old->module) || (new &&new->module)) {
        diff_module(s, place, old, new);
        return;
    }
    if (!any || is_told_elsewhere(place) ||
        (old && new && old->kind == new->kind && !memcmp(old->sha256, new->sha256, 32)))
        return;
    item = add(s->d, any->elf ? PKG_DIFF_NATIVE : PKG_DIFF_FILE, change_of(old, new), place);
    item->group = group_of(place);
    if (any->elf && item->group && strcmp(item->group, "erts") != 0)
        not_hot(s, rel_strf("native code changes: %s", place));
}

static void diff_files(struct sides *s)
{
    size_t old_n, new_n, i = 0, j = 0;
    struct placed *old = place_all(s->old_survey, s->old, &old_n);
    struct placed *new = place_all(s->new_survey, s->new, &new_n);

    while (i < old_n || j < new_n) {
        int c = i == old_n ? 1 : j == new_n ? -1 : strcmp(old[i].place, new[j].place);

        diff_file(s, c <= 0 ? old[i].place : new[j].place, c <= 0 ? old[i].file : NULL,
                  c >= 0 ? new[j].file : NULL);
        i += c <= 0;
        j += c >= 0;
    }
    free_places(old, old_n);
    free_places(new, new_n);
}

static bool same_value(const struct pkg_setting *old, const struct pkg_setting *new)
{
    return old && new ? pkg_equal(old->value, new->value) : false;
}

static void diff_setting(struct sides *s, const struct pkg_setting *old,
                         const struct pkg_setting *new)
{
    const struct pkg_setting *any = new ? new : old;
    rel_autofree char *name = NULL;

    if (!any || same_value(old, new))
        return;
    name = rel_strf("%s: %s", any->app, any->key);
    add(s->d, PKG_DIFF_CONFIG, change_of(old, new), name);
    if (!strcmp(any->app, "kernel") || !strcmp(any->app, "stdlib"))
        say(&s->d->notes, &s->d->note_n,
            rel_strf("%s is read at boot only, a hot upgrade does not change it", name));
}

static void diff_config(struct sides *s, const struct pkg_settings *old,
                        const struct pkg_settings *new)
{
    size_t i = 0, j = 0;

    if (old->unreadable || new->unreadable) {
        say(&s->d->notes, &s->d->note_n,
            rel_strf("sys.config is not compared: %s",
                     new->unreadable ? new->unreadable : old->unreadable));
        return;
    }
    while (i < old->n || j < new->n) {
        int c = i == old->n ? 1 : j == new->n ? -1 : strcmp(old->v[i].app, new->v[j].app);

        if (c == 0)
            c = strcmp(old->v[i].key, new->v[j].key);
        diff_setting(s, c <= 0 ? &old->v[i] : NULL, c >= 0 ? &new->v[j] : NULL);
        i += c <= 0;
        j += c >= 0;
    }
}

static void diff_flag(struct sides *s, const struct pkg_flag *old, const struct pkg_flag *new)
{
    const struct pkg_flag *any = new ? new : old;
    struct pkg_diff_item *item;

    if (!any || (old && new && !strcmp(old->args, new->args)))
        return;
    item = add(s->d, PKG_DIFF_VM_ARGS, change_of(old, new), any->name);
    if (pkg_flag_is_public(any->name) && old && new)
        item->detail = rel_strf("%s -> %s", old->args, new->args);
    else if (pkg_flag_is_public(any->name) && *any->args)
        item->detail = rel_xstrdup(any->args);
}

static void diff_flags(struct sides *s, const struct pkg_settings *old,
                       const struct pkg_settings *new)
{
    size_t i = 0, j = 0, before = s->d->n;

    while (i < old->flag_n || j < new->flag_n) {
        int c = i == old->flag_n   ? 1
                : j == new->flag_n ? -1
                                   : strcmp(old->flags[i].name, new->flags[j].name);

        diff_flag(s, c <= 0 ? &old->flags[i] : NULL, c >= 0 ? &new->flags[j] : NULL);
        i += c <= 0;
        j += c >= 0;
    }
    if (s->d->n != before)
        say(&s->d->notes, &s->d->note_n,
            rel_xstrdup("vm.args is read at boot only, a hot upgrade does not change it"));
}

static int by_section(const void *x, const void *y)
{
    const struct pkg_diff_item *a = x, *b = y;
    int c = (int)a->section - (int)b->section;

    if (!c)
        c = strcmp(a->group ? a->group : "", b->group ? b->group : "");
    return c ? c : strcmp(a->name, b->name);
}

void pkg_diff_make(const struct pkg_survey *old_survey, const struct pkg_outline *old,
                   const struct pkg_survey *new_survey, const struct pkg_outline *new,
                   struct pkg_diff *d)
{
    struct sides s = {old_survey, new_survey, old, new, d};
    pkg_autosettings struct pkg_settings old_settings, new_settings;

    *d = (struct pkg_diff){0};
    pkg_settings_read(old->sys_config, old->vm_args, &old_settings);
    pkg_settings_read(new->sys_config, new->vm_args, &new_settings);
    diff_runtime(&s);
    diff_apps(&s);
    diff_files(&s);
    diff_config(&s, &old_settings, &new_settings);
    diff_flags(&s, &old_settings, &new_settings);
    if (d->n)
        qsort(d->v, d->n, sizeof(*d->v), by_section);
    if (d->not_swap_n)
        not_hot(&s, rel_xstrdup("a swap is not possible either"));
}

size_t pkg_diff_count(const struct pkg_diff *d, enum pkg_diff_section section)
{
    size_t n = 0;

    for (size_t i = 0; i < d->n; i++)
        n += d->v[i].section == section;
    return n;
}

static void free_list(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(list[i]);
    free(list);
}

void pkg_diff_fini(struct pkg_diff *d)
{
    for (size_t i = 0; i < d->n; i++) {
        free(d->v[i].name);
        free(d->v[i].detail);
        free(d->v[i].group);
    }
    free(d->v);
    free_list(d->not_hot, d->not_hot_n);
    free_list(d->not_swap, d->not_swap_n);
    free_list(d->notes, d->note_n);
    *d = (struct pkg_diff){0};
}
