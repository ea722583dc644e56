/* SPDX-License-Identifier: Apache-2.0 */
/* The files that are packed, where they lie now: who else can change them, and which of them
 * remember where they were built. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/rel_io.h"
#include "pkg/pkg_check_internal.h"

static bool has_source(const struct pkg_entry *entry)
{
    return entry->kind == PKG_ENTRY_FILE || entry->kind == PKG_ENTRY_BEAM;
}

/* A group may be meant to share the work; everybody is not. In a folder with the sticky bit only
 * the owner of a file replaces it (unlink(2), EPERM). */
static bool is_writable(const char *path, char **what)
{
    const char *slash = strrchr(path, '/');
    rel_autofree char *dir = slash ? rel_xstrndup(path, (size_t)(slash - path)) : NULL;
    struct stat st;

    if (stat(path, &st) == 0 && st.st_mode & S_IWOTH) {
        *what = rel_xstrdup(path);
        return true;
    }
    if (dir && *dir && stat(dir, &st) == 0 && st.st_mode & S_IWOTH && !(st.st_mode & S_ISVTX)) {
        *what = rel_steal(&dir);
        return true;
    }
    return false;
}

/* One finding for a folder with many files. */
static void check_writable(struct pkg_checking *k)
{
    rel_autofree char *last = NULL;

    for (size_t i = 0; i < k->c->entries->n; i++) {
        const struct pkg_entry *entry = &k->c->entries->v[i];
        rel_autofree char *what = NULL;

        if (!has_source(entry) || !is_writable(entry->source, &what))
            continue;
        if (last && !strcmp(last, what))
            continue;
        pkg_checking_add(k, PKG_CHECK_WRITABLE, entry->path,
                         rel_strf("every user here can write %s, so anybody can change what is "
                                  "packed; chmod o-w it",
                                  what));
        free(last);
        last = rel_steal(&what);
    }
}

static bool in_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '-' || (c & 0x80);
}

/* A folder right below the root, as in a container, may be a path of a web page too ("/app/..."):
 * then what follows must be a folder that a project has. */
static bool is_below_project(const char *p, const char *end)
{
    static const char *const folders[] = {"/_build/", "/deps/", "/lib/",    "/src/",
                                          "/c_src/",  "/priv/", "/native/", "/apps/"};

    for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
        size_t n = strlen(folders[i]);

        if ((size_t)(end - p) >= n && !memcmp(p, folders[i], n))
            return true;
    }
    return false;
}

static bool holds_path(const char *data, size_t len, const char *dir)
{
    const char *p = data, *end = data + len;
    size_t n = strlen(dir);
    bool deep = strchr(dir + 1, '/') != NULL;

    while ((p = memmem(p, (size_t)(end - p), dir, n))) {
        const char *behind = p + n;
        bool begins = p == data || (!in_name(p[-1]) && p[-1] != '/');

        if (begins && deep && (behind == end || !in_name(*behind)))
            return true;
        if (begins && is_below_project(behind, end))
            return true;
        p++;
    }
    return false;
}

static int read_holds(const char *source, const char *dir, bool *holds, struct rel_err *e)
{
    rel_autoclose int fd = open(source, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    char *data;

    if (fd < 0 || fstat(fd, &st) < 0)
        return rel_fail(e, REL_E_IO, errno, "read %s", source);
    if (!S_ISREG(st.st_mode) || st.st_size == 0) {
        *holds = false;
        return 0;
    }
    data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return rel_fail(e, REL_E_IO, errno, "read %s", source);
    *holds = holds_path(data, (size_t)st.st_size, dir);
    munmap(data, (size_t)st.st_size);
    return 0;
}

static bool is_priv(const struct pkg_check_app *app, const char *path)
{
    return app && app->examined && !strncmp(path + strlen(app->dir), "priv/", 5);
}

/* Where the loader would look on a host first (ld.so(8), DT_RUNPATH). */
static bool has_run_path(struct pkg_checking *k, const struct pkg_file *file)
{
    const char *dir = k->c->project->dir;

    if (!file->elf || !file->elf->runpath ||
        !holds_path(file->elf->runpath, strlen(file->elf->runpath), dir))
        return false;
    pkg_checking_add(k, PKG_CHECK_BUILD_PATH, file->path,
                     rel_strf("%s has the run path %s, which no other host has; link it with "
                              "-Wl,-rpath,'$ORIGIN'",
                              file->path, file->elf->runpath));
    return true;
}

static int check_content(struct pkg_checking *k, const struct pkg_entry *entry,
                         const char *const dirs[2], struct rel_err *e)
{
    bool holds = false;

    for (size_t i = 0; i < 2 && !holds; i++)
        if (dirs[i] && read_holds(entry->source, dirs[i], &holds, e) < 0)
            return -1;
        else if (holds)
            pkg_checking_add(k, PKG_CHECK_BUILD_PATH, entry->path,
                             rel_strf("%s holds a path below %s, where it was built; build it with "
                                      "relative paths, native code without -g or stripped",
                                      entry->path, dirs[i]));
    return 0;
}

static int check_build_paths(struct pkg_checking *k, struct rel_err *e)
{
    const char *home = getenv("HOME");
    const char *const dirs[2] = {k->c->project->dir, home && *home == '/' && home[1] ? home : NULL};

    for (size_t i = 0; i < k->c->entries->n; i++) {
        const struct pkg_entry *entry = &k->c->entries->v[i];
        const struct pkg_file *file;

        if (!has_source(entry) || !is_priv(pkg_checking_app_of(k, entry->path), entry->path))
            continue;
        file = pkg_survey_find(k->c->survey, entry->path);
        if (file && has_run_path(k, file))
            continue;
        if (check_content(k, entry, dirs, e) < 0)
            return -1;
    }
    return 0;
}

int pkg_check_files(struct pkg_checking *k, struct rel_err *e)
{
    if (pkg_checking_wants(k, PKG_CHECK_WRITABLE))
        check_writable(k);
    return pkg_checking_wants(k, PKG_CHECK_BUILD_PATH) ? check_build_paths(k, e) : 0;
}
