/* SPDX-License-Identifier: Apache-2.0 */
/* Which releases go when an upgrade is done: never one that something still has need of. */
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/rel_io.h"
#include "supervisor/sup_engine.h"
#include "supervisor/sup_past.h"
#include "supervisor/sup_procs.h"

struct spared {
    char **v;
    size_t n;
};

static void spare(struct spared *s, const char *dir, size_t len)
{
    for (size_t i = 0; i < s->n; i++)
        if (strlen(s->v[i]) == len && !memcmp(s->v[i], dir, len))
            return;
    s->v = rel_xrealloc(s->v, s->n + 1, sizeof(*s->v));
    s->v[s->n++] = rel_strf("%.*s", (int)len, dir);
}

static void spared_fini(struct spared *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i]);
    free(s->v);
}

/* A VM that was changed in place has code, its program and its paths in each release since its
 * boot. */
static void spare_peer(struct spared *s, const struct sup_peer *p)
{
    for (size_t i = 0; p && i < p->chain_n; i++)
        spare(s, p->chain[i], strlen(p->chain[i]));
}

/* Where the next rollback leads. */
static int spare_past(struct spared *s, const char *home, struct rel_err *e)
{
    struct sup_past past;
    bool found = false;
    int rc = sup_past_read(home, &past, e);

    for (size_t i = past.n; rc == 0 && !found && i-- > 0;) {
        rel_autofree char *path = sup_store_path(home, past.v[i]);

        if (!rel_is_dir(AT_FDCWD, path))
            continue;
        spare(s, past.v[i], strlen(past.v[i]));
        found = i + 1 < past.n;
    }
    sup_past_fini(&past);
    return rc;
}

/* The release in whose folder that path lies. */
static void spare_path(struct spared *s, const char *releases, const char *path)
{
    const char *dir = strstr(path, releases);
    size_t len;

    if (!dir)
        return;
    dir += strlen(releases);
    len = strcspn(dir, "/ \n");
    if (len)
        spare(s, dir, len);
}

static void spare_mapped(struct spared *s, const char *releases, pid_t pid)
{
    rel_autofree char *maps = rel_strf("/proc/%d/maps", (int)pid), *line = NULL;
    rel_autofclose FILE *f = fopen(maps, "re");
    size_t size = 0;

    while (f && getline(&line, &size, f) > 0)
        spare_path(s, releases, line);
}

static void spare_cwd(struct spared *s, const char *releases, pid_t pid)
{
    rel_autofree char *link = rel_strf("/proc/%d/cwd", (int)pid);
    char cwd[PATH_MAX];
    ssize_t n = readlink(link, cwd, sizeof(cwd) - 1);

    cwd[n > 0 ? n : 0] = '\0';
    spare_path(s, releases, cwd);
}

/* Whoever runs there, the peers' own programs and an operator's `bin/<app> eval` too; what may not
 * be looked at is not ours. */
static int spare_used(struct spared *s, const char *home, struct rel_err *e)
{
    rel_autofree char *releases = rel_strf("%s/releases/", home);
    sup_autoprocs struct sup_procs procs = {0};

    if (sup_procs_read(&procs, e) < 0)
        return -1;
    for (size_t i = 0; i < procs.n; i++) {
        spare_cwd(s, releases, procs.v[i].pid);
        spare_mapped(s, releases, procs.v[i].pid);
    }
    return 0;
}

static int prune(struct sup *s, struct spared *spared, struct rel_err *e)
{
    const char *home = s->store.home;
    rel_autofree char *current = NULL;
    json_auto_t *releases = NULL;

    if (sup_releases(home, &releases, e) < 0)
        return -1;
    if (json_array_size(releases) <= (size_t)s->config.keep + 1)
        return 0;
    if (sup_store_current(home, &current, e) < 0)
        return -1;
    spare(spared, current, strlen(current));
    spare_peer(spared, s->active);
    spare_peer(spared, s->candidate);
    spare_peer(spared, s->old);
    if (spare_past(spared, home, e) < 0 || spare_used(spared, home, e) < 0)
        return -1;
    return sup_store_prune(home, s->config.keep + 1, spared->v, spared->n, e);
}

void sup_prune(struct sup *s)
{
    struct spared spared = {0};
    struct rel_err e = {0};

    if (prune(s, &spared, &e) < 0)
        sup_log(s, "old releases are not removed: %s", e.msg);
    spared_fini(&spared);
}
