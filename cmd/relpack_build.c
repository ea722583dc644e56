/* SPDX-License-Identifier: Apache-2.0 */
/* relpack build [DIR]: from a project to a release. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/rel_io.h"
#include "cmd/cmd.h"
#include "pkg/pkg_build.h"

extern const struct cmd_verb cmd_relpack_build;

/* Beside relpack, or where a package puts helpers: PREFIX/lib/relpack/relctl. */
static int find_relctl(char **relctl, struct rel_err *e)
{
    rel_autofree char *beside = NULL, *in_lib = NULL;
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (n < 0)
        return rel_fail(e, REL_E_IO, errno, "find where relpack is");
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    beside = rel_strf("%s/relctl", self);
    in_lib = rel_strf("%s/../lib/relpack/relctl", self);
    *relctl = rel_is_file(AT_FDCWD, in_lib) ? rel_steal(&in_lib) : rel_steal(&beside);
    return 0;
}

static int read_format(struct cmd_ctx *ctx, enum pkg_format *format, struct rel_err *e)
{
    const char *name = cmd_get(ctx, "format");

    if (name && strcmp(name, "gz") != 0 && strcmp(name, "zst") != 0)
        return rel_fail(e, REL_E_USAGE, 0, "--format: '%s' is neither gz nor zst", name);
    *format = name && *name == 'z' ? PKG_FORMAT_ZST : PKG_FORMAT_GZ;
    return 0;
}

static int show(struct cmd_ctx *ctx, const struct pkg_built *built, struct rel_err *e)
{
    rel_autofree char *text = rel_strf("%s\n", built->path);
    json_auto_t *doc =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "path", built->path, "name", built->name,
                  "version", built->vsn, "kind", pkg_project_kind_name(built->kind), "erts",
                  built->erts_vsn, "applications", (json_int_t)built->app_n);

    if (!doc)
        return rel_fail(e, REL_E_INTERNAL, 0, "the path %s is not UTF-8", built->path);
    if (built->bytes)
        json_object_set_new(doc, "bytes", json_integer((json_int_t)built->bytes));
    rel_out_step_end(&ctx->out, true, NULL);
    return rel_out_result(&ctx->out, doc, text, e);
}

static int run(struct cmd_ctx *ctx, struct rel_err *e)
{
    rel_autofree char *relctl = NULL;
    __attribute__((cleanup(pkg_built_fini))) struct pkg_built built = {0};
    struct pkg_build build = {
        .dir = ctx->pos_n ? ctx->pos[0] : ".",
        .output = cmd_get(ctx, "output"),
        .tar = cmd_has(ctx, "tar"),
        .compile = !cmd_has(ctx, "no-compile"),
        .no_erts = cmd_has(ctx, "no-erts"),
        .progress = rel_out_progress(&ctx->out),
    };

    if (read_format(ctx, &build.format, e) < 0 || find_relctl(&relctl, e) < 0)
        return -1;
    build.relctl = relctl;
    return pkg_build(&build, &built, e) < 0 ? -1 : show(ctx, &built, e);
}

static const struct cmd_option options[] = {
    {"tar", 't', NULL, "make a tarball, NAME-VERSION.tar.gz, instead of a folder"},
    {"output", 'o', "DIR", "where it goes (default: _build/relpack or out in the project)"},
    {"no-compile", 0, NULL, "take what is compiled already"},
    {"format", 0, "gz|zst", "compression of the tarball (default gz)"},
    {"no-erts", 0, NULL, "leave out the VM and the applications of OTP: the host has them"},
    {0},
};

const struct cmd_verb cmd_relpack_build = {
    .name = "build",
    .summary = "build the release of a project",
    .usage = "[DIR] [--tar] [--output DIR] [--no-compile] [--format gz|zst] [--no-erts]",
    .options = options,
    .pos_max = 1,
    .run = run,
};
