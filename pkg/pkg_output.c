/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/rel_io.h"

enum { STALE_S = 3600 };

/* The real path of what is there of `dir`, with what is not there yet behind it. */
static char *real_path_of(const char *dir)
{
    rel_autofree char *there = rel_xstrdup(dir);
    char real[PATH_MAX], *slash;

    while (!realpath(there, real)) {
        slash = strrchr(there, '/');
        if (!slash)
            return rel_xstrdup(dir);
        *slash = '\0';
    }
    return rel_strf("%s%s", strcmp(real, "/") != 0 ? real : "", dir + strlen(there));
}

int pkg_output_check(const char *output, const char *project, struct rel_err *e)
{
    rel_autofree char *dir = rel_xstrdup(output), *real = real_path_of(output);
    struct stat st;
    char *slash;

    while (*real && real[strlen(real) - 1] == '/')
        real[strlen(real) - 1] = '\0';
    if (!strcmp(real, project))
        return rel_fail(e, REL_E_INPUT, 0,
                        "the output folder %s is the project itself; name a folder below it, such "
                        "as %s/out",
                        output, output);
    while (stat(dir, &st) < 0 && errno == ENOENT && (slash = strrchr(dir, '/')) && slash != dir)
        *slash = '\0';
    if (stat(dir, &st) == 0 && !S_ISDIR(st.st_mode))
        errno = ENOTDIR;
    else if (access(dir, W_OK | X_OK) == 0)
        return 0;
    return rel_fail(e, REL_E_INPUT, errno, "cannot write to the output folder %s", output);
}

static int check_outside(const char *output, const char *packed, struct rel_err *e)
{
    char real[PATH_MAX];
    size_t n;

    if (!realpath(packed, real))
        return 0;
    n = strlen(real);
    if (strncmp(output, real, n) != 0 || (output[n] && output[n] != '/'))
        return 0;
    return rel_fail(e, REL_E_INPUT, 0,
                    "the output folder %s lies in %s, which is packed; say another --output",
                    output, packed);
}

int pkg_output_check_apart(const struct pkg_output *out, const struct pkg_project *p,
                           const struct pkg_rel *rel, struct rel_err *e)
{
    rel_autofree char *real = real_path_of(out->dir);

    if (out->tar && rel_is_dir(AT_FDCWD, out->path))
        return rel_fail(e, REL_E_INPUT, 0, "%s is a folder; remove it or say another --output",
                        out->path);
    for (size_t i = 0; i < rel->app_n; i++) {
        rel_autofree char *priv = rel_strf("%s/priv", rel->apps[i].app->dir);

        if (check_outside(real, rel->apps[i].app->ebin, e) < 0 || check_outside(real, priv, e) < 0)
            return -1;
    }
    for (size_t i = 0; i < p->overlay_dirs.n; i++)
        if (check_outside(real, p->overlay_dirs.v[i], e) < 0)
            return -1;
    for (size_t i = 0; i < p->overlay_n; i++)
        if (p->overlays[i].kind == PKG_OVERLAY_COPY &&
            check_outside(real, p->overlays[i].from, e) < 0)
            return -1;
    return p->consolidated ? check_outside(real, p->consolidated, e) : 0;
}

/* The new tree in place of the old one, which must be a release too. */
static int replace_tree(const char *made, const char *path, struct rel_err *e)
{
    rel_autofree char *data = rel_strf("%s/releases/start_erl.data", path);
    rel_autofree char *old = rel_strf("%s.old", made);
    struct rel_err ignored = {0};
    struct stat st;

    if (lstat(path, &st) < 0 && errno == ENOENT)
        return rel_rename_dir(AT_FDCWD, made, path, e);
    if (!rel_is_file(AT_FDCWD, data) && rmdir(path) < 0)
        return rel_fail(e, REL_E_INPUT, 0,
                        "%s is there and is no release; remove it or say another --output", path);
    if (!rel_is_file(AT_FDCWD, data))
        return rel_rename_dir(AT_FDCWD, made, path, e);
    if (rel_rename_dir(AT_FDCWD, path, old, e) < 0)
        return -1;
    if (rel_rename_dir(AT_FDCWD, made, path, e) < 0)
        goto undo;
    return rel_remove_tree(AT_FDCWD, old, e);

undo:
    if (rel_rename_dir(AT_FDCWD, old, path, &ignored) < 0)
        rel_wrap(e, "the release before is in %s", old);
    return -1;
}

static int write_tree(const struct pkg_entries *es, const char *path,
                      const struct rel_progress *progress, struct rel_err *e)
{
    const char *slash = strrchr(path, '/');
    rel_autofree char *made = rel_strf("%.*s/.%s.new-XXXXXX", (int)(slash - path), path, slash + 1);
    struct rel_err ignored = {0};

    if (!mkdtemp(made))
        return rel_fail(e, REL_E_IO, errno, "create a folder beside %s", path);
    if (chmod(made, 0755) == 0 && pkg_entries_write_tree(es, made, progress, e) == 0 &&
        replace_tree(made, path, e) == 0)
        return 0;
    if (rel_remove_tree(AT_FDCWD, made, &ignored) < 0)
        rel_wrap(e, "left behind: %s", made);
    return rel_wrap(e, "write %s", path);
}

/* Removes the folders that were made for the output, from `dir` up to the first that was there. */
static void unmake(const char *dir, size_t there)
{
    rel_autofree char *copy = rel_xstrdup(dir);

    while (strlen(copy) > there && rmdir(copy) == 0)
        *strrchr(copy, '/') = '\0';
}

/* Length of the part of `dir` that is there. */
static size_t length_there(const char *dir)
{
    rel_autofree char *copy = rel_xstrdup(dir);
    struct stat st;

    while (lstat(copy, &st) < 0 && strchr(copy, '/'))
        *strrchr(copy, '/') = '\0';
    return strlen(copy);
}

/* ".NAME.new-XXXXXX" of write_tree, ".NAME.0123456789abcdef.tmp" of rel_tmp_open. */
static bool is_temporary(const char *entry, const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    size_t n = strlen(name);

    if (entry[0] != '.' || strncmp(entry + 1, name, n) != 0 || entry[n + 1] != '.')
        return false;
    entry += n + 2;
    if (!strncmp(entry, "new-", 4))
        return strspn(entry + 4, letters) == 6 && !entry[10];
    return strspn(entry, "0123456789abcdef") == 16 && !strcmp(entry + 16, ".tmp");
}

/* Removes what builds left that were killed. One that runs has written within the last hour. */
static void sweep(const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    rel_autofree char *dir = rel_xstrndup(path, (size_t)(name - path));
    rel_autoclosedir DIR *d = opendir(dir);
    struct rel_err ignored = {0};
    struct dirent *entry;
    struct stat st;

    while (d && (entry = readdir(d))) {
        if (!is_temporary(entry->d_name, name) ||
            fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            time(NULL) - st.st_mtime < STALE_S)
            continue;
        /* What cannot be removed costs space, not the build. */
        if (rel_remove_tree(dirfd(d), entry->d_name, &ignored) < 0)
            rel_err_clear(&ignored);
    }
}

int pkg_output_write(const struct pkg_entries *es, const struct pkg_output *out,
                     const struct rel_progress *progress, struct rel_err *e)
{
    size_t there = length_there(out->dir);
    struct stat st;
    int status;

    rel_progress_step(progress, out->tar ? "pack" : "write", out->path);
    if (rel_mkdirs(AT_FDCWD, out->dir, 0755, e) < 0) {
        e->code = REL_E_INPUT;
        unmake(out->dir, there);
        return rel_wrap(e, "the output folder");
    }
    if (out->tar)
        status = pkg_archive_write_entries(es, out->path, out->format, progress, e);
    else
        status = write_tree(es, out->path, progress, e);
    if (status < 0)
        unmake(out->dir, there);
    else
        sweep(out->path);
    if (status == 0 && out->tar && stat(out->path, &st) == 0)
        rel_progress_end(progress, "%.1f MB", (double)st.st_size / 1e6);
    return status;
}
