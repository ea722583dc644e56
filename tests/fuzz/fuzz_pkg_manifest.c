/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a manifest: what is accepted has sorted, clean paths and the fields of its kind; and
 * the same bytes as a signature. */
#include <stdlib.h>
#include <string.h>

#include "pkg/pkg_manifest.h"
#include "pkg/pkg_sign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rel_autofree char *text = rel_xstrndup((const char *)data, size);
    pkg_automanifest struct pkg_manifest m = {0};
    struct pkg_survey empty = {0};
    char id[PKG_KEY_ID_LEN];
    struct rel_err e = {0};

    if (pkg_signature_key_id(text, id, &e) == 0)
        must(strlen(id) == PKG_KEY_ID_LEN - 1);
    rel_err_clear(&e);
    if (pkg_manifest_parse((const char *)data, size, "fuzz", &m, &e) < 0)
        return 0;
    must(m.name && m.vsn && m.made_by);
    for (size_t i = 0; i < m.file_n; i++) {
        must(*m.files[i].path && *m.files[i].path != '/');
        must(i == 0 || strcmp(m.files[i - 1].path, m.files[i].path) < 0);
        must((m.files[i].kind == PKG_FILE_LINK) == (m.files[i].target != NULL));
    }
    must((pkg_manifest_check(&m, &empty, false, &e) == 0) == (m.file_n == 0));
    return 0;
}
