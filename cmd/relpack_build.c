/* SPDX-License-Identifier: Apache-2.0 */
/* relpack build [DIR]: from a project to a release. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "cmd/cmd.h"
#include "cmd/cmd_signal.h"
#include "pkg/pkg_build.h"

extern const struct cmd_verb cmd_relpack_build;

enum { WARNINGS = 10 }; /* of one check: more of them say nothing more */

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

/* A name that is not UTF-8 is left out: the text tells it, escaped. */
static json_t *findings_json(const struct pkg_findings *fs)
{
    json_t *list = json_array();

    for (size_t i = 0; i < fs->n; i++) {
        const struct pkg_finding *f = &fs->v[i];
        rel_autofree char *text = rel_escape(f->text);
        json_t *file = f->file ? json_string(f->file) : NULL;

        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:o*, s:s*}", "code", pkg_check_name(f->code),
                                        "text", text, "file", file, "app", f->app));
    }
    return list;
}

static int read_checks(struct cmd_ctx *ctx, struct pkg_build *build, struct rel_err *e)
{
    build->target_glibc = cmd_get(ctx, "target-glibc");
    if (build->target_glibc && !pkg_check_is_glibc(build->target_glibc))
        return rel_fail(e, REL_E_USAGE, 0, "--target-glibc: '%s' is no version, say 2.31",
                        build->target_glibc);
    build->allow = cmd_get(ctx, "allow");
    if (build->allow && pkg_check_allow_read(build->allow, e) < 0) {
        e->code = REL_E_USAGE;
        return -1;
    }
    return 0;
}

static int show(struct cmd_ctx *ctx, const struct pkg_built *built, struct rel_err *e)
{
    rel_autofree char *text = rel_strf("%s\n", built->path), *path = rel_escape(built->path);
    json_auto_t *doc =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "path", path, "name", built->name, "version",
                  built->vsn, "kind", pkg_project_kind_name(built->kind), "erts", built->erts_vsn,
                  "applications", (json_int_t)built->app_n);

    if (built->bytes)
        json_object_set_new(doc, "bytes", json_integer((json_int_t)built->bytes));
    json_object_set_new(doc, "findings", findings_json(&built->findings));
    rel_out_step_end(&ctx->out, true, NULL);
    return rel_out_result(&ctx->out, doc, text, e);
}

/* What a duration is from: a build that is to be the same again says when it was. */
static int64_t now_s(void)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    char *end = NULL;
    long long s = epoch ? strtoll(epoch, &end, 10) : 0;

    return end && end != epoch && !*end ? s : rel_wall_ms() / 1000;
}

static int run(struct cmd_ctx *ctx, struct rel_err *e)
{
    const char *key_file = cmd_get(ctx, "key");
    rel_autofree char *relctl = NULL;
    pkg_autokey struct pkg_key *key = NULL;
    __attribute__((cleanup(pkg_built_fini))) struct pkg_built built = {0};
    struct pkg_build build = {
        .dir = ctx->pos_n ? ctx->pos[0] : ".",
        .release = cmd_get(ctx, "release"),
        .output = cmd_get(ctx, "output"),
        .tar = cmd_has(ctx, "tar"),
        .compile = !cmd_has(ctx, "no-compile"),
        .no_erts = cmd_has(ctx, "no-erts"),
        .bundle_libs = cmd_has(ctx, "bundle-libs"),
        .strict = cmd_has(ctx, "strict"),
        .expires = cmd_get(ctx, "expires"),
        .now_s = now_s(),
        .warnings = ctx->out.face == REL_FACE_JSON ? 0 : WARNINGS,
        .progress = rel_out_progress(&ctx->out),
    };

    ctx->out.silent_steps = true;
    build.progress.stopped = cmd_signal_stopped;
    cmd_signal_catch();
    if (read_format(ctx, &build.format, e) < 0 || read_checks(ctx, &build, e) < 0 ||
        find_relctl(&relctl, e) < 0 || (key_file && pkg_key_read_secret(key_file, &key, e) < 0))
        return -1;
    build.key = key;
    build.relctl = relctl;
    return pkg_build(&build, &built, e) < 0 ? -1 : show(ctx, &built, e);
}

static const struct cmd_option options[] = {
    {"tar", 't', NULL, "make a tarball, NAME-VERSION.tar.gz, instead of a folder"},
    {"release", 'r', "NAME", "which release, where the project has several"},
    {"output", 'o', "DIR", "where it goes (default: _build/relpack or out in the project)"},
    {"no-compile", 0, NULL, "take what is compiled already"},
    {"format", 0, "gz|zst", "compression of the tarball (default gz)"},
    {"no-erts", 0, NULL, "leave out the VM and the applications of OTP: the host has them"},
    {"bundle-libs", 0, NULL, "shared libraries travel along: the host needs the C library only"},
    {"key", 'k', "FILE", "sign it by this secret key, of 'relpack keygen'"},
    {"expires", 0, "TIME", "no home takes it in after that: 2026-12-31T23:59:59Z, or 90d from now"},
    {"allow", 0, "CODE[:APP],...", "leave out a check, or all of them (docs/checks.md)"},
    {"strict", 0, NULL, "what a check finds is an error"},
    {"target-glibc", 0, "X.Y", "the oldest C library that native code must run on"},
    {0},
};

const struct cmd_verb cmd_relpack_build = {
    .name = "build",
    .summary = "build the release of a project",
    .usage = "[DIR] [--release NAME] [--tar] [--output DIR] [--no-compile] [--format gz|zst] "
             "[--no-erts] "
             "[--bundle-libs] [--key FILE] [--expires TIME] [--allow CODE[:APP],...] [--strict] "
             "[--target-glibc X.Y]",
    .options = options,
    .pos_max = 1,
    .run = run,
};
