/* SPDX-License-Identifier: Apache-2.0 */
/* BEAM files: IFF chunks, plain or gzip-compressed. Any input is safe to parse.
 *
 * A struct pkg_beam owns a copy of the whole file; what the getters lend lives as long as it. */
#ifndef PKG_BEAM_H
#define PKG_BEAM_H

#include "pkg/pkg_term.h"

enum { PKG_BEAM_MAX = 64 << 20 }; /* bytes of a file, and of what it unpacks to */

struct pkg_beam_chunk {
    char id[5]; /* "AtU8" */
    const unsigned char *p;
    size_t n;
};

struct pkg_beam_mfa {
    const char *m, *f; /* m is NULL for an export */
    uint32_t arity;
};

struct pkg_beam {
    struct pkg_arena arena;
    unsigned char *data; /* "FOR1"..., unpacked */
    size_t len;
    struct pkg_beam_chunk *chunks;
    size_t chunk_n;
    const char *module;
    struct pkg_beam_mfa *exports, *imports;
    size_t export_n, import_n;
    bool nif;     /* imports erlang:load_nif/2 */
    bool on_load; /* runs a function when it is loaded */
};

/* REL_E_INPUT when it is no whole BEAM file; `name` is for the message. */
REL_MUST_USE int pkg_beam_parse(const void *data, size_t len, const char *name, struct pkg_beam *b,
                                struct rel_err *e);
REL_MUST_USE int pkg_beam_read(int dir_fd, const char *path, struct pkg_beam *b, struct rel_err *e);
void pkg_beam_fini(struct pkg_beam *b);
#define pkg_autobeam __attribute__((cleanup(pkg_beam_fini)))

/* NULL when there is none. */
const struct pkg_beam_chunk *pkg_beam_chunk_get(const struct pkg_beam *b, const char *id);

/* beam_lib:md5/1: over the chunks that matter to the running code. */
REL_MUST_USE int pkg_beam_md5(const struct pkg_beam *b, unsigned char md5[16], struct rel_err *e);

/* module_info(attributes) in the file: a property list in `a`, [] where there is none. */
REL_MUST_USE int pkg_beam_attributes(const struct pkg_beam *b, struct pkg_arena *a,
                                     const struct pkg_term **attributes, struct rel_err *e);

/* The file without debug information, documentation and compiler notes, not compressed: keeps what
 * the VM loads, line numbers, types and attributes (so code_change finds its -vsn). The md5 stays.
 * Chunks named in `keep` (NULL-terminated, or NULL) stay as well. Appends to `out`. */
struct rel_buf;
void pkg_beam_strip(const struct pkg_beam *b, const char *const *keep, struct rel_buf *out);

#endif
