/* SPDX-License-Identifier: Apache-2.0 */
/* The two compressions of a tarball, each as the parts that pkg_segments.c puts together: a head,
 * segments that are compressed by themselves, a tail, and 32 bytes of digest behind the head or
 * behind the tail. Any thread; a packer belongs to one. */
#ifndef PKG_CODEC_H
#define PKG_CODEC_H

#include <stdbool.h>
#include <stdint.h>

#include "pkg/pkg_archive.h"

struct pkg_packer;

enum { PKG_GZIP_DIGEST_AT = 16, PKG_ZSTD_SKIP_MAGIC = 0x184D2A5E };

struct pkg_codec {
    const char *id;       /* another one whenever the same segment may give other bytes */
    size_t segment_len;   /* of the stream, at most */
    unsigned threads_max; /* each holds one segment and the tables of its packer */
    bool digest_in_head;  /* else it follows the tail */
    struct pkg_packer *(*packer_new)(void);
    void (*packer_free)(struct pkg_packer *packer);
    void (*pack)(struct pkg_packer *packer, const void *p, size_t n, struct rel_buf *out);
    void (*head)(struct rel_buf *out);
    void (*tail)(uint32_t crc, uint64_t bytes, struct rel_buf *out);
};

const struct pkg_codec *pkg_codec_of(enum pkg_format format);

#endif
