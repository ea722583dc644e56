/* SPDX-License-Identifier: Apache-2.0 */
/* The external term format: what is in a .boot file and in some chunks of a BEAM file.
 * (ERTS User's Guide, "External Term Format".) No state, any thread. */
#ifndef PKG_ETF_H
#define PKG_ETF_H

#include "pkg/pkg_term.h"

/* What binary_to_term/1 turns into `t`: atoms as UTF-8, lists of bytes as strings, as
 * term_to_binary/1 does. Appends to `out`. */
REL_MUST_USE int pkg_etf_encode(const struct pkg_term *t, struct rel_buf *out, struct rel_err *e);

/* Any input is safe: REL_E_INPUT for what is truncated, nested too deep, larger than `len` can
 * hold, or of a kind that has no text (pids, references, closures). */
REL_MUST_USE int pkg_etf_decode(struct pkg_arena *a, const void *data, size_t len,
                                const struct pkg_term **t, struct rel_err *e);

/* A file of one encoded term, e.g. start_clean.boot. */
REL_MUST_USE int pkg_etf_read(struct pkg_arena *a, const char *path, const struct pkg_term **t,
                              struct rel_err *e);

#endif
