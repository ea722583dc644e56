/* SPDX-License-Identifier: Apache-2.0 */
/* The launcher's `prepare` (before it starts a VM) and `await` (after it started a daemon). */
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "cmd/relctl.h"
#include "hotload/hot_ready.h"

enum {
    UNSEEN_MS = 15000, /* a daemon that has not come so far will not */
    NODE_MS = 5000
};

static void boot_fini(struct relctl_boot *b)
{
    free(b->tmp_dir);
    free(b->vm_args);
    free(b->sys_config);
    free(b->named);
    free(b->cookie_given);
    free(b->node);
}

static int read_boot(struct cmd_ctx *ctx, struct relctl_boot *b, struct rel_err *e)
{
    const char *pid = cmd_get(ctx, "pid"), *vm_args = relctl_env("RELEASE_VM_ARGS", NULL);
    const char *sys_config = relctl_env("RELEASE_SYS_CONFIG", NULL);

    if (relctl_root(ctx, &b->root, e) < 0)
        return -1;
    b->name = relctl_env("RELEASE_NAME", NULL);
    b->version = relctl_env("RELEASE_VSN", NULL);
    b->pid = pid ? (pid_t)strtol(pid, NULL, 10) : 0;
    if (!b->name || !b->version || b->pid <= 0)
        return rel_fail(e, REL_E_USAGE, 0,
                        "prepare wants --pid, RELEASE_NAME and RELEASE_VSN: the launcher calls it");
    b->tmp_dir = relctl_tmp_dir(b->root);
    b->vm_args =
        vm_args ? rel_xstrdup(vm_args) : rel_strf("%s/releases/%s/vm.args", b->root, b->version);
    b->sys_config =
        sys_config ? rel_xstrdup(sys_config) : rel_strf("%s/releases/%s/sys", b->root, b->version);
    return 0;
}

/* For the launcher's eval: 'it'\''s'. */
static void add_assignment(struct rel_buf *out, const char *name, const char *value)
{
    rel_buf_addf(out, "%s='", name);
    for (; *value; value++)
        if (*value == '\'')
            rel_buf_adds(out, "'\\''");
        else
            rel_buf_add(out, value, 1);
    rel_buf_adds(out, "'\n");
}

static int show(struct cmd_ctx *ctx, const struct relctl_boot *b, struct rel_err *e)
{
    rel_autobuf struct rel_buf out = {0};
    json_auto_t *doc = json_pack("{s:s, s:s, s:s, s:i}", "vm_args", b->vm_args, "sys_config",
                                 b->sys_config, "node", b->node ? b->node : "", "port", b->port);
    char port[16] = "";

    if (b->port)
        snprintf(port, sizeof(port), "%d", b->port);
    add_assignment(&out, "RELEASE_VM_ARGS", b->vm_args);
    add_assignment(&out, "RELEASE_SYS_CONFIG", b->sys_config);
    add_assignment(&out, "RELEASE_DIST_PORT", port);
    if (b->node)
        add_assignment(&out, "RELEASE_NODE", b->node);
    return rel_out_result(&ctx->out, doc, out.p, e);
}

/* Whoever opens the pipes has a shell in the node. */
static int make_folders(struct cmd_ctx *ctx, struct rel_err *e)
{
    static const char *const names[] = {"pipe", "log"};
    rel_autofree char *tmp_dir = NULL;
    const char *root = NULL;

    if (relctl_root(ctx, &root, e) < 0)
        return -1;
    tmp_dir = relctl_tmp_dir(root);
    if (relctl_make_tmp(root, tmp_dir, e) < 0)
        return -1;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        rel_autofree char *path = rel_strf("%s/%s", tmp_dir, names[i]);

        if (relctl_make_private(path, e) < 0)
            return -1;
    }
    return 0;
}

static int run_prepare(struct cmd_ctx *ctx, struct rel_err *e)
{
    __attribute__((cleanup(boot_fini))) struct relctl_boot b = {0};

    if (cmd_has(ctx, "folders"))
        return make_folders(ctx, e);
    if (read_boot(ctx, &b, e) < 0)
        return -1;
    if (relctl_make_tmp(b.root, b.tmp_dir, e) < 0 || relctl_make_vm_args(&b, e) < 0 ||
        relctl_make_sys_config(&b, e) < 0)
        return rel_wrap(e, "%s cannot be started (RELEASE_TMP is %s)", b.name, b.tmp_dir);
    if (!cmd_has(ctx, "node"))
        return show(ctx, &b, e);
    return relctl_make_dist(&b, e) < 0 ? -1 : show(ctx, &b, e);
}

/* Has the boot come to an end, well (1) or badly (-1), or not yet (0)? */
static int progress(const struct hot_contact *c, bool *seen, struct hot_settling *settling,
                    struct rel_err *e)
{
    hot_autonode struct hot_node *node = NULL;
    struct rel_err ignored = {0};

    if (!hot_contact_alive(c))
        return *seen ? rel_fail(e, REL_E_CHILD, 0, "%s ended while it booted", c->name) : 0;
    *seen = true;
    if (!*c->node)
        return 1;
    return hot_node_open(c, NODE_MS, &node, &ignored) == 0 &&
           hot_node_runs(node, settling, NODE_MS);
}

static int run_await(struct cmd_ctx *ctx, struct rel_err *e)
{
    int64_t timeout_ms, until_ms, unseen_ms = rel_mono_ms() + UNSEEN_MS;
    struct timespec pause = {.tv_nsec = 20 * 1000000};
    json_auto_t *doc = json_pack("{s:b}", "started", 1);
    struct hot_settling settling = {0};
    bool seen = false;
    int state = 0;

    if (cmd_get_ms(ctx, "timeout", CMD_NODE_TIMEOUT_MS, &timeout_ms, e) < 0)
        return -1;
    until_ms = rel_mono_ms() + timeout_ms;
    while (state == 0) {
        struct hot_contact c = {0};
        struct rel_err ignored = {0};

        if (relctl_contact(ctx, &c, &ignored) == 0)
            state = progress(&c, &seen, &settling, e);
        hot_contact_fini(&c);
        if (state == 0 && (!rel_left_ms(until_ms) || (!seen && !rel_left_ms(unseen_ms))))
            return rel_fail(e, REL_E_TIMEOUT, 0, "the daemon did not start in time");
        if (state == 0)
            nanosleep(&pause, NULL);
    }
    return state < 0 ? -1 : rel_out_result(&ctx->out, doc, "", e);
}

static const struct cmd_option prepare_options[] = {
    RELCTL_OPTIONS,
    {"pid", 0, "N", "process id that the VM will have"},
    {"node", 0, NULL, "make cookie, port and contact file too"},
    {"folders", 0, NULL, "make the folders of a daemon, and nothing else"},
    {0}};
static const struct cmd_option await_options[] = {RELCTL_OPTIONS, {0}};

const struct cmd_verb relctl_prepare = {
    .name = "prepare",
    .summary = "make what a VM needs to start, and print it as shell assignments",
    .usage = "--pid N [--node] | --folders",
    .options = prepare_options,
    .hidden = true,
    .run = run_prepare,
};
const struct cmd_verb relctl_await = {
    .name = "await",
    .summary = "return when the daemon has booted",
    .usage = "[--timeout S]",
    .options = await_options,
    .hidden = true,
    .run = run_await,
};
