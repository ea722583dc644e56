/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_build.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rel_io.h"
#include "pkg/pkg_assemble.h"
#include "pkg/pkg_config.h"
#include "pkg/pkg_manifest.h"
#include "pkg/pkg_mix.h"
#include "pkg/pkg_rebar.h"

void pkg_built_fini(struct pkg_built *built)
{
    free(built->path);
    free(built->name);
    free(built->vsn);
    free(built->erts_vsn);
    pkg_findings_fini(&built->findings);
    *built = (struct pkg_built){0};
}

int pkg_project_find(const char *dir, enum pkg_project_kind *kind, struct rel_err *e)
{
    static const struct {
        const char *file;
        enum pkg_project_kind kind;
    } files[] = {{"mix.exs", PKG_PROJECT_MIX},
                 {"rebar.config", PKG_PROJECT_REBAR3},
                 {"relpack.json", PKG_PROJECT_PLAIN}};

    if (!rel_is_dir(AT_FDCWD, dir))
        return rel_fail(e, REL_E_INPUT, 0, "there is no folder %s", dir);
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        rel_autofree char *path = rel_strf("%s/%s", dir, files[i].file);

        if (rel_is_file(AT_FDCWD, path)) {
            *kind = files[i].kind;
            return 0;
        }
    }
    return rel_fail(e, REL_E_INPUT, 0,
                    "no project in %s: no mix.exs, rebar.config or relpack.json, which "
                    "'relpack init' writes",
                    dir);
}

static int read_own_config(struct pkg_project *p, struct rel_err *e)
{
    const char *file = pkg_project_path(p, "relpack.json");

    return rel_is_file(AT_FDCWD, file) ? pkg_config_read(p, file, e) : 0;
}

/* Name and version decide what mix is asked for, so they are read before the rest. */
static int read_mix(struct pkg_project *p, const struct pkg_build *build, struct rel_err *e)
{
    pkg_autoproject struct pkg_project given = {.dir = p->dir};
    struct pkg_mix mix = {.compile = build->compile, .progress = &build->progress};
    const char *vsn;

    if (read_own_config(&given, e) < 0)
        return -1;
    if (given.vsn_of_app)
        return rel_fail(e, REL_E_INPUT, 0,
                        "relpack.json: in a mix project say version: {:from_app, :%s} in mix.exs",
                        given.vsn_of_app);
    mix.name = given.name;
    mix.vsn = given.vsn;
    if (pkg_mix_read(p, &mix, e) < 0)
        return -1;
    vsn = p->vsn;
    if (read_own_config(p, e) < 0)
        return -1;
    p->vsn = vsn;
    return 0;
}

static int read_rebar(struct pkg_project *p, const struct pkg_build *build, struct rel_err *e)
{
    if (pkg_rebar_read(p, e) < 0 || read_own_config(p, e) < 0)
        return -1;
    if (build->compile && pkg_rebar_compile(p, &build->progress, e) < 0)
        return -1;
    return pkg_rebar_lib_dirs(p, e);
}

static int read_project(struct pkg_project *p, const struct pkg_build *build, struct rel_err *e)
{
    bool compile = build->compile && p->kind != PKG_PROJECT_PLAIN;

    rel_progress_step(&build->progress, compile ? "compile" : "read",
                      pkg_project_kind_name(p->kind));
    if (p->kind == PKG_PROJECT_MIX)
        return read_mix(p, build, e);
    if (p->kind == PKG_PROJECT_REBAR3)
        return read_rebar(p, build, e);
    return read_own_config(p, e);
}

static int open_lib(struct pkg_project *p, const struct pkg_otp *otp, struct pkg_lib **lib,
                    struct rel_err *e)
{
    const char *more = getenv("ERL_LIBS");

    while (more && *more) {
        size_t n = strcspn(more, ":");
        const char *dir = pkg_project_strf(p, "%.*s", (int)n, more);

        if (n && rel_is_dir(AT_FDCWD, dir))
            pkg_strings_add(p, &p->lib_dirs, dir);
        more += n;
        more += *more == ':';
    }
    pkg_strings_add(p, &p->lib_dirs, otp->lib);
    return pkg_lib_open(p->lib_dirs.v, p->lib_dirs.n, lib, e);
}

/* They become names of folders, of the launcher and of the node. */
static int check_id(const struct pkg_project *p, struct rel_err *e)
{
    if (!p->name || !p->vsn)
        return rel_fail(e, REL_E_INPUT, 0, "%s/relpack.json: %s is missing", p->dir,
                        p->name ? "version" : "name");
    for (const char *c = p->name; *c || c == p->name; c++)
        if (!isalnum((unsigned char)*c) && *c != '_' && (*c != '-' || c == p->name))
            return rel_fail(e, REL_E_INPUT, 0,
                            "the name '%s' of the release must be of letters, digits, _ and -",
                            p->name);
    for (const char *c = p->vsn; *c || c == p->vsn; c++)
        if (!isalnum((unsigned char)*c) && (!*c || !strchr("._+-~", *c) || c == p->vsn))
            return rel_fail(e, REL_E_INPUT, 0,
                            "the version '%s' of the release must begin with a letter or digit and "
                            "be of letters, digits and . _ + - ~",
                            p->vsn);
    return 0;
}

static int find_vsn(struct pkg_project *p, struct pkg_lib *lib, struct rel_err *e)
{
    const struct pkg_app *app;

    if (!p->vsn_of_app)
        return check_id(p, e);
    if (pkg_lib_find(lib, p->vsn_of_app, NULL, &app, e) < 0)
        return -1;
    if (!app)
        return rel_fail(e, REL_E_INPUT, 0, "version: there is no application %s in %s",
                        p->vsn_of_app, pkg_lib_searched(lib));
    p->vsn = app->vsn;
    return check_id(p, e);
}

static int resolve(struct pkg_project *p, struct pkg_lib *lib, const struct pkg_otp *otp,
                   struct pkg_rel **rel, struct rel_err *e)
{
    struct pkg_arena *a = &p->arena;
    struct pkg_rel_id id = {.name = p->name, .vsn = p->vsn, .erts_vsn = otp->erts_vsn};
    rel_autobuf struct rel_buf text = {0};

    if (!p->rel_apps) {
        if (!p->want_n)
            pkg_project_add_want(p, p->name, PKG_START_PERMANENT);
        return pkg_rel_close(lib, &id, p->want, p->want_n, rel, e);
    }
    pkg_term_format_file(
        pkg_tuple(a, 4, pkg_atom(a, "release"),
                  pkg_tuple(a, 2, pkg_string(a, p->name), pkg_string(a, p->vsn)),
                  pkg_tuple(a, 2, pkg_atom(a, "erts"), pkg_string(a, otp->erts_vsn)), p->rel_apps),
        &text);
    if (rel_replace_file(AT_FDCWD, p->rel_file, text.p, text.len, 0644, e) < 0)
        return -1;
    return pkg_rel_read(lib, p->rel_file, rel, e);
}

/* Says early, before minutes of compiling, that nothing can be written there. */
static int check_output(const char *output, struct rel_err *e)
{
    rel_autofree char *dir = rel_xstrdup(output);
    struct stat st;
    char *slash;

    while (stat(dir, &st) < 0 && errno == ENOENT && (slash = strrchr(dir, '/')) && slash != dir)
        *slash = '\0';
    if (stat(dir, &st) == 0 && !S_ISDIR(st.st_mode))
        errno = ENOTDIR;
    else if (access(dir, W_OK | X_OK) == 0)
        return 0;
    return rel_fail(e, REL_E_INPUT, errno, "cannot write to the output folder %s", output);
}

static char *absolute(const char *path)
{
    rel_autofree char *cwd = NULL;

    if (*path == '/')
        return rel_xstrdup(path);
    cwd = getcwd(NULL, 0);
    return rel_strf("%s/%s", cwd ? cwd : ".", path);
}

/* The new tree in place of the old one, which must be a release too. */
static int replace_tree(const char *made, const char *path, struct rel_err *e)
{
    rel_autofree char *data = rel_strf("%s/releases/start_erl.data", path);
    rel_autofree char *old = rel_strf("%s.old", made);
    struct rel_err ignored = {0};
    struct stat st;

    if (lstat(path, &st) < 0 && errno == ENOENT)
        return rel_rename_dir(AT_FDCWD, made, path, e);
    if (!rel_is_file(AT_FDCWD, data) && rmdir(path) < 0)
        return rel_fail(e, REL_E_INPUT, 0,
                        "%s is there and is no release; remove it or say another --output", path);
    if (!rel_is_file(AT_FDCWD, data))
        return rel_rename_dir(AT_FDCWD, made, path, e);
    if (rel_rename_dir(AT_FDCWD, path, old, e) < 0)
        return -1;
    if (rel_rename_dir(AT_FDCWD, made, path, e) < 0)
        goto undo;
    return rel_remove_tree(AT_FDCWD, old, e);

undo:
    if (rel_rename_dir(AT_FDCWD, old, path, &ignored) < 0)
        rel_wrap(e, "the release before is in %s", old);
    return -1;
}

static int write_tree(const struct pkg_entries *es, const char *path,
                      const struct rel_progress *progress, struct rel_err *e)
{
    const char *slash = strrchr(path, '/');
    rel_autofree char *made = rel_strf("%.*s/.%s.XXXXXX", (int)(slash - path), path, slash + 1);
    struct rel_err ignored = {0};

    if (!mkdtemp(made))
        return rel_fail(e, REL_E_IO, errno, "create a folder beside %s", path);
    if (chmod(made, 0755) == 0 && pkg_entries_write_tree(es, made, progress, e) == 0 &&
        replace_tree(made, path, e) == 0)
        return 0;
    if (rel_remove_tree(AT_FDCWD, made, &ignored) < 0)
        rel_wrap(e, "left behind: %s", made);
    return rel_wrap(e, "write %s", path);
}

static char *output_path(const struct pkg_project *p, const struct pkg_build *build,
                         const char *output)
{
    if (!build->tar)
        return rel_strf("%s/%s", output, p->name);
    return rel_strf("%s/%s-%s.tar.%s", output, p->name, p->vsn,
                    build->format == PKG_FORMAT_ZST ? "zst" : "gz");
}

static int write_output(const struct pkg_entries *es, const struct pkg_build *build,
                        const char *output, const char *path, struct rel_err *e)
{
    bool existed = rel_is_dir(AT_FDCWD, output);
    struct stat st;
    int status;

    rel_progress_step(&build->progress, build->tar ? "pack" : "write", path);
    if (rel_mkdirs(AT_FDCWD, output, 0755, e) < 0) {
        e->code = REL_E_INPUT;
        return rel_wrap(e, "the output folder");
    }
    if (build->tar)
        status = pkg_archive_write_entries(es, path, build->format, &build->progress, e);
    else
        status = write_tree(es, path, &build->progress, e);
    if (status < 0 && !existed)
        rmdir(output);
    if (status == 0 && build->tar && stat(path, &st) == 0)
        rel_progress_end(&build->progress, "%.1f MB", (double)st.st_size / 1e6);
    return status;
}

static void tell_survey(const struct pkg_survey *s, const struct rel_progress *progress)
{
    size_t files = 0, modules = 0;
    uint64_t bytes = 0;

    for (size_t i = 0; i < s->n; i++) {
        files += s->v[i].kind == PKG_FILE_REGULAR;
        modules += s->v[i].module != NULL;
        bytes += s->v[i].size;
    }
    rel_progress_end(progress, "%zu files, %zu modules, %.1f MB", files, modules,
                     (double)bytes / 1e6);
}

/* What is to be packed, as it is now: nothing is written yet. */
static int check(const struct pkg_check *check, const struct pkg_build *build,
                 struct pkg_findings *findings, struct rel_err *e)
{
    struct pkg_check_report report = {
        .strict = build->strict, .lines = build->warnings, .progress = &build->progress};
    pkg_autofindings struct pkg_findings found = {0};

    rel_progress_step(&build->progress, "check", NULL);
    if (pkg_check_run(check, &found, e) < 0 || pkg_check_tell(&found, &report, e) < 0)
        return -1;
    rel_progress_end(&build->progress, "%zu warnings", found.n);
    *findings = found;
    found = (struct pkg_findings){0};
    return 0;
}

static int add_manifest(struct pkg_project *p, const struct pkg_survey *survey,
                        struct pkg_entries *es, struct rel_err *e)
{
    struct pkg_manifest_source source = {.kind = pkg_project_kind_name(p->kind)};
    rel_autofree char *path = rel_strf("releases/%s/" PKG_MANIFEST_NAME, p->vsn);
    pkg_autooutline struct pkg_outline outline = {0};
    rel_autobuf struct rel_buf text = {0};
    size_t len;

    pkg_project_git_state(p, &source.revision, &source.dirty);
    if (pkg_outline_read(survey, &outline, e) < 0 ||
        pkg_manifest_make(survey, &outline, &source, &text, e) < 0)
        return -1;
    len = text.len;
    pkg_entries_add_bytes(es, path, rel_buf_take(&text), len, 0644);
    pkg_entries_sort(es);
    return 0;
}

static int assemble(struct pkg_project *p, const struct pkg_build *build, const char *output,
                    struct pkg_built *built, struct rel_err *e)
{
    pkg_autolib struct pkg_lib *lib = NULL;
    pkg_autorel struct pkg_rel *rel = NULL;
    pkg_autoentries struct pkg_entries es = {0};
    pkg_autosurvey struct pkg_survey survey = {0};
    pkg_autofindings struct pkg_findings findings = {0};
    rel_autofree char *path = NULL;
    struct pkg_otp otp;
    struct pkg_assemble how = {.otp = &otp, .relctl = build->relctl, .progress = &build->progress};
    struct pkg_check checks = {.project = p,
                               .otp = &otp,
                               .entries = &es,
                               .survey = &survey,
                               .target_glibc = build->target_glibc,
                               .allow = p->allow | build->allow};
    struct stat st;

    rel_progress_step(&build->progress, "resolve", NULL);
    if (pkg_otp_find(p, &otp, e) < 0 || open_lib(p, &otp, &lib, e) < 0 || find_vsn(p, lib, e) < 0 ||
        resolve(p, lib, &otp, &rel, e) < 0)
        return -1;
    how.rel = rel;
    if (pkg_assemble(p, &how, &es, e) < 0)
        return -1;
    pkg_entries_sort(&es);
    if (pkg_entries_check(&es, e) < 0)
        return -1;
    rel_progress_end(&build->progress, "%zu applications", rel->app_n);
    if (pkg_survey_entries(&es, &build->progress, &survey, e) < 0)
        return -1;
    tell_survey(&survey, &build->progress);
    checks.rel = rel;
    checks.lib = lib;
    if (check(&checks, build, &findings, e) < 0 || add_manifest(p, &survey, &es, e) < 0)
        return -1;
    path = output_path(p, build, output);
    if (write_output(&es, build, output, path, e) < 0)
        return -1;
    *built = (struct pkg_built){
        .name = rel_xstrdup(p->name),
        .vsn = rel_xstrdup(p->vsn),
        .erts_vsn = rel_xstrdup(otp.erts_vsn),
        .kind = p->kind,
        .app_n = rel->app_n,
        .bytes = build->tar && stat(path, &st) == 0 ? (uint64_t)st.st_size : 0,
    };
    built->path = rel_steal(&path);
    built->findings = findings;
    findings = (struct pkg_findings){0};
    return 0;
}

int pkg_build(const struct pkg_build *build, struct pkg_built *built, struct rel_err *e)
{
    pkg_autoproject struct pkg_project p = {.include_erts = true, .strip_beams = true};
    rel_autofree char *output = NULL;
    char dir[PATH_MAX];

    if (pkg_project_find(build->dir, &p.kind, e) < 0)
        return -1;
    if (!realpath(build->dir, dir))
        return rel_fail(e, REL_E_IO, errno, "find the folder %s", build->dir);
    p.dir = dir;
    if (build->output)
        output = absolute(build->output);
    else
        output = rel_strf("%s/%s", dir, p.kind == PKG_PROJECT_PLAIN ? "out" : "_build/relpack");
    if (check_output(output, e) < 0 || read_project(&p, build, e) < 0)
        return -1;
    if (build->no_erts)
        p.include_erts = false;
    return assemble(&p, build, output, built, e);
}
