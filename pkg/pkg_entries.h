/* SPDX-License-Identifier: Apache-2.0 */
/* What a release is going to hold, file by file, before any of it is written: made from plans and
 * folders, then either materialised as a tree or streamed into an archive. One thread. */
#ifndef PKG_ENTRIES_H
#define PKG_ENTRIES_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/rel_err.h"
#include "base/rel_out.h"

enum pkg_entry_kind {
    PKG_ENTRY_FILE,  /* content is that of the file `source` */
    PKG_ENTRY_BEAM,  /* the same, stripped */
    PKG_ENTRY_BYTES, /* content is `bytes` */
    PKG_ENTRY_LINK,  /* symbolic link to `source` */
    PKG_ENTRY_DIR,   /* a folder, needed only where it is empty */
};

struct pkg_entry {
    enum pkg_entry_kind kind;
    char *path;   /* in the release, "lib/shop-0.1.0/ebin/shop.app", no leading "./" */
    char *source; /* owned; NULL for bytes and folders */
    char *bytes;  /* owned */
    size_t len;
    mode_t mode;             /* 0644 or 0755 */
    const char *const *keep; /* of a beam: chunks that are not stripped; lent, or NULL */
    bool surveyed;           /* by pkg_survey_entries: its content is this */
    unsigned char sha256[32];
};

struct pkg_entries {
    struct pkg_entry *v;
    size_t n, cap;
};

void pkg_entries_fini(struct pkg_entries *es);
#define pkg_autoentries __attribute__((cleanup(pkg_entries_fini)))

/* Each copies its strings. An entry of the same path replaces the earlier one (an overlay). */
void pkg_entries_add_file(struct pkg_entries *es, const char *path, const char *source,
                          mode_t mode);
void pkg_entries_add_beam(struct pkg_entries *es, const char *path, const char *source,
                          const char *const *keep);
/* Takes `bytes`. */
void pkg_entries_add_bytes(struct pkg_entries *es, const char *path, char *bytes, size_t len,
                           mode_t mode);
void pkg_entries_add_link(struct pkg_entries *es, const char *path, const char *target);
/* Is it that folder, or something in it? "/usr/lib/erlang-x" is not in "/usr/lib/erlang". Of the
 * texts alone: both are real paths, or neither is. */
bool pkg_lies_below(const char *path, const char *dir);

/* Does a link of that path in the release, to that target, stay in it, so that it can be unpacked?
 */
bool pkg_link_stays(const char *path, const char *target);
void pkg_entries_add_dir(struct pkg_entries *es, const char *path);

struct pkg_add_tree {
    const char *from;        /* folder on disk */
    const char *to;          /* path in the release, "" for its root */
    bool strip_beams;        /* .beam files as PKG_ENTRY_BEAM */
    const char *const *keep; /* with these chunks; lent to the entries; NULL-terminated, or NULL */
    /* A link out of `from` must lead below one of these or below the folder above `from`: what is
     * packed is then of the project. Ends with NULL; NULL: anywhere. */
    const char *const *roots;
    /* NULL takes all. `rel` is relative to `from`. */
    bool (*take)(const char *rel, void *ctx);
    void *ctx;
};
/* Everything below a folder. A link that stays inside it stays a link; one that leaves it is
 * replaced by what it points at (Debian's priv folders), if it may lead there; one that dangles is
 * REL_E_INPUT, as are sockets, devices, FIFOs and folders that cannot be read. Modes become 0644
 * or, with any execute bit, 0755. */
REL_MUST_USE int pkg_entries_add_tree(struct pkg_entries *es, const struct pkg_add_tree *add,
                                      struct rel_err *e);

/* Sorts by path and drops what a later entry of the same path replaced. Before reading them out. */
void pkg_entries_sort(struct pkg_entries *es);

enum { PKG_PATH_MAX = 2048 }; /* bytes of a path in a release: hosts put a folder before it */

/* REL_E_INPUT when something lies below what is no folder, as overlays can ask for, or has a path
 * or name that is too long. Sorted ones. */
REL_MUST_USE int pkg_entries_check(const struct pkg_entries *es, struct rel_err *e);

/* The content of a file, beam or bytes entry, owned by the caller. */
REL_MUST_USE int pkg_entry_content(const struct pkg_entry *entry, char **data, size_t *len,
                                   struct rel_err *e);

/* Writes them as a tree into the existing, empty folder `dir`. On failure a part may lie there. */
REL_MUST_USE int pkg_entries_write_tree(const struct pkg_entries *es, const char *dir,
                                        const struct rel_progress *progress, struct rel_err *e);

#endif
