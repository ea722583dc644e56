/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_digest.h"

#include <openssl/evp.h>

void pkg_digest_init(struct pkg_digest *d)
{
    d->ctx = EVP_MD_CTX_new();
    if (!d->ctx || EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1)
        abort();
}

void pkg_digest_add(struct pkg_digest *d, const void *p, size_t n)
{
    if (EVP_DigestUpdate(d->ctx, p, n) != 1)
        abort();
}

void pkg_digest_take(struct pkg_digest *d, unsigned char sha256[PKG_SHA256_LEN])
{
    if (EVP_DigestFinal_ex(d->ctx, sha256, NULL) != 1 ||
        EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1)
        abort();
}

void pkg_digest_fini(struct pkg_digest *d)
{
    EVP_MD_CTX_free(d->ctx);
    d->ctx = NULL;
}

void pkg_sha256(const void *p, size_t n, unsigned char sha256[PKG_SHA256_LEN])
{
    if (EVP_Digest(p, n, sha256, NULL, EVP_sha256(), NULL) != 1)
        abort();
}

void pkg_sha256_hex(const unsigned char sha256[PKG_SHA256_LEN], char hex[PKG_SHA256_HEX])
{
    for (int i = 0; i < PKG_SHA256_LEN; i++)
        snprintf(hex + 2 * i, 3, "%02x", sha256[i]);
}
