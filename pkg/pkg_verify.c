/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_verify.h"

#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"
#include "pkg/pkg_archive.h"
#include "pkg/pkg_manifest.h"

void pkg_verified_fini(struct pkg_verified *v)
{
    free(v->name);
    free(v->vsn);
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
    if (strcmp(m.name, o.name) != 0 || strcmp(m.vsn, o.vsn) != 0)
        return rel_fail(e, REL_E_INPUT, 0, "%s: its manifest is that of %s %s", s->origin, m.name,
                        m.vsn);
    v->name = rel_xstrdup(m.name);
    v->vsn = rel_xstrdup(m.vsn);
    v->file_n = m.file_n;
    return 0;
}

int pkg_verify(const char *path, const struct pkg_verify *how, struct pkg_verified *v,
               struct rel_err *e)
{
    pkg_autosurvey struct pkg_survey s = {0};
    pkg_autoverified struct pkg_verified made = {0};

    if (pkg_survey_read(path, how->progress, &s, e) < 0 || check_survey(&s, how, &made, e) < 0)
        return -1;
    /* Last, because it cannot say which file it is. */
    if (!rel_is_dir(AT_FDCWD, path) && pkg_archive_check_digest(path, &made.whole, e) < 0)
        return -1;
    *v = made;
    made = (struct pkg_verified){0};
    return 0;
}
