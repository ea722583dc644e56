/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "pkg/pkg_archive.h"
#include "pkg/pkg_manifest.h"
#include "pkg/pkg_parallel.h"
#include "pkg/pkg_verify.h"
#include "supervisor/sup_run.h"
#include "supervisor/sup_trust.h"

#define INCOMING ".incoming-"

enum { LOCK_MS = 1000, LOCK_RETRY_MS = 20, HASH_CHUNK = 65536 };

char *sup_store_path(const char *home, const char *dir)
{
    return rel_strf("%s/releases/%s", home, dir);
}

static int make_cookie(const char *home, struct rel_err *e)
{
    rel_autofree char *path = rel_strf("%s/secret/cookie", home);
    rel_autofree char *link = rel_strf("%s/secret/erlang/.erlang.cookie", home);
    unsigned char raw[24];
    char text[2 * sizeof(raw) + 1];

    if (!rel_is_file(AT_FDCWD, path)) {
        if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
            return rel_fail(e, REL_E_IO, errno, "ask the system for random bytes");
        for (size_t i = 0; i < sizeof(raw); i++)
            snprintf(text + 2 * i, 3, "%02x", raw[i]);
        if (rel_replace_file(AT_FDCWD, path, text, 2 * sizeof(raw), 0400, e) < 0)
            return -1;
    }
    return rel_replace_link(AT_FDCWD, link, "../cookie", e);
}

/* A supervisor that was killed just now may still have a thread on its way out, which holds it. */
static int take_lock(struct sup_store *s, struct rel_err *e)
{
    int64_t until_ms = rel_mono_ms() + LOCK_MS;
    rel_autofree char *path = rel_strf("%s/run/lock", s->home);

    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return rel_fail(e, REL_E_IO, errno, "open %s", path);
    while (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK && rel_left_ms(until_ms)) {
            usleep(LOCK_RETRY_MS * 1000);
            continue;
        }
        return rel_fail(e, REL_E_BUSY, 0, "another supervisor runs in %s", s->home);
    }
    return 0;
}

/* What a crash left half-unpacked. */
static int remove_incoming(const char *home, struct rel_err *e)
{
    rel_autofree char *dir = rel_strf("%s/releases", home);
    rel_autoclosedir DIR *d = opendir(dir);
    struct dirent *entry;

    if (!d)
        return rel_fail(e, REL_E_IO, errno, "read %s", dir);
    while ((entry = readdir(d)))
        if (!strncmp(entry->d_name, INCOMING, strlen(INCOMING)) &&
            rel_remove_tree(dirfd(d), entry->d_name, e) < 0)
            return -1;
    return 0;
}

int sup_store_open(const char *home, struct sup_store *s, struct rel_err *e)
{
    static const char *const folders[] = {"", "/releases", "/run", "/secret/erlang", "/log"};
    char real[PATH_MAX];

    *s = (struct sup_store){.lock_fd = -1};
    if (sup_trust_home(home, e) < 0)
        return -1;
    for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
        rel_autofree char *path = rel_strf("%s%s", home, folders[i]);

        if (rel_mkdirs(AT_FDCWD, path, 0700, e) < 0)
            return -1;
    }
    if (!realpath(home, real))
        return rel_fail(e, REL_E_IO, errno, "resolve %s", home);
    s->home = rel_xstrdup(real);
    if (take_lock(s, e) < 0 || remove_incoming(s->home, e) < 0 || make_cookie(s->home, e) < 0) {
        sup_store_close(s);
        return -1;
    }
    return 0;
}

void sup_store_close(struct sup_store *s)
{
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    free(s->home);
    *s = (struct sup_store){.lock_fd = -1};
}

/* Identity of a build: the SHA-256 of its archive. It is kept in the release's folder. */
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

static bool is_build(const char *home, const char *dir, const char *hex)
{
    rel_autofree char *path = rel_strf("%s/releases/%s/" PKG_HOME_MARK, home, dir), *text = NULL;
    struct rel_err ignored = {0};
    size_t len;

    return rel_read_file(AT_FDCWD, path, HASH_CHUNK, &text, &len, &ignored) == 0 &&
           !strncmp(text, hex, strlen(hex));
}

/* Where the build belongs: its version's folder, or one of its own beside another build's. */
static char *choose_dir(const char *home, const char *vsn, const char *hex, bool *there)
{
    rel_autofree char *plain = sup_store_path(home, vsn);
    rel_autofree char *other = rel_strf("%s+%.8s", vsn, hex);

    *there = is_build(home, vsn, hex);
    if (*there || !rel_is_dir(AT_FDCWD, plain))
        return rel_xstrdup(vsn);
    *there = is_build(home, other, hex);
    return rel_steal(&other);
}

/* A release being brought in, under names that nobody looks for. */
struct incoming {
    char *dir, *archive; /* archive: packed from a folder, or NULL */
};

static void incoming_fini(struct incoming *in)
{
    struct rel_err ignored = {0};

    if (in->dir)
        (void)!rel_remove_tree(AT_FDCWD, in->dir, &ignored);
    if (in->archive)
        unlink(in->archive);
    free(in->dir);
    free(in->archive);
}

static int verify(const char *release, const struct pkg_key *key, struct rel_err *e)
{
    struct pkg_verify how = {.key = key, .manifest_optional = true};
    pkg_autoverified struct pkg_verified v = {0};

    return pkg_verify(release, &how, &v, e);
}

/* What is done with an archive at the same time, each on its own reading of it: unsigned, it may be
 * unpacked under its hidden name while it is checked. */
struct both {
    const char *archive, *dir;
    char *hex;
};

static int check_or_unpack(void *ctx, size_t i, struct rel_err *e)
{
    struct both *b = ctx;

    if (i == 0)
        return verify(b->archive, NULL, e);
    if (hash_file(b->archive, b->hex, e) < 0)
        return -1;
    return pkg_archive_unpack(b->archive, b->dir, &pkg_unpack_limits_default, NULL, e);
}

/* Unpacks it and marks it. A folder is packed first, so that it is checked and known as any other.
 */
static int take_in(struct incoming *in, const char *release, const struct sup_must *must,
                   char hex[PKG_SHA256_HEX], struct rel_err *e)
{
    const char *archive = release;
    bool folder = rel_is_dir(AT_FDCWD, release);
    rel_autofree char *mark = rel_strf("%s/" PKG_HOME_MARK, in->dir);
    pkg_autokey struct pkg_key *key = NULL;
    struct both both = {.dir = in->dir, .hex = hex};

    if (must->key && pkg_key_read_public(must->key, &key, e) < 0)
        return -1;
    if (key && verify(release, key, e) < 0)
        return -1;

    if (folder) {
        pkg_autorelease struct pkg_release *r = NULL;

        if (pkg_release_read(release, &r, e) < 0) /* before another folder is packed for nothing */
            return -1;
        archive = in->archive = rel_strf("%s.tar.gz", in->dir);
        if (pkg_archive_write(release, archive, NULL, e) < 0)
            return -1;
    }
    both.archive = archive;
    if (key || folder ? check_or_unpack(&both, 1, e) < 0
                      : pkg_parallel(2, check_or_unpack, &both, e) < 0)
        return -1;
    if (key && verify(in->dir, key, e) < 0)
        return rel_wrap(e, "%s was replaced while it was taken in", release);
    return rel_replace_file(AT_FDCWD, mark, hex, strlen(hex), 0444, e);
}

/* The hash is that of the archive when it was hashed, and what was unpacked and verified may have
 * been put there after: only then a build that is there already has another manifest. */
static int check_same(const char *there, const char *in, const char *vsn, struct rel_err *e)
{
    rel_autofree char *path = rel_strf("%s/releases/%s/" PKG_MANIFEST_NAME, there, vsn);
    rel_autofree char *in_path = rel_strf("%s/releases/%s/" PKG_MANIFEST_NAME, in, vsn);
    rel_autofree char *text = NULL, *in_text = NULL;
    size_t len, in_len;

    if (rel_read_file(AT_FDCWD, path, PKG_SURVEY_TEXT_MAX, &text, &len, e) < 0 ||
        rel_read_file(AT_FDCWD, in_path, PKG_SURVEY_TEXT_MAX, &in_text, &in_len, e) < 0)
        return -1;
    if (len != in_len || memcmp(text, in_text, len) != 0)
        return rel_fail(e, REL_E_INPUT, 0, "the release was replaced while it was taken in");
    return 0;
}

int sup_store_add(const char *home, const char *release, const struct sup_must *must, char **dir,
                  bool *added, struct rel_err *e)
{
    __attribute__((cleanup(incoming_fini))) struct incoming in = {
        .dir = rel_strf("%s/releases/" INCOMING "%d", home, (int)getpid())};
    char hex[PKG_SHA256_HEX] = "";
    rel_autofree char *name = NULL, *path = NULL;
    pkg_autorelease struct pkg_release *r = NULL;
    bool there = false;

    if (take_in(&in, release, must, hex, e) < 0)
        return -1;
    if (pkg_release_read(in.dir, &r, e) < 0)
        return rel_wrap(e, "%s", release);
    if (must->app && strcmp(must->app, r->name) != 0)
        return rel_fail(e, REL_E_INPUT, 0, "%s is a release of %s, this home runs %s", release,
                        r->name, must->app);
    name = choose_dir(home, r->vsn, hex, &there);
    path = sup_store_path(home, name);
    if (there && must->key && check_same(path, in.dir, r->vsn, e) < 0)
        return rel_wrap(e, "%s", release);
    if (!there && rel_rename_dir(AT_FDCWD, in.dir, path, e) < 0)
        return -1;
    *dir = rel_steal(&name);
    *added = !there;
    return 0;
}

int sup_store_current(const char *home, char **dir, struct rel_err *e)
{
    rel_autofree char *link = rel_strf("%s/current", home);
    char target[PATH_MAX];
    ssize_t n = readlink(link, target, sizeof(target) - 1);

    if (n < 0)
        return rel_fail(e, REL_E_INPUT, 0, "%s has no release yet, name a tarball", home);
    target[n] = '\0';
    if (strncmp(target, "releases/", 9) != 0 || !rel_is_dir(AT_FDCWD, link))
        return rel_fail(e, REL_E_INPUT, 0, "%s points at %s, which is no release", link, target);
    *dir = rel_xstrdup(target + 9);
    return 0;
}

int sup_store_set_current(const char *home, const char *dir, struct rel_err *e)
{
    rel_autofree char *link = rel_strf("%s/current", home);
    rel_autofree char *target = rel_strf("releases/%s", dir);

    return rel_replace_link(AT_FDCWD, link, target, e);
}

struct found {
    char name[NAME_MAX + 1];
    int64_t when;
};

static int newest_first(const void *x, const void *y)
{
    const struct found *a = x, *b = y;

    return a->when > b->when ? -1 : a->when < b->when;
}

static int list_releases(const char *home, struct found **v, size_t *n, struct rel_err *e)
{
    rel_autofree char *dir = rel_strf("%s/releases", home);
    rel_autoclosedir DIR *d = opendir(dir);
    struct found *got = NULL;
    struct dirent *entry;
    size_t got_n = 0;

    if (!d)
        return rel_fail(e, REL_E_INPUT, 0, "%s is no home", home);
    while ((entry = readdir(d))) {
        struct stat st;

        if (entry->d_name[0] == '.' || fstatat(dirfd(d), entry->d_name, &st, 0) < 0)
            continue;
        got = rel_xrealloc(got, got_n + 1, sizeof(*got));
        snprintf(got[got_n].name, sizeof(got[got_n].name), "%s", entry->d_name);
        got[got_n++].when = (int64_t)st.st_ctim.tv_sec * 1000 + st.st_ctim.tv_nsec / 1000000;
    }
    if (got_n)
        qsort(got, got_n, sizeof(*got), newest_first);
    *v = got;
    *n = got_n;
    return 0;
}

static bool is_spared(const char *name, char *const *spared, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(spared[i], name))
            return true;
    return false;
}

int sup_store_prune(const char *home, int keep, char *const *spared, size_t spared_n,
                    struct rel_err *e)
{
    rel_autofree struct found *v = NULL;
    size_t n;

    if (list_releases(home, &v, &n, e) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        keep -= is_spared(v[i].name, spared, spared_n);
    for (size_t i = 0; i < n; i++) {
        rel_autofree char *path = sup_store_path(home, v[i].name);

        if (is_spared(v[i].name, spared, spared_n) || keep-- > 0)
            continue;
        if (rel_remove_tree(AT_FDCWD, path, e) < 0)
            return -1;
    }
    return 0;
}

char *sup_store_tail(const char *path, size_t max)
{
    rel_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char *text;
    ssize_t n;
    off_t from;

    if (fd < 0 || fstat(fd, &st) < 0)
        return rel_xstrdup("");
    from = st.st_size > (off_t)max ? st.st_size - (off_t)max : 0;
    text = rel_xcalloc(max + 1, 1);
    n = pread(fd, text, max, from);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

int sup_releases(const char *home, json_t **releases, struct rel_err *e)
{
    rel_autofree struct found *v = NULL;
    rel_autofree char *current = NULL;
    struct rel_err none = {0};
    size_t n;

    if (list_releases(home, &v, &n, e) < 0)
        return -1;
    (void)!sup_store_current(home, &current, &none);
    *releases = json_array();
    while (n--) {
        char when[REL_TIME_LEN];

        rel_time_format(v[n].when, when);
        json_array_append_new(*releases,
                              json_pack("{s:s, s:s, s:b}", "release", v[n].name, "since", when,
                                        "current", current && !strcmp(current, v[n].name)));
    }
    return 0;
}
