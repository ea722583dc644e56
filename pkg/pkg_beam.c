/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_beam.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <zlib.h>

#include "base/rel_io.h"
#include "pkg/pkg_etf.h"
#include "pkg/pkg_scan.h"

enum { CHUNKS_MAX = 64 }; /* the compilers of today make 15 at most */

struct cursor {
    const unsigned char *p;
    size_t left;
};

static uint32_t be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool take_u32(struct cursor *c, uint32_t *n)
{
    if (c->left < 4)
        return false;
    *n = be32(c->p);
    c->p += 4;
    c->left -= 4;
    return true;
}

static struct cursor chunk_cursor(const struct pkg_beam *b, const char *id)
{
    const struct pkg_beam_chunk *chunk = pkg_beam_chunk_get(b, id);

    return chunk ? (struct cursor){chunk->p, chunk->n} : (struct cursor){0};
}

const struct pkg_beam_chunk *pkg_beam_chunk_get(const struct pkg_beam *b, const char *id)
{
    for (size_t i = 0; i < b->chunk_n; i++)
        if (!strcmp(b->chunks[i].id, id))
            return &b->chunks[i];
    return NULL;
}

static int broken(const char *name, const char *what, struct rel_err *e)
{
    return rel_fail(e, REL_E_INPUT, 0, "%s: not a whole BEAM file: %s", name, what);
}

/* gzip as the compiler's `compressed` option writes it. */
static int gunzip(const void *data, size_t len, struct rel_buf *out)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)len};
    rel_autofree unsigned char *chunk = rel_xmalloc(65536);
    int status = inflateInit2(&z, 16 + MAX_WBITS);

    while (status == Z_OK && out->len <= PKG_BEAM_MAX) {
        z.next_out = chunk;
        z.avail_out = 65536;
        status = inflate(&z, Z_NO_FLUSH);
        rel_buf_add(out, chunk, 65536 - z.avail_out);
    }
    inflateEnd(&z);
    return status == Z_STREAM_END ? 0 : -1;
}

static int load_data(struct pkg_beam *b, const void *data, size_t len, const char *name,
                     struct rel_err *e)
{
    const unsigned char *p = data;
    rel_autobuf struct rel_buf plain = {0};

    if (len > PKG_BEAM_MAX)
        return broken(name, "it is too large", e);
    if (len >= 2 && p[0] == 0x1f && p[1] == 0x8b) {
        if (gunzip(data, len, &plain) < 0)
            return broken(name, "it does not unpack", e);
    } else {
        rel_buf_add(&plain, data, len);
    }
    b->len = plain.len;
    b->data = (unsigned char *)rel_buf_take(&plain);
    return 0;
}

static int read_chunks(struct pkg_beam *b, const char *name, struct rel_err *e)
{
    struct cursor c = {b->data, b->len};
    uint32_t size;

    if (c.left < 12 || memcmp(c.p, "FOR1", 4) != 0 || memcmp(c.p + 8, "BEAM", 4) != 0)
        return broken(name, "it does not begin as one", e);
    size = be32(c.p + 4);
    if (size < 4 || size > c.left - 8)
        return broken(name, "it is cut short", e);
    c.p += 12;
    c.left = size - 4;
    b->chunks = pkg_arena_alloc(&b->arena, CHUNKS_MAX * sizeof(*b->chunks));
    while (c.left >= 8) {
        struct pkg_beam_chunk *chunk = &b->chunks[b->chunk_n];
        size_t padded;

        if (b->chunk_n == CHUNKS_MAX)
            return broken(name, "it has too many chunks", e);
        memcpy(chunk->id, c.p, 4);
        chunk->n = be32(c.p + 4);
        chunk->p = c.p + 8;
        if (chunk->n > c.left - 8)
            return broken(name, "a chunk is cut short", e);
        padded = (chunk->n + 3) & ~(size_t)3;
        padded = padded < c.left - 8 ? padded : c.left - 8; /* the last one may lack its padding */
        c.p += 8 + padded;
        c.left -= 8 + padded;
        b->chunk_n++;
    }
    return 0;
}

/* An argument in the compact encoding of the loader: its tag (3 bits) and value. Values beyond 32
 * bits are of no interest here and read as UINT32_MAX. (beam_asm:encode/2) */
static bool take_arg(struct cursor *c, unsigned int *tag, uint32_t *value)
{
    unsigned char first;
    size_t n;

    if (!c->left)
        return false;
    first = *c->p++;
    c->left--;
    *tag = first & 7;
    *value = first >> 4;
    if (!(first & 8))
        return true;
    if (!(first & 16)) {
        if (!c->left)
            return false;
        *value = (uint32_t)(first & 0xe0) << 3 | *c->p++;
        c->left--;
        return true;
    }
    n = (size_t)(first >> 5) + 2;
    if (n > 8 || n > c->left)
        return false;
    *value = 0;
    for (size_t i = 0; i < n; i++)
        *value = n > 4 ? UINT32_MAX : *value << 8 | c->p[i];
    c->p += n;
    c->left -= n;
    return true;
}

struct atoms {
    const char **v;
    uint32_t n;
};

static bool is_utf8(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t len = pkg_utf8_len(s + i, n - i);

        if (!len || !s[i])
            return false;
        i += len;
    }
    return true;
}

/* `wide`: the count was negative, lengths are in the compact encoding (OTP 28). */
static bool take_atom(struct pkg_beam *b, struct cursor *c, bool latin1, bool wide,
                      const char **atom)
{
    rel_autobuf struct rel_buf text = {0};
    unsigned int tag;
    uint32_t n;

    if (wide) {
        if (!take_arg(c, &tag, &n))
            return false;
    } else {
        if (!c->left)
            return false;
        n = *c->p++;
        c->left--;
    }
    if (n > c->left)
        return false;
    rel_buf_add(&text, "", 0);
    for (uint32_t i = 0; i < n && latin1; i++)
        pkg_utf8_add(&text, c->p[i]);
    if (!latin1)
        rel_buf_add(&text, c->p, n);
    c->p += n;
    c->left -= n;
    /* One with a NUL inside is no name of anything we look for. */
    *atom = is_utf8(text.p, text.len) ? pkg_arena_strndup(&b->arena, text.p, text.len) : "";
    return true;
}

static int read_atoms(struct pkg_beam *b, struct atoms *atoms, const char *name, struct rel_err *e)
{
    bool latin1 = !pkg_beam_chunk_get(b, "AtU8"), wide;
    struct cursor c = chunk_cursor(b, latin1 ? "Atom" : "AtU8");
    uint32_t count;

    if (!take_u32(&c, &count))
        return broken(name, "it has no atoms", e);
    wide = count > INT32_MAX;
    count = wide ? 0 - count : count;
    if (!count || count > c.left)
        return broken(name, "its table of atoms is wrong", e);
    atoms->v = pkg_arena_alloc(&b->arena, count * sizeof(*atoms->v));
    atoms->n = count;
    for (uint32_t i = 0; i < count; i++)
        if (!take_atom(b, &c, latin1, wide, &atoms->v[i]))
            return broken(name, "its table of atoms is wrong", e);
    b->module = atoms->v[0];
    return *b->module ? 0 : broken(name, "its module has no name", e);
}

/* Atoms count from 1. */
static const char *atom_at(const struct atoms *atoms, uint32_t i)
{
    return i >= 1 && i <= atoms->n ? atoms->v[i - 1] : NULL;
}

/* ImpT is rows of module, function, arity; ExpT of function, arity, label. */
static int read_functions(struct pkg_beam *b, const struct atoms *atoms, bool imports,
                          const char *name, struct rel_err *e)
{
    struct cursor c = chunk_cursor(b, imports ? "ImpT" : "ExpT");
    struct pkg_beam_mfa *v;
    uint32_t n;

    if (!take_u32(&c, &n) || n > c.left / 12)
        return broken(name, imports ? "its imports are wrong" : "its exports are wrong", e);
    v = pkg_arena_alloc(&b->arena, (n + 1) * sizeof(*v));
    for (uint32_t i = 0; i < n; i++, c.p += 12) {
        const unsigned char *row = imports ? c.p + 4 : c.p;

        v[i].m = imports ? atom_at(atoms, be32(c.p)) : NULL;
        v[i].f = atom_at(atoms, be32(row));
        v[i].arity = be32(row + 4);
        if (!v[i].f || (imports && !v[i].m))
            return broken(name, "a function has no name", e);
        b->nif |=
            imports && !strcmp(v[i].m, "erlang") && !strcmp(v[i].f, "load_nif") && v[i].arity == 2;
    }
    *(imports ? &b->imports : &b->exports) = v;
    *(imports ? &b->import_n : &b->export_n) = n;
    return 0;
}

/* The compiler takes -on_load out of the attributes and puts the instruction on_load behind the
 * entry label of the function (beam_asm:insert_on_load_instruction/2). So what is looked for is
 * func_info Module Function Arity, label N, on_load; Module is always the first atom. */
static bool has_on_load(const struct pkg_beam *b)
{
    enum { OP_LABEL = 1, OP_FUNC_INFO = 2, OP_ON_LOAD = 149, TAG_U = 0, TAG_ATOM = 2 };
    enum { FIRST_ATOM = 1 << 4 | TAG_ATOM };
    struct cursor code = chunk_cursor(b, "Code");
    uint32_t header, value;
    unsigned int tag;

    if (!take_u32(&code, &header) || header > code.left)
        return false;
    code.p += header;
    code.left -= header;
    for (; code.left >= 7; code.p++, code.left--) {
        struct cursor c = {code.p + 2, code.left - 2};

        if (code.p[0] != OP_FUNC_INFO || code.p[1] != FIRST_ATOM)
            continue;
        if (!take_arg(&c, &tag, &value) || tag != TAG_ATOM || !take_arg(&c, &tag, &value) ||
            tag != TAG_U || !c.left || *c.p++ != OP_LABEL)
            continue;
        c.left--;
        if (take_arg(&c, &tag, &value) && tag == TAG_U && c.left && *c.p == OP_ON_LOAD)
            return true;
    }
    return false;
}

static int parse(struct pkg_beam *b, const void *data, size_t len, const char *name,
                 struct rel_err *e)
{
    struct atoms atoms;

    if (load_data(b, data, len, name, e) < 0 || read_chunks(b, name, e) < 0 ||
        read_atoms(b, &atoms, name, e) < 0 || read_functions(b, &atoms, true, name, e) < 0 ||
        read_functions(b, &atoms, false, name, e) < 0)
        return -1;
    if (!pkg_beam_chunk_get(b, "Code") || !pkg_beam_chunk_get(b, "StrT"))
        return broken(name, "it has no code", e);
    b->on_load = has_on_load(b);
    return 0;
}

int pkg_beam_parse(const void *data, size_t len, const char *name, struct pkg_beam *b,
                   struct rel_err *e)
{
    pkg_autobeam struct pkg_beam made = {0};

    if (parse(&made, data, len, name, e) < 0)
        return -1;
    *b = made;
    made = (struct pkg_beam){0};
    return 0;
}

int pkg_beam_read(int dir_fd, const char *path, struct pkg_beam *b, struct rel_err *e)
{
    rel_autofree char *data = NULL;
    size_t len;

    if (rel_read_file(dir_fd, path, PKG_BEAM_MAX, &data, &len, e) < 0)
        return -1;
    return pkg_beam_parse(data, len, path, b, e);
}

void pkg_beam_fini(struct pkg_beam *b)
{
    free(b->data);
    pkg_arena_fini(&b->arena);
    *b = (struct pkg_beam){0};
}

static bool digest_chunk(EVP_MD_CTX *ctx, const struct pkg_beam_chunk *chunk)
{
    static const unsigned char zero[4];
    struct cursor c = {chunk->p, chunk->n};

    if (strcmp(chunk->id, "FunT") != 0 || c.left < 4)
        return EVP_DigestUpdate(ctx, c.p, c.left) == 1;
    /* The last word of an entry is OldUniq, a hash that varies with the compiler
     * (beam_lib:filter_funtab/2). */
    if (EVP_DigestUpdate(ctx, c.p, 4) != 1)
        return false;
    for (c.p += 4, c.left -= 4; c.left >= 24; c.p += 24, c.left -= 24)
        if (EVP_DigestUpdate(ctx, c.p, 20) != 1 || EVP_DigestUpdate(ctx, zero, 4) != 1)
            return false;
    return EVP_DigestUpdate(ctx, c.p, c.left) == 1;
}

int pkg_beam_md5(const struct pkg_beam *b, unsigned char md5[16], struct rel_err *e)
{
    static const char *const ids[] = {"Atom", "AtU8", "Code", "StrT", "ImpT",
                                      "ExpT", "FunT", "LitT", "Meta"};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1;

    for (size_t i = 0; ok && i < sizeof(ids) / sizeof(*ids); i++) {
        const struct pkg_beam_chunk *chunk = pkg_beam_chunk_get(b, ids[i]);

        ok = !chunk || digest_chunk(ctx, chunk);
    }
    ok = ok && EVP_DigestFinal_ex(ctx, md5, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    return ok ? 0 : rel_fail(e, REL_E_INTERNAL, 0, "libcrypto does not do md5");
}

int pkg_beam_attributes(const struct pkg_beam *b, struct pkg_arena *a,
                        const struct pkg_term **attributes, struct rel_err *e)
{
    const struct pkg_beam_chunk *chunk = pkg_beam_chunk_get(b, "Attr");

    if (!chunk || !chunk->n) {
        *attributes = pkg_list(a, 0);
        return 0;
    }
    return pkg_etf_decode(a, chunk->p, chunk->n, attributes, e);
}

static bool is_among(const char *id, const char *const *ids)
{
    for (; ids && *ids; ids++)
        if (!strcmp(id, *ids))
            return true;
    return false;
}

void pkg_beam_strip(const struct pkg_beam *b, const char *const *keep, struct rel_buf *out)
{
    static const char *const kept[] = {"Atom", "AtU8", "Code", "StrT", "ImpT", "ExpT", "FunT",
                                       "LitT", "Meta", "Line", "Type", "Attr", NULL};
    size_t begin = out->len, total;

    rel_buf_add(out, "FOR1\0\0\0\0BEAM", 12);
    for (size_t i = 0; i < b->chunk_n; i++) {
        const struct pkg_beam_chunk *chunk = &b->chunks[i];

        if (!is_among(chunk->id, kept) && !is_among(chunk->id, keep))
            continue;
        rel_buf_add(out, chunk->p - 8, 8 + chunk->n);
        rel_buf_add(out, "\0\0\0", (4 - chunk->n % 4) % 4);
    }
    total = out->len - begin - 8;
    for (int i = 0; i < 4; i++)
        out->p[begin + 4 + (size_t)i] = (char)(total >> (24 - 8 * i) & 0xff);
}
