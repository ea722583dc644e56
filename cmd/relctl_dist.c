/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rel_io.h"
#include "cmd/relctl.h"
#include "hotload/hot_cookie.h"
#include "hotload/hot_port.h"

/* ------------------------------------------------------------------ the cookie */

/* Who says it first: the operator, vm.args, the release, an earlier boot; else it is made. */
static int choose_cookie(const struct relctl_boot *b, const char *file, char **cookie,
                         struct rel_err *e)
{
    const char *given = relctl_env("RELEASE_COOKIE", b->cookie_given);
    rel_autofree char *of_release = rel_strf("%s/releases/COOKIE", b->root);

    *cookie = given ? rel_xstrdup(given) : hot_cookie_read(of_release);
    if (!*cookie)
        *cookie = hot_cookie_read(file);
    return *cookie ? 0 : hot_cookie_new(cookie, e);
}

/* The VM gets secret/ as its XDG_CONFIG_HOME. */
static int make_cookie(const struct relctl_boot *b, struct rel_err *e)
{
    rel_autofree char *dir = rel_strf("%s/secret", b->tmp_dir);
    rel_autofree char *file = rel_strf("%s/cookie", dir), *erlang = rel_strf("%s/erlang", dir);
    rel_autofree char *cookie = NULL;

    if (relctl_make_private(dir, e) < 0 || relctl_make_private(erlang, e) < 0 ||
        choose_cookie(b, file, &cookie, e) < 0)
        return -1;
    return hot_cookie_put(dir, cookie, e);
}

/* ------------------------------------------------------------------ name and port */

/* The host part that `erl -name` would take. */
static void long_host(char out[256])
{
    struct addrinfo hints = {.ai_flags = AI_CANONNAME}, *found = NULL;
    char host[256] = "localhost";

    gethostname(host, sizeof(host) - 1);
    snprintf(out, 256, "%s", host);
    if (getaddrinfo(host, NULL, &hints, &found) == 0 && found && found->ai_canonname)
        snprintf(out, 256, "%s", found->ai_canonname);
    if (found)
        freeaddrinfo(found);
}

static char *whole_name(const struct relctl_boot *b, const char *distribution)
{
    const char *name = relctl_env("RELEASE_NODE", b->named ? b->named : b->name);
    char host[256] = "localhost";

    if (strchr(name, '@'))
        return rel_xstrdup(name);
    if (!strcmp(distribution, "name")) {
        long_host(host);
    } else if (!strcmp(distribution, "sname")) {
        gethostname(host, sizeof(host) - 1);
        host[strcspn(host, ".")] = '\0';
    }
    return rel_strf("%s@%s", name, host);
}

/* The launcher becomes the VM after we are gone, and the VM shares its port with nobody, so it
 * cannot be kept for it. Who takes it meanwhile keeps the VM from starting; nobody takes him for
 * the VM, because every connect looks first at who listens (hot_port.h). */
static int find_port(int *port, struct rel_err *e)
{
    rel_autoclose int fd = -1;

    return hot_port_take(geteuid(), port, &fd, e);
}

/* ------------------------------------------------------------------ the contact */

static int refuse_second(const struct relctl_boot *b, const char *path, struct rel_err *e)
{
    struct hot_contact old = {0};
    struct rel_err ignored = {0};
    int result = 0;

    if (hot_contact_read(path, &old, &ignored) < 0)
        return 0;
    if (hot_contact_alive(&old) && old.pid != b->pid)
        result = rel_fail(e, REL_E_BUSY, 0,
                          "%s runs already as process %d; a second one needs its own RELEASE_NODE "
                          "or RELEASE_TMP",
                          b->name, (int)old.pid);
    hot_contact_fini(&old);
    return result;
}

static bool has_elixir(const char *root)
{
    rel_autofree char *lib = rel_strf("%s/lib", root);
    rel_autoclosedir DIR *d = opendir(lib);

    for (struct dirent *f = d ? readdir(d) : NULL; f; f = readdir(d))
        if (!strncmp(f->d_name, "elixir-", 7))
            return true;
    return false;
}

int relctl_make_dist(struct relctl_boot *b, struct rel_err *e)
{
    const char *distribution = relctl_env("RELEASE_DISTRIBUTION", "loopback");
    rel_autofree char *cookie_file = rel_strf("%s/secret/cookie", b->tmp_dir);
    rel_autofree char *path = relctl_contact_path(b->tmp_dir);
    struct hot_contact c = {.cookie_file = cookie_file,
                            .pid = b->pid,
                            .pid_start = hot_pid_start(b->pid),
                            .root = (char *)b->root,
                            .name = (char *)b->name,
                            .version = (char *)b->version,
                            .elixir = has_elixir(b->root)};
    bool loopback = !strcmp(distribution, "loopback"), none = !strcmp(distribution, "none");

    if (!loopback && !none && strcmp(distribution, "sname") != 0 &&
        strcmp(distribution, "name") != 0)
        return rel_fail(e, REL_E_USAGE, 0,
                        "RELEASE_DISTRIBUTION is '%s', it can be loopback, sname, name or none",
                        distribution);
    if (refuse_second(b, path, e) < 0 || (!none && make_cookie(b, e) < 0) ||
        (loopback && find_port(&b->port, e) < 0))
        return -1;
    b->node = none ? rel_xstrdup("") : whole_name(b, distribution);
    c.node = b->node;
    c.port = b->port;
    return hot_contact_write(path, &c, e);
}
