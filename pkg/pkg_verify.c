/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_verify.h"

#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"
#include "pkg/pkg_archive.h"
#include "pkg/pkg_expiry.h"
#include "pkg/pkg_rel.h"
#include "pkg/pkg_tar.h"

enum { START_MAX = 4096, SIGNATURE_MAX = 64 << 10 };

void pkg_verified_fini(struct pkg_verified *v)
{
    free(v->name);
    free(v->vsn);
    free(v->expires);
    free(v->manifest);
    *v = (struct pkg_verified){0};
}

static int check_signature(const struct pkg_outline *o, const struct pkg_verify *how,
                           struct pkg_verified *v, struct rel_err *e)
{
    const struct pkg_file *signature = o->signature;

    if (!signature && how->key)
        return rel_fail(e, REL_E_INPUT, 0, "it is not signed; 'relpack sign' does that");
    if (!signature)
        return 0;
    v->is_signed = true;
    if (how->key)
        snprintf(v->key_id, sizeof(v->key_id), "%s", pkg_key_id(how->key));
    if (!signature->text)
        return rel_fail(e, REL_E_INPUT, 0, "its signature is no file");
    return how->key ? pkg_sign_check(how->key, v->manifest, v->manifest_len, signature->text, e)
                    : pkg_signature_key_id(signature->text, v->key_id, e);
}

static int check_survey(const struct pkg_survey *s, const struct pkg_verify *how,
                        struct pkg_verified *v, struct rel_err *e)
{
    pkg_autooutline struct pkg_outline o = {0};
    pkg_automanifest struct pkg_manifest m = {0};

    if (pkg_outline_read(s, &o, e) < 0)
        return -1;
    if (!o.manifest && how->manifest_optional && !how->key)
        return 0;
    if (o.manifest && !o.manifest->text)
        return rel_fail(e, REL_E_INPUT, 0, "%s: its manifest is no file, or too large", s->origin);
    if (!o.manifest)
        return rel_fail(e, REL_E_INPUT, 0,
                        "%s: it has no manifest, there is nothing to verify it by: relpack did not "
                        "make it",
                        s->origin);
    v->manifest = rel_xstrdup(o.manifest->text);
    v->manifest_len = strlen(v->manifest);
    if (v->manifest_len != o.manifest->size)
        return rel_fail(e, REL_E_INPUT, 0, "%s: there is a NUL in it", o.manifest->path);
    if (pkg_manifest_parse(v->manifest, v->manifest_len, o.manifest->path, &m, e) < 0 ||
        pkg_manifest_check(&m, s, how->more_is_fine, e) < 0 || check_signature(&o, how, v, e) < 0)
        return rel_wrap(e, "%s", s->origin);
    if (m.expires && how->now_s && pkg_expiry_check(m.expires, how->now_s, e) < 0)
        return rel_wrap(e, "%s", s->origin);
    if (strcmp(m.name, o.name) != 0 || strcmp(m.vsn, o.vsn) != 0)
        return rel_fail(e, REL_E_INPUT, 0, "%s: its manifest is that of %s %s", s->origin, m.name,
                        m.vsn);
    v->name = rel_xstrdup(m.name);
    v->vsn = rel_xstrdup(m.vsn);
    v->expires = m.expires ? rel_xstrdup(m.expires) : NULL;
    v->file_n = m.file_n;
    return 0;
}

int pkg_verify(const char *path, const struct pkg_verify *how, struct pkg_verified *v,
               struct rel_err *e)
{
    pkg_autosurvey struct pkg_survey s = {0};
    pkg_autoverified struct pkg_verified made = {0};

    if (pkg_survey_read_plain(path, how->progress, &s, e) < 0 ||
        check_survey(&s, how, &made, e) < 0)
        return -1;
    /* Last, because it cannot say which file it is. */
    if (!rel_is_dir(AT_FDCWD, path) && pkg_archive_check_digest(path, &made.whole, e) < 0)
        return -1;
    *v = made;
    made = (struct pkg_verified){0};
    return 0;
}

/* The three files by which a tarball is known to be signed. A further manifest or signature is that
 * of another version, and a file like any. */
struct first {
    char *start, *vsn; /* text of releases/start_erl.data; what it names, lent */
    struct candidate {
        char *vsn, *text;
        size_t len;
    } v[2];
};
enum { MANIFEST, SIGNATURE };

static void first_fini(struct first *f)
{
    free(f->start);
    for (int i = 0; i < 2; i++) {
        free(f->v[i].vsn);
        free(f->v[i].text);
    }
}

static int read_text(struct pkg_tar_reader *r, const struct pkg_tar_entry *entry, size_t max,
                     char **text, size_t *len, struct rel_err *e)
{
    rel_autobuf struct rel_buf b = {0};
    const void *p;
    size_t n = 1;

    if (entry->size > max)
        return rel_fail(e, REL_E_INPUT, 0, "%s has more than %zu bytes", entry->name, max);
    rel_buf_add(&b, "", 0);
    while (n) {
        if (pkg_tar_data(r, &p, &n, e) < 0)
            return -1;
        rel_buf_add(&b, p, n);
    }
    free(*text);
    *len = b.len;
    *text = rel_buf_take(&b);
    return 0;
}

/* Of "releases/VSN/NAME" the VSN, owned by the caller; NULL: it is no such path. */
static char *vsn_of(const char *path, const char *name)
{
    const char *vsn = path + 9, *end;

    if (strncmp(path, "releases/", 9) != 0)
        return NULL;
    end = strchr(vsn, '/');
    return end && end > vsn && !strcmp(end + 1, name) ? rel_xstrndup(vsn, (size_t)(end - vsn))
                                                      : NULL;
}

static bool is_wanted(const struct first *f, int which, const char *vsn)
{
    return vsn && (f->vsn ? !strcmp(f->vsn, vsn) : !f->v[which].vsn);
}

static int take_candidate(struct first *f, struct pkg_tar_reader *r,
                          const struct pkg_tar_entry *entry, struct rel_err *e)
{
    static const char *const names[] = {PKG_MANIFEST_NAME, PKG_SIGNATURE_NAME};
    static const size_t max[] = {PKG_SURVEY_TEXT_MAX, SIGNATURE_MAX};

    for (int i = 0; i < 2; i++) {
        rel_autofree char *vsn = vsn_of(entry->name, names[i]);

        if (!is_wanted(f, i, vsn))
            continue;
        if (read_text(r, entry, max[i], &f->v[i].text, &f->v[i].len, e) < 0)
            return -1;
        free(f->v[i].vsn);
        f->v[i].vsn = rel_steal(&vsn);
    }
    return 0;
}

static int take_first(struct first *f, struct pkg_tar_reader *r, const struct pkg_tar_entry *entry,
                      struct rel_err *e)
{
    char *rest = NULL;
    size_t len;

    if (entry->kind != PKG_TAR_FILE)
        return 0;
    if (strcmp(entry->name, "releases/start_erl.data") != 0)
        return take_candidate(f, r, entry, e);
    if (read_text(r, entry, START_MAX, &f->start, &len, e) < 0)
        return -1;
    strtok_r(f->start, " \t\r\n", &rest);
    f->vsn = strtok_r(NULL, " \t\r\n", &rest);
    return 0;
}

static bool has_all(const struct first *f)
{
    return f->vsn && f->v[MANIFEST].vsn && f->v[SIGNATURE].vsn &&
           !strcmp(f->vsn, f->v[MANIFEST].vsn) && !strcmp(f->vsn, f->v[SIGNATURE].vsn);
}

static int scan(struct first *f, const char *path, struct rel_err *e)
{
    pkg_autotar struct pkg_tar_reader *r = NULL;
    struct pkg_tar_entry entry;
    bool more = true;

    if (pkg_tar_open(path, NULL, NULL, &r, e) < 0)
        return -1;
    while (more && !has_all(f))
        if (pkg_tar_next(r, &entry, &more, e) < 0 || (more && take_first(f, r, &entry, e) < 0))
            return -1;
    return 0;
}

static bool has_foreign(const struct first *f)
{
    for (int i = 0; i < 2; i++)
        if (f->vsn && f->v[i].vsn && strcmp(f->vsn, f->v[i].vsn) != 0)
            return true;
    return false;
}

/* Usually all three come in one reading. Where the name of the version comes behind the manifest of
 * another one, a second reading knows which is meant. */
static int read_first(struct first *f, const char *path, struct rel_err *e)
{
    if (scan(f, path, e) < 0)
        return -1;
    if (has_foreign(f)) {
        for (int i = 0; i < 2; i++) {
            free(rel_steal(&f->v[i].vsn));
            free(rel_steal(&f->v[i].text));
        }
        if (scan(f, path, e) < 0)
            return -1;
    }
    if (!f->vsn)
        return rel_fail(e, REL_E_INPUT, 0,
                        "it is no release: releases/start_erl.data is missing or names no version");
    if (!f->v[MANIFEST].vsn)
        return rel_fail(e, REL_E_INPUT, 0,
                        "it has no manifest, there is nothing to verify it by: relpack did not "
                        "make it");
    return has_all(f) ? 0
                      : rel_fail(e, REL_E_INPUT, 0, "it is not signed; 'relpack sign' does that");
}

int pkg_verify_first(const char *path, const struct pkg_key *key, struct pkg_manifest *m,
                     struct rel_err *e)
{
    __attribute__((cleanup(first_fini))) struct first f = {0};
    const struct candidate *manifest = &f.v[MANIFEST];

    if (read_first(&f, path, e) < 0 ||
        pkg_sign_check(key, manifest->text, manifest->len, f.v[SIGNATURE].text, e) < 0 ||
        pkg_manifest_parse(manifest->text, manifest->len, PKG_MANIFEST_NAME, m, e) < 0)
        return rel_wrap(e, "%s", path);
    return 0;
}
