/* SPDX-License-Identifier: Apache-2.0 */
/* Fetches a release by URL (libcurl): https, file, and http only from this host. Blocking, for a
 * worker thread; follows redirects within those schemes; bounded in size, time and stall. */
#ifndef SUP_FETCH_H
#define SUP_FETCH_H

#include <stdbool.h>

#include "base/rel_err.h"

bool sup_is_url(const char *s);

/* 0: the whole body is in the new file `path`. -1: `path` does not exist. */
REL_MUST_USE int sup_fetch(const char *url, const char *path, struct rel_err *e);

#endif
