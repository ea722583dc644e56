/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"

#define OWN "relsup-*[0-9]" /* no unit of systemd: those end with their type */

enum { FILE_MAX = 1 << 20, DEPTH_MAX = 32, LOOK_US = 5000 };

static char *read_text(const char *path)
{
    struct rel_err ignored = {0};
    char *text;
    size_t len;

    return rel_read_file(AT_FDCWD, path, FILE_MAX, &text, &len, &ignored) < 0 ? NULL : text;
}

/* "/system.slice/shop.service"; NULL. One that lies outside of what we see begins with "/..". */
static char *path_of(pid_t pid)
{
    rel_autofree char *file = rel_strf("/proc/%d/cgroup", (int)pid), *text = read_text(file);
    char *save = NULL;

    for (char *l = text ? strtok_r(text, "\n", &save) : NULL; l; l = strtok_r(NULL, "\n", &save))
        if (!strncmp(l, "0::/", 4) && strncmp(l, "0::/..", 6) != 0)
            return rel_xstrdup(l + 3);
    return NULL;
}

/* Whoever runs in one of ours, started by a peer, gets no cgroups within that. */
static void leave_own(char *path)
{
    char *last = strrchr(path, '/');

    while (last && fnmatch(OWN, last + 1, 0) == 0) {
        *last = '\0';
        last = strrchr(path, '/');
    }
}

/* mountinfo writes a blank as \040 (proc(5)). */
static void unescape(char *text)
{
    char *to = text;

    for (const char *p = text; *p; p++, to++) {
        *to = *p;
        if (*p == '\\' && p[1] && p[2] && p[3]) {
            *to = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
            p += 3;
        }
    }
    *to = '\0';
}

/* What `path` is below the root of the mount that the line is of; NULL: it is of another file
 * system, or does not show it. */
static char *below_mount(char *line, const char *path)
{
    char *save = NULL, *field[5] = {0}, *type = strstr(line, " - cgroup2 ");
    size_t n;

    for (int i = 0; i < 5 && type; i++)
        field[i] = strtok_r(i ? NULL : line, " ", &save);
    if (!field[4])
        return NULL;
    unescape(field[3]);
    unescape(field[4]);
    n = strcmp(field[3], "/") == 0 ? 0 : strlen(field[3]);
    if (strncmp(path, field[3], n) != 0 || (path[n] && path[n] != '/'))
        return NULL;
    return rel_strf("%s%s", field[4], strcmp(path + n, "/") == 0 ? "" : path + n);
}

/* Where the cgroup of that process lies; NULL. *at_root: there is nobody above it that we see. */
static char *folder_of(pid_t pid, bool *at_root)
{
    rel_autofree char *path = path_of(pid), *mounts = read_text("/proc/self/mountinfo");
    char *save = NULL;

    if (!path || !mounts)
        return NULL;
    leave_own(path);
    for (char *l = strtok_r(mounts, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        rel_autofree char *folder = below_mount(l, path);
        rel_autofree char *above = folder ? rel_strf("%s/../cgroup.procs", folder) : NULL;
        rel_autofree char *procs = folder ? rel_strf("%s/cgroup.procs", folder) : NULL;

        if (procs && rel_is_file(AT_FDCWD, procs)) {
            *at_root = !rel_is_file(AT_FDCWD, above);
            return rel_steal(&folder);
        }
    }
    return NULL;
}

static bool is_writable(const char *folder)
{
    rel_autofree char *procs = rel_strf("%s/cgroup.procs", folder);

    return faccessat(AT_FDCWD, folder, W_OK, AT_EACCESS) == 0 &&
           faccessat(AT_FDCWD, procs, W_OK, AT_EACCESS) == 0;
}

static bool is_delegated(const char *folder)
{
    static const char *const names[] = {"user.delegate", "trusted.delegate"};
    char value;

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (getxattr(folder, names[i], &value, 1) == 1 && value == '1')
            return true;
    return false;
}

const char *sup_cgroup_limit(const char *folder)
{
    static const char *const names[] = {"cpu.max", "memory.max", "memory.high"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        rel_autofree char *file = rel_strf("%s/%s", folder, names[i]), *text = read_text(file);

        if (text && strncmp(text, "max", 3) != 0)
            return names[i];
    }
    return NULL;
}

char *sup_cgroup_base(pid_t pid, char **why)
{
    bool at_root = false;
    rel_autofree char *folder = folder_of(pid, &at_root), *reason = NULL;
    const char *limit = folder ? sup_cgroup_limit(folder) : NULL;

    if (!folder)
        reason = rel_xstrdup("its cgroup is of version 1, or not to be seen here");
    else if (!is_writable(folder) || !(at_root || is_delegated(folder)))
        reason = rel_strf("%s is not delegated to it", folder);
    else if (limit)
        reason = rel_strf("the application is to see %s of %s", limit, folder);
    if (!reason)
        return rel_steal(&folder);
    if (why)
        *why = rel_steal(&reason);
    return NULL;
}

/* Its name begins with that; NULL. */
static char *prefix_of(const char *home)
{
    struct stat st;

    if (stat(home, &st) < 0)
        return NULL;
    return rel_strf("relsup-%jx.%jx-", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
}

static bool write_number(const char *folder, const char *name, int number)
{
    rel_autofree char *file = rel_strf("%s/%s", folder, name);
    rel_autoclose int fd = open(file, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && dprintf(fd, "%d", number) > 0;
}

char *sup_cgroup_put(const char *home, int generation, pid_t pid)
{
    rel_autofree char *base = sup_cgroup_base(getpid(), NULL);
    rel_autofree char *prefix = base ? prefix_of(home) : NULL, *cgroup = NULL;

    if (!prefix)
        return NULL;
    cgroup = rel_strf("%s/%s%d-%d", base, prefix, generation, (int)pid);
    if (mkdir(cgroup, 0755) < 0 && errno != EEXIST)
        return NULL;
    if (write_number(cgroup, "cgroup.procs", pid))
        return rel_steal(&cgroup);
    (void)!rmdir(cgroup);
    return NULL;
}

/* Those that were made in it first. */
static void walk(const char *cgroup, int depth, void (*visit)(const char *cgroup, void *ctx),
                 void *ctx)
{
    rel_autoclosedir DIR *d = opendir(cgroup);

    for (struct dirent *f = d ? readdir(d) : NULL; f; f = readdir(d)) {
        rel_autofree char *below = NULL;

        if (f->d_type != DT_DIR || *f->d_name == '.' || depth == DEPTH_MAX)
            continue;
        below = rel_strf("%s/%s", cgroup, f->d_name);
        walk(below, depth + 1, visit, ctx);
    }
    visit(cgroup, ctx);
}

static void add_of(const char *cgroup, void *ctx)
{
    rel_autofree char *file = rel_strf("%s/cgroup.procs", cgroup), *text = read_text(file);
    struct sup_family *family = ctx;
    struct hot_proc p;
    char *save = NULL;

    for (char *l = text ? strtok_r(text, "\n", &save) : NULL; l; l = strtok_r(NULL, "\n", &save))
        if (hot_proc_read((pid_t)strtol(l, NULL, 10), &p) && !p.zombie && p.pid != getpid())
            sup_family_add(family, &p);
}

void sup_cgroup_add(const char *cgroup, struct sup_family *family)
{
    if (cgroup)
        walk(cgroup, 0, add_of, family);
}

static bool holds_us(const char *cgroup)
{
    rel_autofree char *path = path_of(getpid());
    const char *name = strrchr(cgroup, '/'), *in = path ? strstr(path, name) : NULL;

    return in && (in[strlen(name)] == '\0' || in[strlen(name)] == '/');
}

void sup_cgroup_kill(const char *cgroup)
{
    if (cgroup && !holds_us(cgroup))
        (void)write_number(cgroup, "cgroup.kill", 1);
}

static void remove_one(const char *cgroup, void *ctx)
{
    if (rmdir(cgroup) < 0 && errno == EBUSY)
        *(bool *)ctx = false;
}

bool sup_cgroup_remove(const char *cgroup)
{
    bool gone = true;

    if (cgroup)
        walk(cgroup, 0, remove_one, &gone);
    return gone;
}

/* Without cgroup.kill whoever is seen is killed, until nobody has forked in between. */
static void kill_seen(const char *cgroup)
{
    sup_autofamily struct sup_family family = {0};

    sup_cgroup_add(cgroup, &family);
    sup_family_signal(&family, SIGKILL);
}

bool sup_cgroup_end(const char *cgroup, int timeout_ms)
{
    int64_t until_ms = rel_mono_ms() + timeout_ms;

    while (!sup_cgroup_remove(cgroup)) {
        if (!rel_left_ms(until_ms))
            return false;
        sup_cgroup_kill(cgroup);
        kill_seen(cgroup);
        usleep(LOOK_US);
    }
    return true;
}

void sup_cgroup_each(const char *home, void (*each)(void *ctx, const char *cgroup, int generation),
                     void *ctx)
{
    bool at_root;
    rel_autofree char *folder = folder_of(getpid(), &at_root), *prefix = prefix_of(home);
    rel_autoclosedir DIR *d = folder && prefix ? opendir(folder) : NULL;
    size_t n = prefix ? strlen(prefix) : 0;

    for (struct dirent *f = d ? readdir(d) : NULL; f; f = readdir(d)) {
        rel_autofree char *cgroup = NULL;

        if (strncmp(f->d_name, prefix, n) != 0)
            continue;
        cgroup = rel_strf("%s/%s", folder, f->d_name);
        each(ctx, cgroup, (int)strtol(f->d_name + n, NULL, 10));
    }
}

static void tidy_one(void *ctx, const char *cgroup, int generation)
{
    (void)ctx;
    (void)generation;
    (void)sup_cgroup_remove(cgroup);
}

void sup_cgroup_tidy(const char *home)
{
    sup_cgroup_each(home, tidy_one, NULL);
}
