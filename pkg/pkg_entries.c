/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_entries.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rel_io.h"
#include "pkg/pkg_beam.h"

enum { FILE_MAX = 1 << 30, DEPTH_MAX = 100 };

static void entry_fini(struct pkg_entry *entry)
{
    free(entry->path);
    free(entry->source);
    free(entry->bytes);
}

void pkg_entries_fini(struct pkg_entries *es)
{
    for (size_t i = 0; i < es->n; i++)
        entry_fini(&es->v[i]);
    free(es->v);
    *es = (struct pkg_entries){0};
}

static struct pkg_entry *add(struct pkg_entries *es, enum pkg_entry_kind kind, const char *path,
                             mode_t mode)
{
    struct pkg_entry *entry;

    if (es->n == es->cap) {
        es->cap = es->cap ? es->cap * 2 : 256;
        es->v = rel_xrealloc(es->v, es->cap, sizeof(*es->v));
    }
    entry = &es->v[es->n++];
    *entry = (struct pkg_entry){.kind = kind, .path = rel_xstrdup(path), .mode = mode};
    return entry;
}

void pkg_entries_add_file(struct pkg_entries *es, const char *path, const char *source, mode_t mode)
{
    add(es, PKG_ENTRY_FILE, path, mode & 0111 ? 0755 : 0644)->source = rel_xstrdup(source);
}

void pkg_entries_add_beam(struct pkg_entries *es, const char *path, const char *source,
                          const char *const *keep)
{
    struct pkg_entry *entry = add(es, PKG_ENTRY_BEAM, path, 0644);

    entry->source = rel_xstrdup(source);
    entry->keep = keep;
}

void pkg_entries_add_bytes(struct pkg_entries *es, const char *path, char *bytes, size_t len,
                           mode_t mode)
{
    struct pkg_entry *entry = add(es, PKG_ENTRY_BYTES, path, mode & 0111 ? 0755 : 0644);

    entry->bytes = bytes;
    entry->len = len;
}

void pkg_entries_add_link(struct pkg_entries *es, const char *path, const char *target)
{
    add(es, PKG_ENTRY_LINK, path, 0777)->source = rel_xstrdup(target);
}

void pkg_entries_add_dir(struct pkg_entries *es, const char *path)
{
    add(es, PKG_ENTRY_DIR, path, 0755);
}

/* One walk over one folder. */
struct walk {
    struct pkg_entries *es;
    const struct pkg_add_tree *add;
    char real_from[PATH_MAX]; /* where the folder really lies: a link may not leave it */
};

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), end_n = strlen(end);

    return n >= end_n && !strcmp(s + n - end_n, end);
}

/* Both real paths. */
static bool lies_below(const char *path, const char *dir, size_t dir_n)
{
    return !strncmp(path, dir, dir_n) && (path[dir_n] == '/' || path[dir_n] == '\0');
}

bool pkg_lies_below(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    while (n && dir[n - 1] == '/')
        n--;
    return lies_below(path, dir, n);
}

static bool leaves(const struct walk *w, const char *source)
{
    char real[PATH_MAX];

    return !realpath(source, real) || !lies_below(real, w->real_from, strlen(w->real_from));
}

/* May the link be replaced by what it points at? */
static bool may_lead_to(const struct walk *w, const char *source)
{
    const char *above = strrchr(w->real_from, '/');
    char real[PATH_MAX], root[PATH_MAX];

    if (!w->add->roots)
        return true;
    if (!realpath(source, real))
        return false;
    if (lies_below(real, w->real_from, (size_t)(above - w->real_from)))
        return true;
    for (const char *const *r = w->add->roots; *r; r++)
        if (realpath(*r, root) && lies_below(real, root, strlen(root)))
            return true;
    return false;
}

static int walk_folder(struct walk *w, const char *rel, int depth, struct rel_err *e);

/* Does the text of a link at `rel` stay inside, whatever the folder is called? "../../one/priv/x"
 * leads back into one/priv here, but not in the release. A ".." behind a name could start from
 * another link, and is refused when the release is unpacked. */
bool pkg_link_stays(const char *rel, const char *target)
{
    bool in_names = false;
    int depth = 0;

    if (*target == '/')
        return false;
    for (const char *p = rel; (p = strchr(p, '/')); p++)
        depth++;
    while (*target) {
        size_t n = strcspn(target, "/");

        if (n == 2 && !strncmp(target, "..", 2)) {
            if (in_names || --depth < 0)
                return false;
        } else if (n && !(n == 1 && *target == '.')) {
            in_names = true;
        }
        target += n;
        target += *target == '/';
    }
    return true;
}

/* A relative link that stays inside is kept; whatever else is taken by its content. */
static int add_as_link(struct walk *w, const char *rel, const char *source, const char *path,
                       bool *kept, struct rel_err *e)
{
    char target[PATH_MAX];
    ssize_t n = readlink(source, target, sizeof(target) - 1);

    if (n < 0)
        return rel_fail(e, REL_E_IO, errno, "read the link %s", source);
    target[n] = '\0';
    if (access(source, F_OK) < 0)
        return rel_fail(e, REL_E_INPUT, 0, "%s is a link to %s, which is not there", source,
                        target);
    if (!may_lead_to(w, source))
        return rel_fail(e, REL_E_INPUT, 0,
                        "%s is a link to %s, outside of the project; put a copy there instead",
                        source, target);
    *kept = pkg_link_stays(rel, target) && !leaves(w, source);
    if (*kept)
        pkg_entries_add_link(w->es, path, target);
    return 0;
}

/* What the user gave is at fault, not the system. */
static bool is_of_input(int error)
{
    return error == EACCES || error == ENAMETOOLONG || error == ELOOP;
}

static int add_one(struct walk *w, const char *rel, int depth, struct rel_err *e)
{
    rel_autofree char *source = rel_strf("%s/%s", w->add->from, rel);
    rel_autofree char *path = rel_strf("%s%s%s", w->add->to, *w->add->to ? "/" : "", rel);
    bool kept = false;
    struct stat st;

    if (w->add->take && !w->add->take(rel, w->add->ctx))
        return 0;
    if (lstat(source, &st) < 0)
        return rel_fail(e, is_of_input(errno) ? REL_E_INPUT : REL_E_IO, errno, "look at %s",
                        source);
    if (S_ISLNK(st.st_mode)) {
        if (add_as_link(w, rel, source, path, &kept, e) < 0 || kept)
            return kept ? 0 : -1;
        if (stat(source, &st) < 0)
            return rel_fail(e, is_of_input(errno) ? REL_E_INPUT : REL_E_IO, errno, "look at %s",
                            source);
    }
    if (S_ISDIR(st.st_mode))
        return walk_folder(w, rel, depth + 1, e);
    if (!S_ISREG(st.st_mode))
        return rel_fail(e, REL_E_INPUT, 0, "%s is no file, folder or link", source);
    if (w->add->strip_beams && ends_with(rel, ".beam"))
        pkg_entries_add_beam(w->es, path, source, w->add->keep);
    else
        pkg_entries_add_file(w->es, path, source, st.st_mode);
    return 0;
}

static int walk_folder(struct walk *w, const char *rel, int depth, struct rel_err *e)
{
    rel_autofree char *dir = rel_strf("%s%s%s", w->add->from, *rel ? "/" : "", rel);
    rel_autoclosedir DIR *d = opendir(dir);
    struct dirent *entry;

    if (!d)
        return rel_fail(e, is_of_input(errno) ? REL_E_INPUT : REL_E_IO, errno, "read the folder %s",
                        dir);
    if (depth > DEPTH_MAX)
        return rel_fail(e, REL_E_INPUT, 0, "%s is nested too deeply, or a link leads round", dir);
    if (*rel || *w->add->to) {
        rel_autofree char *path =
            rel_strf("%s%s%s", w->add->to, *w->add->to && *rel ? "/" : "", rel);

        pkg_entries_add_dir(w->es, path);
    }
    while (errno = 0, entry = readdir(d)) {
        rel_autofree char *child = NULL;

        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        child = rel_strf("%s%s%s", rel, *rel ? "/" : "", entry->d_name);
        if (add_one(w, child, depth, e) < 0)
            return -1;
    }
    if (errno)
        return rel_fail(e, REL_E_IO, errno, "read the folder %s", dir);
    return 0;
}

int pkg_entries_add_tree(struct pkg_entries *es, const struct pkg_add_tree *add_tree,
                         struct rel_err *e)
{
    struct walk w = {.es = es, .add = add_tree};

    if (!realpath(add_tree->from, w.real_from))
        return rel_fail(e, REL_E_IO, errno, "read the folder %s", add_tree->from);
    return walk_folder(&w, "", 0, e);
}

struct sorted {
    struct pkg_entry entry;
    size_t age;
};

static int by_path_then_age(const void *x, const void *y)
{
    const struct sorted *a = x, *b = y;
    int c = strcmp(a->entry.path, b->entry.path);

    if (c)
        return c;
    return a->age < b->age ? -1 : a->age > b->age;
}

void pkg_entries_sort(struct pkg_entries *es)
{
    rel_autofree struct sorted *v = rel_xcalloc(es->n, sizeof(*v));
    size_t n = 0;

    for (size_t i = 0; i < es->n; i++)
        v[i] = (struct sorted){.entry = es->v[i], .age = i};
    qsort(v, es->n, sizeof(*v), by_path_then_age);
    for (size_t i = 0; i < es->n; i++) {
        if (i + 1 < es->n && !strcmp(v[i].entry.path, v[i + 1].entry.path))
            entry_fini(&v[i].entry);
        else
            es->v[n++] = v[i].entry;
    }
    es->n = n;
}

static int by_path(const void *key, const void *entry)
{
    return strcmp(key, ((const struct pkg_entry *)entry)->path);
}

static int check_length(const char *path, struct rel_err *e)
{
    if (strlen(path) > PKG_PATH_MAX)
        return rel_fail(e, REL_E_INPUT, 0, "%s has a path of %zu bytes, more than %d", path,
                        strlen(path), PKG_PATH_MAX);
    for (const char *part = path; *part; part += *part == '/') {
        size_t n = strcspn(part, "/");

        if (n > NAME_MAX)
            return rel_fail(e, REL_E_INPUT, 0, "%s has a name of more than %d bytes in it", path,
                            NAME_MAX);
        part += n;
    }
    return 0;
}

int pkg_entries_check(const struct pkg_entries *es, struct rel_err *e)
{
    for (size_t i = 0; i < es->n; i++) {
        const char *path = es->v[i].path;

        if (check_length(path, e) < 0)
            return -1;
        for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
            rel_autofree char *above = rel_xstrndup(path, (size_t)(slash - path));
            const struct pkg_entry *found = bsearch(above, es->v, es->n, sizeof(*es->v), by_path);

            if (found && found->kind != PKG_ENTRY_DIR)
                return rel_fail(e, REL_E_INPUT, 0,
                                "%s cannot be in the release, because %s is no folder", path,
                                above);
        }
    }
    return 0;
}

static int stripped(const struct pkg_entry *entry, char **data, size_t *len, struct rel_err *e)
{
    pkg_autobeam struct pkg_beam beam = {0};
    struct rel_buf out = {0};

    if (pkg_beam_read(AT_FDCWD, entry->source, &beam, e) < 0)
        return -1;
    pkg_beam_strip(&beam, entry->keep, &out);
    *len = out.len;
    *data = rel_buf_take(&out);
    return 0;
}

int pkg_entry_content(const struct pkg_entry *entry, char **data, size_t *len, struct rel_err *e)
{
    switch (entry->kind) {
    case PKG_ENTRY_FILE:
        return rel_read_file(AT_FDCWD, entry->source, FILE_MAX, data, len, e);
    case PKG_ENTRY_BEAM:
        return stripped(entry, data, len, e);
    case PKG_ENTRY_BYTES:
        *data = rel_xmalloc(entry->len + 1);
        memcpy(*data, entry->bytes, entry->len);
        (*data)[entry->len] = '\0';
        *len = entry->len;
        return 0;
    case PKG_ENTRY_LINK:
    case PKG_ENTRY_DIR:
        break;
    }
    return rel_fail(e, REL_E_INTERNAL, 0, "%s has no content", entry->path);
}

static int make_parent(int dir_fd, const char *path, struct rel_err *e)
{
    const char *slash = strrchr(path, '/');
    rel_autofree char *parent = slash ? rel_xstrndup(path, (size_t)(slash - path)) : NULL;

    if (!parent || rel_is_dir(dir_fd, parent))
        return 0;
    return rel_mkdirs(dir_fd, parent, 0755, e);
}

static int write_file(int dir_fd, const struct pkg_entry *entry, struct rel_err *e)
{
    rel_autofree char *data = NULL;
    rel_autoclose int fd = -1;
    size_t len;

    if (pkg_entry_content(entry, &data, &len, e) < 0)
        return -1;
    fd = openat(dir_fd, entry->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                entry->mode);
    if (fd < 0)
        return rel_fail(e, REL_E_IO, errno, "create %s", entry->path);
    if (rel_write_all(fd, data, len, e) < 0)
        return rel_wrap(e, "%s", entry->path);
    if (fchmod(fd, entry->mode) < 0)
        return rel_fail(e, REL_E_IO, errno, "set the mode of %s", entry->path);
    if (close(rel_steal_fd(&fd)) < 0)
        return rel_fail(e, REL_E_IO, errno, "close %s", entry->path);
    return 0;
}

static int write_entry(int dir_fd, const struct pkg_entry *entry, struct rel_err *e)
{
    if (make_parent(dir_fd, entry->path, e) < 0)
        return -1;
    if (entry->kind == PKG_ENTRY_DIR)
        return rel_is_dir(dir_fd, entry->path) ? 0 : rel_mkdirs(dir_fd, entry->path, 0755, e);
    if (entry->kind != PKG_ENTRY_LINK)
        return write_file(dir_fd, entry, e);
    if (symlinkat(entry->source, dir_fd, entry->path) < 0)
        return rel_fail(e, REL_E_IO, errno, "create %s", entry->path);
    return 0;
}

int pkg_entries_write_tree(const struct pkg_entries *es, const char *dir,
                           const struct rel_progress *progress, struct rel_err *e)
{
    rel_autoclose int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir_fd < 0)
        return rel_fail(e, REL_E_IO, errno, "open the folder %s", dir);
    for (size_t i = 0; i < es->n; i++) {
        if (rel_progress_check(progress, e) < 0 || write_entry(dir_fd, &es->v[i], e) < 0)
            return -1;
        if (100 * i / es->n != 100 * (i + 1) / es->n)
            rel_progress_news(progress, es->v[i].path, i + 1, es->n);
    }
    return rel_sync_tree(AT_FDCWD, dir, e);
}
