/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as run/listens.json: what is read can be noted into again, or an error that says
 * something. */
#include <stdint.h>
#include <stdlib.h>

#include "supervisor/sup_known.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sup_autoknown struct sup_known k = {0};
    struct swap_listeners none = {0};
    struct rel_err e = {0};

    if (sup_known_parse((const char *)data, size, &k, &e) < 0) {
        if (e.code != REL_E_INPUT || !*e.msg)
            abort();
        return 0;
    }
    sup_known_note(&k, "x", 1, k.n ? &k.v[0].l : &none);
    if (!sup_known_of(&k, "x"))
        abort();
    return 0;
}
