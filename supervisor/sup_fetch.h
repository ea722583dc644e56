/* SPDX-License-Identifier: Apache-2.0 */
/* Fetches a release by URL (libcurl): https, file, and http only from this host, past any proxy.
 * Blocking, for a worker; follows redirects to https; bounded in size, in time, and in how slow it
 * may get. */
#ifndef SUP_FETCH_H
#define SUP_FETCH_H

#include <stdbool.h>

#include "base/rel_err.h"

bool sup_is_url(const char *s);

/* A release as it may be told, printed and kept: of a URL without user, password, query and
 * fragment, which are secrets in the URLs of object stores; a path as it is. The caller owns it. */
char *sup_shown_release(const char *release);

/* Fewer bytes a second than that for so long end the fetch: nobody waits for who only drips. */
struct sup_fetch_pace {
    long bytes_s, patience_s;
};
extern const struct sup_fetch_pace sup_fetch_pace_default; /* 1 KiB/s for 30 s */

/* 0: the whole body is in the new file `path`. -1: `path` does not exist. */
REL_MUST_USE int sup_fetch(const char *url, const char *path, const struct sup_fetch_pace *pace,
                           struct rel_err *e);

#endif
