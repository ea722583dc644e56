/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_relup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"
#include "pkg/pkg_appup_file.h"
#include "pkg/pkg_archive.h"
#include "pkg/pkg_releases.h"
#include "pkg/pkg_run.h"
#include "templates/templates.h"

enum { RESULT_MAX = 1 << 20 };

struct work {
    const struct pkg_relup_make *make;
    const struct pkg_pair *pair;
    char *dir; /* temporary: what systools sees of both releases, and what it makes */
    struct pkg_arena arena;
    struct pkg_relup *r;
};

static void work_fini(struct work *w)
{
    /* What stays behind costs space, not the relup. */
    if (w->dir)
        (void)!rel_remove_tree(AT_FDCWD, w->dir, &(struct rel_err){0});
    free(w->dir);
    pkg_arena_fini(&w->arena);
}

static void note(struct work *w, char *text)
{
    pkg_lines_add(&w->r->notes, text);
}

/* release_handler is a server of sasl, so it must be started in both. */
static int check_sasl(const struct pkg_side *side, struct rel_err *e)
{
    const struct pkg_outline_app *sasl = pkg_side_app(side, "sasl");

    if (!sasl)
        return rel_fail(e, REL_E_INPUT, 0,
                        "%s has no sasl, and so no release_handler: add it to the applications of "
                        "the release",
                        side->path);
    if (sasl->start >= PKG_START_LOAD)
        return rel_fail(e, REL_E_INPUT, 0,
                        "%s has sasl as %s, so no release_handler runs: make it permanent",
                        side->path, pkg_start_name(sasl->start));
    return 0;
}

static int check(const struct work *w, struct rel_err *e)
{
    const struct pkg_outline *old = &w->pair->old.outline, *new = &w->pair->new.outline;
    const struct pkg_appups *ups = w->make->appups;

    if (strcmp(old->name, new->name) != 0)
        return rel_fail(e, REL_E_INPUT, 0, "%s and %s are two applications", old->name, new->name);
    if (!strcmp(old->vsn, new->vsn))
        return rel_fail(e, REL_E_INPUT, 0,
                        "both releases have version %s: a relup leads from one version to another",
                        new->vsn);
    if (check_sasl(&w->pair->old, e) < 0 || check_sasl(&w->pair->new, e) < 0)
        return -1;
    if (ups->gaps.n > 1)
        return rel_fail(e, REL_E_INPUT, 0, "%s (and %zu more; relpack appup tells all)",
                        ups->gaps.v[0], ups->gaps.n - 1);
    return ups->gaps.n ? rel_fail(e, REL_E_INPUT, 0, "%s", ups->gaps.v[0]) : 0;
}

static void add_text(struct pkg_entries *es, const char *path, const char *text, size_t len)
{
    pkg_entries_add_bytes(es, path, rel_xstrndup(text, len), len, 0644);
}

/* The .rel file and the .app files of a release: all that systools reads of it. */
static void add_side(struct pkg_entries *es, const struct pkg_side *side, const char *as)
{
    const struct pkg_outline *o = &side->outline;
    rel_autofree char *rel = rel_strf("%s.rel", as);

    add_text(es, rel, o->rel_file->text, strlen(o->rel_file->text));
    for (size_t i = 0; i < o->app_n; i++) {
        const struct pkg_file *f = o->apps[i].app_file;
        rel_autofree char *path = f ? rel_strf("%s%s", as, f->path + strlen("lib")) : NULL;

        if (f && f->text)
            add_text(es, path, f->text, strlen(f->text));
    }
}

static int lay_out(struct work *w, struct rel_err *e)
{
    const struct pkg_appups *ups = w->make->appups;
    pkg_autoentries struct pkg_entries es = {0};

    add_side(&es, &w->pair->old, "old");
    add_side(&es, &w->pair->new, "new");
    for (size_t i = 0; i < ups->n; i++) {
        rel_autofree char *path = rel_strf("new%s", ups->v[i].path + strlen("lib"));
        rel_autobuf struct rel_buf text = {0};

        pkg_term_format_file(ups->v[i].term, &text);
        add_text(&es, path, text.p, text.len);
    }
    add_text(&es, "make_relup.script", template_make_relup, TEMPLATE_LEN(make_relup));
    pkg_entries_sort(&es);
    return pkg_entries_write_tree(&es, w->dir, NULL, e);
}

/* The root of the later release on disk: its folder, or its archive unpacked. */
static int find_root(struct work *w, char **root, struct rel_err *e)
{
    rel_autofree char *dir = rel_strf("%s/release", w->dir);

    if (rel_is_dir(AT_FDCWD, w->pair->new.path)) {
        *root = realpath(w->pair->new.path, NULL);
        return *root ? 0 : rel_fail(e, REL_E_IO, errno, "find %s", w->pair->new.path);
    }
    if (pkg_archive_unpack(w->pair->new.path, dir, &pkg_unpack_limits_default, w->make->progress,
                           e) < 0)
        return -1;
    *root = rel_steal(&dir);
    return 0;
}

/* Flags of whoever calls are not meant for this VM; with its home here it reads no .erlang. */
#define QUIET_ENV \
    "ERL_AFLAGS=", "ERL_FLAGS=", "ERL_ZFLAGS=", "ERL_LIBS=", "ERL_CRASH_DUMP_SECONDS=0"
#define EVAL "file:script(\"make_relup.script\"), halt(1)."

static int run_vm(struct work *w, const char *const *argv, const char *const *env,
                  struct rel_err *e)
{
    struct pkg_run run = {.argv = argv,
                          .env = env,
                          .dir = w->dir,
                          .timeout_ms = w->make->timeout_ms,
                          .progress = w->make->progress};
    rel_autobuf struct rel_buf out = {0};

    return pkg_run(&run, &out, e);
}

static int run_own(struct work *w, const char *root, struct rel_err *e)
{
    const struct pkg_outline *new = &w->pair->new.outline;
    struct pkg_arena *a = &w->arena;
    const char *bin = pkg_arena_strf(a, "%s/%s/bin", root, new->erts_dir);
    const char *program = pkg_arena_strf(a, "%s/erlexec", bin);
    const char *boot = pkg_arena_strf(a, "%s/%s/start_clean", root, new->vsn_dir);
    const char *lib = pkg_arena_strf(a, "%s/lib", root);
    const char *const argv[] = {program,       "-noinput", "-boot", boot, "-boot_var",
                                "RELEASE_LIB", lib,        "-eval", EVAL, NULL};
    const char *const env[] = {QUIET_ENV,
                               pkg_arena_strf(a, "HOME=%s", w->dir),
                               pkg_arena_strf(a, "BINDIR=%s", bin),
                               pkg_arena_strf(a, "ROOTDIR=%s", root),
                               "EMU=beam",
                               "PROGNAME=erl",
                               NULL};

    return run_vm(w, argv, env, e) < 0 ? rel_wrap(e, "the VM of %s", w->pair->new.path) : 0;
}

static int run_of_host(struct work *w, struct rel_err *e)
{
    const char *const argv[] = {"erl", "-noinput", "-boot", "no_dot_erlang", "-eval", EVAL, NULL};
    const char *const env[] = {QUIET_ENV, pkg_arena_strf(&w->arena, "HOME=%s", w->dir), NULL};

    return run_vm(w, argv, env, e) < 0 ? rel_wrap(e, "%s has no ERTS of its own", w->pair->new.path)
                                       : 0;
}

static int run_systools(struct work *w, struct rel_err *e)
{
    rel_autofree char *root = NULL;

    if (!w->pair->new.outline.erts_dir)
        return run_of_host(w, e);
    return find_root(w, &root, e) < 0 ? -1 : run_own(w, root, e);
}

static void one_line(char *text)
{
    size_t n = strlen(text);

    while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
        text[--n] = '\0';
    for (char *c = text; *c; c++)
        if (*c == '\n')
            *c = ' ';
}

/* Lines of systools; that ERTS changes is told by us. */
static void take_warnings(struct work *w, char *text)
{
    static const char mark[] = "*WARNING* ";
    char *rest = NULL;

    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        line += !strncmp(line, mark, strlen(mark)) ? strlen(mark) : 0;
        if (!strstr(line, "ERTS version changed"))
            note(w, rel_strf("systools: %s", line));
    }
}

/* What the script left: "ok" or "error" and lines. */
static int read_result(struct work *w, struct rel_err *e)
{
    rel_autofree char *path = rel_strf("%s/result", w->dir), *text = NULL;
    char *lines;
    size_t len;

    if (rel_read_file(AT_FDCWD, path, RESULT_MAX, &text, &len, e) < 0)
        return -1;
    lines = strchr(text, '\n');
    if (!lines)
        return rel_fail(e, REL_E_INTERNAL, 0, "the script for systools left no result");
    *lines++ = '\0';
    if (!strcmp(text, "ok")) {
        take_warnings(w, lines);
        return 0;
    }
    one_line(lines);
    return rel_fail(e, REL_E_INPUT, 0, "systools makes no relup: %s", lines);
}

static int read_relup(struct work *w, const char *path, struct pkg_appup_file *file,
                      struct rel_err *e)
{
    rel_autofree char *text = NULL;
    size_t len;

    if (rel_read_file(AT_FDCWD, path, PKG_TERM_FILE_MAX, &text, &len, e) < 0)
        return -1;
    return pkg_appup_file_read(&w->arena, text, path, file, e);
}

/* The relup that systools made, with the entries for other versions that lie at its place. */
static int write_relup(struct work *w, const char *output, struct rel_err *e)
{
    const struct pkg_outline *old = &w->pair->old.outline, *new = &w->pair->new.outline;
    rel_autofree char *made_path = rel_strf("%s/relup", w->dir);
    rel_autofree char *path = rel_strf("%s/relup", output);
    struct pkg_appup_file made = {0}, there = {0};
    const struct pkg_term *up, *down, *whole;
    rel_autobuf struct rel_buf text = {0};

    if (read_relup(w, made_path, &made, e) < 0 ||
        (rel_is_file(AT_FDCWD, path) && read_relup(w, path, &there, e) < 0))
        return -1;
    up = pkg_appup_entry(made.up, old->vsn);
    down = pkg_appup_entry(made.down, old->vsn);
    if (!up || !down)
        return rel_fail(e, REL_E_INTERNAL, 0, "systools made a relup without %s", old->vsn);
    whole = pkg_appup_file_put(&w->arena, &there, new->vsn, up, down);
    pkg_term_format_file(whole, &text);
    if (rel_replace_file(AT_FDCWD, path, text.p, text.len, 0644, e) < 0)
        return -1;
    w->r->file = rel_steal(&path);
    w->r->up_n = pkg_len(pkg_at(up, 2));
    w->r->down_n = pkg_len(pkg_at(down, 2));
    return 0;
}

static int write_if_missing(struct work *w, const char *name, const char *text, size_t len,
                            struct rel_err *e)
{
    rel_autofree char *path = rel_strf("%s/%s", w->pair->new.path, name);

    if (rel_is_file(AT_FDCWD, path))
        return 0;
    if (rel_replace_file(AT_FDCWD, path, text, len, 0644, e) < 0)
        return -1;
    pkg_lines_add(&w->r->beside, rel_steal(&path));
    return 0;
}

static int write_beside(struct work *w, struct rel_err *e)
{
    const struct pkg_outline *new = &w->pair->new.outline;
    const char *rel = new->rel_file->text;
    rel_autofree char *rel_path = pkg_releases_rel_path(new->name, new->vsn);
    rel_autobuf struct rel_buf releases = {0};
    struct pkg_rel_head head;
    struct pkg_terms terms;

    if (!new->erts_dir)
        return 0;
    if (pkg_terms_parse(&w->arena, rel, strlen(rel), new->rel_file->path, &terms, e) < 0 ||
        pkg_rel_read_head(terms.n ? terms.v[0] : NULL, new->rel_file->path, &head, e) < 0)
        return -1;
    pkg_term_format_file(pkg_releases_term(&w->arena, &head), &releases);
    if (write_if_missing(w, rel_path, rel, strlen(rel), e) < 0)
        return -1;
    return write_if_missing(w, PKG_RELEASES_PATH, releases.p, releases.len, e);
}

/* releases/NAME.rel: the archive of that name can be unpacked by release_handler. */
static bool has_rel(const struct pkg_survey *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const char *path = s->v[i].path;
        size_t n = strlen(path);

        if (!strncmp(path, "releases/", 9) && !strchr(path + 9, '/') &&
            !strcmp(path + n - strlen(".rel"), ".rel"))
            return true;
    }
    return false;
}

/* What release_handler will miss. */
static void tell_needs(struct work *w, bool in_folder)
{
    const struct pkg_side *old = &w->pair->old, *new = &w->pair->new;
    rel_autofree char *rel = pkg_releases_rel_path(new->outline.name, new->outline.vsn);

    if (strcmp(old->outline.erts_vsn, new->outline.erts_vsn) != 0)
        note(w, rel_strf("ERTS changes from %s to %s: the VM restarts in the middle of the upgrade",
                         old->outline.erts_vsn, new->outline.erts_vsn));
    if (!pkg_survey_find(&old->survey, PKG_RELEASES_PATH))
        note(w, rel_strf("%s has no " PKG_RELEASES_PATH ": when it is booted so, release_handler "
                         "finds the way up, but none back",
                         old->path));
    if (!in_folder && !has_rel(&new->survey))
        note(w, rel_strf("%s has no %s: release_handler cannot unpack it", new->path, rel));
    if (!new->outline.erts_dir)
        note(w, rel_strf("%s has no ERTS: release_handler looks for its files in the Erlang of the "
                         "host",
                         new->path));
    if (in_folder && new->outline.manifest)
        note(w, rel_strf("the manifest of %s does not know the new files: pack them by an overlay "
                         "and build again, or relpack verify refuses it",
                         new->path));
}

static int make_in(struct work *w, const char *output, bool in_folder, struct rel_err *e)
{
    const char *tmp = getenv("TMPDIR");
    rel_autofree char *dir = rel_strf("%s/relpack.XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");

    if (check(w, e) < 0)
        return -1;
    if (!mkdtemp(dir))
        return rel_fail(e, REL_E_IO, errno, "create a folder in %s", dir);
    w->dir = rel_steal(&dir);
    rel_progress_step(w->make->progress, "systools", NULL);
    if (lay_out(w, e) < 0 || run_systools(w, e) < 0 || read_result(w, e) < 0)
        return -1;
    if (rel_mkdirs(AT_FDCWD, output, 0755, e) < 0) {
        e->code = REL_E_INPUT;
        return rel_wrap(e, "the output folder");
    }
    if (write_relup(w, output, e) < 0 || (in_folder && write_beside(w, e) < 0))
        return -1;
    tell_needs(w, in_folder);
    return 0;
}

int pkg_relup_make(const struct pkg_relup_make *make, struct pkg_relup *relup, struct rel_err *e)
{
    pkg_autorelup struct pkg_relup made = {0};
    __attribute__((cleanup(work_fini))) struct work w = {
        .make = make, .pair = make->pair, .r = &made};
    const struct pkg_side *new = &make->pair->new;
    bool in_folder = !make->output && rel_is_dir(AT_FDCWD, new->path);
    rel_autofree char *output = make->output ? rel_xstrdup(make->output)
                                : in_folder  ? rel_strf("%s/%s", new->path, new->outline.vsn_dir)
                                             : rel_xstrdup(".");

    if (make_in(&w, output, in_folder, e) < 0)
        return -1;
    *relup = made;
    made = (struct pkg_relup){0};
    return 0;
}

void pkg_relup_fini(struct pkg_relup *relup)
{
    free(relup->file);
    pkg_lines_fini(&relup->beside);
    pkg_lines_fini(&relup->notes);
    *relup = (struct pkg_relup){0};
}
