/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_project.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"
#include "pkg/pkg_run.h"

enum { GIT_MS = 20000, VSN_MAX = 4096 };

const char *pkg_project_kind_name(enum pkg_project_kind kind)
{
    static const char *const names[] = {"mix", "rebar3", "plain"};

    return names[kind];
}

bool pkg_path_is_src(const char *path)
{
    size_t n = strlen(path);

    return n > 4 && !strcmp(path + n - 4, ".src");
}

void pkg_project_fini(struct pkg_project *p)
{
    pkg_arena_fini(&p->arena);
}

char *pkg_project_strf(struct pkg_project *p, const char *fmt, ...)
{
    va_list ap;
    char *s;

    va_start(ap, fmt);
    s = pkg_arena_vstrf(&p->arena, fmt, ap);
    va_end(ap);
    return s;
}

const char *pkg_project_path(struct pkg_project *p, const char *path)
{
    return *path == '/' ? pkg_project_strf(p, "%s", path)
                        : pkg_project_strf(p, "%s/%s", p->dir, path);
}

/* An array in the arena with room for one more at its end. */
static void *grown(struct pkg_project *p, const void *v, size_t n, size_t size)
{
    char *more = pkg_arena_alloc(&p->arena, (n + 1) * size);

    if (n)
        memcpy(more, v, n * size);
    return more;
}

void pkg_project_add_want(struct pkg_project *p, const char *name, enum pkg_start type)
{
    p->want = grown(p, p->want, p->want_n, sizeof(*p->want));
    p->want[p->want_n++] = (struct pkg_want){.name = pkg_project_strf(p, "%s", name), .type = type};
}

void pkg_project_add_overlay(struct pkg_project *p, struct pkg_overlay overlay)
{
    p->overlays = grown(p, p->overlays, p->overlay_n, sizeof(*p->overlays));
    p->overlays[p->overlay_n++] = overlay;
}

int pkg_project_add_hook(struct pkg_project *p, const struct pkg_hook *hook, struct rel_err *e)
{
    struct pkg_hook copy = {.when = pkg_project_strf(p, "%s", hook->when),
                            .what = pkg_project_strf(p, "%s", hook->what),
                            .arg = pkg_project_strf(p, "%s", hook->arg)};

    if (!*copy.what || strpbrk(copy.what, " \t\n") || strchr(copy.arg, '\n'))
        return rel_fail(e, REL_E_INPUT, 0, "%s: '%s' cannot be the name of a hook or a command",
                        copy.when, copy.what);
    p->hooks = grown(p, p->hooks, p->hook_n, sizeof(*p->hooks));
    p->hooks[p->hook_n++] = copy;
    return 0;
}

void pkg_project_add_var(struct pkg_project *p, const char *name, const char *value)
{
    struct pkg_var var = {.name = pkg_project_strf(p, "%s", name),
                          .value = pkg_project_strf(p, "%s", value)};

    for (size_t i = 0; i < p->var_n; i++)
        if (!strcmp(p->vars[i].name, name)) {
            p->vars[i] = var;
            return;
        }
    p->vars = grown(p, p->vars, p->var_n, sizeof(*p->vars));
    p->vars[p->var_n++] = var;
}

void pkg_strings_add(struct pkg_project *p, struct pkg_strings *list, const char *s)
{
    const char **more = pkg_arena_alloc(&p->arena, (list->n + 2) * sizeof(*more));

    if (list->n)
        memcpy(more, list->v, list->n * sizeof(*more));
    more[list->n++] = pkg_project_strf(p, "%s", s);
    list->v = more;
}

static int git(struct pkg_project *p, const char *const *argv, char **line, struct rel_err *e)
{
    rel_autobuf struct rel_buf out = {0};
    struct pkg_run run = {.argv = argv, .dir = p->dir, .timeout_ms = GIT_MS, .apart = true};

    if (pkg_run(&run, &out, e) < 0)
        return -1;
    *line = pkg_arena_strndup(&p->arena, out.p, strcspn(out.p, "\n"));
    return 0;
}

static int git_describe(struct pkg_project *p, struct rel_err *e)
{
    const char *const last_tag[] = {"git", "describe", "--tags", "--abbrev=0", NULL};
    const char *const short_ref[] = {"git", "rev-parse", "--short", "HEAD", NULL};
    const char *count[] = {"git", "rev-list", "--count", "HEAD", NULL};
    struct rel_err no_tag = {0};
    char *tag = NULL, *n, *ref;

    if (git(p, last_tag, &tag, &no_tag) == 0)
        count[3] = pkg_project_strf(p, "%s..HEAD", tag);
    if (git(p, count, &n, e) < 0 || git(p, short_ref, &ref, e) < 0)
        return -1;
    tag = !tag ? pkg_project_strf(p, "0.0.0") : tag + (*tag == 'v');
    p->vsn = strcmp(n, "0") != 0 ? pkg_project_strf(p, "%s+build.%s.ref%s", tag, n, ref) : tag;
    return 0;
}

int pkg_project_git_vsn(struct pkg_project *p, enum pkg_git_vsn what, struct rel_err *e)
{
    const char *short_ref[] = {"git", "rev-parse", "--short", "HEAD", NULL};
    const char *long_ref[] = {"git", "rev-parse", "HEAD", NULL};
    char *vsn = NULL;
    int status;

    if (what == PKG_GIT_DESCRIBE)
        status = git_describe(p, e);
    else
        status = git(p, what == PKG_GIT_SHORT ? short_ref : long_ref, &vsn, e);
    if (status < 0) {
        if (e->code == REL_E_CHILD)
            e->code = REL_E_INPUT;
        return rel_wrap(e, "the version is to come from git, which knows none in %s", p->dir);
    }
    if (vsn)
        p->vsn = vsn;
    return 0;
}

int pkg_project_read_vsn(struct pkg_project *p, bool command, const char *what, struct rel_err *e)
{
    const char *const argv[] = {"sh", "-c", what, NULL};
    struct pkg_run run = {.argv = argv, .dir = p->dir, .timeout_ms = GIT_MS, .apart = true};
    rel_autobuf struct rel_buf out = {0};
    rel_autofree char *text = NULL;
    const char *from;
    size_t len;

    if (!what)
        return rel_fail(e, REL_E_INPUT, 0, "the version must name a file or a command");
    if (command ? pkg_run(&run, &out, e) < 0
                : rel_read_file(AT_FDCWD, pkg_project_path(p, what), VSN_MAX, &text, &len, e) < 0) {
        e->code = REL_E_INPUT;
        return rel_wrap(e, "the version");
    }
    from = text ? text : out.p ? out.p : "";
    from += strspn(from, " \t\r\n");
    p->vsn = pkg_project_strf(p, "%.*s", (int)strcspn(from, " \t\r\n"), from);
    return *p->vsn ? 0 : rel_fail(e, REL_E_INPUT, 0, "the version: %s gives none", what);
}

/* Looked for first, because a process costs more than all else here. */
static bool in_repository(const char *dir)
{
    rel_autofree char *up = rel_xstrdup(dir);

    for (char *slash; *up; *slash = '\0') {
        rel_autofree char *git_dir = rel_strf("%s/.git", up);

        if (access(git_dir, F_OK) == 0)
            return true;
        slash = strrchr(up, '/');
        if (!slash)
            break;
    }
    return false;
}

void pkg_project_git_state(struct pkg_project *p, const char **revision, bool *dirty)
{
    const char *const head[] = {"git", "rev-parse", "--verify", "--quiet", "HEAD", NULL};
    const char *const status[] = {"git", "status", "--porcelain", "--untracked-files=no", NULL};
    struct rel_err no_git = {0};
    char *rev, *changes;

    if (!in_repository(p->dir) || git(p, head, &rev, &no_git) < 0 || !*rev ||
        git(p, status, &changes, &no_git) < 0)
        return;
    *revision = rev;
    *dirty = *changes != '\0';
}

/* The name in "{{name}}" or "{{{name}}}" at `at`, and where its braces end; NULL: no variable. */
static const char *variable_at(const char *at, size_t *name_len, const char **end)
{
    size_t braces = at[2] == '{' ? 3 : 2;
    const char *name = at + braces + strspn(at + braces, " ");
    size_t n = 0;

    while (isalnum((unsigned char)name[n]) || name[n] == '_' || name[n] == '.')
        n++;
    *end = name + n + strspn(name + n, " ");
    if (!n || strncmp(*end, "}}}", braces) != 0)
        return NULL;
    *end += braces;
    *name_len = n;
    return name;
}

static const char *value_of(const struct pkg_project *p, const char *name, size_t n)
{
    for (size_t i = 0; i < p->var_n; i++)
        if (strlen(p->vars[i].name) == n && !strncmp(p->vars[i].name, name, n))
            return p->vars[i].value;
    return NULL;
}

int pkg_project_render(const struct pkg_project *p, const char *file, const char *text, bool strict,
                       struct rel_buf *out, struct rel_err *e)
{
    const char *at;

    rel_buf_adds(out, "");
    while ((at = strstr(text, "{{"))) {
        size_t n = 0;
        const char *end, *name = variable_at(at, &n, &end);
        const char *value = name ? value_of(p, name, n) : NULL;

        if (!value && strict)
            return rel_fail(e, REL_E_INPUT, 0, "%s: %.*s is no known variable", file,
                            (int)strcspn(at + 2, "\n}"), at + 2);
        rel_buf_add(out, text, (size_t)(at - text));
        if (!value) {
            rel_buf_add(out, at, 1);
            text = at + 1;
            continue;
        }
        rel_buf_adds(out, value);
        text = end;
    }
    rel_buf_adds(out, text);
    return 0;
}
