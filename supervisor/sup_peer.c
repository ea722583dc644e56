/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "hotload/hot_port.h"
#include "supervisor/sup_peer_end.h"
#include "supervisor/sup_peer_files.h"
#include "supervisor/sup_store.h"

/* SOL_SOCKET, SO_REUSEPORT: only beside a peer that serves. Alone, a peer must not share its port:
 * where somebody else listens its listen() fails, as it would without us. It shares it when it is
 * swapped (swap_share.c). */
#define SHARE "{raw,1,15,<<1,0,0,0>>}"
#define ALONE "{reuseaddr,true}" /* the port of the one before, whose connections linger */

enum { VM_ARGS_MAX = 1 << 20 };

extern char **environ;

/* Ours first, then the release's own: "[{raw,...},{nodelay,true}]". */
static char *listen_options(const struct sup_release *r, bool share)
{
    const char *own = r->listen_options, *ours = share ? SHARE : ALONE;

    while (own && strchr("[ \n\t", *own) && *own)
        own++;
    if (!own || *own == ']' || !*own)
        return rel_strf("[%s]", ours);
    return rel_strf("[%s,%s", ours, own);
}

/* erlexec splits ERL_AFLAGS at white space, so none may be inside a term. */
static char *without_space(char *text)
{
    char *to = text;

    for (const char *p = text; *p; p++)
        if (!strchr(" \n\t", *p))
            *to++ = *p;
    *to = '\0';
    return text;
}

/* relx reads the node's name from vm.args: a copy with ours, without a cookie. */
static int write_relx_vm_args(const struct sup_release *r, const char *node, const char *path,
                              struct rel_err *e)
{
    rel_autofree char *from = rel_strf("%s/vm.args", r->vsn_dir), *text = NULL;
    rel_autobuf struct rel_buf out = {0};
    char *save = NULL;
    size_t len;

    if (rel_is_file(AT_FDCWD, from) &&
        rel_read_file(AT_FDCWD, from, VM_ARGS_MAX, &text, &len, e) < 0)
        return -1;
    for (char *l = text ? strtok_r(text, "\n", &save) : NULL; l; l = strtok_r(NULL, "\n", &save))
        if (strncmp(l, "-name", 5) != 0 && strncmp(l, "-sname", 6) != 0 &&
            strncmp(l, "-setcookie", 10) != 0)
            rel_buf_addf(&out, "%s\n", l);
    rel_buf_addf(&out, "-sname %s\n", node);
    return rel_replace_file(AT_FDCWD, path, out.p, out.len, 0600, e);
}

void sup_peer_env(const struct sup_peer *peer, struct sup_env *env)
{
    sup_env_setf(env, "RELEASE_NODE=%s", peer->contact.node);
    sup_env_setf(env, "RELEASE_DISTRIBUTION=sname");
    /* mix's launcher insists on a cookie for the command line; the VM ignores it (docs/cookie.md)
     */
    sup_env_setf(env, "RELEASE_COOKIE=decoy");
    sup_env_setf(env, "RELEASE_TMP=%s", peer->tmp);
    sup_env_setf(env, "XDG_CONFIG_HOME=%s", peer->secret);
    sup_env_setf(env, "RELSUP_HOME=%s", peer->home);
    sup_env_setf(env, "RELSUP_GENERATION=%d", peer->contact.generation);
}

static void make_env(struct sup_env *env, const struct sup_spawn *s, const struct sup_peer *peer,
                     const struct sup_user *user)
{
    rel_autofree char *options = without_space(listen_options(peer->release, s->share));

    sup_env_begin(env, environ, user, s->config->env);
    sup_peer_env(peer, env);
    sup_env_setf(env, "ERL_CRASH_DUMP=%s", peer->dump);
    sup_env_setf(env,
                 "ERL_AFLAGS=-setcookie -home x -start_epmd false -erl_epmd_port %d "
                 "-kernel inet_dist_use_interface {127,0,0,1} "
                 "-kernel inet_dist_listen_options [" SHARE "] "
                 "-kernel inet_default_listen_options %s",
                 peer->contact.port, options);
    if (peer->release->kind == PKG_KIND_RELX) {
        sup_env_setf(env, "VMARGS_PATH=%s/vm.args", peer->tmp);
        sup_env_setf(env, "RELX_OUT_FILE_PATH=%s", peer->tmp);
    }
}

/* What it has no more use for. Its log stays, and its dump where there is one. */
static void remove_files(const struct sup_peer *peer)
{
    struct rel_err ignored = {0};
    struct stat st;

    if (peer->secret)
        (void)!rel_remove_tree(AT_FDCWD, peer->secret, &ignored);
    rel_err_clear(&ignored);
    if (peer->tmp)
        (void)!rel_remove_tree(AT_FDCWD, peer->tmp, &ignored);
    if (peer->dump && stat(peer->dump, &st) == 0 && st.st_size == 0)
        (void)!unlink(peer->dump);
}

static void free_peer(struct sup_peer *peer)
{
    remove_files(peer);
    rel_close_p(&peer->port_fd);
    sup_release_free(peer->release);
    hot_contact_fini(&peer->contact);
    free(peer->dir);
    for (size_t i = 0; i < peer->chain_n; i++)
        free(peer->chain[i]);
    free(peer->chain);
    sup_family_fini(&peer->family);
    sup_child_fini(&peer->child);
    free(peer->home);
    free(peer->log);
    free(peer->tmp);
    free(peer->secret);
    free(peer->dump);
    free(peer);
}

static void add_to_chain(struct sup_peer *p)
{
    p->chain = rel_xrealloc(p->chain, p->chain_n + 1, sizeof(*p->chain));
    p->chain[p->chain_n++] = rel_xstrdup(p->dir);
}

static void name_files(const struct sup_spawn *s, struct sup_peer *p)
{
    p->home = rel_xstrdup(s->home);
    p->tmp = rel_strf("%s/run/peer-%d", s->home, s->generation);
    p->secret = sup_files_secret_path(s->home, s->generation);
    p->log = rel_strf("%s/log/peer-%d.log", s->home, s->generation);
    p->dump = rel_strf("%s/log/peer-%d.dump", s->home, s->generation);
}

/* Whatever is the user's is given to him when it is complete. */
static int make_files(const struct sup_spawn *s, const struct sup_peer *p,
                      const struct sup_user *user, struct rel_err *e)
{
    rel_autofree char *vm_args = rel_strf("%s/vm.args", p->tmp);

    if (sup_files_let_in(s->home, user, e) < 0 || sup_files_make(p->tmp, e) < 0 ||
        (p->release->kind == PKG_KIND_RELX &&
         write_relx_vm_args(p->release, p->contact.node, vm_args, e) < 0) ||
        sup_files_give(p->tmp, user, e) < 0 ||
        sup_files_secret(s->home, s->generation, user, e) < 0 ||
        sup_files_dump(p->dump, user, e) < 0)
        return -1;
    return 0;
}

static int prepare(const struct sup_spawn *s, struct sup_peer *p, const struct sup_user *user,
                   struct rel_err *e)
{
    rel_autofree char *root = sup_store_path(s->home, s->dir);
    struct hot_contact *c = &p->contact;
    const char *name = s->config->node_names[s->green];

    if (sup_release_read(root, &p->release, e) < 0 ||
        hot_port_take(user->uid, &c->port, &p->port_fd, e) < 0)
        return -1;
    c->node = name ? rel_strf("%s@localhost", name)
                   : rel_strf("%s_%s@localhost", p->release->name, s->green ? "green" : "blue");
    c->cookie_file = rel_strf("%s/cookie", p->secret);
    c->root = rel_xstrdup(root);
    c->name = rel_xstrdup(p->release->name);
    c->version = rel_xstrdup(p->release->vsn);
    c->generation = s->generation;
    c->elixir = p->release->elixir;
    p->uid = user->uid;
    p->dir = rel_xstrdup(s->dir);
    add_to_chain(p);
    p->shares = s->share;
    p->since_ms = rel_wall_ms();
    p->began_ms = rel_mono_ms();
    return make_files(s, p, user, e);
}

static int hold(const struct sup_spawn *s, struct sup_peer *p, const struct sup_user *user,
                struct rel_err *e)
{
    rel_autofree char *launcher = rel_strf("%s/bin/%s", p->release->root, p->release->name);
    bool relx = p->release->kind == PKG_KIND_RELX;
    char foreground[] = "foreground", start[] = "start";
    char *args[] = {launcher, relx ? foreground : start, NULL};
    rel_autoclose int out = open(p->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    rel_autoclose int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sup_autoenv struct sup_env env = {0};
    struct sup_child_order o = {.file = launcher,
                                .args = args,
                                .cwd = p->release->root,
                                .in = in,
                                .out = out,
                                .user = user,
                                .home = s->home,
                                .generation = s->generation};

    if (out < 0 || in < 0)
        return rel_fail(e, REL_E_IO, errno, "open %s", p->log);
    make_env(&env, s, p, user);
    o.env = env.v;
    return sup_child_hold(&o, &p->child, e);
}

int sup_peer_check_user(const struct sup_config *config, const struct sup_peer *beside,
                        struct rel_err *e)
{
    struct sup_user user = {0};
    uid_t uid;

    if (sup_user_find(config->user, config->capabilities, &user, e) < 0)
        return -1;
    uid = user.uid;
    sup_user_fini(&user);
    if (!beside || beside->uid == uid)
        return 0;
    return rel_fail(e, REL_E_INPUT, 0,
                    "user: %s runs as user %u and the new one would as %u, and two users cannot "
                    "share a port: stop relsup and start it with the new settings",
                    beside->contact.node, (unsigned)beside->uid, (unsigned)uid);
}

int sup_peer_spawn(const struct sup_spawn *s, struct sup_peer **peer, struct rel_err *e)
{
    struct sup_user user = {0};
    struct sup_peer *p;
    int rc;

    if (sup_user_find(s->config->user, s->config->capabilities, &user, e) < 0)
        return -1;
    p = rel_xcalloc(1, sizeof(*p));
    p->port_fd = -1;
    name_files(s, p);
    rc = prepare(s, p, &user, e);
    if (!rc)
        rc = hold(s, p, &user, e);
    sup_user_fini(&user);
    if (rc < 0) {
        free_peer(p);
        return -1;
    }
    p->contact.pid = p->child.pid;
    p->contact.pid_start = p->child.pid_start;
    *peer = p;
    return 0;
}

int sup_peer_go(uv_loop_t *loop, struct sup_peer *peer, const struct sup_peer_owner *owner,
                struct rel_err *e)
{
    if (sup_child_go(&peer->child, e) < 0) {
        free_peer(peer);
        return -1;
    }
    peer->owner = owner;
    sup_peer_watch(loop, peer);
    return 0;
}

void sup_peer_drop(struct sup_peer *peer)
{
    sup_child_drop(&peer->child);
    free_peer(peer);
}

void sup_peer_changed(struct sup_peer *peer, const char *dir, struct sup_release *release)
{
    sup_release_free(peer->release);
    peer->release = release;
    free(peer->dir);
    peer->dir = rel_xstrdup(dir);
    free(peer->contact.root);
    peer->contact.root = rel_xstrdup(release->root);
    free(peer->contact.version);
    peer->contact.version = rel_xstrdup(release->vsn);
    add_to_chain(peer);
}

char *sup_peer_end_text(const struct sup_peer *peer)
{
    return sup_child_end_text(peer->status);
}

static void on_closed(uv_handle_t *handle)
{
    struct sup_peer *peer = handle->data;

    if (--peer->handle_n == 0)
        free_peer(peer);
}

void sup_peer_close(struct sup_peer *peer)
{
    peer->watch.handle.data = peer->tick.data = peer;
    peer->handle_n = 2;
    uv_close((uv_handle_t *)&peer->watch.handle, on_closed);
    uv_close((uv_handle_t *)&peer->tick, on_closed);
}
