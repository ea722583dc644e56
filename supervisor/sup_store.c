/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "supervisor/sup_run.h"
#include "supervisor/sup_trust.h"

enum { LOCK_MS = 1000, LOCK_RETRY_MS = 20 };

char *sup_store_path(const char *home, const char *dir)
{
    return rel_strf("%s/releases/%s", home, dir);
}

/* A supervisor that was killed just now may still have a thread on its way out, which holds it. */
static int take_lock(struct sup_store *s, struct rel_err *e)
{
    int64_t until_ms = rel_mono_ms() + LOCK_MS;
    rel_autofree char *path = rel_strf("%s/run/lock", s->home);

    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return rel_fail(e, REL_E_IO, errno, "open %s", path);
    while (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK && rel_left_ms(until_ms)) {
            usleep(LOCK_RETRY_MS * 1000);
            continue;
        }
        return rel_fail(e, REL_E_BUSY, 0, "another supervisor runs in %s", s->home);
    }
    return 0;
}

static bool is_hidden(const char *name)
{
    return !strncmp(name, SUP_INCOMING, strlen(SUP_INCOMING)) ||
           !strncmp(name, SUP_REMOVING, strlen(SUP_REMOVING));
}

int sup_store_tidy(const char *home, struct rel_err *e)
{
    rel_autofree char *dir = rel_strf("%s/releases", home);
    rel_autoclosedir DIR *d = opendir(dir);
    struct dirent *entry;

    if (!d)
        return rel_fail(e, REL_E_IO, errno, "read %s", dir);
    while ((entry = readdir(d)))
        if (is_hidden(entry->d_name) && rel_remove_tree(dirfd(d), entry->d_name, e) < 0)
            return -1;
    return 0;
}

int sup_store_open(const char *home, struct sup_store *s, struct rel_err *e)
{
    static const char *const folders[] = {"", "/releases", "/run", "/secret", "/log"};
    char real[PATH_MAX];

    *s = (struct sup_store){.lock_fd = -1};
    if (sup_trust_home(home, e) < 0)
        return -1;
    for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
        rel_autofree char *path = rel_strf("%s%s", home, folders[i]);

        if (rel_mkdirs(AT_FDCWD, path, 0700, e) < 0)
            return -1;
    }
    if (!realpath(home, real))
        return rel_fail(e, REL_E_IO, errno, "resolve %s", home);
    s->home = rel_xstrdup(real);
    if (take_lock(s, e) < 0 || sup_store_tidy(s->home, e) < 0) {
        sup_store_close(s);
        return -1;
    }
    return 0;
}

void sup_store_close(struct sup_store *s)
{
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    free(s->home);
    *s = (struct sup_store){.lock_fd = -1};
}

/* Nothing is made for it, so it also frees a disk that is full. */
int sup_store_remove(const char *home, const char *dir, struct rel_err *e)
{
    rel_autofree char *from = sup_store_path(home, dir);
    rel_autofree char *to = rel_strf("%s/releases/" SUP_REMOVING "%.200s", home, dir);
    struct stat st;

    if (lstat(from, &st) < 0 && errno == ENOENT)
        return 0;
    if (!S_ISDIR(st.st_mode)) /* a link that somebody put there: what it leads to is not ours */
        return unlink(from) < 0 ? rel_fail(e, REL_E_IO, errno, "remove %s", from) : 0;
    if (rel_remove_tree(AT_FDCWD, to, e) < 0 || /* what an earlier try left */
        rel_rename_dir(AT_FDCWD, from, to, e) < 0)
        return -1;
    return rel_remove_tree(AT_FDCWD, to, e);
}

int sup_store_current(const char *home, char **dir, struct rel_err *e)
{
    rel_autofree char *link = rel_strf("%s/current", home);
    char target[PATH_MAX];
    ssize_t n = readlink(link, target, sizeof(target) - 1);

    if (n < 0)
        return rel_fail(e, REL_E_INPUT, 0, "%s has no release yet, name a tarball", home);
    target[n] = '\0';
    if (strncmp(target, "releases/", 9) != 0 || !rel_is_dir(AT_FDCWD, link))
        return rel_fail(e, REL_E_INPUT, 0, "%s points at %s, which is no release", link, target);
    *dir = rel_xstrdup(target + 9);
    return 0;
}

int sup_store_set_current(const char *home, const char *dir, struct rel_err *e)
{
    rel_autofree char *link = rel_strf("%s/current", home);
    rel_autofree char *target = rel_strf("releases/%s", dir);

    return rel_replace_link(AT_FDCWD, link, target, e);
}

struct found {
    char name[NAME_MAX + 1];
    int64_t when;
};

static int newest_first(const void *x, const void *y)
{
    const struct found *a = x, *b = y;

    return a->when > b->when ? -1 : a->when < b->when;
}

static int list_releases(const char *home, struct found **v, size_t *n, struct rel_err *e)
{
    rel_autofree char *dir = rel_strf("%s/releases", home);
    rel_autoclosedir DIR *d = opendir(dir);
    struct found *got = NULL;
    struct dirent *entry;
    size_t got_n = 0;

    if (!d)
        return rel_fail(e, REL_E_INPUT, 0, "%s is no home", home);
    while ((entry = readdir(d))) {
        struct stat st;

        if (entry->d_name[0] == '.' || fstatat(dirfd(d), entry->d_name, &st, 0) < 0)
            continue;
        got = rel_xrealloc(got, got_n + 1, sizeof(*got));
        snprintf(got[got_n].name, sizeof(got[got_n].name), "%s", entry->d_name);
        got[got_n++].when = (int64_t)st.st_ctim.tv_sec * 1000 + st.st_ctim.tv_nsec / 1000000;
    }
    if (got_n)
        qsort(got, got_n, sizeof(*got), newest_first);
    *v = got;
    *n = got_n;
    return 0;
}

static bool is_spared(const char *name, char *const *spared, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(spared[i], name))
            return true;
    return false;
}

int sup_store_prune(const char *home, int keep, char *const *spared, size_t spared_n,
                    struct rel_err *e)
{
    rel_autofree struct found *v = NULL;
    size_t n;

    if (list_releases(home, &v, &n, e) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        keep -= is_spared(v[i].name, spared, spared_n);
    for (size_t i = 0; i < n; i++) {
        if (is_spared(v[i].name, spared, spared_n) || keep-- > 0)
            continue;
        if (sup_store_remove(home, v[i].name, e) < 0)
            return -1;
    }
    return 0;
}

char *sup_store_tail(const char *path, size_t max)
{
    rel_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char *text;
    ssize_t n;
    off_t from;

    if (fd < 0 || fstat(fd, &st) < 0)
        return rel_xstrdup("");
    from = st.st_size > (off_t)max ? st.st_size - (off_t)max : 0;
    text = rel_xcalloc(max + 1, 1);
    n = pread(fd, text, max, from);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

int sup_releases(const char *home, json_t **releases, struct rel_err *e)
{
    rel_autofree struct found *v = NULL;
    rel_autofree char *current = NULL;
    struct rel_err none = {0};
    size_t n;

    if (list_releases(home, &v, &n, e) < 0)
        return -1;
    (void)!sup_store_current(home, &current, &none);
    *releases = json_array();
    while (n--) {
        char when[REL_TIME_LEN];

        rel_time_format(v[n].when, when);
        json_array_append_new(*releases,
                              json_pack("{s:s, s:s, s:b}", "release", v[n].name, "since", when,
                                        "current", current && !strcmp(current, v[n].name)));
    }
    return 0;
}
