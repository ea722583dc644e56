/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_erts.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/rel_io.h"
#include "templates/templates.h"

enum { SCRIPT_MAX = 1 << 20 };

/* Real path of the `erl` that a shell would start. */
static int find_erl(char found[PATH_MAX], struct rel_err *e)
{
    const char *path = getenv("PATH");

    while (path && *path) {
        size_t n = strcspn(path, ":");
        rel_autofree char *erl = rel_strf("%.*s/erl", (int)n, path);

        if (access(erl, X_OK) == 0 && rel_is_file(AT_FDCWD, erl) && realpath(erl, found))
            return 0;
        path += n;
        path += *path == ':';
    }
    return rel_fail(
        e, REL_E_INPUT, 0,
        "there is no erl in PATH; install Erlang or name it as erts_dir in relpack.json");
}

static bool is_root(const char *dir)
{
    rel_autofree char *lib = rel_strf("%s/lib", dir);
    rel_autofree char *data = rel_strf("%s/releases", dir);

    return rel_is_dir(AT_FDCWD, lib) && rel_is_dir(AT_FDCWD, data);
}

/* ROOTDIR="..." as Install writes it into the script `erl`. */
static char *rootdir_of(const char *erl)
{
    rel_autofree char *text = NULL;
    struct rel_err ignored = {0};
    const char *at;
    size_t len;

    if (rel_read_file(AT_FDCWD, erl, SCRIPT_MAX, &text, &len, &ignored) < 0)
        return NULL;
    at = strstr(text, "\nROOTDIR=");
    if (!at)
        return NULL;
    at += strlen("\nROOTDIR=");
    at += *at == '"';
    return rel_xstrndup(at, strcspn(at, "\"\n"));
}

/* ROOT/bin/erl and ROOT/erts-V/bin/erl lie in their root; others, e.g. one that is kept in
 * /usr/local/bin, name it. */
static int root_of_erl(struct pkg_project *p, const char **root, struct rel_err *e)
{
    char erl[PATH_MAX], up[PATH_MAX];
    rel_autofree char *named = NULL;

    if (find_erl(erl, e) < 0)
        return -1;
    memcpy(up, erl, strlen(erl) + 1);
    for (int i = 0; i < 3; i++) {
        char *slash = strrchr(up, '/');

        if (!slash || slash == up)
            break;
        *slash = '\0';
        if (i > 0 && is_root(up)) {
            *root = pkg_project_strf(p, "%s", up);
            return 0;
        }
    }
    named = rootdir_of(erl);
    if (!named || !is_root(named))
        return rel_fail(e, REL_E_INPUT, 0,
                        "cannot tell from %s where Erlang is; name it as erts_dir in relpack.json",
                        erl);
    *root = pkg_project_strf(p, "%s", named);
    return 0;
}

static int given_root(struct pkg_project *p, const char **root, struct rel_err *e)
{
    char real[PATH_MAX], *slash;

    if (!realpath(p->erts_dir, real))
        return rel_fail(e, REL_E_INPUT, 0, "erts_dir: %s is not there", p->erts_dir);
    slash = strrchr(real, '/');
    if (!is_root(real) && slash && !strncmp(slash, "/erts-", 6))
        *slash = '\0';
    if (!is_root(real))
        return rel_fail(e, REL_E_INPUT, 0, "erts_dir: %s holds no Erlang", p->erts_dir);
    *root = pkg_project_strf(p, "%s", real);
    return 0;
}

/* That of releases/start_erl.data, which says what `start` boots; without it the highest. */
static int find_vsn(struct pkg_project *p, struct pkg_otp *otp, struct rel_err *e)
{
    rel_autofree char *file = rel_strf("%s/releases/start_erl.data", otp->root), *text = NULL;
    rel_autoclosedir DIR *d = opendir(otp->root);
    struct rel_err ignored = {0};
    struct dirent *entry;
    size_t len;

    otp->erts_vsn = NULL;
    if (rel_read_file(AT_FDCWD, file, SCRIPT_MAX, &text, &len, &ignored) == 0) {
        otp->erts_vsn = pkg_arena_strndup(&p->arena, text, strcspn(text, " \r\n"));
        otp->erts_dir = pkg_project_strf(p, "%s/erts-%s", otp->root, otp->erts_vsn);
        if (rel_is_dir(AT_FDCWD, otp->erts_dir))
            return 0;
        otp->erts_vsn = NULL;
    }
    while (d && (entry = readdir(d)))
        if (!strncmp(entry->d_name, "erts-", 5) &&
            (!otp->erts_vsn || pkg_vsn_compare(entry->d_name + 5, otp->erts_vsn) > 0))
            otp->erts_vsn = pkg_project_strf(p, "%s", entry->d_name + 5);
    if (!otp->erts_vsn)
        return rel_fail(e, REL_E_INPUT, 0, "there is no erts-VERSION in %s", otp->root);
    otp->erts_dir = pkg_project_strf(p, "%s/erts-%s", otp->root, otp->erts_vsn);
    return 0;
}

int pkg_otp_find(struct pkg_project *p, struct pkg_otp *otp, struct rel_err *e)
{
    struct pkg_otp found = {0};

    if (p->erts_dir ? given_root(p, &found.root, e) : root_of_erl(p, &found.root, e))
        return -1;
    if (find_vsn(p, &found, e) < 0)
        return -1;
    found.lib = pkg_project_strf(p, "%s/lib", found.root);
    found.start_clean = pkg_project_strf(p, "%s/bin/start_clean.boot", found.root);
    if (!rel_is_file(AT_FDCWD, found.start_clean))
        return rel_fail(e, REL_E_INPUT, 0, "%s is missing", found.start_clean);
    *otp = found;
    return 0;
}

static bool is_needed(const char *rel, void *ctx)
{
    /* erl_call: relctl is in its place */
    static const char *const tools[] = {"erl",    "erlc",    "dialyzer",       "typer",
                                        "ct_run", "erl.ini", "yielding_c_fun", "erl_call"};
    size_t n = strlen(rel);

    (void)ctx;
    for (size_t i = 0; i < sizeof(tools) / sizeof(*tools); i++)
        if (!strcmp(rel, tools[i]))
            return false;
    return strncmp(rel, "start", 5) != 0 && (n < 4 || strcmp(rel + n - 4, ".src") != 0);
}

int pkg_erts_add(const struct pkg_otp *otp, struct pkg_entries *es, struct rel_err *e)
{
    rel_autofree char *from = rel_strf("%s/bin", otp->erts_dir);
    rel_autofree char *to = rel_strf("erts-%s/bin", otp->erts_vsn);
    rel_autofree char *erl = rel_strf("%s/erl", to), *text = NULL;
    struct pkg_add_tree add = {.from = from, .to = to, .take = is_needed};

    if (pkg_entries_add_tree(es, &add, e) < 0)
        return -1;
    text = rel_xmalloc(TEMPLATE_LEN(erl) + 1);
    memcpy(text, template_erl, TEMPLATE_LEN(erl) + 1);
    pkg_entries_add_bytes(es, erl, rel_steal(&text), TEMPLATE_LEN(erl), 0755);
    return 0;
}
