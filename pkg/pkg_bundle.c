/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_bundle.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/rel_io.h"
#include "pkg/pkg_elf.h"
#include "pkg/pkg_run.h"

#define OPENSSL_LEGACY "ossl-modules/legacy.so"

enum { PROGRAM_MS = 60000, LIBRARIES_MAX = 1024 };

/* One program or library that needs others: of the release, or on its way into it. */
struct native {
    char *path, *source; /* in the release; on disk */
    mode_t mode;
    struct pkg_elf elf;
    bool bundled, touched; /* brought by us; needs a bundled one, so its run path is set */
};

struct bundling {
    struct pkg_entries *es;
    const struct rel_progress *progress;
    char *folder; /* "erts-13.1.5/lib" */
    char *known;  /* output of ldconfig -p; "" without it */
    struct native *v;
    size_t n;
    char *dir; /* for the copies */
};

static void bundling_fini(struct bundling *b)
{
    for (size_t i = 0; i < b->n; i++) {
        free(b->v[i].path);
        free(b->v[i].source);
        pkg_elf_fini(&b->v[i].elf);
    }
    free(b->v);
    free(b->folder);
    free(b->known);
}
#define autobundling __attribute__((cleanup(bundling_fini)))

void pkg_bundle_fini(struct pkg_bundle *b)
{
    struct rel_err ignored = {0};

    if (b->dir)
        (void)!rel_remove_tree(AT_FDCWD, b->dir, &ignored);
    free(b->dir);
    b->dir = NULL;
}

/* What comes with the C library and fits no other version of it (glibc's own list: its Makefiles'
 * `extra-libs`; libnsl.so.2 is another project's; the dynamic linker is named by the kernel, not
 * found). */
static bool is_of_c_library(const char *name)
{
    static const char *const heads[] = {
        "libc.so.",      "libc.musl-",     "ld-linux",         "ld-musl-",
        "libm.so.",      "libpthread.so.", "libdl.so.",        "librt.so.",
        "libresolv.so.", "libutil.so.",    "libanl.so.",       "libnss_",
        "libnsl.so.1",   "libmvec.so.",    "libthread_db.so.", "libBrokenLocale.so.",
        "ld64.so.",      "ld.so."};

    for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++)
        if (!strncmp(name, heads[i], strlen(heads[i])))
            return true;
    return false;
}

/* *is false: no ELF file. */
static int read_elf(const char *source, struct pkg_elf *elf, bool *is, struct rel_err *e)
{
    rel_autoclose int fd = open(source, O_RDONLY | O_CLOEXEC);
    struct stat st;
    int status = 0;
    void *p;

    *is = false;
    if (fd < 0 || fstat(fd, &st) < 0)
        return rel_fail(e, REL_E_INPUT, errno, "read %s", source);
    if (st.st_size < 4)
        return 0;
    p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return rel_fail(e, REL_E_IO, errno, "map %s", source);
    *is = pkg_elf_is(p, (size_t)st.st_size);
    if (*is)
        status = pkg_elf_parse(p, (size_t)st.st_size, source, elf, e);
    munmap(p, (size_t)st.st_size);
    return status;
}

/* Takes `elf`. */
static void add_native(struct bundling *b, const struct native *native)
{
    b->v = rel_xrealloc(b->v, b->n + 1, sizeof(*b->v));
    b->v[b->n++] = *native;
}

static int find_natives(struct bundling *b, struct rel_err *e)
{
    for (size_t i = 0; i < b->es->n; i++) {
        const struct pkg_entry *entry = &b->es->v[i];
        struct native native = {.mode = entry->mode};
        bool is;

        if (entry->kind != PKG_ENTRY_FILE)
            continue;
        if (read_elf(entry->source, &native.elf, &is, e) < 0)
            return -1;
        if (!is)
            continue;
        native.path = rel_xstrdup(entry->path);
        native.source = rel_xstrdup(entry->source);
        add_native(b, &native);
    }
    return 0;
}

/* The library there, if it is one for the same kind of machine. */
static bool fits(const char *path, const struct pkg_elf *for_elf, struct pkg_elf *elf)
{
    struct rel_err ignored = {0};
    bool is;

    if (access(path, R_OK) < 0 || read_elf(path, elf, &is, &ignored) < 0 || !is)
        return false;
    if (elf->machine == for_elf->machine && elf->bits == for_elf->bits)
        return true;
    pkg_elf_fini(elf);
    return false;
}

/* Of one folder of a run path: what is behind $ORIGIN, or NULL. */
static const char *behind_origin(const char *dir)
{
    if (!strncmp(dir, "$ORIGIN", 7))
        return dir + 7;
    return !strncmp(dir, "${ORIGIN}", 9) ? dir + 9 : NULL;
}

/* DIR:DIR... with $ORIGIN, as DT_RUNPATH has it. */
static char *search_path(const char *dirs, const struct native *who, const char *name,
                         struct pkg_elf *elf)
{
    const char *slash = strrchr(who->source, '/');

    while (dirs && *dirs) {
        size_t n = strcspn(dirs, ":");
        rel_autofree char *dir = rel_xstrndup(dirs, n), *path = NULL;
        const char *rest = behind_origin(dir);

        if (rest)
            path = rel_strf("%.*s%s/%s", (int)(slash - who->source), who->source, rest, name);
        else
            path = rel_strf("%s/%s", dir, name);
        if (n && fits(path, &who->elf, elf))
            return rel_steal(&path);
        dirs += n + (dirs[n] == ':');
    }
    return NULL;
}

/* Lines "\tlibz.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libz.so.1" (ldconfig(8), -p). Those
 * with "hwcap" are for some processors only: the host may have another. */
static char *search_known(const struct bundling *b, const struct native *who, const char *name,
                          struct pkg_elf *elf)
{
    size_t n = strlen(name);

    for (const char *line = b->known; line && *line; line = strchr(line, '\n')) {
        const char *arrow, *hwcap;
        rel_autofree char *path = NULL;

        line += *line == '\n';
        if (*line != '\t' || strncmp(line + 1, name, n) != 0 || line[1 + n] != ' ')
            continue;
        arrow = strstr(line, "=> ");
        hwcap = strstr(line, "hwcap");
        path = arrow ? rel_xstrndup(arrow + 3, strcspn(arrow + 3, "\n")) : NULL;
        if (path && (!hwcap || hwcap > arrow) && fits(path, &who->elf, elf))
            return rel_steal(&path);
    }
    return NULL;
}

/* As ld.so(8) looks for it. */
static char *find_library(const struct bundling *b, const struct native *who, const char *name,
                          struct pkg_elf *elf)
{
    char *path = search_path(who->elf.runpath, who, name, elf);

    if (!path)
        path = search_path(getenv("LD_LIBRARY_PATH"), who, name, elf);
    if (!path)
        path = search_known(b, who, name, elf);
    return path ? path : search_path("/lib64:/usr/lib64:/lib:/usr/lib", who, name, elf);
}

static struct native *bundled(struct bundling *b, const char *name)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->v[i].bundled && !strcmp(strrchr(b->v[i].path, '/') + 1, name))
            return &b->v[i];
    return NULL;
}

/* The path in the release that one beside `path` has, or NULL when it leaves the release. */
static char *path_beside(const char *path, const char *relative)
{
    const char *slash = strrchr(path, '/');
    rel_autofree char *out = rel_xstrndup(path, slash ? (size_t)(slash - path) : 0);

    for (size_t n; *relative; relative += n + (relative[n] == '/')) {
        n = strcspn(relative, "/");
        if (n == 2 && !strncmp(relative, "..", 2)) {
            char *last = strrchr(out, '/');

            if (!*out)
                return NULL;
            *(last ? last : out) = '\0';
        } else if (n && (n != 1 || *relative != '.')) {
            char *longer = rel_strf("%s%s%.*s", out, *out ? "/" : "", (int)n, relative);

            free(out);
            out = longer;
        }
    }
    return rel_steal(&out);
}

static bool is_packed(const struct bundling *b, const char *path)
{
    for (size_t i = 0; i < b->es->n; i++) {
        const struct pkg_entry *entry = &b->es->v[i];

        if ((entry->kind == PKG_ENTRY_FILE || entry->kind == PKG_ENTRY_LINK) &&
            !strcmp(entry->path, path))
            return true;
    }
    return false;
}

/* Its own run path leads to it also in the release, because it is in there. */
static bool is_own(const struct bundling *b, const struct native *who, const char *name)
{
    const char *dirs = who->elf.runpath;

    while (dirs && *dirs) {
        size_t n = strcspn(dirs, ":");
        rel_autofree char *dir = rel_xstrndup(dirs, n), *relative = NULL, *path = NULL;
        const char *rest = behind_origin(dir);

        if (rest) {
            relative = rel_strf("%s/%s", rest, name);
            path = path_beside(who->path, relative);
        }
        if (path && is_packed(b, path))
            return true;
        dirs += n + (dirs[n] == ':');
    }
    return false;
}

/* lib->source is the file that `who` gets for this name here. */
static int locate(const struct bundling *b, const struct native *who, const char *name,
                  struct native *lib, struct rel_err *e)
{
    rel_autofree char *found = find_library(b, who, name, &lib->elf);
    char real[PATH_MAX];

    if (!found || !realpath(found, real)) {
        pkg_elf_fini(&lib->elf);
        return rel_fail(e, REL_E_INPUT, 0, "%s needs %s, which is not on this machine", who->path,
                        name);
    }
    lib->source = rel_xstrdup(real);
    return 0;
}

/* OpenSSL loads its older algorithms (MD4, DES, RC4, Blowfish) while it runs, from a folder that
 * the launcher tells it (OPENSSL_MODULES, openssl-env(7)). */
static void bring_openssl_modules(struct bundling *b, const struct native *crypto)
{
    struct native module = {.bundled = true, .mode = 0644};
    const char *slash = strrchr(crypto->source, '/');
    rel_autofree char *source =
        rel_strf("%.*s/" OPENSSL_LEGACY, (int)(slash - crypto->source), crypto->source);

    if (!fits(source, &crypto->elf, &module.elf))
        return;
    module.path = rel_strf("%s/" OPENSSL_LEGACY, b->folder);
    module.source = rel_steal(&source);
    add_native(b, &module);
}

static int bring_library(struct bundling *b, size_t who, const char *name, struct rel_err *e)
{
    struct native lib = {.bundled = true, .mode = 0644};

    if (b->n == LIBRARIES_MAX)
        return rel_fail(e, REL_E_INPUT, 0, "more than %d programs and libraries", LIBRARIES_MAX);
    if (locate(b, &b->v[who], name, &lib, e) < 0)
        return -1;
    lib.path = rel_strf("%s/%s", b->folder, name);
    add_native(b, &lib);
    if (!strncmp(name, "libcrypto.so.", 13))
        bring_openssl_modules(b, &lib);
    return 0;
}

/* Two libraries of one name have no place in one folder. */
static int check_same(const struct bundling *b, const struct native *who, const struct native *lib,
                      struct rel_err *e)
{
    const char *name = strrchr(lib->path, '/') + 1;
    struct native other = {0};
    bool same;

    if (!who->elf.runpath)
        return 0;
    if (locate(b, who, name, &other, e) < 0)
        return -1;
    same = !strcmp(other.source, lib->source);
    if (!same)
        (void)!rel_fail(e, REL_E_INPUT, 0,
                        "%s needs %s, but another program needs the %s of that name; give them "
                        "one, or pack each beside its program with $ORIGIN in the run path",
                        who->path, other.source, lib->source);
    free(other.source);
    pkg_elf_fini(&other.elf);
    return same ? 0 : -1;
}

static int find_library_of(struct bundling *b, size_t i, const char *name, struct rel_err *e)
{
    const struct native *there;

    if (is_of_c_library(name))
        return 0;
    if (strchr(name, '/'))
        return rel_fail(e, REL_E_INPUT, 0,
                        "%s needs %s by its path, which another host does not have; link it by "
                        "name (-L and -l, and -soname for the library)",
                        b->v[i].path, name);
    if (is_own(b, &b->v[i], name))
        return 0;
    b->v[i].touched = true;
    there = bundled(b, name);
    return there ? check_same(b, &b->v[i], there, e) : bring_library(b, i, name, e);
}

/* What the VM of this release runs on; EM_NONE when it has neither one nor relctl. */
static uint16_t machine_of(const struct bundling *b)
{
    uint16_t found = EM_NONE;

    for (size_t i = 0; i < b->n; i++) {
        const char *path = b->v[i].path;

        if (!strncmp(path, "erts-", 5) && !strcmp(strrchr(path, '/'), "/beam.smp"))
            return b->v[i].elf.machine;
        if (!strcmp(path, "bin/relctl"))
            found = b->v[i].elf.machine;
    }
    return found;
}

/* Grows the list while it walks it, so it is closed in the end. What is for another machine is not
 * run here, and a check tells of it. */
static int find_libraries(struct bundling *b, struct rel_err *e)
{
    uint16_t machine = machine_of(b);

    for (size_t i = 0; i < b->n; i++) {
        if (machine != EM_NONE && b->v[i].elf.machine != machine)
            continue;
        for (size_t j = 0; j < b->v[i].elf.needed_n; j++)
            if (find_library_of(b, i, b->v[i].elf.needed[j], e) < 0)
                return -1;
    }
    return 0;
}

/* What the file had of the kind that goes along, first, then from $ORIGIN to the folder of the
 * libraries. A path of the building machine stays behind. */
static char *run_path(const struct bundling *b, const struct native *native)
{
    rel_autobuf struct rel_buf path = {0};
    const char *old = native->bundled ? NULL : native->elf.runpath;

    while (old && *old) {
        size_t n = strcspn(old, ":");

        if (behind_origin(old))
            rel_buf_addf(&path, "%.*s:", (int)n, old);
        old += n + (old[n] == ':');
    }
    rel_buf_adds(&path, "$ORIGIN");
    if (!native->bundled || strchr(native->path + strlen(b->folder) + 1, '/')) {
        for (const char *slash = strchr(native->path, '/'); slash; slash = strchr(slash + 1, '/'))
            rel_buf_adds(&path, "/..");
        rel_buf_addf(&path, "/%s", b->folder);
    }
    return rel_buf_take(&path);
}

static int set_run_path(struct bundling *b, size_t i, struct rel_err *e)
{
    struct native *native = &b->v[i];
    rel_autofree char *copy = rel_strf("%s/%zu", b->dir, i), *path = run_path(b, native);
    const char *const argv[] = {"patchelf", "--set-rpath", path, copy, NULL};
    struct pkg_run run = {
        .argv = argv, .dir = b->dir, .timeout_ms = PROGRAM_MS, .progress = b->progress};
    rel_autobuf struct rel_buf out = {0};
    rel_autofree char *data = NULL;
    size_t len;

    if (rel_read_file(AT_FDCWD, native->source, 1 << 30, &data, &len, e) < 0 ||
        rel_replace_file(AT_FDCWD, copy, data, len, 0755, e) < 0)
        return -1;
    if (pkg_run(&run, &out, e) < 0)
        return rel_wrap(e, "setting the run path of %s (--bundle-libs needs the program patchelf)",
                        native->path);
    pkg_entries_add_file(b->es, native->path, copy, native->mode);
    return 0;
}

static int set_run_paths(struct bundling *b, struct rel_err *e)
{
    for (size_t i = 0; i < b->n; i++) {
        if (b->v[i].touched && set_run_path(b, i, e) < 0)
            return -1;
        if (b->v[i].bundled && !b->v[i].touched)
            pkg_entries_add_file(b->es, b->v[i].path, b->v[i].source, b->v[i].mode);
    }
    pkg_entries_sort(b->es);
    return 0;
}

static size_t bundled_n(const struct bundling *b)
{
    size_t n = 0;

    for (size_t i = 0; i < b->n; i++)
        n += b->v[i].bundled;
    return n;
}

/* Without ldconfig (musl, say) there are the default folders. */
static char *ask_ldconfig(void)
{
    const char *const argv[] = {access("/sbin/ldconfig", X_OK) ? "ldconfig" : "/sbin/ldconfig",
                                "-p", NULL};
    struct pkg_run run = {.argv = argv, .dir = "/", .timeout_ms = PROGRAM_MS, .apart = true};
    rel_autobuf struct rel_buf out = {0};
    struct rel_err ignored = {0};

    (void)!pkg_run(&run, &out, &ignored);
    return rel_buf_take(&out);
}

int pkg_bundle_add(struct pkg_entries *es, const char *erts_vsn,
                   const struct rel_progress *progress, struct pkg_bundle *bundle,
                   struct rel_err *e)
{
    autobundling struct bundling b = {.es = es,
                                      .progress = progress,
                                      .folder = rel_strf("erts-%s/lib", erts_vsn),
                                      .known = ask_ldconfig()};
    const char *tmp = getenv("TMPDIR");
    rel_autofree char *dir = rel_strf("%s/relpack.XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");

    rel_progress_step(progress, "bundle", NULL);
    if (find_natives(&b, e) < 0 || find_libraries(&b, e) < 0)
        return -1;
    if (!mkdtemp(dir))
        return rel_fail(e, REL_E_IO, errno, "create a folder in %s", dir);
    bundle->dir = b.dir = rel_steal(&dir);
    if (set_run_paths(&b, e) < 0)
        return -1;
    rel_progress_end(progress, "%zu libraries", bundled_n(&b));
    return 0;
}
