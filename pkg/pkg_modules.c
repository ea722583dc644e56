/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "pkg/pkg_beam.h"
#include "pkg/pkg_release.h"

static int add_module(struct pkg_modules *m, const char *app, const char *path, struct rel_err *e)
{
    pkg_autobeam struct pkg_beam b = {0};
    struct pkg_module module;

    if (pkg_beam_read(AT_FDCWD, path, &b, e) < 0 || pkg_beam_md5(&b, module.md5, e) < 0)
        return -1;
    module.app = rel_xstrdup(app);
    module.module = rel_xstrdup(b.module);
    module.path = rel_xstrdup(path);
    module.nif = b.nif;
    module.on_load = b.on_load;
    /* Room for a power of two, so that growing is not quadratic. */
    if (!(m->n & (m->n - 1)))
        m->v = rel_xrealloc(m->v, m->n ? 2 * m->n : 1, sizeof(*m->v));
    m->v[m->n++] = module;
    return 0;
}

static int add_folder(struct pkg_modules *m, const char *app, const char *dir, struct rel_err *e)
{
    rel_autoclosedir DIR *d = opendir(dir);
    struct dirent *f;

    if (!d)
        return rel_fail(e, REL_E_IO, errno, "list %s", dir);
    while ((f = readdir(d))) {
        size_t n = strlen(f->d_name);
        rel_autofree char *path = NULL;

        if (n <= 5 || f->d_name[0] == '.' || strcmp(f->d_name + n - 5, ".beam") != 0)
            continue;
        path = rel_strf("%s/%s", dir, f->d_name);
        if (add_module(m, app, path, e) < 0)
            return -1;
    }
    return 0;
}

static int compare_modules(const void *x, const void *y)
{
    const struct pkg_module *a = x, *b = y;
    int order = strcmp(a->module, b->module);

    return order ? order : strcmp(a->app, b->app);
}

static int add_all(const struct pkg_release *r, struct pkg_modules *m, struct rel_err *e)
{
    for (size_t i = 0; i < r->app_n; i++)
        if (r->apps[i].ebin && add_folder(m, r->apps[i].name, r->apps[i].ebin, e) < 0)
            return -1;
    return r->consolidated ? add_folder(m, "", r->consolidated, e) : 0;
}

int pkg_release_modules(const struct pkg_release *r, struct pkg_modules *m, struct rel_err *e)
{
    struct pkg_modules made = {0};

    if (add_all(r, &made, e) < 0) {
        pkg_modules_fini(&made);
        return -1;
    }
    if (made.n)
        qsort(made.v, made.n, sizeof(*made.v), compare_modules);
    *m = made;
    return 0;
}

void pkg_modules_fini(struct pkg_modules *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->v[i].app);
        free(m->v[i].module);
        free(m->v[i].path);
    }
    free(m->v);
    *m = (struct pkg_modules){0};
}
