/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures of manifests: ed25519 (RFC 8032) by libcrypto, keys as PEM files (PKCS #8 and
 * SubjectPublicKeyInfo, RFC 8410) that openssl reads too. No state, any thread. */
#ifndef PKG_SIGN_H
#define PKG_SIGN_H

#include "base/rel_err.h"

enum { PKG_KEY_ID_LEN = 17 }; /* 16 hexadecimal digits and a NUL */

/* A new pair: NAME.key (0600) and NAME.pub. Neither may be there. 0: both are on disk; -1: neither
 * was made; after a crash they may be there, empty. `id` is that of the pair. */
REL_MUST_USE int pkg_key_make(const char *name, char id[PKG_KEY_ID_LEN], struct rel_err *e);

struct pkg_key;

/* The secret key of a file, which nobody but its owner may read. REL_E_INPUT when it is none. */
REL_MUST_USE int pkg_key_read_secret(const char *path, struct pkg_key **key, struct rel_err *e);
/* The public key of a file. REL_E_INPUT when it is none; a secret one is refused, too. */
REL_MUST_USE int pkg_key_read_public(const char *path, struct pkg_key **key, struct rel_err *e);
void pkg_key_free(struct pkg_key **key);
#define pkg_autokey __attribute__((cleanup(pkg_key_free)))

/* The first 16 hexadecimal digits of the SHA-256 of the public key. Lent. */
const char *pkg_key_id(const struct pkg_key *key);

/* Appends the text of the signature file of the `len` bytes of a manifest:
 *   relpack-signature 1
 *   ed25519 <key id> <base64 of the 64 bytes>
 * What is signed is "relpack manifest 1\n" followed by the manifest, so that a signature of
 * something else made with the key is none of a manifest. */
REL_MUST_USE int pkg_sign(const struct pkg_key *secret, const void *manifest, size_t len,
                          struct rel_buf *signature, struct rel_err *e);

/* The id of the key that a signature file names; REL_E_INPUT when it is none. */
REL_MUST_USE int pkg_signature_key_id(const char *signature, char id[PKG_KEY_ID_LEN],
                                      struct rel_err *e);

/* 0: `signature` is one of these bytes by this key. -1, REL_E_INPUT: it is not, with why. */
REL_MUST_USE int pkg_sign_check(const struct pkg_key *public_key, const void *manifest, size_t len,
                                const char *signature, struct rel_err *e);

#endif
