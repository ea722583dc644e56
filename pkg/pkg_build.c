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
#include "pkg/pkg_bundle.h"
#include "pkg/pkg_config.h"
#include "pkg/pkg_expiry.h"
#include "pkg/pkg_manifest.h"
#include "pkg/pkg_mix.h"
#include "pkg/pkg_output.h"
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
    mix.name = build->release ? build->release : given.name;
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
    if (pkg_rebar_read(p, build->release, e) < 0 || read_own_config(p, e) < 0)
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
    if (read_own_config(p, e) < 0)
        return -1;
    if (build->release && p->name && strcmp(build->release, p->name) != 0)
        return rel_fail(e, REL_E_INPUT, 0, "%s/relpack.json: there is no release %s, but %s",
                        p->dir, build->release, p->name);
    return 0;
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
    if (pkg_lib_open(p->lib_dirs.v, p->lib_dirs.n, lib, e) < 0)
        return -1;
    pkg_lib_leave_out(*lib, (struct pkg_names){p->exclude_apps.v, p->exclude_apps.n},
                      (struct pkg_names){p->exclude_modules.v, p->exclude_modules.n});
    return 0;
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

static char *absolute(const char *path)
{
    rel_autofree char *cwd = NULL;

    if (*path == '/')
        return rel_xstrdup(path);
    cwd = getcwd(NULL, 0);
    return rel_strf("%s/%s", cwd ? cwd : ".", path);
}

static char *output_path(const struct pkg_project *p, const struct pkg_build *build,
                         const char *output)
{
    if (!build->tar)
        return rel_strf("%s/%s", output, p->name);
    return rel_strf("%s/%s-%s.tar.%s", output, p->name, p->vsn,
                    build->format == PKG_FORMAT_ZST ? "zst" : "gz");
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

static void add_text(struct pkg_entries *es, const char *path, struct rel_buf *text)
{
    size_t len = text->len;

    pkg_entries_add_bytes(es, path, rel_buf_take(text), len, 0644);
}

/* The manifest, and its signature when there is a key. */
static int add_manifest(struct pkg_project *p, const struct pkg_build *build,
                        const struct pkg_survey *survey, struct pkg_entries *es, struct rel_err *e)
{
    const char *expires = build->expires ? build->expires : p->expires;
    char until[PKG_EXPIRY_LEN];
    struct pkg_manifest_source source = {.kind = pkg_project_kind_name(p->kind),
                                         .expires = expires ? until : NULL};
    rel_autofree char *path = rel_strf("releases/%s/" PKG_MANIFEST_NAME, p->vsn);
    rel_autofree char *signature_path = rel_strf("releases/%s/" PKG_SIGNATURE_NAME, p->vsn);
    pkg_autooutline struct pkg_outline outline = {0};
    rel_autobuf struct rel_buf text = {0}, signature = {0};

    if (pkg_survey_find(survey, path) || pkg_survey_find(survey, signature_path))
        return rel_fail(e, REL_E_INPUT, 0,
                        "relpack itself writes %s and relpack.sig, leave them out of the overlay",
                        path);
    if (expires && pkg_expiry_make(expires, build->now_s, until, e) < 0)
        return -1;
    pkg_project_git_state(p, &source.revision, &source.dirty);
    if (pkg_outline_read(survey, &outline, e) < 0 ||
        pkg_manifest_make(survey, &outline, &source, &text, e) < 0 ||
        (build->key && pkg_sign(build->key, text.p, text.len, &signature, e) < 0))
        return -1;
    add_text(es, path, &text);
    if (build->key)
        add_text(es, signature_path, &signature);
    pkg_entries_sort(es);
    return pkg_entries_check(es, e);
}

/* Everything of a release in the making. */
struct making {
    struct pkg_project *p;
    const struct pkg_build *build;
    struct pkg_otp otp;
    struct pkg_lib *lib;
    struct pkg_rel *rel;
    struct pkg_entries es;
    struct pkg_bundle bundle;
    char *steps_dir; /* where mix ran the project's own steps, or NULL */
    struct pkg_survey survey;
    struct pkg_findings findings;
};

static void making_fini(struct making *m)
{
    pkg_findings_fini(&m->findings);
    pkg_survey_fini(&m->survey);
    pkg_entries_fini(&m->es);
    pkg_bundle_fini(&m->bundle);
    if (m->steps_dir)
        (void)!rel_remove_tree(AT_FDCWD, m->steps_dir, &(struct rel_err){0});
    free(m->steps_dir);
    pkg_rel_free(m->rel);
    pkg_lib_free(m->lib);
}

/* Steps of a mix project that want the assembled tree get one; what they leave is what is packed.
 */
static int run_mix_steps(struct making *m, struct rel_err *e)
{
    struct pkg_mix mix = {.name = m->p->name, .vsn = m->p->vsn, .progress = &m->build->progress};
    const char *tmp = getenv("TMPDIR");
    rel_autofree char *dir = rel_strf("%s/relpack.XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
    rel_autofree char *tree = NULL;
    struct pkg_add_tree all = {.to = ""};

    if (!m->p->mix_steps)
        return 0;
    rel_progress_step(&m->build->progress, "steps", NULL);
    if (!mkdtemp(dir))
        return rel_fail(e, REL_E_IO, errno, "create a folder in %s", dir);
    m->steps_dir = rel_steal(&dir);
    all.from = tree = rel_strf("%s/%s", m->steps_dir, m->p->name);
    if (rel_mkdirs(AT_FDCWD, tree, 0755, e) < 0 ||
        pkg_entries_write_tree(&m->es, tree, &m->build->progress, e) < 0 ||
        pkg_mix_run_steps(m->p, &mix, tree, e) < 0)
        return -1;
    pkg_entries_fini(&m->es);
    if (pkg_entries_add_tree(&m->es, &all, e) < 0)
        return -1;
    pkg_entries_sort(&m->es);
    return 0;
}

/* Which files it will consist of. */
static int assemble(struct making *m, struct rel_err *e)
{
    struct pkg_assemble how = {
        .otp = &m->otp, .relctl = m->build->relctl, .progress = &m->build->progress};

    rel_progress_step(&m->build->progress, "resolve", NULL);
    if (pkg_otp_find(m->p, &m->otp, e) < 0 || open_lib(m->p, &m->otp, &m->lib, e) < 0 ||
        find_vsn(m->p, m->lib, e) < 0 || resolve(m->p, m->lib, &m->otp, &m->rel, e) < 0)
        return -1;
    how.rel = m->rel;
    if (pkg_assemble(m->p, &how, &m->es, e) < 0)
        return -1;
    pkg_entries_sort(&m->es);
    if (pkg_entries_check(&m->es, e) < 0)
        return -1;
    rel_progress_end(&m->build->progress, "%zu applications", m->rel->app_n);
    if (run_mix_steps(m, e) < 0)
        return -1;
    if (!m->build->bundle_libs && !m->p->bundle_libs)
        return 0;
    return pkg_bundle_add(&m->es, m->otp.erts_vsn, &m->build->progress, &m->bundle, e);
}

/* What these files are, and whether that is well. */
static int look_at(struct making *m, struct rel_err *e)
{
    struct pkg_check checks = {.project = m->p,
                               .otp = &m->otp,
                               .rel = m->rel,
                               .lib = m->lib,
                               .entries = &m->es,
                               .survey = &m->survey,
                               .target_glibc = m->build->target_glibc,
                               .allow = {m->p->allow, m->build->allow}};

    if (pkg_survey_entries(&m->es, &m->build->progress, &m->survey, e) < 0)
        return -1;
    tell_survey(&m->survey, &m->build->progress);
    return check(&checks, m->build, &m->findings, e);
}

static int make(struct pkg_project *p, const struct pkg_build *build, const char *output,
                struct pkg_built *built, struct rel_err *e)
{
    __attribute__((cleanup(making_fini))) struct making m = {.p = p, .build = build};
    rel_autofree char *path = NULL;
    struct pkg_output to = {.dir = output, .tar = build->tar, .format = build->format};
    struct stat st;

    if (assemble(&m, e) < 0)
        return -1;
    path = output_path(p, build, output);
    to.path = path;
    if (pkg_output_check_apart(&to, p, m.rel, e) < 0 || look_at(&m, e) < 0 ||
        add_manifest(p, build, &m.survey, &m.es, e) < 0 ||
        pkg_output_write(&m.es, &to, &build->progress, e) < 0)
        return -1;
    *built = (struct pkg_built){
        .name = rel_xstrdup(p->name),
        .vsn = rel_xstrdup(p->vsn),
        .erts_vsn = rel_xstrdup(m.otp.erts_vsn),
        .kind = p->kind,
        .app_n = m.rel->app_n,
        .bytes = build->tar && stat(path, &st) == 0 ? (uint64_t)st.st_size : 0,
        .findings = m.findings,
    };
    built->path = rel_steal(&path);
    m.findings = (struct pkg_findings){0};
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
    if (pkg_output_check(output, dir, e) < 0 || read_project(&p, build, e) < 0)
        return -1;
    if (build->no_erts)
        p.include_erts = false;
    return make(&p, build, output, built, e);
}
