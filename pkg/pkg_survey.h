/* SPDX-License-Identifier: Apache-2.0 */
/* What a release holds, file by file, and what each file is: told from the entries that are about
 * to be packed, from a tarball without unpacking it, or from a folder. The manifest, `inspect`,
 * `diff`, `verify` and the checks of a build all look at this.
 *
 * Files are read in parallel, one at a time a thread, and are not kept: only what is said here is.
 * Paths are as in the release, "lib/shop-0.1.0/ebin/shop.app", without a leading "./". */
#ifndef PKG_SURVEY_H
#define PKG_SURVEY_H

#include "base/rel_out.h"
#include "pkg/pkg_beam.h"
#include "pkg/pkg_elf.h"
#include "pkg/pkg_entries.h"

enum pkg_file_kind { PKG_FILE_REGULAR, PKG_FILE_LINK, PKG_FILE_DIR };

/* What is known of a BEAM file without its content. */
struct pkg_module_facts {
    const char *module;
    unsigned char md5[16];   /* beam_lib:md5/1: of what runs */
    unsigned char other[16]; /* MD5 of the rest that stays when it is stripped: Attr, Line, Type */
    struct pkg_beam_mfa *exports, *imports;
    size_t export_n, import_n;
    const struct pkg_term *attributes; /* a property list; [] when it does not decode */
    bool nif, on_load;
    bool stripped; /* without debug information */
    struct pkg_arena arena;
};

struct pkg_file {
    enum pkg_file_kind kind;
    mode_t mode; /* permission bits */
    char *path;
    char *target; /* of a link */
    uint64_t size;
    unsigned char sha256[32];        /* of the content; of a link: of its target */
    struct pkg_module_facts *module; /* a BEAM file, or NULL */
    struct pkg_elf *elf;             /* an ELF file, or NULL */
    char *text;    /* the content, NUL-terminated, of what describes a release: the files of known
                    * names    directly in releases/ and releases/VSN/ (settings, *.rel, manifest,
                    * signature),    and every *.app and *.appup in an ebin folder; at most
                    * PKG_SURVEY_TEXT_MAX bytes    of a manifest and 8 MiB of another; or NULL */
    char *why_not; /* it has the name of a BEAM file or begins as an ELF file, but is no whole one:
                    * why; or NULL */
    char *hard_link; /* the path that it is another name of, in a tarball; or NULL. Then what
                      * is said of the content above is owned by the file of that path */
};

enum { PKG_SURVEY_TEXT_MAX = 64 << 20 }; /* the manifest of some 250,000 files */

struct pkg_survey {
    struct pkg_file *v; /* sorted by path (strcmp) */
    size_t n;
    char *origin; /* of what: for messages */
    bool plain;   /* programs and libraries are not looked into */
};

void pkg_survey_fini(struct pkg_survey *s);
#define pkg_autosurvey __attribute__((cleanup(pkg_survey_fini)))

/* Of sorted entries, as they would be packed (stripped). A source that cannot be read, and a BEAM
 * file to be stripped that is none, is an error. Each entry remembers its hash, so that nothing
 * else can be packed in its name. */
REL_MUST_USE int pkg_survey_entries(struct pkg_entries *es, const struct rel_progress *p,
                                    struct pkg_survey *s, struct rel_err *e);

/* Of a tarball, read once from its begin to its end, nothing written: the limits and refusals are
 * those of pkg_archive_unpack, and texts of more than 96 MiB in all are refused. Of a folder that
 * holds a release: its tree. REL_E_INPUT for what is neither. */
REL_MUST_USE int pkg_survey_read(const char *path, const struct rel_progress *p,
                                 struct pkg_survey *s, struct rel_err *e);
/* The same, without a look into programs and libraries, which may be large: `elf` is NULL. Memory:
 * the texts, some KiB a module, and some MiB. */
REL_MUST_USE int pkg_survey_read_plain(const char *path, const struct rel_progress *p,
                                       struct pkg_survey *s, struct rel_err *e);

/* The file of that path, or NULL. */
const struct pkg_file *pkg_survey_find(const struct pkg_survey *s, const char *path);

#endif
