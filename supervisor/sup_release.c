/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_release.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <string.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "pkg/pkg_expiry.h"
#include "pkg/pkg_manifest.h"

enum { FORMAT = 1, MARK_MAX = 16 << 10, NAME_LEN = 200, OPTIONS_MAX = 8 << 10 };

static const char *const kinds[] = {
    [PKG_KIND_RELPACK] = "relpack", [PKG_KIND_MIX] = "mix", [PKG_KIND_RELX] = "relx"};
enum { KIND_N = sizeof(kinds) / sizeof(*kinds) };

void sup_release_free(struct sup_release *r)
{
    if (!r)
        return;
    free(r->root);
    free(r->name);
    free(r->vsn);
    free(r->vsn_dir);
    free(r->erts_vsn);
    free(r->listen_options);
    free(r->expires);
    free(r);
}

void sup_release_free_p(struct sup_release **r)
{
    sup_release_free(*r);
    *r = NULL;
}

static bool has_control(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            return true;
    return false;
}

bool sup_is_name(const char *s)
{
    return s && *s && *s != '.' && strlen(s) <= NAME_LEN && !strchr(s, '/') && !has_control(s);
}

static bool is_sha256(const char *s)
{
    size_t n = strlen(s);

    return n == 0 || (n == PKG_SHA256_HEX - 1 && strspn(s, "0123456789abcdef") == n);
}

/* A term on one line: it goes into a flag of the VM. */
static bool is_options(const char *s)
{
    size_t n = strlen(s);

    return n >= 2 && n <= OPTIONS_MAX && *s == '[' && s[n - 1] == ']';
}

static bool is_expiry(const char *s)
{
    struct rel_err malformed = {0};

    return pkg_expiry_check(s, INT64_MIN, &malformed) == 0;
}

bool sup_release_is_expired(const struct sup_release *r)
{
    struct rel_err expired = {0};

    return r->expires && pkg_expiry_check(r->expires, rel_wall_ms() / 1000, &expired) < 0;
}

static int kind_of(const char *text)
{
    for (int i = 0; i < KIND_N; i++)
        if (!strcmp(kinds[i], text))
            return i;
    return -1;
}

int sup_release_parse(const char *text, size_t len, const char *name, struct sup_release **r,
                      struct rel_err *e)
{
    json_auto_t *doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    const char *kind, *app, *vsn, *erts, *sha256, *listen = NULL, *expires = NULL;
    struct sup_release *made;
    int format, elixir;

    if (!doc ||
        json_unpack_ex(doc, NULL, JSON_STRICT, "{s:i, s:s, s:s, s:s, s:s, s:b, s:s, s?s, s?s}",
                       "format", &format, "kind", &kind, "name", &app, "version", &vsn, "erts",
                       &erts, "elixir", &elixir, "sha256", &sha256, "listen_options", &listen,
                       "expires", &expires) < 0 ||
        format != FORMAT || kind_of(kind) < 0 || !sup_is_name(app) || !sup_is_name(vsn) ||
        !sup_is_name(erts) || !is_sha256(sha256) || (listen && !is_options(listen)) ||
        (expires && !is_expiry(expires)))
        return rel_fail(e, REL_E_INPUT, 0, "%s is not a valid release mark", name);
    made = rel_xcalloc(1, sizeof(*made));
    *made = (struct sup_release){.kind = (enum pkg_kind)kind_of(kind),
                                 .name = rel_xstrdup(app),
                                 .vsn = rel_xstrdup(vsn),
                                 .erts_vsn = rel_xstrdup(erts),
                                 .elixir = elixir,
                                 .listen_options = listen ? rel_xstrdup(listen) : NULL,
                                 .expires = expires ? rel_xstrdup(expires) : NULL};
    memcpy(made->sha256, sha256, strlen(sha256));
    *r = made;
    return 0;
}

int sup_release_read(const char *root, struct sup_release **r, struct rel_err *e)
{
    rel_autofree char *real = realpath(root, NULL), *path = NULL, *text = NULL;
    sup_autorelease struct sup_release *made = NULL;
    size_t len;

    if (!real)
        return rel_fail(e, REL_E_INPUT, errno, "release %s", root);
    path = rel_strf("%s/" PKG_HOME_MARK, real);
    if (!rel_is_file(AT_FDCWD, path))
        return rel_fail(e, REL_E_INPUT, 0, "%s has no mark that it is whole", root);
    if (rel_read_file(AT_FDCWD, path, MARK_MAX, &text, &len, e) < 0 ||
        sup_release_parse(text, len, path, &made, e) < 0)
        return -1;
    made->root = rel_steal(&real);
    made->vsn_dir = rel_strf("%s/releases/%s", made->root, made->vsn);
    *r = rel_steal(&made);
    return 0;
}

bool sup_release_is_marked(const char *root)
{
    sup_autorelease struct sup_release *r = NULL;
    struct rel_err unmarked = {0};

    return sup_release_read(root, &r, &unmarked) == 0;
}

int sup_release_text(const struct pkg_release *r, const char *sha256, const char *expires,
                     char **text, struct rel_err *e)
{
    json_auto_t *doc = json_pack("{s:i, s:s, s:s, s:s, s:s, s:b, s:s, s:s*, s:s*}", "format",
                                 FORMAT, "kind", kinds[r->kind], "name", r->name, "version", r->vsn,
                                 "erts", r->erts_vsn, "elixir", r->elixir, "sha256", sha256,
                                 "listen_options", r->listen_options, "expires", expires);
    rel_autofree char *made = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
    sup_autorelease struct sup_release *check = NULL;
    struct rel_err unread = {0};

    if (!made || sup_release_parse(made, strlen(made), "", &check, &unread) < 0)
        return rel_fail(e, REL_E_INPUT, 0,
                        "the name, version or listen options of the release are too long, or have "
                        "characters that a file name or a flag cannot have");
    *text = rel_steal(&made);
    return 0;
}

int sup_release_mark(const char *root, const char *text, struct rel_err *e)
{
    rel_autofree char *path = rel_strf("%s/" PKG_HOME_MARK, root);
    sup_autorelease struct sup_release *check = NULL;

    if (sup_release_parse(text, strlen(text), path, &check, e) < 0)
        return -1;
    return rel_replace_file(AT_FDCWD, path, text, strlen(text), 0444, e);
}
