/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"
#include "pkg/pkg_app.h"

struct entry {
    const char *name; /* of the application: that of its .app file */
    const char *file;
    size_t dir;          /* index of the library folder */
    struct pkg_app *app; /* once read */
};

struct pkg_lib {
    struct pkg_arena arena;
    struct entry *v; /* sorted by name, then by folder */
    size_t n, cap;
    struct rel_buf searched;
    const char **names;
    size_t name_n;
    struct pkg_names no_apps, no_modules; /* pkg_lib_leave_out */
};

static size_t number_len(const char *s)
{
    return strspn(s, "0123456789");
}

/* Numbers of any length, by value. */
static int compare_numbers(const char **x, const char **y)
{
    size_t xn, yn;
    int order;

    *x += strspn(*x, "0");
    *y += strspn(*y, "0");
    xn = number_len(*x);
    yn = number_len(*y);
    order = xn != yn ? (xn < yn ? -1 : 1) : strncmp(*x, *y, xn);
    *x += xn;
    *y += yn;
    return order;
}

int pkg_vsn_compare(const char *x, const char *y)
{
    while (*x || *y) {
        if (isdigit((unsigned char)*x) && isdigit((unsigned char)*y)) {
            int order = compare_numbers(&x, &y);

            if (order)
                return order;
            continue;
        }
        if (*x == *y) {
            x++;
            y++;
            continue;
        }
        /* "1.0-rc1" comes before "1.0" (semver.org, 11); "1.0.1" and "1.0+x" after it. */
        if (*x == '-' || *y == '-')
            return *x == '-' ? -1 : 1;
        return (unsigned char)*x < (unsigned char)*y ? -1 : 1;
    }
    return 0;
}

static void add_entry(struct pkg_lib *lib, size_t dir, const char *ebin, const char *file_name)
{
    rel_autofree char *file = rel_strf("%s/%s", ebin, file_name);
    size_t name_len = strlen(file_name) - strlen(".app");

    if (lib->n == lib->cap) {
        lib->cap = lib->cap ? 2 * lib->cap : 64;
        lib->v = rel_xrealloc(lib->v, lib->cap, sizeof(*lib->v));
    }
    lib->v[lib->n++] = (struct entry){
        .name = pkg_arena_strndup(&lib->arena, file_name, name_len),
        .file = pkg_arena_strndup(&lib->arena, file, strlen(file)),
        .dir = dir,
    };
}

/* The .app files of one folder; one that cannot be listed has none. */
static void scan_ebin(struct pkg_lib *lib, size_t dir, const char *ebin)
{
    rel_autoclosedir DIR *d = opendir(ebin);
    struct dirent *f;

    while (d && (f = readdir(d))) {
        size_t n = strlen(f->d_name);

        if (n > 4 && f->d_name[0] != '.' && !strcmp(f->d_name + n - 4, ".app"))
            add_entry(lib, dir, ebin, f->d_name);
    }
}

static int scan_dir(struct pkg_lib *lib, size_t index, const char *path, struct rel_err *e)
{
    rel_autoclosedir DIR *d = opendir(path);
    rel_autofree char *own = rel_strf("%s/ebin", path);
    struct dirent *f;

    if (!d)
        return rel_fail(e, errno == ENOENT || errno == ENOTDIR ? REL_E_INPUT : REL_E_IO, errno,
                        "library folder %s", path);
    scan_ebin(lib, index, path);
    scan_ebin(lib, index, own);
    while ((f = readdir(d))) {
        rel_autofree char *ebin = NULL;

        if (f->d_name[0] == '.' || f->d_type == DT_REG)
            continue;
        ebin = rel_strf("%s/%s/ebin", path, f->d_name);
        scan_ebin(lib, index, ebin);
    }
    rel_buf_addf(&lib->searched, "%s%s", index ? ", " : "", path);
    return 0;
}

static int compare_entries(const void *x, const void *y)
{
    const struct entry *a = x, *b = y;
    int order = strcmp(a->name, b->name);

    if (!order)
        order = a->dir < b->dir ? -1 : a->dir > b->dir;
    return order ? order : strcmp(a->file, b->file);
}

static void list_names(struct pkg_lib *lib)
{
    lib->names = rel_xcalloc(lib->n + 1, sizeof(*lib->names));
    for (size_t i = 0; i < lib->n; i++)
        if (!i || strcmp(lib->v[i].name, lib->v[i - 1].name) != 0)
            lib->names[lib->name_n++] = lib->v[i].name;
}

int pkg_lib_open(const char *const *dirs, size_t n, struct pkg_lib **lib, struct rel_err *e)
{
    pkg_autolib struct pkg_lib *made = rel_xcalloc(1, sizeof(*made));

    rel_buf_adds(&made->searched, "");
    for (size_t i = 0; i < n; i++)
        if (scan_dir(made, i, dirs[i], e) < 0)
            return -1;
    if (made->n)
        qsort(made->v, made->n, sizeof(*made->v), compare_entries);
    list_names(made);
    *lib = rel_steal(&made);
    return 0;
}

void pkg_lib_free(struct pkg_lib *lib)
{
    if (!lib)
        return;
    for (size_t i = 0; i < lib->n; i++)
        pkg_app_free(lib->v[i].app);
    free(lib->v);
    free(lib->names);
    rel_buf_fini(&lib->searched);
    pkg_arena_fini(&lib->arena);
    free(lib);
}

void pkg_lib_free_p(struct pkg_lib **lib)
{
    pkg_lib_free(*lib);
    *lib = NULL;
}

static int read_entry(const struct pkg_lib *lib, struct entry *x, struct rel_err *e)
{
    struct pkg_app *app;

    if (x->app)
        return 0;
    if (pkg_app_read(x->file, &app, e) < 0)
        return -1;
    if (strcmp(app->name, x->name) != 0) {
        rel_fail(e, REL_E_INPUT, 0, "%s: names the application %s, not %s", x->file, app->name,
                 x->name);
        pkg_app_free(app);
        return -1;
    }
    pkg_app_leave_out(app, &lib->no_apps, &lib->no_modules);
    x->app = app;
    return 0;
}

/* Is `x` what was asked for, rather than the `best` so far? */
static bool better(const struct entry *x, const struct entry *best, const char *vsn)
{
    if (vsn)
        return !best && !strcmp(x->app->vsn, vsn);
    if (!best)
        return true;
    return x->dir == best->dir && pkg_vsn_compare(x->app->vsn, best->app->vsn) > 0;
}

void pkg_lib_leave_out(struct pkg_lib *lib, struct pkg_names apps, struct pkg_names modules)
{
    lib->no_apps = apps;
    lib->no_modules = modules;
}

int pkg_lib_find(struct pkg_lib *lib, const char *name, const char *vsn, const struct pkg_app **app,
                 struct rel_err *e)
{
    const struct entry *best = NULL;
    size_t low = 0, high = lib->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(lib->v[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = low; i < lib->n && !strcmp(lib->v[i].name, name); i++) {
        if (best && (vsn || lib->v[i].dir != best->dir))
            break;
        if (read_entry(lib, &lib->v[i], e) < 0)
            return -1;
        if (better(&lib->v[i], best, vsn))
            best = &lib->v[i];
    }
    *app = best ? best->app : NULL;
    return 0;
}

const char *pkg_lib_searched(const struct pkg_lib *lib)
{
    return lib->searched.p;
}

struct pkg_names pkg_lib_names(const struct pkg_lib *lib)
{
    return (struct pkg_names){.v = lib->names, .n = lib->name_n};
}
