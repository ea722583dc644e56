/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_codec.h"

#include <libdeflate.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "pkg/pkg_digest.h"

/* libdeflate's level 6 takes a third of the time of zlib's and packs tighter; 10 would take four
 * times as long for another 2%. What zstd is chosen for is size, and below 19 it gives away a
 * tenth.
 */
enum { GZIP_LEVEL = 6, ZSTD_LEVEL = 19, INFLATE_BLOCK = 64 << 10 };

static void put_le(struct rel_buf *out, uint32_t n, int bytes)
{
    for (int i = 0; i < bytes; i++)
        rel_buf_add(out, &(unsigned char){(unsigned char)(n >> (8 * i))}, 1);
}

static struct pkg_packer *gzip_packer_new(void)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(GZIP_LEVEL);

    if (!c)
        abort();
    return (struct pkg_packer *)c;
}

static void gzip_packer_free(struct pkg_packer *packer)
{
    libdeflate_free_compressor((struct libdeflate_compressor *)packer);
}

/* Where a deflate stream says that its last block is the last, and how many bits of its last byte
 * are not used: only decoding it tells. */
struct deflate_end {
    size_t byte;
    unsigned char mask;
    unsigned unused;
};

/* With Z_BLOCK inflate stops between two blocks (128 in data_type), also behind the last one (64);
 * the low bits of data_type then count the unused bits of the byte read last (zlib.h). */
static struct deflate_end find_end(unsigned char *p, size_t n)
{
    z_stream z = {.next_in = p, .avail_in = (uInt)n};
    rel_autofree unsigned char *scratch = rel_xmalloc(INFLATE_BLOCK);
    struct deflate_end end = {.mask = 1};
    int status = inflateInit2(&z, -MAX_WBITS);

    while (status == Z_OK) {
        unsigned unused;
        size_t used;

        z.next_out = scratch;
        z.avail_out = INFLATE_BLOCK;
        status = inflate(&z, Z_BLOCK);
        unused = (unsigned)z.data_type & 7;
        used = n - z.avail_in;
        if (status != Z_OK || !(z.data_type & 128))
            continue;
        if (z.data_type & 64) {
            end.unused = unused;
        } else {
            end.byte = unused ? used - 1 : used;
            end.mask = unused ? (unsigned char)(0x100 >> unused) : 1;
        }
    }
    inflateEnd(&z);
    if (status != Z_STREAM_END || z.avail_in)
        abort(); /* libdeflate wrote what zlib cannot read */
    return end;
}

/* One piece of a longer deflate stream: its last block is no longer the last, and an empty stored
 * block (RFC 1951 3.2.4) brings it to the end of a byte. So it can be followed by any other. */
static void gzip_pack(struct pkg_packer *packer, const void *p, size_t n, struct rel_buf *out)
{
    struct libdeflate_compressor *c = (struct libdeflate_compressor *)packer;
    size_t max = libdeflate_deflate_compress_bound(c, n), len;
    rel_autofree unsigned char *packed = rel_xmalloc(max);
    struct deflate_end end;

    len = libdeflate_deflate_compress(c, p, n, packed, max);
    if (!len)
        abort(); /* it exceeds its own bound */
    end = find_end(packed, len);
    packed[end.byte] &= (unsigned char)~end.mask;
    rel_buf_add(out, packed, len);
    if (end.unused < 3)
        rel_buf_add(out, "\0", 1);
    rel_buf_add(out, "\0\0\xff\xff", 4);
}

/* RFC 1952: no name and no time; an extra field "RP" of 32 bytes. */
static void gzip_head(struct rel_buf *out)
{
    rel_buf_add(out, "\x1f\x8b\x08\x04\0\0\0\0\x02\x03", 10);
    put_le(out, 4 + PKG_SHA256_LEN, 2);
    rel_buf_add(out, "RP", 2);
    put_le(out, PKG_SHA256_LEN, 2);
}

static void gzip_tail(uint32_t crc, uint64_t bytes, struct rel_buf *out)
{
    rel_buf_add(out, "\x03\0", 2); /* an empty last block */
    put_le(out, crc, 4);
    put_le(out, (uint32_t)bytes, 4);
}

static struct pkg_packer *zstd_packer_new(void)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();

    if (!c || ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, ZSTD_LEVEL)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1)))
        abort();
    return (struct pkg_packer *)c;
}

static void zstd_packer_free(struct pkg_packer *packer)
{
    ZSTD_freeCCtx((ZSTD_CCtx *)packer);
}

static void zstd_pack(struct pkg_packer *packer, const void *p, size_t n, struct rel_buf *out)
{
    size_t max = ZSTD_compressBound(n), len;
    rel_autofree char *packed = rel_xmalloc(max);

    len = ZSTD_compress2((ZSTD_CCtx *)packer, packed, max, p, n);
    if (ZSTD_isError(len))
        abort();
    rel_buf_add(out, packed, len);
}

static void zstd_head(struct rel_buf *out)
{
    (void)out;
}

/* A skippable frame (RFC 8878 3.1.2): magic number, size, "RPAK", and then the digest. */
static void zstd_tail(uint32_t crc, uint64_t bytes, struct rel_buf *out)
{
    (void)crc;
    (void)bytes;
    put_le(out, PKG_ZSTD_SKIP_MAGIC, 4);
    put_le(out, 4 + PKG_SHA256_LEN, 4);
    rel_buf_add(out, "RPAK", 4);
}

const struct pkg_codec *pkg_codec_of(enum pkg_format format)
{
    static const struct pkg_codec codecs[] = {
        [PKG_FORMAT_GZ] = {.id = "gz 1 libdeflate " LIBDEFLATE_VERSION_STRING,
                           .segment_len = 1 << 20,
                           .threads_max = 32,
                           .digest_in_head = true,
                           .packer_new = gzip_packer_new,
                           .packer_free = gzip_packer_free,
                           .pack = gzip_pack,
                           .head = gzip_head,
                           .tail = gzip_tail},
        [PKG_FORMAT_ZST] = {.id = "zst 1 zstd " ZSTD_VERSION_STRING,
                            .segment_len = 8 << 20,
                            .threads_max = 8,
                            .packer_new = zstd_packer_new,
                            .packer_free = zstd_packer_free,
                            .pack = zstd_pack,
                            .head = zstd_head,
                            .tail = zstd_tail},
    };

    return &codecs[format];
}
