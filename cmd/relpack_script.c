/* SPDX-License-Identifier: Apache-2.0 */
/* relpack script RELFILE --lib DIR... : what systools:make_script/2 does, without a VM. */
#include <limits.h>
#include <string.h>

#include "cmd/cmd.h"
#include "pkg/pkg_script.h"

extern const struct cmd_verb cmd_relpack_script;

enum { LIB_MAX = 64 };

/* The folders of a colon-separated list, which is cut up. */
static size_t split_dirs(char *list, const char **dirs)
{
    size_t n = 0;
    char *rest = NULL;

    for (char *dir = strtok_r(list, ":", &rest); dir && n < LIB_MAX;
         dir = strtok_r(NULL, ":", &rest))
        dirs[n++] = dir;
    return n;
}

static char *default_output(const char *rel_file)
{
    const char *slash = strrchr(rel_file, '/');

    return slash ? rel_xstrndup(rel_file, (size_t)(slash - rel_file) + 1) : rel_xstrdup(".");
}

static char *base_name(const char *rel_file)
{
    const char *slash = strrchr(rel_file, '/'), *name = slash ? slash + 1 : rel_file;
    size_t n = strlen(name);

    return rel_xstrndup(name, n > 4 && !strcmp(name + n - 4, ".rel") ? n - 4 : n);
}

static int write_script(struct cmd_ctx *ctx, struct pkg_lib *lib, const char *boot,
                        struct rel_err *e)
{
    pkg_autoarena struct pkg_arena a = {0};
    pkg_autorel struct pkg_rel *rel = NULL;
    struct pkg_script_options options = {.no_dot_erlang = cmd_has(ctx, "no-dot-erlang")};
    struct pkg_script_base base;
    rel_autofree char *fallback = default_output(ctx->pos[0]), *name = base_name(ctx->pos[0]);
    const char *dir = cmd_has(ctx, "output") ? cmd_get(ctx, "output") : fallback;
    rel_autofree char *made = NULL;
    json_t *result;
    int status;

    if (pkg_rel_read(lib, ctx->pos[0], &rel, e) < 0 || pkg_script_base_read(&a, boot, &base, e) < 0)
        return -1;
    if (pkg_script_write(pkg_script_make(&a, rel, &base, &options), dir, name, e) < 0)
        return -1;
    made = rel_strf("%s/%s.boot\n", dir, name);
    result = json_pack("{s:s%}", "boot", made, strlen(made) - 1);
    status = rel_out_result(&ctx->out, result, made, e);
    json_decref(result);
    return status;
}

static int run(struct cmd_ctx *ctx, struct rel_err *e)
{
    const char *otp = cmd_has(ctx, "otp") ? cmd_get(ctx, "otp") : "/usr/lib/erlang";
    rel_autofree char *boot = rel_strf("%s/bin/start_clean.boot", otp);
    rel_autofree char *list =
        rel_strf("%s:%s/lib", cmd_has(ctx, "lib") ? cmd_get(ctx, "lib") : "", otp);
    const char *dirs[LIB_MAX];
    pkg_autolib struct pkg_lib *lib = NULL;

    if (pkg_lib_open(dirs, split_dirs(list, dirs), &lib, e) < 0)
        return -1;
    return write_script(ctx, lib, boot, e);
}

static const struct cmd_option options[] = {
    {"lib", 0, "DIRS", "library folders, separated by colons, searched before those of OTP"},
    {"otp", 0, "DIR", "where Erlang is installed (default /usr/lib/erlang)"},
    {"output", 'o', "DIR", "where NAME.script and NAME.boot go (default: beside the .rel file)"},
    {"no-dot-erlang", 0, NULL, "do not run $HOME/.erlang at boot"},
    {0},
};

const struct cmd_verb cmd_relpack_script = {
    .name = "script",
    .summary = "make the boot script of a .rel file",
    .usage = "RELFILE [--lib DIRS] [--output DIR]",
    .options = options,
    .pos_min = 1,
    .pos_max = 1,
    .hidden = true,
    .run = run,
};
