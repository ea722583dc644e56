/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an ELF file. */
#include <stdlib.h>

#include "pkg/pkg_elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pkg_elf elf = {0};
    struct rel_err e = {0};

    if (pkg_elf_parse(data, size, "fuzz", &elf, &e) < 0)
        return 0;
    for (size_t i = 0; i < elf.needed_n; i++)
        if (!*elf.needed[i])
            abort();
    pkg_elf_fini(&elf);
    return 0;
}
