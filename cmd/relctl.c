/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/relctl.h"

#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"

const char *relctl_env(const char *name, const char *fallback)
{
    const char *value = getenv(name);

    return value && *value ? value : fallback;
}

int relctl_root(const struct cmd_ctx *ctx, const char **root, struct rel_err *e)
{
    const char *dir = cmd_get(ctx, "root");

    if (!dir)
        dir = relctl_env("RELEASE_ROOT", NULL);
    if (!dir)
        return rel_fail(e, REL_E_USAGE, 0, "say where the release is: --root DIR or RELEASE_ROOT");
    *root = dir;
    return 0;
}

char *relctl_tmp_dir(const char *root)
{
    const char *dir = relctl_env("RELEASE_TMP", NULL);

    return dir ? rel_xstrdup(dir) : rel_strf("%s/tmp", root);
}

char *relctl_contact_path(const char *tmp_dir)
{
    const char *name = relctl_env("RELEASE_NODE", relctl_env("RELEASE_NAME", "release"));

    return rel_strf("%s/%.*s.contact.json", tmp_dir, (int)strcspn(name, "@"), name);
}

static int find_contact(const char *root, char **path, struct rel_err *e)
{
    const char *home = relctl_env("RELSUP_HOME", NULL);
    rel_autofree char *tmp_dir = relctl_tmp_dir(root), *found = NULL;

    if (home) {
        *path = rel_strf("%s/run/active.json", home);
        return 0;
    }
    found = rel_strf("%s/../../run/active.json", root);
    if (!rel_is_file(AT_FDCWD, found)) {
        free(found);
        found = relctl_contact_path(tmp_dir);
        if (relctl_trust_contact(root, found, e) < 0)
            return -1;
    }
    *path = rel_steal(&found);
    return 0;
}

int relctl_contact(const struct cmd_ctx *ctx, struct hot_contact *c, struct rel_err *e)
{
    const char *path = cmd_get(ctx, "contact"), *root = NULL;
    rel_autofree char *found = NULL;

    if (!path) {
        if (relctl_root(ctx, &root, e) < 0 || find_contact(root, &found, e) < 0)
            return -1;
        path = found;
    }
    if (hot_contact_read(path, c, e) == 0)
        return 0;
    if (e->code != REL_E_UNREACHABLE)
        return -1;
    rel_err_clear(e);
    return rel_fail(e, REL_E_UNREACHABLE, 0, "%s is not running: there is no %s",
                    relctl_env("RELEASE_NAME", "the release"), path);
}

/* Reads the options that all verbs have, and hands the contact to one of them. */
struct target {
    struct hot_contact c;
    int64_t timeout_ms;
};

static void target_fini(struct target *t)
{
    hot_contact_fini(&t->c);
}
#define autotarget __attribute__((cleanup(target_fini)))

static int find_target(struct cmd_ctx *ctx, struct target *t, struct rel_err *e)
{
    if (cmd_get_ms(ctx, "timeout", CMD_NODE_TIMEOUT_MS, &t->timeout_ms, e) < 0)
        return -1;
    return relctl_contact(ctx, &t->c, e);
}

static int run_rpc(struct cmd_ctx *ctx, struct rel_err *e)
{
    autotarget struct target t = {0};
    struct cmd_rpc rpc = {.expr = ctx->pos[0], .print = cmd_has(ctx, "print")};

    if (find_target(ctx, &t, e) < 0)
        return -1;
    rpc.timeout_ms = t.timeout_ms;
    return cmd_node_rpc(ctx, &t.c, &rpc, e);
}

static int run_pid(struct cmd_ctx *ctx, struct rel_err *e)
{
    autotarget struct target t = {0};

    return find_target(ctx, &t, e) < 0 ? -1 : cmd_node_pid(ctx, &t.c, t.timeout_ms, e);
}

static int run_ping(struct cmd_ctx *ctx, struct rel_err *e)
{
    autotarget struct target t = {0};

    return find_target(ctx, &t, e) < 0 ? -1 : cmd_node_ping(ctx, &t.c, t.timeout_ms, e);
}

/* A peer that ends by our order would be a crash to its supervisor. */
static int refuse_peer(const struct target *t, const char *verb, struct rel_err *e)
{
    if (t->c.generation > 0)
        return rel_fail(e, REL_E_USAGE, 0, "%s is run by relsup, use 'relsup %s'", t->c.name, verb);
    return 0;
}

static int run_stop(struct cmd_ctx *ctx, struct rel_err *e)
{
    autotarget struct target t = {0};

    if (find_target(ctx, &t, e) < 0 || refuse_peer(&t, "stop", e) < 0)
        return -1;
    return cmd_node_stop(ctx, &t.c, t.timeout_ms, e);
}

static int run_restart(struct cmd_ctx *ctx, struct rel_err *e)
{
    autotarget struct target t = {0};

    if (find_target(ctx, &t, e) < 0 || refuse_peer(&t, "restart", e) < 0)
        return -1;
    return cmd_node_restart(ctx, &t.c, t.timeout_ms, e);
}

static int run_remote(struct cmd_ctx *ctx, struct rel_err *e)
{
    autotarget struct target t = {0};

    return find_target(ctx, &t, e) < 0 ? -1 : cmd_node_remote(ctx, &t.c, e);
}

static const struct cmd_option options[] = {RELCTL_OPTIONS, {0}};
static const struct cmd_option rpc_options[] = {
    RELCTL_OPTIONS, {"print", 'p', NULL, "print the value of the expression too"}, {0}};

static const struct cmd_verb rpc = {
    .name = "rpc",
    .summary = "evaluate an expression in the running node",
    .usage = "EXPR [--print] [--timeout S]",
    .options = rpc_options,
    .pos_min = 1,
    .pos_max = 1,
    .run = run_rpc,
};
static const struct cmd_verb pid = {
    .name = "pid",
    .summary = "print the process id of the running node",
    .usage = "",
    .options = options,
    .run = run_pid,
};
static const struct cmd_verb ping = {
    .name = "ping",
    .summary = "print pong when the node answers",
    .usage = "",
    .options = options,
    .run = run_ping,
};
static const struct cmd_verb stop = {
    .name = "stop",
    .summary = "stop the node and wait until its process is gone",
    .usage = "[--timeout S]",
    .options = options,
    .run = run_stop,
};
static const struct cmd_verb restart = {
    .name = "restart",
    .summary = "restart the node inside its process and wait until it has booted",
    .usage = "[--timeout S]",
    .options = options,
    .run = run_restart,
};
static const struct cmd_verb remote = {
    .name = "remote",
    .summary = "open a shell in the running node",
    .usage = "",
    .options = options,
    .run = run_remote,
};

int main(int argc, char **argv)
{
    static const struct cmd_verb *const verbs[] = {
        &rpc, &pid, &ping, &stop, &restart, &remote, &relctl_prepare, &relctl_await, NULL};
    static const struct cmd_program program = {
        .name = "relctl",
        .summary = "Works with the running node of a release; bin/<name> calls it.",
        .verbs = verbs,
    };

    return cmd_main(&program, argc, argv);
}
