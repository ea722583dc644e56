/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a line of the control protocol: a request, or an error that says something. */
#include <stdint.h>
#include <stdlib.h>

#include "supervisor/sup_control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sup_request r = {0};
    struct rel_err e = {0};

    if (sup_request_parse((const char *)data, size, &r, &e) == 0) {
        if (r.cmd >= SUP_CMD_COUNT || !json_is_object(r.args) || e.code)
            abort();
        sup_request_fini(&r);
    } else if (!e.code || !*e.msg) {
        abort();
    }
    return 0;
}
