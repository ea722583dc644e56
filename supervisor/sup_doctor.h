/* SPDX-License-Identifier: Apache-2.0 */
/* What this host and this home let relsup do: each line of `relsup doctor` is a row of one table,
 * which asks the kernel by doing the thing once, on sockets and descriptors of its own. Changes
 * nothing. Any thread; no state. */
#ifndef SUP_DOCTOR_H
#define SUP_DOCTOR_H

#include <stdbool.h>

/* `text` says what was found, `advice` what to do about it; both are lent for the call. */
struct sup_finding {
    const char *subject; /* "steering" */
    bool well;
    const char *text;
    const char *advice; /* NULL where all is well */
};

/* Tells every finding, in the order of the table. `home` may be NULL: then what concerns a home is
 * left out. Returns how many are not well. */
int sup_doctor(const char *home, void (*tell)(void *ctx, const struct sup_finding *finding),
               void *ctx);

#endif
