/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_incoming.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "pkg/pkg_archive.h"
#include "pkg/pkg_manifest.h"
#include "pkg/pkg_parallel.h"
#include "pkg/pkg_verify.h"
#include "supervisor/sup_fetch.h"
#include "supervisor/sup_release.h"
#include "supervisor/sup_store.h"
#include "supervisor/sup_tree.h"

enum { HASH_CHUNK = 65536, OLD_MARK_MAX = 4096, BUILD_DIGITS = 8 };

void sup_arrival_fini(struct sup_arrival *a)
{
    free(a->dir);
    free(a->mark);
    *a = (struct sup_arrival){0};
}

json_t *sup_arrival_json(const struct sup_arrival *a)
{
    return json_pack("{s:s, s:b, s:s}", "dir", a->dir, "there", a->there, "mark", a->mark);
}

int sup_arrival_parse(const json_t *v, struct sup_arrival *a, struct rel_err *e)
{
    const char *dir, *mark;
    int there;

    if (json_unpack_ex((json_t *)(uintptr_t)v, NULL, JSON_STRICT, "{s:s, s:b, s:s}", "dir", &dir,
                       "there", &there, "mark", &mark) < 0 ||
        !sup_is_name(dir))
        return rel_fail(e, REL_E_INTERNAL, 0, "the worker's answer does not describe a release");
    *a = (struct sup_arrival){.dir = rel_xstrdup(dir), .there = there, .mark = rel_xstrdup(mark)};
    return 0;
}

int sup_incoming_open(const char *home, char **incoming, struct rel_err *e)
{
    rel_autofree char *path = rel_strf("%s/releases/" SUP_INCOMING "XXXXXX", home);
    struct rel_err stays = {0};

    (void)!sup_store_tidy(home, &stays);
    if (!mkdtemp(path))
        return rel_fail(e, REL_E_IO, errno, "make a folder in %s/releases", home);
    *incoming = rel_steal(&path);
    return 0;
}

void sup_incoming_drop(char **incoming)
{
    struct rel_err ignored = {0};

    if (*incoming)
        (void)!rel_remove_tree(AT_FDCWD, *incoming, &ignored);
    free(rel_steal(incoming));
}

static char *tree_of(const char *incoming)
{
    return rel_strf("%s/tree", incoming);
}

/* Identity of a build: the SHA-256 of its archive. */
static int hash_file(const char *path, char hex[PKG_SHA256_HEX], struct rel_err *e)
{
    rel_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    rel_autofree char *chunk = rel_xmalloc(HASH_CHUNK);
    unsigned char sha256[PKG_SHA256_LEN];
    pkg_autodigest struct pkg_digest d;
    ssize_t n = 0;

    pkg_digest_init(&d);
    while (fd >= 0 && (n = read(fd, chunk, HASH_CHUNK)) > 0)
        pkg_digest_add(&d, chunk, (size_t)n);
    if (fd < 0 || n < 0)
        return rel_fail(e, fd < 0 ? REL_E_INPUT : REL_E_IO, errno, "read %s", path);
    pkg_digest_take(&d, sha256);
    pkg_sha256_hex(sha256, hex);
    return 0;
}

/* The hash in the mark of a release of the home, "" without one. */
static void marked_hash(const char *root, char hex[PKG_SHA256_HEX])
{
    rel_autofree char *older = rel_strf("%s/" PKG_HOME_MARK_OLDER, root), *text = NULL;
    sup_autorelease struct sup_release *r = NULL;
    struct rel_err e = {0};
    size_t len;

    *hex = '\0';
    if (sup_release_read(root, &r, &e) == 0) {
        memcpy(hex, r->sha256, PKG_SHA256_HEX);
        return;
    }
    rel_err_clear(&e);
    if (rel_read_file(AT_FDCWD, older, OLD_MARK_MAX, &text, &len, &e) == 0 &&
        strspn(text, "0123456789abcdef") >= PKG_SHA256_HEX - 1)
        snprintf(hex, PKG_SHA256_HEX, "%s", text);
}

static bool is_build(const char *home, const char *dir, const char *hex)
{
    rel_autofree char *root = sup_store_path(home, dir);
    char there[PKG_SHA256_HEX];

    marked_hash(root, there);
    return !strcmp(there, hex);
}

/* Where the build belongs: its version's folder, or one of its own beside another build's. *known:
 * it came in before. */
static char *choose_dir(const char *home, const char *vsn, const char *hex, bool *known)
{
    rel_autofree char *plain = sup_store_path(home, vsn);
    rel_autofree char *other = rel_strf("%s+%.*s", vsn, BUILD_DIGITS, hex);

    *known = is_build(home, vsn, hex);
    if (*known || !rel_is_dir(AT_FDCWD, plain))
        return rel_xstrdup(vsn);
    *known = is_build(home, other, hex);
    return rel_steal(&other);
}

static int verify(const char *release, const struct pkg_key *key, struct rel_err *e)
{
    struct pkg_verify how = {.key = key, .manifest_optional = true, .now_s = rel_wall_ms() / 1000};
    pkg_autoverified struct pkg_verified v = {0};

    return pkg_verify(release, &how, &v, e);
}

/* What is done with an archive at the same time, each on its own reading of it: unsigned, it may be
 * unpacked under its hidden name while it is checked. */
struct both {
    const char *archive, *dir;
    struct pkg_unpack_limits limits;
    char *hex;
};

static int check_or_unpack(void *ctx, size_t i, struct rel_err *e)
{
    struct both *b = ctx;

    if (i == 0)
        return verify(b->archive, NULL, e);
    if (hash_file(b->archive, b->hex, e) < 0)
        return -1;
    return pkg_archive_unpack(b->archive, b->dir, &b->limits, NULL, e);
}

/* The signature first: nothing else is unpacked than what it vouches for. */
static int unpack_signed(struct both b, const char *key_file, struct rel_err *e)
{
    pkg_autokey struct pkg_key *key = NULL;
    pkg_automanifest struct pkg_manifest only = {0};
    bool present;

    if (pkg_key_read_public(key_file, &key, e) < 0 ||
        pkg_verify_first(b.archive, key, &only, e) < 0)
        return -1;
    b.limits.only = &only;
    if (check_or_unpack(&b, 1, e) < 0 || pkg_archive_check_digest(b.archive, &present, e) < 0)
        return -1;
    return verify(b.dir, key, e) < 0 ? rel_wrap(e, "%s", b.archive) : 0;
}

/* A folder is packed first, so that it is checked and known as any other. */
static int unpack(const char *incoming, const char *release, const struct sup_must *must,
                  char hex[PKG_SHA256_HEX], struct rel_err *e)
{
    bool folder = rel_is_dir(AT_FDCWD, release);
    rel_autofree char *tree = tree_of(incoming), *packed = rel_strf("%s/packed.tar.gz", incoming);
    struct both both = {.archive = folder ? packed : release,
                        .dir = tree,
                        .limits = pkg_unpack_limits_default,
                        .hex = hex};

    if (folder) {
        pkg_autorelease struct pkg_release *r = NULL;

        if (pkg_release_read(release, &r, e) <
                0 || /* before another folder is packed for nothing */
            pkg_archive_write(release, packed, NULL, e) < 0)
            return -1;
    }
    if (must->key)
        return unpack_signed(both, must->key, e);
    return folder ? check_or_unpack(&both, 1, e) : pkg_parallel(2, check_or_unpack, &both, e);
}

static int check_app(const struct sup_must *must, const char *app, struct rel_err *e)
{
    if (!must->app || !strcmp(must->app, app))
        return 0;
    return rel_fail(e, REL_E_INPUT, 0, "it is a release of %s, this home runs %s", app, must->app);
}

/* What it was checked against, or nothing: the signature, where there is one, has it too. */
static char *expires_of(const char *root, const char *vsn)
{
    rel_autofree char *path = rel_strf("%s/releases/%s/" PKG_MANIFEST_NAME, root, vsn);
    pkg_automanifest struct pkg_manifest m = {0};
    rel_autofree char *text = NULL;
    struct rel_err none = {0};
    size_t len;

    if (rel_read_file(AT_FDCWD, path, PKG_SURVEY_TEXT_MAX, &text, &len, &none) < 0 ||
        pkg_manifest_parse(text, len, path, &m, &none) < 0 || !m.expires)
        return NULL;
    return rel_xstrdup(m.expires);
}

int sup_incoming_prepare(const char *home, const char *incoming, const char *release,
                         const struct sup_must *must, struct sup_arrival *a, struct rel_err *e)
{
    rel_autofree char *tree = tree_of(incoming), *fetched = NULL, *path = NULL, *expires = NULL;
    rel_autofree char *shown = sup_shown_release(release);
    sup_autoarrival struct sup_arrival made = {0};
    pkg_autorelease struct pkg_release *r = NULL;
    char hex[PKG_SHA256_HEX] = "";
    bool known = false;

    if (sup_is_url(release)) {
        fetched = rel_strf("%s/fetched", incoming);
        if (sup_fetch(release, fetched, &sup_fetch_pace_default, e) < 0)
            return -1;
    }
    if (unpack(incoming, fetched ? fetched : release, must, hex, e) < 0)
        return -1;
    if (pkg_release_read(tree, &r, e) < 0 || check_app(must, r->name, e) < 0)
        return rel_wrap(e, "%s", shown);
    expires = expires_of(tree, r->vsn);
    if (sup_release_text(r, hex, expires, &made.mark, e) < 0)
        return rel_wrap(e, "%s", shown);
    made.dir = choose_dir(home, r->vsn, hex, &known);
    path = sup_store_path(home, made.dir);
    if (known && sup_tree_holds(path, tree, &made.there, e) < 0)
        return -1;
    *a = made;
    made = (struct sup_arrival){0};
    return 0;
}

/* The version, or that and the first digits of the hash. */
static bool is_dir_of(const struct sup_release *r, const char *dir)
{
    size_t n = strlen(r->vsn);

    if (strncmp(dir, r->vsn, n) != 0)
        return false;
    return !dir[n] || (dir[n] == '+' && strlen(dir + n + 1) == BUILD_DIGITS &&
                       !strncmp(dir + n + 1, r->sha256, BUILD_DIGITS));
}

int sup_incoming_settle(const char *home, const char *incoming, const struct sup_must *must,
                        const struct sup_arrival *a, bool *added, struct rel_err *e)
{
    rel_autofree char *tree = tree_of(incoming), *to = sup_store_path(home, a->dir);
    sup_autorelease struct sup_release *r = NULL;
    struct stat st;
    bool replaced;

    if (sup_release_parse(a->mark, strlen(a->mark), "the worker's answer", &r, e) < 0 ||
        check_app(must, r->name, e) < 0)
        return -1;
    if (!is_dir_of(r, a->dir) || lstat(tree, &st) < 0 || !S_ISDIR(st.st_mode))
        return rel_fail(e, REL_E_INTERNAL, 0,
                        "the worker named a release that is not in its folder");
    if (a->there) {
        if (!sup_release_is_marked(to) && sup_release_mark(to, a->mark, e) < 0)
            return -1;
        *added = false;
        return 0;
    }
    replaced = rel_is_dir(AT_FDCWD, to);
    if (sup_release_mark(tree, a->mark, e) < 0 || sup_store_remove(home, a->dir, e) < 0 ||
        rel_rename_dir(AT_FDCWD, tree, to, e) < 0)
        return -1;
    *added = !replaced;
    return 0;
}

int sup_incoming_add(const char *home, const char *release, const struct sup_must *must, char **dir,
                     bool *added, struct rel_err *e)
{
    sup_autoincoming char *incoming = NULL;
    sup_autoarrival struct sup_arrival a = {0};

    if (sup_incoming_open(home, &incoming, e) < 0 ||
        sup_incoming_prepare(home, incoming, release, must, &a, e) < 0 ||
        sup_incoming_settle(home, incoming, must, &a, added, e) < 0)
        return -1;
    *dir = rel_steal(&a.dir);
    return 0;
}

int sup_incoming_inspect(const char *root, char **mark, struct rel_err *e)
{
    struct pkg_verify how = {.manifest_optional = true, .more_is_fine = true};
    pkg_autoverified struct pkg_verified v = {0};
    pkg_autorelease struct pkg_release *r = NULL;
    char hex[PKG_SHA256_HEX];

    if (pkg_verify(root, &how, &v, e) < 0 || pkg_release_read(root, &r, e) < 0)
        return -1;
    marked_hash(root, hex);
    return sup_release_text(r, hex, v.expires, mark, e);
}
