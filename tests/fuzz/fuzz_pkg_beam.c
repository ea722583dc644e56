/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a BEAM file: what is accepted keeps its module and md5 when it is stripped. */
#include <stdlib.h>
#include <string.h>

#include "pkg/pkg_beam.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pkg_autobeam struct pkg_beam b = {0}, stripped = {0};
    pkg_autoarena struct pkg_arena a = {0};
    rel_autobuf struct rel_buf out = {0};
    const struct pkg_term *attributes;
    unsigned char md5[16], again[16];
    struct rel_err e = {0};

    if (pkg_beam_parse(data, size, "fuzz", &b, &e) < 0)
        return 0;
    must(pkg_beam_md5(&b, md5, &e) == 0);
    pkg_beam_strip(&b, NULL, &out);
    must(pkg_beam_parse(out.p, out.len, "stripped", &stripped, &e) == 0);
    must(pkg_beam_md5(&stripped, again, &e) == 0);
    must(!memcmp(md5, again, sizeof(md5)) && !strcmp(b.module, stripped.module));
    must(b.on_load == stripped.on_load && b.nif == stripped.nif);
    if (pkg_beam_attributes(&b, &a, &attributes, &e) < 0)
        rel_err_clear(&e);
    return 0;
}
