/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_diff.h"

#include <string.h>

#include "pkg/pkg_diff_internal.h"
#include "pkg/pkg_manifest.h"

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

struct pkg_diff_item *pkg_diff_add(struct pkg_diff *d, enum pkg_diff_section section,
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

void pkg_diff_not_hot(struct pkg_diff *d, char *why)
{
    say(&d->not_hot, &d->not_hot_n, why);
}

void pkg_diff_not_swap(struct pkg_diff *d, char *why)
{
    say(&d->not_swap, &d->not_swap_n, why);
}

void pkg_diff_note(struct pkg_diff *d, char *note)
{
    say(&d->notes, &d->note_n, note);
}

enum pkg_change pkg_diff_change(const void *old, const void *new)
{
    return !old ? PKG_ADDED : !new ? PKG_REMOVED : PKG_CHANGED;
}

static bool same(const char *x, const char *y)
{
    return x && y ? !strcmp(x, y) : !x && !y;
}

/* One line of the runtime: ERTS, OTP, Elixir. */
static void diff_version(struct pkg_sides *s, const char *what, const char *old, const char *new)
{
    if (same(old, new))
        return;
    pkg_diff_add(s->d, PKG_DIFF_RUNTIME, pkg_diff_change(old, new), what)->detail =
        rel_strf("%s -> %s", old ? old : "none", new ? new : "none");
}

static const char *elixir_of(const struct pkg_outline *o)
{
    const struct pkg_outline_app *app = pkg_diff_app_named(o, "elixir");

    return app ? app->vsn : NULL;
}

static void diff_runtime(struct pkg_sides *s)
{
    rel_autobuf struct rel_buf old = {0}, new = {0};

    diff_version(s, "ERTS", s->old->erts_vsn, s->new->erts_vsn);
    diff_version(s, "OTP", s->old->otp, s->new->otp);
    diff_version(s, "Elixir", elixir_of(s->old), elixir_of(s->new));
    if (!same(s->old->erts_vsn, s->new->erts_vsn))
        pkg_diff_not_hot(
            s->d, rel_strf("ERTS changes from %s to %s", s->old->erts_vsn, s->new->erts_vsn));
    if (strcmp(s->old->name, s->new->name) != 0)
        pkg_diff_not_swap(s->d,
                          rel_strf("%s and %s are two applications", s->old->name, s->new->name));
    if (pkg_manifest_machine(s->old_survey, &old) && pkg_manifest_machine(s->new_survey, &new) &&
        strcmp(old.p, new.p) != 0) {
        diff_version(s, "machine", old.p, new.p);
        pkg_diff_not_swap(s->d, rel_strf("it is for another machine, %s", new.p));
    }
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
static bool is_told_elsewhere(const struct pkg_sides *s, const char *place,
                              const struct pkg_file *file)
{
    static const char *const names[] = {"releases/relpack.json", "releases/relpack.sig",
                                        "releases/start_erl.data", "releases/COOKIE",
                                        "releases/RELEASES"};
    const struct pkg_outline_app *app;

    for (int i = 0; i < 2; i++) {
        const struct pkg_outline *o = i ? s->new : s->old;

        app = pkg_outline_app_of(o, file->path);
        if (file == o->sys_config || file == o->vm_args || (app && file == app->app_file))
            return true;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!strcmp(names[i], place))
            return true;
    if (pkg_is_home_mark(place))
        return true;
    if (strncmp(place, "releases/", 9) != 0 && strncmp(place, "bin/", 4) != 0)
        return false;
    return ends_with(place, ".boot") || ends_with(place, ".script") || ends_with(place, ".rel");
}

static char *group_of(const char *place)
{
    if (!strncmp(place, "releases/consolidated/", 22))
        return rel_xstrdup("consolidated");
    if (strncmp(place, "lib/", 4) != 0)
        return NULL;
    return rel_xstrndup(place + 4, strcspn(place + 4, "/"));
}

static void diff_module(struct pkg_sides *s, const char *place, const struct pkg_file *old,
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
    item = pkg_diff_add(s->d, section, pkg_diff_change(o, n), name);
    item->group = section == PKG_DIFF_PROTOCOL ? NULL : group_of(place);
    if (section != PKG_DIFF_LINES && ((o && o->nif) || (n && n->nif)))
        pkg_diff_not_hot(s->d, rel_strf("module %s has native functions", name));
    else if (section != PKG_DIFF_LINES && n && n->on_load)
        pkg_diff_not_hot(s->d, rel_strf("module %s has an on_load function", name));
}

/* What a start of the release reads, beside sys.config and vm.args. */
static bool is_settings_file(const char *place)
{
    static const char *const names[] = {"releases/env.sh", "releases/runtime.exs",
                                        "releases/remote.vm.args"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!strcmp(names[i], place))
            return true;
    return false;
}

static void add_settings_file(struct pkg_sides *s, const char *name, enum pkg_change change)
{
    pkg_diff_add(s->d, PKG_DIFF_CONFIG, change, name);
    if (!strcmp(name, "runtime.exs"))
        pkg_diff_note(s->d,
                      rel_xstrdup("runtime.exs is evaluated by a hot upgrade ahead of it, and "
                                  "where that fails it is none"));
    if (!strcmp(name, "env.sh"))
        pkg_diff_note(s->d, rel_xstrdup("env.sh is read at boot only, a hot upgrade uses it for "
                                        "nothing but to evaluate the configuration"));
}

static void add_file(struct pkg_sides *s, const char *place, const struct pkg_file *old,
                     const struct pkg_file *new)
{
    const struct pkg_file *any = new ? new : old;
    bool native = (old && old->elf) || (new &&new->elf);
    struct pkg_diff_item *item = pkg_diff_add(s->d, native ? PKG_DIFF_NATIVE : PKG_DIFF_FILE,
                                              pkg_diff_change(old, new), place);

    item->group = group_of(place);
    if (old && new && old->kind != new->kind)
        item->detail = rel_strf("is a %s now", any->kind == PKG_FILE_LINK ? "link" : "file");
    else if (old && new && !memcmp(old->sha256, new->sha256, 32))
        item->detail = rel_strf("mode %o -> %o", (unsigned)old->mode, (unsigned)new->mode);
    if (native && item->group)
        pkg_diff_not_hot(s->d, rel_strf("native code changes: %s", place));
    s->erts_files |= native && !strncmp(place, "erts/", 5);
}

/* Of the mode only whether it can be run: the rest is as the umask was. */
static bool same_file(const struct pkg_file *old, const struct pkg_file *new)
{
    return old && new && old->kind == new->kind && !memcmp(old->sha256, new->sha256, 32) &&
           (old->kind == PKG_FILE_LINK || !((old->mode ^ new->mode) & 0100));
}

static void diff_file(struct pkg_sides *s, const char *place, const struct pkg_file *old,
                      const struct pkg_file *new)
{
    const struct pkg_file *any = new ? new : old;

    if ((old && old->module) || (new &&new->module)) {
        diff_module(s, place, old, new);
        return;
    }
    if (!any || same_file(old, new) || is_told_elsewhere(s, place, any))
        return;
    if (is_settings_file(place))
        add_settings_file(s, place + 9, pkg_diff_change(old, new));
    else
        add_file(s, place, old, new);
}

static void diff_files(struct pkg_sides *s)
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
    struct pkg_sides s = {
        .old_survey = old_survey, .new_survey = new_survey, .old = old, .new = new, .d = d};

    *d = (struct pkg_diff){0};
    diff_runtime(&s);
    pkg_diff_apps(&s);
    diff_files(&s);
    pkg_diff_settings(&s);
    if (d->n)
        qsort(d->v, d->n, sizeof(*d->v), by_section);
    pkg_diff_apps_not_hot(&s);
    if (s.erts_files && same(old->erts_vsn, new->erts_vsn))
        pkg_diff_note(d, rel_xstrdup("files of ERTS change, and a running VM keeps the old ones"));
    if (d->not_swap_n)
        pkg_diff_not_hot(d, rel_xstrdup("a swap is not possible either"));
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
