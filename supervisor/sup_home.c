/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_home.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/rel_io.h"
#include "hotload/hot_contact.h"
#include "supervisor/sup_release.h"
#include "supervisor/sup_trust.h"

enum { FOLDER_MAX = 3 };

struct homes {
    char **v;
    size_t n;
};

static void homes_fini(struct homes *h)
{
    for (size_t i = 0; i < h->n; i++)
        free(h->v[i]);
    free(h->v);
}

/* Where the links may lie. A supervisor that a service manager started has no XDG_RUNTIME_DIR, its
 * user's shell has one: whoever looks must look in all. */
static size_t folders(char *v[FOLDER_MAX])
{
    const char *run = getenv("XDG_RUNTIME_DIR");
    size_t n = 0;

    if (run && *run == '/')
        v[n++] = rel_strf("%s/relsup", run);
    if (geteuid() == 0)
        v[n++] = rel_xstrdup("/run/relsup");
    v[n++] = rel_strf("/tmp/relsup-%u", (unsigned)geteuid());
    return n;
}

static void free_folders(char *v[FOLDER_MAX], size_t n)
{
    while (n)
        free(v[--n]);
}

/* /tmp is everybody's: a folder of that name may be a stranger's, or a link of his. */
static int open_folder(const char *path, struct rel_err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return rel_fail(e, REL_E_IO, errno, "open %s", path);
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 077) == 0)
        return fd;
    close(fd);
    return rel_fail(e, REL_E_IO, 0, "%s is not a folder of our user alone", path);
}

/* One name a home, the same each time: FNV-1a of its path. */
static char *link_name(const char *home)
{
    uint64_t h = 0xcbf29ce484222325;

    for (; *home; home++)
        h = (h ^ (unsigned char)*home) * 0x100000001b3;
    return rel_strf("%016llx", (unsigned long long)h);
}

static int announce_in(const char *folder, const char *home, struct rel_err *e)
{
    rel_autofree char *name = link_name(home);
    rel_autoclose int fd = -1;

    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return rel_fail(e, REL_E_IO, errno, "make the folder %s", folder);
    fd = open_folder(folder, e);
    return fd < 0 ? -1 : rel_replace_link(fd, name, home, e);
}

int sup_home_announce(const char *home, struct rel_err *e)
{
    char *v[FOLDER_MAX];
    size_t n = folders(v);
    int result = -1;

    for (size_t i = 0; i < n && result < 0; i++) {
        rel_err_clear(e);
        result = announce_in(v[i], home, e);
    }
    free_folders(v, n);
    return result;
}

void sup_home_withdraw(const char *home)
{
    rel_autofree char *name = link_name(home);
    char *v[FOLDER_MAX];
    size_t n = folders(v);

    for (size_t i = 0; i < n; i++) {
        struct rel_err ignored = {0};
        rel_autoclose int fd = open_folder(v[i], &ignored);

        if (fd >= 0)
            unlinkat(fd, name, 0);
    }
    free_folders(v, n);
}

static bool is_served(const char *home)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    rel_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int n = snprintf(a.sun_path, sizeof(a.sun_path), "%s/run/control.sock", home);

    if (fd < 0 || n < 0 || (size_t)n >= sizeof(a.sun_path))
        return false;
    /* EAGAIN: its queue is full, so somebody listens (unix(7)). */
    return connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 || errno == EAGAIN;
}

static void add_home(struct homes *h, const char *home)
{
    for (size_t i = 0; i < h->n; i++)
        if (!strcmp(h->v[i], home))
            return;
    h->v = rel_xrealloc(h->v, h->n + 1, sizeof(*h->v));
    h->v[h->n++] = rel_xstrdup(home);
}

static void list_folder(const char *folder, struct homes *h)
{
    struct rel_err ignored = {0};
    int fd = open_folder(folder, &ignored);
    rel_autoclosedir DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

    for (struct dirent *f = d ? readdir(d) : NULL; f; f = readdir(d)) {
        char home[PATH_MAX];
        ssize_t n = readlinkat(dirfd(d), f->d_name, home, sizeof(home) - 1);

        if (n <= 0)
            continue;
        home[n] = '\0';
        if (is_served(home))
            add_home(h, home);
        else
            unlinkat(dirfd(d), f->d_name, 0);
    }
}

/* The name of the release that runs there, or boots; owned by the caller, may be NULL. */
static char *app_of(const char *home)
{
    rel_autofree char *active = rel_strf("%s/run/active.json", home);
    rel_autofree char *current = rel_strf("%s/current", home);
    sup_autorelease struct sup_release *r = NULL;
    struct hot_contact c = {0};
    struct rel_err ignored = {0};
    char *name;

    if (hot_contact_read(active, &c, &ignored) == 0) {
        name = rel_steal(&c.name);
        hot_contact_fini(&c);
        return name;
    }
    rel_err_clear(&ignored);
    return sup_release_read(current, &r, &ignored) == 0 ? rel_xstrdup(r->name) : NULL;
}

static void keep_app(struct homes *h, const char *app)
{
    size_t n = 0;

    for (size_t i = 0; i < h->n; i++) {
        rel_autofree char *name = app_of(h->v[i]);

        if (name && !strcmp(name, app))
            h->v[n++] = h->v[i];
        else
            free(h->v[i]);
    }
    h->n = n;
}

static int fail_several(const struct homes *h, struct rel_err *e)
{
    rel_autobuf struct rel_buf b = {0};

    for (size_t i = 0; i < h->n; i++)
        rel_buf_addf(&b, "%s%s", i ? ", " : "", h->v[i]);
    return rel_fail(e, REL_E_USAGE, 0, "%zu supervisors run, say which by --home: %s", h->n, b.p);
}

static int find_announced(const char *app, char **found, struct rel_err *e)
{
    __attribute__((cleanup(homes_fini))) struct homes h = {0};
    char *v[FOLDER_MAX];
    size_t n = folders(v);

    for (size_t i = 0; i < n; i++)
        list_folder(v[i], &h);
    free_folders(v, n);
    if (app)
        keep_app(&h, app);
    if (h.n > 1)
        return fail_several(&h, e);
    if (h.n == 0 && app)
        return rel_fail(e, REL_E_NOT_RUNNING, 0,
                        "no supervisor of this user runs %s, start it by 'relsup run'", app);
    if (h.n == 0)
        return rel_fail(e, REL_E_NOT_RUNNING, 0,
                        "no supervisor of this user runs, start one by 'relsup run' or say --home");
    *found = rel_steal(&h.v[0]);
    return 0;
}

int sup_home_find(const char *home, const char *app, char **found, struct rel_err *e)
{
    const char *given = home ? home : getenv("RELSUP_HOME");
    char *path;

    if (!given || !*given)
        return find_announced(app, found, e);
    path = realpath(given, NULL);
    if (!path)
        return rel_fail(e, REL_E_NOT_RUNNING, errno, "home %s", given);
    if (sup_trust_control(path, e) < 0) {
        free(path);
        return -1;
    }
    *found = path;
    return 0;
}
