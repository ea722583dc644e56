/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_pair.h"

#include <string.h>

static int read_side(struct pkg_side *side, const char *path, const struct rel_progress *progress,
                     struct rel_err *e)
{
    side->path = path;
    rel_progress_step(progress, "read", path);
    if (pkg_survey_read(path, progress, &side->survey, e) < 0)
        return -1;
    return pkg_outline_read(&side->survey, &side->outline, e);
}

int pkg_pair_read(const char *old, const char *new, const struct rel_progress *progress,
                  struct pkg_pair *pair, struct rel_err *e)
{
    pkg_autopair struct pkg_pair made = {0};

    if (read_side(&made.old, old, progress, e) < 0 || read_side(&made.new, new, progress, e) < 0)
        return -1;
    *pair = made;
    made = (struct pkg_pair){0};
    return 0;
}

void pkg_pair_fini(struct pkg_pair *pair)
{
    struct pkg_side *const sides[] = {&pair->old, &pair->new};

    for (size_t i = 0; i < sizeof(sides) / sizeof(*sides); i++) {
        pkg_outline_fini(&sides[i]->outline);
        pkg_survey_fini(&sides[i]->survey);
    }
    *pair = (struct pkg_pair){0};
}

const struct pkg_outline_app *pkg_side_app(const struct pkg_side *side, const char *name)
{
    for (size_t i = 0; i < side->outline.app_n; i++)
        if (!strcmp(side->outline.apps[i].name, name))
            return &side->outline.apps[i];
    return NULL;
}

const struct pkg_module_facts *pkg_side_module(const struct pkg_side *side,
                                               const struct pkg_outline_app *app, const char *name)
{
    rel_autofree char *path = rel_strf("%s/ebin/%s.beam", app->dir ? app->dir : "", name);
    const struct pkg_file *f = app->dir ? pkg_survey_find(&side->survey, path) : NULL;

    return f ? f->module : NULL;
}
