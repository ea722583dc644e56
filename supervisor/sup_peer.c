/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "supervisor/sup_env.h"
#include "supervisor/sup_store.h"

#define LISTEN_OPTION "{raw,1,15,<<1,0,0,0>>}" /* SOL_SOCKET, SO_REUSEPORT */

enum { VM_ARGS_MAX = 1 << 20 };

extern char **environ;

/* A port that nobody listens on now: OTP's SO_REUSEPORT would not tell a clash (facts of the
 * kernel: the option reaches the distribution's listener too). */
static int free_port(int *port, struct rel_err *e)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    rel_autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(a);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        return rel_fail(e, REL_E_IO, errno, "find a free port for the distribution");
    *port = ntohs(a.sin_port);
    return 0;
}

/* Ours first, then the release's own: "[{raw,...},{nodelay,true}]". */
static char *listen_options(const struct sup_release *r)
{
    const char *own = r->listen_options;

    while (own && strchr("[ \n\t", *own) && *own)
        own++;
    if (!own || *own == ']' || !*own)
        return rel_xstrdup("[" LISTEN_OPTION "]");
    return rel_strf("[" LISTEN_OPTION ",%s", own);
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

static void make_env(struct sup_env *env, const struct sup_spawn *s, const struct sup_peer *peer,
                     const char *tmp)
{
    rel_autofree char *options = without_space(listen_options(peer->release));

    sup_env_begin(env, environ, s->env);
    sup_env_setf(env, "RELEASE_NODE=%s", peer->contact.node);
    sup_env_setf(env, "RELEASE_DISTRIBUTION=sname");
    /* mix's launcher insists on a cookie for the command line; the VM ignores it (docs/cookie.md)
     */
    sup_env_setf(env, "RELEASE_COOKIE=decoy");
    sup_env_setf(env, "RELEASE_TMP=%s", tmp);
    sup_env_setf(env, "XDG_CONFIG_HOME=%s/secret", s->home);
    sup_env_setf(env, "RELSUP_HOME=%s", s->home);
    sup_env_setf(env, "RELSUP_GENERATION=%d", s->generation);
    sup_env_setf(env, "ERL_CRASH_DUMP=%s/log/peer-%d.dump", s->home, s->generation);
    sup_env_setf(env,
                 "ERL_AFLAGS=-setcookie -home x -start_epmd false -erl_epmd_port %d "
                 "-kernel inet_dist_use_interface {127,0,0,1} "
                 "-kernel inet_default_listen_options %s",
                 peer->contact.port, options);
    if (peer->release->kind == PKG_KIND_RELX) {
        sup_env_setf(env, "VMARGS_PATH=%s/vm.args", tmp);
        sup_env_setf(env, "RELX_OUT_FILE_PATH=%s", tmp);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct sup_peer *peer = handle->data;

    sup_release_free(peer->release);
    hot_contact_fini(&peer->contact);
    free(peer->dir);
    for (size_t i = 0; i < peer->chain_n; i++)
        free(peer->chain[i]);
    free(peer->chain);
    free(peer->log);
    free(peer);
}

static void on_proc_exit(uv_process_t *proc, int64_t status, int signal)
{
    struct sup_peer *peer = proc->data;

    peer->gone = true;
    peer->exit_status = status;
    peer->signal = signal;
    peer->on_exit(peer);
}

static int spawn(uv_loop_t *loop, struct sup_peer *peer, struct sup_env *env, struct rel_err *e)
{
    rel_autofree char *launcher = rel_strf("%s/bin/%s", peer->release->root, peer->release->name);
    bool relx = peer->release->kind == PKG_KIND_RELX;
    char foreground[] = "foreground", start[] = "start";
    char *args[] = {launcher, relx ? foreground : start, NULL};
    rel_autoclose int out = open(peer->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    rel_autoclose int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    uv_stdio_container_t stdio[3] = {{.flags = UV_INHERIT_FD, .data.fd = in},
                                     {.flags = UV_INHERIT_FD, .data.fd = out},
                                     {.flags = UV_INHERIT_FD, .data.fd = out}};
    uv_process_options_t o = {.file = launcher,
                              .args = args,
                              .env = env->v,
                              .cwd = peer->release->root,
                              .flags = UV_PROCESS_DETACHED,
                              .stdio = stdio,
                              .stdio_count = 3,
                              .exit_cb = on_proc_exit};
    int rc;

    if (out < 0 || in < 0)
        return rel_fail(e, REL_E_IO, errno, "open %s", peer->log);
    rc = uv_spawn(loop, &peer->proc, &o);
    if (rc < 0)
        return rel_fail(e, REL_E_CHILD, -rc, "start %s", launcher);
    peer->contact.pid = peer->proc.pid;
    peer->contact.pid_start = hot_pid_start(peer->proc.pid);
    return 0;
}

static void add_to_chain(struct sup_peer *p)
{
    p->chain = rel_xrealloc(p->chain, p->chain_n + 1, sizeof(*p->chain));
    p->chain[p->chain_n++] = rel_xstrdup(p->dir);
}

static int prepare(const struct sup_spawn *s, struct sup_peer *p, const char *tmp,
                   struct rel_err *e)
{
    rel_autofree char *root = sup_store_path(s->home, s->dir);
    rel_autofree char *vm_args = rel_strf("%s/vm.args", tmp);
    struct hot_contact *c = &p->contact;

    if (sup_release_read(root, &p->release, e) < 0 || free_port(&c->port, e) < 0 ||
        rel_mkdirs(AT_FDCWD, tmp, 0700, e) < 0)
        return -1;
    c->node = s->node_names[s->green]
                  ? rel_strf("%s@localhost", s->node_names[s->green])
                  : rel_strf("%s_%s@localhost", p->release->name, s->green ? "green" : "blue");
    c->cookie_file = rel_strf("%s/secret/cookie", s->home);
    c->root = rel_xstrdup(root);
    c->name = rel_xstrdup(p->release->name);
    c->version = rel_xstrdup(p->release->vsn);
    c->generation = s->generation;
    c->elixir = p->release->elixir;
    p->dir = rel_xstrdup(s->dir);
    add_to_chain(p);
    p->log = rel_strf("%s/log/peer-%d.log", s->home, s->generation);
    p->since_ms = rel_wall_ms();
    if (p->release->kind == PKG_KIND_RELX)
        return write_relx_vm_args(p->release, c->node, vm_args, e);
    return 0;
}

int sup_peer_spawn(uv_loop_t *loop, const struct sup_spawn *s, void (*on_exit)(struct sup_peer *),
                   void *ctx, struct sup_peer **peer, struct rel_err *e)
{
    rel_autofree char *tmp = rel_strf("%s/run/peer-%d", s->home, s->generation);
    struct sup_peer *p = rel_xcalloc(1, sizeof(*p));
    sup_autoenv struct sup_env env = {0};
    int rc;

    p->on_exit = on_exit;
    p->ctx = ctx;
    p->proc.data = p;
    rc = prepare(s, p, tmp, e);
    if (rc < 0) {
        on_closed((uv_handle_t *)&p->proc);
        return -1;
    }
    make_env(&env, s, p, tmp);
    rc = spawn(loop, p, &env, e);
    if (rc < 0) {
        if (p->proc.type == UV_PROCESS) /* uv_spawn initialised the handle before it failed */
            uv_close((uv_handle_t *)&p->proc, on_closed);
        else
            on_closed((uv_handle_t *)&p->proc);
        return -1;
    }
    *peer = p;
    return 0;
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

void sup_peer_stop(struct sup_peer *peer)
{
    if (!peer->gone)
        uv_process_kill(&peer->proc, SIGTERM);
}

void sup_peer_kill(struct sup_peer *peer)
{
    if (!peer->gone)
        kill(-peer->proc.pid, SIGKILL);
}

char *sup_peer_end_text(const struct sup_peer *peer)
{
    if (peer->signal)
        return rel_strf("was killed by SIG%s", sigabbrev_np(peer->signal));
    return rel_strf("exited with status %d", (int)peer->exit_status);
}

void sup_peer_close(struct sup_peer *peer)
{
    uv_close((uv_handle_t *)&peer->proc, on_closed);
}
