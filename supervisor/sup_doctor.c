/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_doctor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "base/rel_own.h"
#include "supervisor/sup_cgroup.h"
#include "supervisor/sup_client.h"
#include "supervisor/sup_config.h"
#include "supervisor/sup_confine.h"
#include "supervisor/sup_release.h"
#include "supervisor/sup_store.h"
#include "supervisor/sup_trust.h"
#include "swap/swap_bpf.h"

/* Two releases and their logs: a release with its VM is some 15 to 100 MB. */
static const uint64_t room_wanted = UINT64_C(256) << 20;

enum { SILENCE_MS = 2000 };

/* What a look found; `advice` stays NULL where all is well. */
struct found {
    char *text, *advice;
};

static void well(struct found *f, char *text)
{
    f->text = text;
}

static void unwell(struct found *f, char *text, const char *advice)
{
    f->text = text;
    f->advice = rel_xstrdup(advice);
}

/* Two listeners of one port, as two peers have them, and a program that chooses between them. */
static int try_steering(struct rel_err *e)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct swap_route all_to_first = {.main = {.v = {0}, .n = 1}};
    rel_autoclose int one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    rel_autoclose int two = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(a);
    int on = 1;

    if (setsockopt(one, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ||
        setsockopt(two, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ||
        bind(one, (struct sockaddr *)&a, sizeof(a)) < 0 ||
        getsockname(one, (struct sockaddr *)&a, &len) < 0 ||
        bind(two, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(one, 1) < 0 || listen(two, 1) < 0)
        return rel_fail(e, REL_E_UNSUPPORTED, errno, "let two listeners share a port");
    return swap_bpf_attach(one, &all_to_first, e);
}

static void look_at_steering(const char *home, struct found *f)
{
    struct rel_err e = {0};

    (void)home;
    if (try_steering(&e) == 0)
        well(f, rel_xstrdup("new connections can be steered between two peers"));
    else
        unwell(f, rel_xstrdup(e.msg),
               "allow SO_ATTACH_REUSEPORT_CBPF in this sandbox; until then a swap may lose "
               "connections that wait for the old peer");
}

/* pidfd_getfd(2) of our own process is subject to the same filters as that of a peer. */
static void look_at_descriptors(const char *home, struct found *f)
{
    rel_autoclose int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    rel_autoclose int copy =
        pidfd < 0 ? -1
                  : (int)syscall(SYS_pidfd_getfd, pidfd, pidfd, 0); /* any descriptor will do */

    (void)home;
    if (copy >= 0)
        well(f, rel_xstrdup("the listening sockets of a peer can be held"));
    else
        unwell(f, rel_strf("pidfd_getfd: %s", strerror(errno)),
               "nothing is lost: the peers send their sockets over a Unix socket instead; allow "
               "pidfd_open and pidfd_getfd to spare them that");
}

static void look_at_landlock(const char *home, struct found *f)
{
    (void)home;
    if (sup_landlock_abi())
        well(f, rel_strf("a release is unpacked behind Landlock, version %d", sup_landlock_abi()));
    else
        unwell(f, rel_xstrdup("this kernel has no Landlock, or a sandbox refuses it"),
               "nothing fails: a release is unpacked in a process of its own all the same, which "
               "can then write wherever relsup can");
}

/* Of the supervisor that runs there, or of one that this user would start here. */
static pid_t supervisor_of(const char *home)
{
    struct sup_client_events events = {.silence_ms = SILENCE_MS};
    json_auto_t *status = NULL;
    struct rel_err ignored = {0};

    if (!home || sup_client_call(home, SUP_CMD_STATUS, NULL, &events, &status, &ignored) < 0)
        return getpid();
    return (pid_t)json_integer_value(json_object_get(status, "supervisor_pid"));
}

static void look_at_cgroup(const char *home, struct found *f)
{
    rel_autofree char *why = NULL, *base = sup_cgroup_base(supervisor_of(home), &why);

    if (base)
        well(f, rel_strf("each child gets a cgroup of its own in %s", base));
    else
        unwell(f, rel_strf("no cgroup: %s", why),
               "nothing fails: what a peer starts is found by its parent, session and environment; "
               "with \"Delegate=yes\" in the unit also what cut all three");
}

/* The refusal says itself what mends it. */
static void look_at_home(const char *home, struct found *f)
{
    rel_autofree char *path = rel_strf("%s/relsup.json", home);
    struct sup_config c = {0};
    struct rel_err e = {0};

    if (sup_trust_home(home, &e) < 0 || sup_config_read(path, NULL, &c, &e) < 0)
        unwell(f, rel_xstrdup(e.msg), "'relsup run' and every order would be refused");
    else
        well(f, rel_strf("%s and its settings are in order", home));
    sup_config_fini(&c);
}

/* Settings that cannot be read are told by the row of the home. */
static void look_at_user(const char *home, struct found *f)
{
    rel_autofree char *path = rel_strf("%s/relsup.json", home);
    struct sup_config c = {0};
    struct rel_err e = {0};
    bool named = sup_config_read(path, NULL, &c, &e) == 0 && c.user;

    if (geteuid() != 0)
        well(f, rel_strf("relsup and the application run as user %u", (unsigned)geteuid()));
    else if (named)
        well(f, rel_strf("relsup runs as root, the application as %s", c.user));
    else
        unwell(f, rel_xstrdup("the application runs as root"),
               "name a \"user\" in relsup.json, or start relsup as one");
    sup_config_fini(&c);
}

static void look_at_release(const char *home, struct found *f)
{
    rel_autofree char *dir = NULL, *root = NULL;
    sup_autorelease struct sup_release *r = NULL;
    struct rel_err e = {0};

    if (sup_store_current(home, &dir, &e) < 0) {
        well(f, rel_xstrdup("no release has come in yet"));
        return;
    }
    root = sup_store_path(home, dir);
    if (sup_release_read(root, &r, &e) < 0)
        unwell(f, rel_xstrdup(e.msg),
               "'relsup run' looks whether it is whole, or boots an earlier one");
    else if (sup_release_is_expired(r))
        unwell(f, rel_strf("%s expired at %s", dir, r->expires),
               "it serves and is started again all the same: upgrade to one that is good");
    else
        well(f, r->expires ? rel_strf("%s is good until %s", dir, r->expires)
                           : rel_strf("%s boots next", dir));
}

static void look_at_room(const char *home, struct found *f)
{
    struct statvfs v;
    uint64_t room;

    if (statvfs(home, &v) < 0) {
        unwell(f, rel_strf("%s: %s", home, strerror(errno)), "name the home by --home");
        return;
    }
    room = (uint64_t)v.f_bavail * v.f_frsize;
    if (room >= room_wanted && v.f_favail != 0)
        well(f, rel_strf("%llu MB free for releases", (unsigned long long)room >> 20));
    else
        unwell(f,
               rel_strf("%llu MB and %llu files free", (unsigned long long)room >> 20,
                        (unsigned long long)v.f_favail),
               "make room: an upgrade needs a second release and its logs beside the first");
}

static const struct row {
    const char *subject;
    bool of_home;
    void (*look)(const char *home, struct found *f);
} rows[] = {
    {"steering", false, look_at_steering}, {"descriptors", false, look_at_descriptors},
    {"landlock", false, look_at_landlock}, {"cgroup", false, look_at_cgroup},
    {"home", true, look_at_home},          {"user", true, look_at_user},
    {"release", true, look_at_release},    {"room", true, look_at_room},
};

int sup_doctor(const char *home, void (*tell)(void *ctx, const struct sup_finding *finding),
               void *ctx)
{
    int unwell_n = 0;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct found f = {0};
        struct sup_finding finding = {.subject = rows[i].subject};

        if (rows[i].of_home && !home)
            continue;
        rows[i].look(home, &f);
        finding.well = !f.advice;
        finding.text = f.text;
        finding.advice = f.advice;
        tell(ctx, &finding);
        unwell_n += !finding.well;
        free(f.text);
        free(f.advice);
    }
    return unwell_n;
}
