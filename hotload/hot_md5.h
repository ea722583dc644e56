/* SPDX-License-Identifier: Apache-2.0 */
/* MD5 (RFC 1321), for the digest that the handshake of the distribution protocol asks for, and for
 * nothing else. Own code, because relctl travels in every release and needs nothing but libc, where
 * libcrypto would have to come along. Any thread; no state. */
#ifndef HOT_MD5_H
#define HOT_MD5_H

#include <stddef.h>

enum { HOT_MD5_LEN = 16 };

void hot_md5(const void *bytes, size_t len, unsigned char out[HOT_MD5_LEN]);

#endif
