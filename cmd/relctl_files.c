/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>

#include "base/rel_io.h"
#include "cmd/cmd_vars.h"
#include "cmd/relctl.h"

enum { FILE_MAX = 16 << 20 };

static bool is_one_of(const char *word, const char *a, const char *b, const char *c)
{
    return !strcmp(word, a) || !strcmp(word, b) || !strcmp(word, c);
}

static void keep_first(char **slot, const char *value)
{
    if (!*slot && value)
        *slot = rel_xstrdup(value);
}

/* Takes one flag with its value out of a line that is being cut into words. */
static void take_flag(struct relctl_boot *b, const char *flag, const char *value)
{
    if (!strcmp(flag, "-setcookie"))
        keep_first(&b->cookie_given, value);
    else
        keep_first(&b->named, value);
}

/* Copies a line without the flags that are ours to give. Words are cut at blanks; what a '#' begins
 * is a comment (erlexec.c: read_args_file). True if something was taken out. */
static bool filter_line(struct relctl_boot *b, const char *line, struct rel_buf *out)
{
    rel_autofree char *copy = rel_xstrndup(line, strcspn(line, "#"));
    char *state = NULL, *word = strtok_r(copy, " \t\r", &state);
    rel_autobuf struct rel_buf kept = {0};
    bool taken = false;

    while (word) {
        char *next = strtok_r(NULL, " \t\r", &state);

        if (is_one_of(word, "-name", "-sname", "-setcookie")) {
            bool has_value = next && *next != '-' && *next != '+';

            take_flag(b, word, has_value ? next : NULL);
            taken = true;
            word = has_value ? strtok_r(NULL, " \t\r", &state) : next;
            continue;
        }
        rel_buf_addf(&kept, "%s ", word);
        word = next;
    }
    if (taken)
        rel_buf_addf(out, "%s\n", kept.p ? kept.p : "");
    else
        rel_buf_addf(out, "%s\n", line);
    return taken;
}

static const char *get_env(void *ctx, const char *name)
{
    (void)ctx;
    return getenv(name);
}

/* The file `path`, or else path.src with the variables of the environment filled in. *made: it is
 * not what lies on disk. REL_E_INPUT when neither is there. */
static int read_settings(const char *path, char **text, size_t *len, bool *made, struct rel_err *e)
{
    static const struct cmd_vars vars = {.get = get_env};
    rel_autofree char *src = rel_strf("%s.src", path), *raw = NULL;
    rel_autobuf struct rel_buf out = {0};
    size_t raw_len;

    *made = !rel_is_file(AT_FDCWD, path) && rel_is_file(AT_FDCWD, src);
    if (!*made)
        return rel_read_file(AT_FDCWD, path, FILE_MAX, text, len, e);
    if (rel_read_file(AT_FDCWD, src, FILE_MAX, &raw, &raw_len, e) < 0 ||
        cmd_vars_expand(raw, src, &vars, &out, e) < 0)
        return -1;
    *len = out.len;
    *text = rel_buf_take(&out);
    return 0;
}

int relctl_make_vm_args(struct relctl_boot *b, struct rel_err *e)
{
    rel_autobuf struct rel_buf out = {0};
    rel_autofree char *text = NULL, *path = NULL;
    rel_autofree char *src = rel_strf("%s.src", b->vm_args);
    bool taken = false;
    char *state = NULL;
    size_t len;

    if (!rel_is_file(AT_FDCWD, b->vm_args) && !rel_is_file(AT_FDCWD, src)) {
        free(b->vm_args);
        b->vm_args = rel_xstrdup("");
        return 0;
    }
    if (read_settings(b->vm_args, &text, &len, &taken, e) < 0)
        return -1;
    for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state))
        taken |= filter_line(b, line, &out);
    if (!taken)
        return 0;
    path = rel_strf("%s/%s-%d.vm.args", b->tmp_dir, b->name, (int)b->pid);
    if (rel_replace_file(AT_FDCWD, path, out.p, out.len, 0600, e) < 0)
        return -1;
    free(b->vm_args);
    b->vm_args = rel_steal(&path);
    return 0;
}

/* Behind the token that begins at `p`: a string, a quoted atom, a character, a comment, or one byte
 * (erl_scan(3)). */
static const char *behind_token(const char *p)
{
    const char quote = *p;

    if (*p == '%')
        return p + strcspn(p, "\n");
    if (*p == '$' && p[1] == '\\' && p[2])
        return p + 3;
    if (*p == '$' && p[1])
        return p + 2;
    if (*p != '"' && *p != '\'')
        return p + 1;
    for (p++; *p && *p != quote; p++)
        p += *p == '\\' && p[1];
    return *p ? p + 1 : p;
}

/* A string of the outermost list names a further file (config(4)), looked for in the folder of
 * sys.config and then in the working directory. */
static void add_include(const char *token, size_t len, const char *dir, struct rel_buf *out)
{
    rel_autofree char *name = rel_xstrndup(token + 1, len - 2);
    rel_autofree char *path = rel_strf("%s/%s", dir, name);
    rel_autofree char *with_suffix = rel_strf("%s.config", path);

    if (*name == '/' || strpbrk(path, "\\\"") ||
        (!rel_is_file(AT_FDCWD, path) && !rel_is_file(AT_FDCWD, with_suffix)))
        rel_buf_add(out, token, len);
    else
        rel_buf_addf(out, "\"%s\"", path);
}

/* What lies in another folder than its original still names the same files. */
static char *keep_includes(const char *text, const char *dir)
{
    rel_autobuf struct rel_buf out = {0};
    int depth = 0;

    rel_buf_adds(&out, "");
    for (const char *p = text, *next; *p; p = next) {
        size_t len;

        next = behind_token(p);
        len = (size_t)(next - p);
        depth += len == 1 && strchr("[{(", *p);
        depth -= len == 1 && strchr("]})", *p);
        if (*p == '"' && depth == 1 && len > 2 && next[-1] == '"')
            add_include(p, len, dir, &out);
        else
            rel_buf_add(&out, p, len);
    }
    return rel_buf_take(&out);
}

/* Copies of earlier boots, whose process is gone: <name>-<pid>.vm.args and so on. They may hold
 * secrets, and nobody else removes them. */
static void remove_stale(const struct relctl_boot *b)
{
    rel_autoclosedir DIR *d = opendir(b->tmp_dir);
    struct rel_err ignored = {0};
    size_t len = strlen(b->name);

    for (struct dirent *f = d ? readdir(d) : NULL; f; f = readdir(d)) {
        char *end;
        struct hot_contact owner = {0};

        if (strncmp(f->d_name, b->name, len) != 0 || f->d_name[len] != '-')
            continue;
        owner.pid = (pid_t)strtol(f->d_name + len + 1, &end, 10);
        if (owner.pid <= 0 || hot_contact_alive(&owner))
            continue;
        if (!strcmp(end, ".vm.args"))
            unlinkat(dirfd(d), f->d_name, 0);
        if (!strcmp(end, ".runtime"))
            (void)!rel_remove_tree(dirfd(d), f->d_name, &ignored);
    }
}

/* OTP reads the files that it names only where it is called sys.config
 * (application_controller:conf_param_to_conf/1). */
int relctl_make_sys_config(struct relctl_boot *b, struct rel_err *e)
{
    rel_autofree char *path = rel_strf("%s.config", b->sys_config);
    rel_autofree char *text = NULL, *copy = NULL, *dir = NULL, *folder = NULL, *to = NULL;
    bool made;
    size_t len;

    remove_stale(b);
    if (read_settings(path, &text, &len, &made, e) < 0)
        return -1;
    if (!made && !memmem(text, len, "RUNTIME_CONFIG=true", strlen("RUNTIME_CONFIG=true")))
        return 0;
    dir = rel_xstrdup(path);
    copy = keep_includes(text, dirname(dir));
    folder = rel_strf("%s/%s-%d.runtime", b->tmp_dir, b->name, (int)b->pid);
    to = rel_strf("%s/sys.config", folder);
    if (relctl_make_private(folder, e) < 0 ||
        rel_replace_file(AT_FDCWD, to, copy, strlen(copy), 0600, e) < 0)
        return -1;
    free(b->sys_config);
    b->sys_config = rel_strf("%s/sys", folder);
    return 0;
}
