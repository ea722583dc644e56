/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_curl.h"

#include <dlfcn.h>

int sup_curl_load(struct sup_curl *c, struct rel_err *e)
{
    static const char *const names[] = {
#define XX(name) #name,
        SUP_CURL_MAP(XX)
#undef XX
    };
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    void **slots = (void **)(void *)c; /* POSIX: a function's address fits a void * (dlsym(3)) */

    _Static_assert(sizeof(*c) == sizeof(names), "a slot a name");
    if (!library)
        return rel_fail(e, REL_E_IO, 0, "http needs libcurl (Debian: libcurl4): %s", dlerror());
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        slots[i] = dlsym(library, names[i]);
        if (!slots[i])
            return rel_fail(e, REL_E_IO, 0, "this libcurl is too old: %s", dlerror());
    }
    return 0;
}
