/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_appup.h"

#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"
#include "pkg/pkg_app_changes.h"
#include "pkg/pkg_appup_file.h"
#include "pkg/pkg_appup_group.h"
#include "pkg/pkg_appup_kind.h"

/* One application in both releases. */
struct maker {
    const struct pkg_pair *pair;
    bool force;
    struct pkg_appups *ups;
    struct pkg_arena *a; /* that of ups */
    const struct pkg_outline_app *old, *new;
};

const char *pkg_appup_origin_name(enum pkg_appup_origin origin)
{
    static const char *const names[] = {
#define XX(constant, name) [constant] = #name,
        PKG_APPUP_MAP(XX)
#undef XX
    };

    return names[origin];
}

static void note(struct maker *m, char *text)
{
    pkg_lines_add(&m->ups->notes, text);
}

static void gap(struct maker *m, char *text)
{
    pkg_lines_add(&m->ups->gaps, text);
}

static void add_word(struct rel_buf *out, const char *word)
{
    rel_buf_addf(out, "%s%s", out->len ? ", " : "", word);
}

static const struct pkg_term *atoms(struct pkg_arena *a, const struct pkg_names *names)
{
    struct pkg_list_build list = {0};

    for (size_t i = 0; i < names->n; i++)
        pkg_list_add(a, &list, pkg_atom(a, names->v[i]));
    return pkg_list_done(a, &list);
}

/* {update, M, supervisor} has no form with DepMods but the one that it stands for. */
static const struct pkg_term *supervisor_update(struct pkg_arena *a, const struct pkg_ordered *o)
{
    const struct pkg_term *brutal = pkg_atom(a, "brutal_purge"), *name = pkg_atom(a, o->name);

    if (!o->calls.n)
        return pkg_tuple(a, 3, pkg_atom(a, "update"), name, pkg_atom(a, "supervisor"));
    return pkg_tuple(a, 8, pkg_atom(a, "update"), name, pkg_atom(a, "static"),
                     pkg_atom(a, "default"),
                     pkg_tuple(a, 2, pkg_atom(a, "advanced"), pkg_list(a, 0)), brutal, brutal,
                     atoms(a, &o->calls));
}

static const struct pkg_term *update_of(struct pkg_arena *a, const struct pkg_ordered *o)
{
    const struct pkg_module_change *c = o->of;
    enum pkg_update update = pkg_update_of(c->old, c->new);
    const struct pkg_term *parts[4];
    size_t n = 2;

    if (update == PKG_UPDATE_SUPERVISOR)
        return supervisor_update(a, o);
    parts[0] = pkg_atom(a, update == PKG_UPDATE_LOAD ? "load_module" : "update");
    parts[1] = pkg_atom(a, o->name);
    if (update == PKG_UPDATE_SOFT)
        parts[n++] = pkg_atom(a, "soft");
    if (update == PKG_UPDATE_ADVANCED)
        parts[n++] = pkg_tuple(a, 2, pkg_atom(a, "advanced"), pkg_list(a, 0));
    if (o->calls.n)
        parts[n++] = atoms(a, &o->calls);
    return pkg_seq(a, PKG_TUPLE, parts, n);
}

static void add_each(struct pkg_arena *a, struct pkg_list_build *list, const char *instruction,
                     const struct pkg_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        pkg_list_add(a, list, pkg_tuple(a, 2, pkg_atom(a, instruction), pkg_atom(a, names->v[i])));
}

/* Up: what is called goes ahead of its callers. */
static const struct pkg_term *instructions_up(struct pkg_arena *a, const struct pkg_app_changes *c)
{
    struct pkg_list_build list = {0};

    add_each(a, &list, "add_module", &c->added);
    for (size_t i = 0; i < c->changed_n; i++)
        pkg_list_add(a, &list, update_of(a, &c->changed[i]));
    add_each(a, &list, "delete_module", &c->removed);
    return pkg_list_done(a, &list);
}

/* And down the callers go ahead. */
static const struct pkg_term *instructions_down(struct pkg_arena *a,
                                                const struct pkg_app_changes *c)
{
    struct pkg_list_build list = {0};

    add_each(a, &list, "add_module", &c->removed);
    for (size_t i = c->changed_n; i-- > 0;)
        pkg_list_add(a, &list, update_of(a, &c->changed[i]));
    add_each(a, &list, "delete_module", &c->added);
    return pkg_list_done(a, &list);
}

static bool is_supervisor(const struct pkg_module_change *c)
{
    return pkg_update_of(c->old, c->new) == PKG_UPDATE_SUPERVISOR;
}

static bool changes_role(const struct pkg_module_change *c)
{
    return pkg_module_is_supervisor(c->old) != pkg_module_is_supervisor(c->new);
}

static bool is_native(const struct pkg_module_change *c)
{
    return c->old->nif || c->new->nif;
}

static bool is_bare(const struct pkg_module_change *c)
{
    return pkg_module_is_bare(c->old) || pkg_module_is_bare(c->new);
}

static bool is_moved(const struct pkg_module_change *c)
{
    return c->from != NULL;
}

/* What an instruction does not do, though one might think so. */
static void tell_limits(struct maker *m, const struct pkg_app_changes *changes)
{
    static const struct {
        bool (*holds)(const struct pkg_module_change *c);
        const char *text;
    } limits[] = {
        {is_supervisor, "takes its new child specifications, but starts and stops no child"},
        {changes_role, "is a supervisor in one of the two only, its processes are not changed"},
        {is_native, "has native functions, whose library must allow an upgrade"},
        {is_bare, "has no attributes (beam_lib:strip/1), its behaviour is told from its exports"},
        {is_moved, "comes from another application, only a relup with both brings it in"},
    };

    for (size_t k = 0; k < sizeof(limits) / sizeof(*limits); k++) {
        rel_autobuf struct rel_buf modules = {0};

        for (size_t i = 0; i < changes->changed_n; i++)
            if (limits[k].holds(changes->changed[i].of))
                add_word(&modules, changes->changed[i].name);
        if (modules.len)
            note(m, rel_strf("%s: %s %s", m->new->name, modules.p, limits[k].text));
    }
    for (size_t i = 0; i < changes->unlisted.n; i++)
        note(m, rel_strf("%s: %s is left out, the .app file does not name it", m->new->name,
                         changes->unlisted.v[i]));
}

static int derive(struct maker *m, const struct pkg_appup_file *own, struct pkg_appup *up,
                  struct rel_err *e)
{
    struct pkg_app_changes c;
    const struct pkg_term *old_vsn = pkg_string(m->a, up->old_vsn);

    if (pkg_app_changes_find(m->a, m->pair, m->old, m->new, &c, e) < 0)
        return -1;
    pkg_appup_group(m->a, c.changed, c.changed_n);
    up->up = instructions_up(m->a, &c);
    up->down = instructions_down(m->a, &c);
    up->term = pkg_appup_file_put(m->a, own, up->new_vsn, pkg_tuple(m->a, 2, old_vsn, up->up),
                                  pkg_tuple(m->a, 2, old_vsn, up->down));
    tell_limits(m, &c);
    return 0;
}

/* The one that the new release brings, if any. It is its author's, so one of another version, which
 * would be of no use to systools, is not silently passed over. */
static int read_own(struct maker *m, const struct pkg_appup *up, struct pkg_appup_file *own,
                    struct rel_err *e)
{
    const struct pkg_file *f = pkg_survey_find(&m->pair->new.survey, up->path);

    if (!f || m->force)
        return 0;
    if (pkg_appup_file_read(m->a, f->text ? f->text : "", f->path, own, e) < 0)
        return rel_wrap(e, "%s", m->pair->new.path);
    if (strcmp(own->vsn, up->new_vsn) != 0)
        return rel_fail(e, REL_E_INPUT, 0,
                        "%s: %s is for version %s, and the application has %s: correct it, or "
                        "replace it with --force",
                        m->pair->new.path, f->path, own->vsn, up->new_vsn);
    return 0;
}

static int take_changed(struct maker *m, struct rel_err *e)
{
    struct pkg_appup up = {
        .app = pkg_arena_strf(m->a, "%s", m->new->name),
        .old_vsn = pkg_arena_strf(m->a, "%s", m->old->vsn),
        .new_vsn = pkg_arena_strf(m->a, "%s", m->new->vsn),
        .path = pkg_arena_strf(m->a, "%s/ebin/%s.appup", m->new->dir, m->new->name),
    };
    struct pkg_appup_file own = {0};
    bool has_up, has_down;

    if (read_own(m, &up, &own, e) < 0)
        return -1;
    has_up = pkg_appup_entry(own.up, up.old_vsn) != NULL;
    has_down = pkg_appup_entry(own.down, up.old_vsn) != NULL;
    if (has_up != has_down)
        note(m, rel_strf("%s: its appup has no way %s %s", up.app, has_up ? "down to" : "up from",
                         up.old_vsn));
    if (has_up || has_down) {
        up.origin = PKG_APPUP_OWN;
        up.term = own.term;
    } else if (!strcmp(up.app, "kernel") || !strcmp(up.app, "stdlib")) {
        gap(m, rel_strf("%s changes from %s to %s, and cannot in a running VM", up.app, up.old_vsn,
                        up.new_vsn));
        return 0;
    } else if (derive(m, &own, &up, e) < 0) {
        return -1;
    }
    m->ups->v = rel_xrealloc(m->ups->v, m->ups->n + 1, sizeof(*m->ups->v));
    m->ups->v[m->ups->n++] = up;
    return 0;
}

/* An upgrade goes by versions: what has the same one is the same for it. */
static void take_same(struct maker *m)
{
    const char *dir = pkg_arena_strf(m->a, "%s/ebin", m->new->dir);
    rel_autobuf struct rel_buf names = {0};
    struct pkg_module_change *differ;
    size_t n = pkg_modules_compare(m->a, pkg_modules_in(m->a, &m->pair->old, dir),
                                   pkg_modules_in(m->a, &m->pair->new, dir), &differ);

    for (size_t i = 0; i < n; i++)
        add_word(&names, differ[i].name);
    if (n)
        gap(m, rel_strf("application %s has version %s in both, and other modules (%.200s): give "
                        "it a new version",
                        m->new->name, m->new->vsn, names.p));
}

static int take_app(struct maker *m, struct rel_err *e)
{
    bool same = !strcmp(m->old->vsn, m->new->vsn);

    if (m->old->dir && m->new->dir &&same)
        take_same(m);
    else if (m->old->dir && m->new->dir)
        return take_changed(m, e);
    else if (!same)
        gap(m, rel_strf("application %s changes from %s to %s and does not lie in %s, a release "
                        "without ERTS",
                        m->new->name, m->old->vsn, m->new->vsn,
                        m->old->dir ? m->pair->new.path : m->pair->old.path));
    return 0;
}

static void check_consolidated(struct maker *m)
{
    const struct pkg_side *old = &m->pair->old, *new = &m->pair->new;
    const char *old_dir = pkg_arena_strf(m->a, "%s/consolidated", old->outline.vsn_dir);
    const char *new_dir = pkg_arena_strf(m->a, "%s/consolidated", new->outline.vsn_dir);
    struct pkg_module_change *differ;
    size_t n = pkg_modules_compare(m->a, pkg_modules_in(m->a, old, old_dir),
                                   pkg_modules_in(m->a, new, new_dir), &differ);

    if (n)
        note(m,
             rel_strf("consolidated protocols of Elixir differ (%zu): they are in no application, "
                      "so no appup names them, and the old ones stay until a restart",
                      n));
}

int pkg_appups_derive(const struct pkg_pair *pair, bool force, struct pkg_appups *ups,
                      struct rel_err *e)
{
    pkg_autoappups struct pkg_appups made = {0};
    struct maker m = {.pair = pair, .force = force, .ups = &made, .a = &made.arena};

    for (size_t i = 0; i < pair->new.outline.app_n; i++) {
        m.new = &pair->new.outline.apps[i];
        m.old = pkg_side_app(&pair->old, m.new->name);
        if (m.old && take_app(&m, e) < 0)
            return -1;
    }
    check_consolidated(&m);
    *ups = made;
    made = (struct pkg_appups){0};
    return 0;
}

void pkg_appups_fini(struct pkg_appups *ups)
{
    pkg_lines_fini(&ups->notes);
    pkg_lines_fini(&ups->gaps);
    free(ups->v);
    pkg_arena_fini(&ups->arena);
    *ups = (struct pkg_appups){0};
}

int pkg_appups_write(struct pkg_appups *ups, const char *root, const char *output,
                     struct rel_err *e)
{
    if (output && rel_mkdirs(AT_FDCWD, output, 0755, e) < 0) {
        e->code = REL_E_INPUT;
        return rel_wrap(e, "the output folder");
    }
    for (size_t i = 0; i < ups->n; i++) {
        struct pkg_appup *up = &ups->v[i];
        rel_autobuf struct rel_buf text = {0};

        if (up->origin != PKG_APPUP_DERIVED)
            continue;
        up->file = output ? pkg_arena_strf(&ups->arena, "%s/%s.appup", output, up->app)
                          : pkg_arena_strf(&ups->arena, "%s/%s", root, up->path);
        pkg_term_format_file(up->term, &text);
        if (rel_replace_file(AT_FDCWD, up->file, text.p, text.len, 0644, e) < 0)
            return -1;
    }
    return 0;
}
