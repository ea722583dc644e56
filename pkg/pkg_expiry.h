/* SPDX-License-Identifier: Apache-2.0 */
/* Until when a release may come into a home: "2026-12-31T23:59:59Z" in its manifest, and so under
 * its signature. Pure. */
#ifndef PKG_EXPIRY_H
#define PKG_EXPIRY_H

#include <stdint.h>

#include "base/rel_err.h"

#define PKG_EXPIRY_LEN 21

/* From a time (RFC 3339, in any zone), or from a duration beyond `now_s`: a number and one of s, m,
 * h, d, w. REL_E_INPUT for what is neither. */
REL_MUST_USE int pkg_expiry_make(const char *text, int64_t now_s, char out[PKG_EXPIRY_LEN],
                                 struct rel_err *e);

/* REL_E_INPUT when `text`, as made above, is past at `now_s`, or is not of that form. */
REL_MUST_USE int pkg_expiry_check(const char *text, int64_t now_s, struct rel_err *e);

#endif
