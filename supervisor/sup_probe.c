/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/rel_clock.h"
#include "base/rel_regex.h"
#include "hotload/hot_ready.h"
#include "supervisor/sup_cgroup.h"
#include "supervisor/sup_child.h"
#include "supervisor/sup_curl.h"
#include "supervisor/sup_env.h"
#include "supervisor/sup_procs.h"
#include "swap/swap_listen.h"

enum { BODY_MAX = 1 << 16, END_MS = 250 };

extern char **environ;

void sup_place_fini(struct sup_place *place)
{
    hot_contact_fini(&place->contact);
    free(place->groups);
    *place = (struct sup_place){0};
}

/* The group of the probe's port, or of the only port there is, which may be one of each family. */
static int find_group(const struct sup_health *h, const struct sup_place *place,
                      const struct swap_group_view **view, struct rel_err *e)
{
    const struct swap_group_view *found = NULL;

    for (size_t i = 0; i < place->group_n; i++) {
        const struct swap_group_view *v = &place->groups[i];

        if (!h->port && found && found->port != v->port)
            return rel_fail(e, REL_E_INPUT, 0,
                            "it listens on several ports, so the probe in relsup.json needs a "
                            "\"port\"");
        if (!found && (!h->port || v->port == h->port))
            found = v;
    }
    if (!found && h->port)
        return rel_fail(e, REL_E_INPUT, 0, "it does not listen on port %d", h->port);
    if (!found)
        return rel_fail(e, REL_E_INPUT, 0, "it listens nowhere");
    *view = found;
    return 0;
}

static int probe_tcp(const struct sup_health *h, const struct sup_place *place, struct rel_err *e)
{
    const struct swap_group_view *view;
    rel_autoclose int fd = -1;

    if (find_group(h, place, &view, e) < 0)
        return -1;
    return swap_preview_connect(view, (int)h->timeout_ms, &fd, e);
}

struct request {
    struct sup_curl c;
    CURL *curl;
    struct curl_slist *connect_to;
    struct rel_buf body;
};

static void request_fini(struct request *r)
{
    if (r->curl)
        r->c.curl_easy_cleanup(r->curl);
    if (r->connect_to)
        r->c.curl_slist_free_all(r->connect_to);
    rel_buf_fini(&r->body);
}

static size_t on_body(char *bytes, size_t one, size_t n, void *ctx)
{
    struct rel_buf *body = ctx;
    size_t room = BODY_MAX - body->len;

    (void)one;
    rel_buf_add(body, bytes, n < room ? n : room);
    return n;
}

/* The name in the URL is the one that the application is to see; the connection goes to the group,
 * from the preview address. */
static void set_options(struct request *r, const struct sup_health *h,
                        const struct swap_group_view *view)
{
    char target[INET6_ADDRSTRLEN] = "", source[INET6_ADDRSTRLEN] = "";
    bool v6 = view->target.ss_family == AF_INET6;
    rel_autofree char *url = NULL, *to = NULL, *from = NULL;

    swap_address_text(&view->target, target);
    swap_address_text(&view->source, source);
    url = rel_strf("%s://%s:%d%s", h->tls ? "https" : "http", h->host ? h->host : "localhost",
                   (int)view->port, h->path);
    to = rel_strf(v6 ? "::[%s]:%d" : "::%s:%d", target, (int)view->port);
    from = rel_strf("host!%s", source);
    r->connect_to = r->c.curl_slist_append(NULL, to);
    r->c.curl_easy_setopt(r->curl, CURLOPT_URL, url);
    r->c.curl_easy_setopt(r->curl, CURLOPT_CONNECT_TO, r->connect_to);
    r->c.curl_easy_setopt(r->curl, CURLOPT_INTERFACE, from);
    if (v6) {
        r->c.curl_easy_setopt(r->curl, CURLOPT_LOCALPORT, (long)SWAP_PREVIEW_PORT);
        r->c.curl_easy_setopt(r->curl, CURLOPT_LOCALPORTRANGE, (long)SWAP_PREVIEW_PORTS);
    }
    r->c.curl_easy_setopt(r->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    r->c.curl_easy_setopt(r->curl, CURLOPT_NOPROXY, "*");
    r->c.curl_easy_setopt(r->curl, CURLOPT_NOSIGNAL, 1L);       /* this is a worker thread */
    r->c.curl_easy_setopt(r->curl, CURLOPT_SSL_VERIFYPEER, 0L); /* it is this very host */
    r->c.curl_easy_setopt(r->curl, CURLOPT_SSL_VERIFYHOST, 0L);
    r->c.curl_easy_setopt(r->curl, CURLOPT_TIMEOUT_MS, (long)h->timeout_ms);
    r->c.curl_easy_setopt(r->curl, CURLOPT_USERAGENT, "relsup/" RELPACK_VERSION);
    r->c.curl_easy_setopt(r->curl, CURLOPT_WRITEFUNCTION, on_body);
    r->c.curl_easy_setopt(r->curl, CURLOPT_WRITEDATA, &r->body);
}

static int check_answer(const struct request *r, const struct sup_health *h, struct rel_err *e)
{
    long status = 0;
    int found;

    r->c.curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &status);
    if (h->status ? status != h->status : status < 200 || status > 299)
        return rel_fail(e, REL_E_REMOTE, 0, "GET %s answers %ld", h->path, status);
    if (!h->body)
        return 0;
    found = rel_regex_find(h->body, r->body.p ? r->body.p : "", r->body.len, NULL, e);
    if (found < 0)
        return -1;
    if (!found)
        return rel_fail(e, REL_E_REMOTE, 0, "the answer to GET %s does not match '%s'", h->path,
                        h->body);
    return 0;
}

static int probe_http(const struct sup_health *h, const struct sup_place *place, struct rel_err *e)
{
    __attribute__((cleanup(request_fini))) struct request r = {0};
    const struct swap_group_view *view;
    CURLcode result;

    if (find_group(h, place, &view, e) < 0 || sup_curl_load(&r.c, e) < 0)
        return -1;
    r.curl = r.c.curl_easy_init();
    if (!r.curl)
        return rel_fail(e, REL_E_INTERNAL, 0, "libcurl cannot start");
    set_options(&r, h, view);
    result = r.c.curl_easy_perform(r.curl);
    if (result != CURLE_OK)
        return rel_fail(e, result == CURLE_OPERATION_TIMEDOUT ? REL_E_TIMEOUT : REL_E_REMOTE, 0,
                        "GET %s on %s: %s", h->path, view->text, r.c.curl_easy_strerror(result));
    return check_answer(&r, h, e);
}

static int probe_rpc(const struct sup_health *h, const struct sup_place *place, struct rel_err *e)
{
    struct hot_eval eval = {.expr = h->expr,
                            .lang = place->contact.elixir ? HOT_ELIXIR : HOT_ERLANG,
                            .timeout_ms = (int)h->timeout_ms};
    hot_autonode struct hot_node *node = NULL;
    rel_autofree char *value = NULL;

    if (hot_node_open(&place->contact, (int)h->timeout_ms, &node, e) < 0 ||
        hot_node_eval(node, &eval, &value, e) < 0)
        return -1;
    if (!strcmp(value, "ok") || !strcmp(value, ":ok") || !strcmp(value, "true"))
        return 0;
    return rel_fail(e, REL_E_REMOTE, 0, "%s is %.200s", h->expr, value);
}

/* Returns when it has ended, or at the deadline. */
static bool ends_in_time(pid_t pid, int64_t until_ms)
{
    rel_autoclose int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    int n;

    do
        n = poll(&p, 1, rel_left_ms(until_ms));
    while (n < 0 && errno == EINTR);
    return pidfd >= 0 && n > 0;
}

static int wait_for(struct sup_child *child, const struct sup_health *h, struct rel_err *e)
{
    bool late = !ends_in_time(child->pid, rel_mono_ms() + h->timeout_ms);
    rel_autofree char *end = NULL;
    int status = 0;

    if (late)
        sup_tree_kill(child->pid, child->pid_start);
    else
        kill(-child->pid, SIGKILL); /* what it left in its group; it is not reaped yet */
    (void)sup_cgroup_end(child->cgroup, END_MS);
    sup_child_fini(child);
    if (!sup_child_reap(child->pid, true, &status))
        return rel_fail(e, REL_E_IO, errno, "wait for %s", h->command[0]);
    if (late)
        return rel_fail(e, REL_E_TIMEOUT, 0, "%s did not end in time", h->command[0]);
    end = sup_child_end_text(status);
    return status ? rel_fail(e, REL_E_CHILD, 0, "%s %s", h->command[0], end) : 0;
}

/* It tells whom to look at. */
static void make_env(const struct sup_place *place, const struct sup_user *user,
                     struct sup_env *env)
{
    const struct hot_contact *c = &place->contact;
    char source[INET6_ADDRSTRLEN] = "";

    if (place->group_n)
        swap_address_text(&place->groups[0].source, source);
    sup_env_begin(env, environ, user, place->config ? place->config->env : NULL);
    sup_env_setf(env, "RELSUP_HOME=%s", place->home);
    sup_env_setf(env, "RELSUP_GENERATION=%d", c->generation);
    sup_env_setf(env, "RELSUP_PID=%d", (int)c->pid);
    sup_env_setf(env, "RELSUP_NODE=%s", c->node);
    sup_env_setf(env, "RELSUP_PREVIEW_ADDRESS=%s", source);
}

static int hold(const struct sup_health *h, const struct sup_place *place,
                const struct sup_user *user, struct sup_child *child, struct rel_err *e)
{
    rel_autoclose int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sup_autoenv struct sup_env env = {0};
    struct sup_child_order o = {.file = h->command[0],
                                .args = h->command,
                                .in = in,
                                .out = STDERR_FILENO,
                                .user = user,
                                .home = place->home,
                                .generation = place->contact.generation};

    if (in < 0)
        return rel_fail(e, REL_E_IO, errno, "open /dev/null");
    make_env(place, user, &env);
    o.env = env.v;
    return sup_child_hold(&o, child, e);
}

static int probe_exec(const struct sup_health *h, const struct sup_place *place, struct rel_err *e)
{
    const struct sup_config *c = place->config;
    struct sup_user user = {0};
    struct sup_child child;
    int rc;

    if (c && sup_user_find(c->user, c->capabilities, &user, e) < 0)
        return -1;
    rc = hold(h, place, c ? &user : NULL, &child, e);
    sup_user_fini(&user);
    if (rc < 0 || sup_child_go(&child, e) < 0)
        return -1;
    return wait_for(&child, h, e);
}

/* Without any configuration: its node answers, and its application is started. */
static int probe_node(const struct sup_health *h, const struct sup_place *place, struct rel_err *e)
{
    hot_autonode struct hot_node *node = NULL;
    rel_autofree char *why = NULL;
    int64_t sign;

    if (hot_node_open(&place->contact, (int)h->timeout_ms, &node, e) < 0 ||
        hot_node_ready(node, (int)h->timeout_ms, &sign, &why, e) < 0)
        return -1;
    return why ? rel_fail(e, REL_E_REMOTE, 0, "%s: %s", place->contact.node, why) : 0;
}

int sup_probe_run(const struct sup_health *h, const struct sup_place *place, struct rel_err *e)
{
    static int (*const probes[SUP_PROBE_COUNT])(
        const struct sup_health *h, const struct sup_place *place, struct rel_err *e) = {
        [SUP_PROBE_NODE] = probe_node, [SUP_PROBE_HTTP] = probe_http, [SUP_PROBE_TCP] = probe_tcp,
        [SUP_PROBE_RPC] = probe_rpc,   [SUP_PROBE_EXEC] = probe_exec,
    };

    return probes[h->kind](h, place, e);
}

const struct sup_health sup_node_health = {
    .kind = SUP_PROBE_NODE, .interval_ms = 1000, .timeout_ms = 2000, .in_a_row = 1, .failures = 3};

void sup_health_judge(struct sup_health_run *run, bool good)
{
    run->next_ms = rel_mono_ms() + run->health->interval_ms;
    run->passed = good ? run->passed + 1 : 0;
    run->failed = good ? 0 : run->failed + 1;
}

void sup_place_find(struct sup_place *place)
{
    struct swap_listeners l = {0};
    struct rel_err e = {0};

    if (swap_listeners_read(place->contact.pid, place->contact.port, &l, &e) < 0)
        return;
    place->groups = rel_xcalloc(l.n + 1, sizeof(*place->groups));
    for (size_t i = 0; i < l.n; i++)
        swap_listener_view(&l.v[i], &place->groups[place->group_n++]);
    swap_listeners_fini(&l);
}
