/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 by libcrypto. One thread an object. */
#ifndef PKG_DIGEST_H
#define PKG_DIGEST_H

#include "base/rel_own.h"

enum { PKG_SHA256_LEN = 32, PKG_SHA256_HEX = 2 * PKG_SHA256_LEN + 1 };

struct pkg_digest {
    void *ctx; /* EVP_MD_CTX */
};

/* Aborts when libcrypto cannot do SHA-256. */
void pkg_digest_init(struct pkg_digest *d);
void pkg_digest_add(struct pkg_digest *d, const void *p, size_t n);
/* The digest; the object is as after pkg_digest_init again. */
void pkg_digest_take(struct pkg_digest *d, unsigned char sha256[PKG_SHA256_LEN]);
void pkg_digest_fini(struct pkg_digest *d);
#define pkg_autodigest __attribute__((cleanup(pkg_digest_fini)))

void pkg_sha256(const void *p, size_t n, unsigned char sha256[PKG_SHA256_LEN]);
void pkg_sha256_hex(const unsigned char sha256[PKG_SHA256_LEN], char hex[PKG_SHA256_HEX]);

#endif
