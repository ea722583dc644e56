/* SPDX-License-Identifier: Apache-2.0 */
/* What belongs to whoever builds and to nobody else: keys and passwords among the files that are
 * packed, and overlays that come from elsewhere. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/rel_io.h"
#include "pkg/pkg_check_internal.h"

/* OTP's own applications bring keys for their tests and examples, which everybody knows. */
static bool is_looked_at(const struct pkg_checking *k, const struct pkg_entry *entry)
{
    const struct pkg_check_app *app = pkg_checking_app_of(k, entry->path);

    return entry->kind == PKG_ENTRY_FILE &&
           (app ? app->examined : strncmp(entry->path, "erts-", 5) != 0);
}

static size_t mapped(const char *source, const char **data, struct rel_err *e)
{
    rel_autoclose int fd = open(source, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    void *at;

    if (fd < 0 || fstat(fd, &st) < 0)
        return (void)!rel_fail(e, REL_E_IO, errno, "read %s", source), 0;
    if (!S_ISREG(st.st_mode) || st.st_size == 0)
        return 0;
    at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED)
        return (void)!rel_fail(e, REL_E_IO, errno, "read %s", source), 0;
    *data = at;
    return (size_t)st.st_size;
}

/* The mark of a block (RFC 7468), and what is in it: a line of base64, or the headers of an
 * encrypted one. A mere mention of the mark, in a library that reads keys, is none. */
static bool is_key_block(const char *p, const char *end)
{
    static const char mark[] = "PRIVATE KEY-----";
    size_t label = 0, line = 0;

    while (p + label < end && label < 24 && (isupper((unsigned char)p[label]) || p[label] == ' '))
        label++;
    /* the label has eaten the first two words of the mark */
    if (label < 11 || memcmp(p + label - 11, mark, 11) != 0 || end - (p + label) < 5 ||
        memcmp(p + label, mark + 11, 5) != 0)
        return false;
    p += label + 5;
    p += p < end && *p == '\r';
    if (p == end || *p++ != '\n')
        return false;
    if (end - p > 10 && !memcmp(p, "Proc-Type:", 10))
        return true;
    while (p + line < end && (isalnum((unsigned char)p[line]) || strchr("+/=", p[line])) && p[line])
        line++;
    return line >= 40;
}

static bool holds_key(const char *data, size_t len)
{
    static const char begin[] = "-----BEGIN ";
    const char *p = data, *end = data + len;

    while (len && (p = memmem(p, (size_t)(end - p), begin, sizeof(begin) - 1))) {
        p += sizeof(begin) - 1;
        if (is_key_block(p, end))
            return true;
    }
    return false;
}

/* Folders and names that are private by custom, and what makes them so where the name alone does
 * not. */
static const struct {
    const char *name, *content, *what;
} customs[] = {
    {".env", NULL, "an environment file"},
    {".env.*", NULL, "an environment file"},
    {".envrc", NULL, "an environment file"},
    {".netrc", NULL, "a file of passwords"},
    {"_netrc", NULL, "a file of passwords"},
    {".pgpass", NULL, "a file of passwords"},
    {".git-credentials", NULL, "a file of passwords"},
    {".npmrc", "_authToken", "a file with a token"},
    {".pypirc", "password", "a file with a token"},
    {"id_rsa", NULL, "a key of ssh"},
    {"id_dsa", NULL, "a key of ssh"},
    {"id_ecdsa", NULL, "a key of ssh"},
    {"id_ecdsa_sk", NULL, "a key of ssh"},
    {"id_ed25519", NULL, "a key of ssh"},
    {"id_ed25519_sk", NULL, "a key of ssh"},
};

/* Made to be shown: ".env.example". */
static bool is_sample(const char *name)
{
    static const char *const ends[] = {"*.example", "*.sample", "*.template", "*.dist"};

    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
        if (fnmatch(ends[i], name, 0) == 0)
            return true;
    return false;
}

static const char *private_by_name(const char *path, const char *data, size_t len)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

    for (size_t i = 0; i < sizeof(customs) / sizeof(*customs) && !is_sample(name); i++)
        if (fnmatch(customs[i].name, name, 0) == 0 &&
            (!customs[i].content ||
             (len && memmem(data, len, customs[i].content, strlen(customs[i].content)))))
            return customs[i].what;
    return NULL;
}

/* The length of "lib/x/priv/.git" in a path through a folder of that name, or 0. */
static size_t repository(const char *path)
{
    for (const char *p = path; (p = strstr(p, ".git/")); p++)
        if (p == path || p[-1] == '/')
            return (size_t)(p - path) + 4;
    return 0;
}

static int look_at(struct pkg_checking *k, const struct pkg_entry *entry, struct rel_err *e)
{
    const char *data = NULL, *what;
    size_t len = mapped(entry->source, &data, e);

    if (e->code)
        return -1;
    what = private_by_name(entry->path, data, len);
    if (what && pkg_checking_wants(k, PKG_CHECK_PRIVATE_FILE))
        pkg_checking_add(
            k, PKG_CHECK_PRIVATE_FILE, entry->path,
            rel_strf("%s is %s, and everybody who has the release can read it; keep it "
                     "out of what is packed",
                     entry->path, what));
    else if (pkg_checking_wants(k, PKG_CHECK_PRIVATE_KEY) && holds_key(data, len))
        pkg_checking_add(k, PKG_CHECK_PRIVATE_KEY, entry->path,
                         rel_strf("%s holds a private key, and everybody who has the release can "
                                  "read it; put it on the host, and make a new one if this one was "
                                  "given away",
                                  entry->path));
    if (len)
        munmap((void *)data, len);
    return 0;
}

/* One finding for a repository. */
static int check_files(struct pkg_checking *k, struct rel_err *e)
{
    rel_autofree char *last = NULL;

    for (size_t i = 0; i < k->c->entries->n; i++) {
        const struct pkg_entry *entry = &k->c->entries->v[i];
        size_t n = repository(entry->path);
        rel_autofree char *dir = rel_xstrndup(entry->path, n);

        if (!is_looked_at(k, entry) || (n && last && !strcmp(last, dir)))
            continue;
        if (!n) {
            if (look_at(k, entry, e) < 0)
                return -1;
            continue;
        }
        if (pkg_checking_wants(k, PKG_CHECK_PRIVATE_FILE))
            pkg_checking_add(k, PKG_CHECK_PRIVATE_FILE, entry->path,
                             rel_strf("%s is a repository with all its history; keep it out of "
                                      "what is packed",
                                      dir));
        free(last);
        last = rel_steal(&dir);
    }
    return 0;
}

/* By where it really lies. */
static bool is_outside(const struct pkg_checking *k, const char *source, char real[PATH_MAX])
{
    char project[PATH_MAX];

    return realpath(source, real) && realpath(k->c->project->dir, project) &&
           !pkg_lies_below(real, project);
}

static void check_overlay(struct pkg_checking *k, const char *from)
{
    char real[PATH_MAX];

    if (is_outside(k, from, real)) {
        pkg_checking_add(k, PKG_CHECK_OUTSIDE, NULL,
                         rel_strf("the overlay %s lies outside of the project, in %s; what is "
                                  "packed then depends on this host",
                                  from, real));
        return;
    }
    for (size_t i = 0; i < k->c->entries->n; i++) {
        const struct pkg_entry *entry = &k->c->entries->v[i];

        if (entry->kind == PKG_ENTRY_FILE && pkg_lies_below(entry->source, from) &&
            is_outside(k, entry->source, real))
            pkg_checking_add(k, PKG_CHECK_OUTSIDE, entry->path,
                             rel_strf("%s leads out of the project, to %s; put a copy there "
                                      "instead",
                                      entry->source, real));
    }
}

static void check_overlays(struct pkg_checking *k)
{
    const struct pkg_project *p = k->c->project;

    for (size_t i = 0; i < p->overlay_dirs.n; i++)
        check_overlay(k, p->overlay_dirs.v[i]);
    for (size_t i = 0; i < p->overlay_n; i++)
        if (p->overlays[i].kind == PKG_OVERLAY_COPY || p->overlays[i].kind == PKG_OVERLAY_TEMPLATE)
            check_overlay(k, p->overlays[i].from);
}

int pkg_check_private(struct pkg_checking *k, struct rel_err *e)
{
    if (pkg_checking_wants(k, PKG_CHECK_OUTSIDE))
        check_overlays(k);
    if (!pkg_checking_wants(k, PKG_CHECK_PRIVATE_KEY) &&
        !pkg_checking_wants(k, PKG_CHECK_PRIVATE_FILE))
        return 0;
    return check_files(k, e);
}
