/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest releases/VSN/relpack.json: what a release consists of, file by file, and what it was
 * made from. docs/manifest.md says why it holds what it holds, docs/manifest.schema.json how.
 *
 * It lists every file, link and empty folder but itself, its signature and the mark that a home
 * puts into it. The same release gives the same bytes. No state, any thread. */
#ifndef PKG_MANIFEST_H
#define PKG_MANIFEST_H

#include "pkg/pkg_digest.h"
#include "pkg/pkg_outline.h"

#define PKG_MANIFEST_NAME  "relpack.json"
#define PKG_SIGNATURE_NAME "relpack.sig"
/* A home of relsup keeps what it knows of a release in the release's folder; older ones only the
 * hash of its archive. No archive may bring such a file. */
#define PKG_HOME_MARK       ".relsup.json"
#define PKG_HOME_MARK_OLDER ".relsup.sha256"
bool pkg_is_home_mark(const char *path);

/* What a survey does not tell. */
struct pkg_manifest_source {
    const char *kind;     /* "mix", "rebar3", "plain" */
    const char *revision; /* of git; NULL without it */
    bool dirty;           /* tracked files differ from the revision */
    const char *expires;  /* pkg_expiry.h; NULL: never */
};

/* Appends the text of the manifest. REL_E_INPUT for a file name that is no UTF-8. */
REL_MUST_USE int pkg_manifest_make(const struct pkg_survey *s, const struct pkg_outline *o,
                                   const struct pkg_manifest_source *source, struct rel_buf *text,
                                   struct rel_err *e);

struct pkg_manifest_file {
    const char *path;
    enum pkg_file_kind kind;
    mode_t mode;
    uint64_t size;
    unsigned char sha256[PKG_SHA256_LEN];
    const char *target, *module; /* NULL unless a link, a module */
    unsigned char md5[16];       /* of a module */
};

struct pkg_manifest {
    void *doc; /* json_t; owns the strings */
    const char *name, *vsn, *made_by, *revision;
    const char *expires;             /* NULL: never */
    struct pkg_manifest_file *files; /* sorted by path */
    size_t file_n;
};

/* REL_E_INPUT as "NAME: what is wrong": no JSON, an unknown, missing or double key, a wrong type, a
 * newer format, paths that are not sorted and clean. */
REL_MUST_USE int pkg_manifest_parse(const char *text, size_t len, const char *name,
                                    struct pkg_manifest *m, struct rel_err *e);
void pkg_manifest_fini(struct pkg_manifest *m);
#define pkg_automanifest __attribute__((cleanup(pkg_manifest_fini)))

/* REL_E_INPUT naming the first file (by path) that is missing, one too many unless `more_is_fine`,
 * or another than the manifest says. */
REL_MUST_USE int pkg_manifest_check(const struct pkg_manifest *m, const struct pkg_survey *s,
                                    bool more_is_fine, struct rel_err *e);

/* REL_E_INPUT: a file of that path, with so much content, is not of the release that the manifest
 * describes. */
REL_MUST_USE int pkg_manifest_admit(const struct pkg_manifest *m, const char *path, uint64_t size,
                                    struct rel_err *e);

/* The name and version that `machine` stands for: "x86_64-linux-gnu" from the VM of the release, or
 * from any native code in it. NULL: it has none. Appends to `out`. */
bool pkg_manifest_machine(const struct pkg_survey *s, struct rel_buf *out);

/* Does the release bring a library of that file name? */
bool pkg_manifest_brings(const struct pkg_survey *s, const char *library);

#endif
