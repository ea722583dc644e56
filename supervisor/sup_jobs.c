/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"
#include "hotload/hot_face.h"
#include "hotload/hot_node.h"
#include "pkg/pkg_release.h"
#include "swap/swap_listen.h"

enum { PROBE_MS = 2000, HOT_CONNECT_MS = 5000, SUSPEND_MS = 5000, HOT_MS = 60000 };

/* The face is an offer: a release is as ready without it. */
static void offer_face(struct hot_node *node)
{
    struct rel_err e = {0};
    const char *own;

    (void)!hot_face_ensure(node, PROBE_MS, &own, &e);
}

static int probe_node(const struct hot_contact *c, char **why, struct rel_err *e)
{
    hot_autonode struct hot_node *node = NULL;
    struct rel_err not_yet = {0};
    bool booted = false;

    if (hot_node_open(c, PROBE_MS, &node, &not_yet) < 0) {
        *why = rel_xstrdup(not_yet.msg);
        return 0;
    }
    if (hot_node_booted(node, PROBE_MS, &booted, e) < 0)
        return -1;
    if (!booted)
        *why = rel_strf("%s has not started its applications", c->node);
    else
        offer_face(node);
    return 0;
}

/* All of its applications are started, so what it lacks will not come; in another address form it
 * is another group for the kernel, and could take nothing over. */
static void tell_missing(const struct swap_listener *missing, const struct swap_listeners *have,
                         struct sup_readiness *r)
{
    const struct swap_listener *other = swap_listeners_other_form(missing, have);
    rel_autofree char *text = swap_listener_text(missing);
    rel_autofree char *other_text = other ? swap_listener_text(other) : NULL;

    if (other)
        r->why = rel_strf("it listens on %s where the old one listens on %s, and so cannot take "
                          "over its connections",
                          other_text, text);
    else
        r->why = rel_strf("it does not listen on %s", text);
    r->never = other != NULL;
}

static int probe_listeners(const struct hot_contact *c, pid_t old_pid, int old_port,
                           struct sup_readiness *r, struct rel_err *e)
{
    struct swap_listeners wanted = {0}, have = {0};
    struct rel_err gone = {0};
    const struct swap_listener *missing;

    if (swap_listeners_read(old_pid, old_port, &wanted, &gone) < 0)
        return 0; /* the old one died meanwhile: nobody to compare with */
    if (swap_listeners_read(c->pid, c->port, &have, e) < 0) {
        swap_listeners_fini(&wanted);
        return -1;
    }
    missing = swap_listeners_missing(&wanted, &have);
    if (missing)
        tell_missing(missing, &have, r);
    swap_listeners_fini(&wanted);
    swap_listeners_fini(&have);
    return 0;
}

int sup_job_probe(const struct hot_contact *c, pid_t old_pid, int old_port,
                  struct sup_readiness *readiness, struct rel_err *e)
{
    struct sup_readiness r = {0};

    if (probe_node(c, &r.why, e) < 0)
        return -1;
    if (!r.why && old_pid && probe_listeners(c, old_pid, old_port, &r, e) < 0)
        return -1;
    r.ready = !r.why;
    *readiness = r;
    return 0;
}

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

    if (!any || (old && new && !memcmp(old->md5, new->md5, sizeof(m.old_md5))))
        return;
    m.app = any->app;
    m.module = any->module;
    if (old)
        memcpy(m.old_md5, old->md5, sizeof(m.old_md5));
    if (new)
        memcpy(m.new_md5, new->md5, sizeof(m.new_md5));
    d->modules = rel_xrealloc(d->modules, d->module_n + 1, sizeof(*d->modules));
    d->modules[d->module_n++] = m;
}

static int compare(const struct pkg_module *x, const struct pkg_module *y)
{
    int c = strcmp(x->module, y->module);

    return c ? c : strcmp(x->app, y->app);
}

/* Both lists are sorted: a merge. */
static void diff_modules(struct diff *d)
{
    const struct pkg_modules *o = &d->old_modules, *n = &d->new_modules;
    size_t i = 0, j = 0;

    while (i < o->n || j < n->n) {
        int c = i == o->n ? 1 : j == n->n ? -1 : compare(&o->v[i], &n->v[j]);

        add_module(d, c <= 0 ? &o->v[i] : NULL, c >= 0 ? &n->v[j] : NULL);
        i += c <= 0;
        j += c >= 0;
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
                    const struct pkg_release_app *new)
{
    d->apps = rel_xrealloc(d->apps, d->app_n + 1, sizeof(*d->apps));
    d->apps[d->app_n++] = (struct hot_app_change){.app = old ? old->name : new->name,
                                                  .old_vsn = old ? old->vsn : NULL,
                                                  .new_vsn = new ? new->vsn : NULL,
                                                  .old_ebin = old ? old->ebin : NULL,
                                                  .new_ebin = new ? new->ebin : NULL};
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
    for (size_t i = 0; i < d->new->app_n; i++) {
        const struct pkg_release_app *new = &d->new->apps[i], *old = find_app(d->old, new->name);

        if (app_changes(d, old, new))
            add_app(d, old, new);
    }
    for (size_t i = 0; i < d->old->app_n; i++)
        if (!find_app(d->new, d->old->apps[i].name))
            add_app(d, &d->old->apps[i], NULL);
    return 0;
}

static char *sys_config(const struct pkg_release *r)
{
    char *path = rel_strf("%s/sys.config", r->vsn_dir);

    if (rel_is_file(AT_FDCWD, path))
        return path;
    free(path);
    return NULL;
}

int sup_job_hot(const struct hot_contact *c, const char *old_root, const char *new_root,
                bool dry_run, struct hot_report *report, struct rel_err *e)
{
    hot_autonode struct hot_node *node = NULL;
    rel_autofree char *old_config = NULL, *new_config = NULL;
    struct diff d = {0};
    int rc = diff_read(&d, old_root, new_root, e);

    if (!rc)
        rc = hot_node_open(c, HOT_CONNECT_MS, &node, e);
    if (!rc) {
        struct hot_plan plan = {.modules = d.modules,
                                .module_n = d.module_n,
                                .apps = d.apps,
                                .app_n = d.app_n,
                                .old_sys_config = old_config = sys_config(d.old),
                                .new_sys_config = new_config = sys_config(d.new),
                                .old_consolidated = d.old->consolidated,
                                .new_consolidated = d.new->consolidated,
                                .suspend_ms = SUSPEND_MS,
                                .timeout_ms = HOT_MS};

        rc = dry_run ? hot_upgrade_check(node, &plan, report, e)
                     : hot_upgrade_run(node, &plan, report, e);
    }
    diff_fini(&d);
    return rc;
}
