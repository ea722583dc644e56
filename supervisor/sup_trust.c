/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_trust.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/rel_io.h"

enum { WRITE_BITS = 022, READ_WRITE_BITS = 066, ALL_BITS = 077 };

#define SOCKET_NAME "/run/control.sock"

/* "mallory (uid 1001)", owned by the caller. */
static char *user_text(uid_t uid)
{
    rel_autofree char *name = rel_user_name(uid);

    return name ? rel_strf("%s (uid %u)", name, (unsigned)uid) : rel_strf("uid %u", (unsigned)uid);
}

static bool is_trusted(uid_t uid)
{
    return uid == geteuid() || uid == 0;
}

static long read_number(const char *path)
{
    rel_autofclose FILE *f = fopen(path, "re");
    char line[64] = "";

    return f && fgets(line, sizeof(line), f) ? strtol(line, NULL, 10) : -1;
}

/* Inside of a user namespace the host's root has no number: whoever owns what lies above is shown
 * as the overflow user (user_namespaces(7)). */
static bool is_unmapped(uid_t uid)
{
    rel_autofclose FILE *f = fopen("/proc/self/uid_map", "re");
    char line[100], *at = line;
    unsigned long n = 0;

    if ((long)uid != read_number("/proc/sys/kernel/overflowuid") || !f ||
        !fgets(line, sizeof(line), f))
        return false;
    for (int i = 0; i < 3; i++) /* inside, outside, how many */
        n = strtoul(at, &at, 10);
    return n < UINT32_MAX;
}

/* Never NULL. */
static char *our_name(void)
{
    rel_autofree char *name = rel_user_name(geteuid());

    return name ? rel_steal(&name) : rel_strf("%u", (unsigned)geteuid());
}

static int check_owner(const struct stat *st, const char *path, struct rel_err *e)
{
    rel_autofree char *owner = NULL, *us = NULL;

    if (is_trusted(st->st_uid))
        return 0;
    owner = user_text(st->st_uid);
    us = our_name();
    return rel_fail(e, REL_E_INPUT, 0,
                    "%s belongs to %s, who could use it to run programs as %s: 'chown %s%s %s'",
                    path, owner, us, S_ISLNK(st->st_mode) ? "-h " : "", us, path);
}

static int check_bits(const struct stat *st, mode_t bits, const char *path, struct rel_err *e)
{
    mode_t bad = st->st_mode & bits;
    const char *who = bad & 070 ? bad & 07 ? "its group and by all" : "its group" : "all";

    if (!bad || S_ISLNK(st->st_mode))
        return 0;
    return rel_fail(e, REL_E_INPUT, 0, "%s can be %s by %s: 'chmod %s %s'", path,
                    bad & WRITE_BITS ? "written" : "read", who,
                    bits == WRITE_BITS ? "go-w" : (bits == ALL_BITS ? "go=" : "go-rw"), path);
}

/* A folder on the way to a home. Who may write into a sticky one can neither rename nor remove what
 * others have there (inode(7)). */
static int check_above(const char *path, struct rel_err *e)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : rel_fail(e, REL_E_IO, errno, "look at %s", path);
    if (!is_unmapped(st.st_uid) && check_owner(&st, path, e) < 0)
        return -1;
    return S_ISDIR(st.st_mode) && st.st_mode & S_ISVTX ? 0 : check_bits(&st, WRITE_BITS, path, e);
}

/* Every folder above `path`, which is absolute, from the root down. */
static int check_way(const char *path, struct rel_err *e)
{
    rel_autofree char *way = rel_xstrdup(path);

    if (check_above("/", e) < 0)
        return -1;
    for (char *slash = strchr(way + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        int rc;

        *slash = '\0';
        rc = check_above(way, e);
        *slash = '/';
        if (rc < 0)
            return -1;
    }
    return 0;
}

/* A file or folder of the home, if it is there; of a link where it leads, and the way there. */
static int check_entry(const char *path, mode_t bits, struct rel_err *e)
{
    char real[PATH_MAX];
    struct stat st;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : rel_fail(e, REL_E_IO, errno, "look at %s", path);
    if (check_owner(&st, path, e) < 0)
        return -1;
    if (!S_ISLNK(st.st_mode))
        return check_bits(&st, bits, path, e);
    if (!realpath(path, real))
        return errno == ENOENT ? 0 : rel_fail(e, REL_E_IO, errno, "look at %s", path);
    if (check_way(real, e) < 0)
        return -1;
    if (lstat(real, &st) < 0)
        return rel_fail(e, REL_E_IO, errno, "look at %s", real);
    return check_owner(&st, real, e) < 0 ? -1 : check_bits(&st, bits, real, e);
}

static int absolute(const char *path, char **full, struct rel_err *e)
{
    char here[PATH_MAX];

    if (*path != '/' && !getcwd(here, sizeof(here)))
        return rel_fail(e, REL_E_IO, errno, "find the working directory");
    *full = *path == '/' ? rel_xstrdup(path) : rel_strf("%s/%s", here, path);
    return 0;
}

/* The way that was named, whose links others may not redirect, and the one it leads to. */
static int check_home(const char *home, struct rel_err *e)
{
    rel_autofree char *full = NULL;

    if (absolute(home, &full, e) < 0 || check_way(full, e) < 0)
        return -1;
    return check_entry(full, WRITE_BITS, e);
}

static int check_length(const char *home, struct rel_err *e)
{
    const size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - sizeof(SOCKET_NAME);
    rel_autofree char *full = NULL;
    char real[PATH_MAX];

    if (absolute(home, &full, e) < 0)
        return -1;
    if (strlen(realpath(full, real) ? real : full) <= max)
        return 0;
    return rel_fail(e, REL_E_INPUT, 0,
                    "the path of the home %s is longer than %zu bytes, and so too long for its "
                    "control socket (unix(7)): choose a shorter one",
                    home, max);
}

/* The folders of peers in there may belong to the user that they run as. */
static int check_secrets(const char *home, struct rel_err *e)
{
    rel_autofree char *dir = rel_strf("%s/secret", home);
    rel_autoclosedir DIR *d = NULL;
    struct dirent *entry;

    if (check_entry(dir, READ_WRITE_BITS, e) < 0)
        return -1;
    d = opendir(dir);
    while (d && (entry = readdir(d))) {
        rel_autofree char *path = rel_strf("%s/%s", dir, entry->d_name);
        struct stat st;

        if (fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode))
            continue;
        if (check_entry(path, ALL_BITS, e) < 0)
            return -1;
    }
    return 0;
}

int sup_trust_home(const char *home, struct rel_err *e)
{
    static const char *const entries[] = {"relsup.json", "run", "log", "releases"};
    rel_autofree char *current = rel_strf("%s/current", home);
    struct stat st;

    if (check_length(home, e) < 0 || check_home(home, e) < 0)
        return -1;
    for (size_t i = 0; i < sizeof(entries) / sizeof(*entries); i++) {
        rel_autofree char *path = rel_strf("%s/%s", home, entries[i]);

        if (check_entry(path, WRITE_BITS, e) < 0)
            return -1;
    }
    if (lstat(current, &st) == 0 && check_owner(&st, current, e) < 0)
        return -1;
    return check_secrets(home, e);
}

int sup_trust_file(int fd, const char *path, struct rel_err *e)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return rel_fail(e, REL_E_IO, errno, "look at %s", path);
    return check_owner(&st, path, e) < 0 ? -1 : check_bits(&st, WRITE_BITS, path, e);
}

/* What a client can do about a home that is somebody else's. */
static int say_whose(const char *home, uid_t uid, struct rel_err *e)
{
    rel_autofree char *owner = user_text(uid), *us = our_name(), *name = rel_user_name(uid);

    return rel_fail(e, REL_E_INPUT, 0,
                    "the home %s belongs to %s, not to %s, so it is not trusted: run this as %s",
                    home, owner, us, name ? name : "that user");
}

int sup_trust_control(const char *home, struct rel_err *e)
{
    const char *const names[] = {"", "/run"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        rel_autofree char *path = rel_strf("%s%s", home, names[i]);
        struct stat st;

        if (stat(path, &st) < 0)
            return errno == ENOENT ? 0 : rel_fail(e, REL_E_INPUT, errno, "look at %s", path);
        if (!is_trusted(st.st_uid))
            return say_whose(home, st.st_uid, e);
        if (check_bits(&st, WRITE_BITS, path, e) < 0)
            return -1;
    }
    return 0;
}

int sup_trust_server(int fd, const char *home, struct rel_err *e)
{
    struct ucred cred = {0};
    socklen_t len = sizeof(cred);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return rel_fail(e, REL_E_IO, errno, "ask who serves %s", home);
    return is_trusted(cred.uid) ? 0 : say_whose(home, cred.uid, e);
}
