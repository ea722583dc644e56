/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the settings that a release brings: read, or an error that names the file. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/sup_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rel_autofree char *text = rel_xstrndup((const char *)data, size); /* as a file is read */
    struct sup_config c = {0};
    struct rel_err e = {0};

    if (sup_config_parse(text, strlen(text), "relsup.json", true, &c, &e) == 0) {
        if (c.key || c.user || c.capabilities || e.code)
            abort();
        sup_config_fini(&c);
    } else if (e.code != REL_E_INPUT || strncmp(e.msg, "relsup.json:", 12) != 0) {
        abort();
    }
    return 0;
}
