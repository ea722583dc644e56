/* SPDX-License-Identifier: Apache-2.0 */
/* The same work on many things, on all cores this process may use. */
#ifndef PKG_PARALLEL_H
#define PKG_PARALLEL_H

#include "base/rel_err.h"

/* Of those this process may run on (sched_getaffinity(2)), at most 32. */
unsigned pkg_cores(void);

/* Calls `work` once for each i in [0, n), in any order and at the same time. After a failure no
 * further one is begun, and the failure with the lowest i is the one that is told, whatever the
 * threads did: the same input gives the same message. Returns when all calls have. */
REL_MUST_USE int pkg_parallel(size_t n, int (*work)(void *ctx, size_t i, struct rel_err *e),
                              void *ctx, struct rel_err *e);

#endif
