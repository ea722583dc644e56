/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the mark of a release: one whose values can be used as they are, or an error that
 * says something. */
#include <stdint.h>
#include <stdlib.h>

#include "supervisor/sup_release.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sup_autorelease struct sup_release *r = NULL;
    struct rel_err e = {0};

    if (sup_release_parse((const char *)data, size, "mark", &r, &e) < 0) {
        if (r || !e.code || !*e.msg)
            abort();
        return 0;
    }
    if (e.code || !sup_is_name(r->name) || !sup_is_name(r->vsn) || !sup_is_name(r->erts_vsn))
        abort();
    return 0;
}
