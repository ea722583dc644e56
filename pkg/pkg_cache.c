/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_cache.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rel_io.h"

enum { RESULT_MAX = 64 << 20 };
static const uint64_t bytes_max = UINT64_C(512) << 20, bytes_after = UINT64_C(384) << 20;

struct pkg_cache {
    int dir_fd;
    atomic_bool grown;
};

static char *choose_dir(void)
{
    const char *own = getenv("RELPACK_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");

    if (own && *own)
        return *own == '/' ? rel_xstrdup(own) : NULL;
    if (xdg && *xdg == '/')
        return rel_strf("%s/relpack", xdg);
    return home && *home == '/' ? rel_strf("%s/.cache/relpack", home) : NULL;
}

struct pkg_cache *pkg_cache_open(void)
{
    rel_autofree char *dir = choose_dir();
    rel_autoclose int fd = -1;
    struct rel_err ignored = {0};
    struct pkg_cache *c;
    struct stat st;

    if (!dir || rel_mkdirs(AT_FDCWD, dir, 0700, &ignored) < 0)
        return NULL;
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 022))
        return NULL;
    c = rel_xcalloc(1, sizeof(*c));
    c->dir_fd = rel_steal_fd(&fd);
    return c;
}

/* What stands at the end of a result's file. */
static void make_seal(const unsigned char key[PKG_SHA256_LEN], const void *p, size_t n,
                      unsigned char seal[PKG_SHA256_LEN])
{
    pkg_autodigest struct pkg_digest d;

    pkg_digest_init(&d);
    pkg_digest_add(&d, key, PKG_SHA256_LEN);
    pkg_digest_add(&d, p, n);
    pkg_digest_take(&d, seal);
}

bool pkg_cache_get(struct pkg_cache *c, const unsigned char key[PKG_SHA256_LEN],
                   struct rel_buf *out)
{
    unsigned char seal[PKG_SHA256_LEN];
    rel_autofree char *text = NULL;
    struct rel_err ignored = {0};
    char name[PKG_SHA256_HEX];
    size_t len;

    if (!c)
        return false;
    pkg_sha256_hex(key, name);
    if (rel_read_file(c->dir_fd, name, RESULT_MAX, &text, &len, &ignored) < 0 || len < sizeof(seal))
        return false;
    len -= sizeof(seal);
    make_seal(key, text, len, seal);
    if (memcmp(text + len, seal, sizeof(seal)) != 0)
        return false;
    rel_buf_add(out, text, len);
    (void)!utimensat(c->dir_fd, name, NULL, 0); /* used now */
    return true;
}

void pkg_cache_put(struct pkg_cache *c, const unsigned char key[PKG_SHA256_LEN], const void *p,
                   size_t n)
{
    rel_autobuf struct rel_buf sealed = {0};
    unsigned char seal[PKG_SHA256_LEN];
    struct rel_err ignored = {0};
    char name[PKG_SHA256_HEX];

    if (!c || n > RESULT_MAX - sizeof(seal))
        return;
    make_seal(key, p, n, seal);
    rel_buf_add(&sealed, p, n);
    rel_buf_add(&sealed, seal, sizeof(seal));
    pkg_sha256_hex(key, name);
    if (rel_replace_file(c->dir_fd, name, sealed.p, sealed.len, 0600, &ignored) == 0)
        atomic_store(&c->grown, true);
}

/* A result, or what a crash left of one that was being written. */
struct result {
    char name[NAME_MAX + 1];
    struct timespec used;
    uint64_t bytes;
};

static int by_use(const void *x, const void *y)
{
    const struct timespec *a = &((const struct result *)x)->used;
    const struct timespec *b = &((const struct result *)y)->used;

    if (a->tv_sec != b->tv_sec)
        return a->tv_sec < b->tv_sec ? -1 : 1;
    return a->tv_nsec < b->tv_nsec ? -1 : a->tv_nsec > b->tv_nsec;
}

static struct result *list_results(struct pkg_cache *c, size_t *n, uint64_t *bytes)
{
    rel_autoclosedir DIR *d = fdopendir(dup(c->dir_fd));
    struct result *v = NULL;
    struct dirent *entry;
    struct stat st;

    while (d && (entry = readdir(d))) {
        if (fstatat(c->dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
            continue;
        v = rel_xrealloc(v, *n + 1, sizeof(*v));
        v[*n] = (struct result){.used = st.st_mtim, .bytes = (uint64_t)st.st_size};
        snprintf(v[*n].name, sizeof(v[*n].name), "%s", entry->d_name);
        *bytes += v[(*n)++].bytes;
    }
    return v;
}

static void prune(struct pkg_cache *c)
{
    uint64_t bytes = 0;
    size_t n = 0;
    rel_autofree struct result *v = list_results(c, &n, &bytes);

    if (bytes <= bytes_max)
        return;
    qsort(v, n, sizeof(*v), by_use);
    for (size_t i = 0; i < n && bytes > bytes_after; i++)
        if (unlinkat(c->dir_fd, v[i].name, 0) == 0)
            bytes -= v[i].bytes;
}

void pkg_cache_close(struct pkg_cache *c)
{
    if (!c)
        return;
    if (atomic_load(&c->grown))
        prune(c);
    close(c->dir_fd);
    free(c);
}
