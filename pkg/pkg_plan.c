/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_plan.h"

#include "pkg/pkg_app_changes.h"
#include "pkg/pkg_appup_kind.h"

static const char *how(const struct pkg_module_change *c)
{
    static const char *const texts[] = {
        [PKG_UPDATE_LOAD] = "loaded",
        [PKG_UPDATE_SOFT] = "its processes are held, and keep their states",
        [PKG_UPDATE_ADVANCED] = "its processes are held, and change their states",
        [PKG_UPDATE_SUPERVISOR] = "a supervisor, whose children are compared in the running VM",
    };

    return texts[pkg_update_of(c->old, c->new)];
}

static void add_names(struct pkg_lines *plan, const char *verb, const struct pkg_names *names,
                      const char *app)
{
    for (size_t i = 0; i < names->n; i++)
        pkg_lines_add(plan, rel_strf("%s %s (%s)", verb, names->v[i], app));
}

static int plan_changed(const struct pkg_pair *pair, const struct pkg_outline_app *old,
                        const struct pkg_outline_app *new, struct pkg_lines *plan,
                        struct rel_err *e)
{
    pkg_autoarena struct pkg_arena a = {0};
    struct pkg_app_changes c;

    if (!old->dir || !new->dir)
        return 0;
    if (pkg_app_changes_find(&a, pair, old, new, &c, e) < 0)
        return -1;
    add_names(plan, "load the new", &c.added, new->name);
    for (size_t i = 0; i < c.changed_n; i++)
        pkg_lines_add(plan, rel_strf("change %s (%s): %s", c.changed[i].name, new->name,
                                     how(c.changed[i].of)));
    add_names(plan, "at the end remove", &c.removed, new->name);
    return 0;
}

int pkg_plan_make(const struct pkg_pair *pair, struct pkg_lines *plan, struct rel_err *e)
{
    const struct pkg_outline *old = &pair->old.outline, *new = &pair->new.outline;

    for (size_t i = 0; i < new->app_n; i++) {
        const struct pkg_outline_app *before = pkg_side_app(&pair->old, new->apps[i].name);

        if (before && plan_changed(pair, before, &new->apps[i], plan, e) < 0)
            return -1;
    }
    for (size_t i = 0; i < new->app_n; i++)
        if (!pkg_side_app(&pair->old, new->apps[i].name))
            pkg_lines_add(plan,
                          rel_strf("start application %s %s", new->apps[i].name, new->apps[i].vsn));
    for (size_t i = old->app_n; i > 0; i--)
        if (!pkg_side_app(&pair->new, old->apps[i - 1].name))
            pkg_lines_add(plan, rel_strf("at the end stop application %s", old->apps[i - 1].name));
    return 0;
}
