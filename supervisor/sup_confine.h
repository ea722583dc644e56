/* SPDX-License-Identifier: Apache-2.0 */
/* What a process may do that reads what nobody vouches for: so much memory, no core dump, no new
 * privileges, and where the kernel has Landlock (landlock(7)) these files, this network, no program
 * and no signal. For the process itself, for good, before it has a second thread. */
#ifndef SUP_CONFINE_H
#define SUP_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/rel_err.h"

/* Address space: the stacks and arenas of the threads, the libraries, and what the largest legal
 * release needs. To unpack 100,000 small files without a manifest took 177 MiB (VmPeak, 2 cores).
 */
enum { SUP_CONFINE_MIB = 512 };

struct sup_confine {
    const char *const *read;  /* files and trees to be read, NULL-terminated; those that are not
                               * there are skipped */
    const char *const *write; /* trees to be written, NULL-terminated */
    bool network;             /* it may connect; nobody may listen */
};

/* REL_E_UNSUPPORTED: a limit could not be set. That the kernel has no Landlock is no failure. */
REL_MUST_USE int sup_confine(const struct sup_confine *how, struct rel_err *e);

/* The version of the kernel's Landlock; 0: it has none, or does not let us. */
int sup_landlock_abi(void);

#endif
