/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "pkg/pkg_archive.h"
#include "pkg/pkg_codec.h"
#include "pkg/pkg_digest.h"

enum {
    GZIP_HEAD = PKG_GZIP_DIGEST_AT + PKG_SHA256_LEN,
    ZSTD_SKIP = 12, /* magic number, size and "RPAK" */
    ZSTD_TAIL = ZSTD_SKIP + PKG_SHA256_LEN,
    READ_BLOCK = 256 << 10
};

/* One byte may be damaged anywhere, so it is there when part of what marks it is there. */
static bool marked_gzip(const unsigned char *head)
{
    bool field = (head[3] & 4) && head[10] == 4 + PKG_SHA256_LEN && !head[11];
    bool id = !memcmp(head + 12, "RP\x20\0", 4);

    return head[0] == 0x1f && head[1] == 0x8b && (field || id);
}

static bool marked_zstd(const unsigned char *tail)
{
    bool magic = !memcmp(tail, "\x5e\x2a\x4d\x18", 4);
    bool size = !memcmp(tail + 4, "\x24\0\0\0", 4);
    bool id = !memcmp(tail + 8, "RPAK", 4);

    return (magic && size) || (size && id) || (magic && id);
}

/* Adds the bytes [from, to) of the file. */
static int add_range(struct pkg_digest *d, int fd, off_t from, off_t to, struct rel_err *e)
{
    rel_autofree char *block = rel_xmalloc(READ_BLOCK);

    while (from < to) {
        size_t want = to - from < READ_BLOCK ? (size_t)(to - from) : READ_BLOCK;
        ssize_t n = pread(fd, block, want, from);

        if (n <= 0)
            return rel_fail(e, REL_E_IO, n < 0 ? errno : EIO, "read");
        pkg_digest_add(d, block, (size_t)n);
        from += n;
    }
    return 0;
}

static int check(int fd, off_t size, bool *present, struct rel_err *e)
{
    unsigned char head[GZIP_HEAD] = {0}, tail[ZSTD_TAIL] = {0}, sha256[PKG_SHA256_LEN];
    pkg_autodigest struct pkg_digest d;
    const unsigned char *said;
    off_t at;

    pkg_digest_init(&d);
    if (size < GZIP_HEAD + ZSTD_TAIL)
        return 0; /* no tarball is so small */
    if (pread(fd, head, sizeof(head), 0) != sizeof(head) ||
        pread(fd, tail, sizeof(tail), size - (off_t)sizeof(tail)) != sizeof(tail))
        return rel_fail(e, REL_E_IO, errno, "read");
    *present = marked_gzip(head) || marked_zstd(tail);
    if (!*present)
        return 0;
    said = marked_gzip(head) ? head + PKG_GZIP_DIGEST_AT : tail + ZSTD_SKIP;
    at = marked_gzip(head) ? PKG_GZIP_DIGEST_AT : size - PKG_SHA256_LEN;
    if (add_range(&d, fd, 0, at, e) < 0 || add_range(&d, fd, at + PKG_SHA256_LEN, size, e) < 0)
        return -1;
    pkg_digest_take(&d, sha256);
    if (memcmp(sha256, said, sizeof(sha256)) != 0)
        return rel_fail(e, REL_E_INPUT, 0,
                        "it is not the file that relpack wrote: some byte of it "
                        "has changed");
    return 0;
}

int pkg_archive_check_digest(const char *path, bool *present, struct rel_err *e)
{
    rel_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    *present = false;
    if (fd < 0 || fstat(fd, &st) < 0)
        return rel_fail(e, REL_E_INPUT, errno, "open %s", path);
    if (S_ISREG(st.st_mode) && check(fd, st.st_size, present, e) < 0)
        return rel_wrap(e, "%s", path);
    return 0;
}
