/* SPDX-License-Identifier: Apache-2.0 */
/* State goes from one node to another: a function of the old one is called, and one of the new one
 * with what it returned. Blocking, for a worker; any thread. */
#ifndef HOT_HANDOVER_H
#define HOT_HANDOVER_H

#include "hotload/hot_contact.h"

struct hot_mfa {
    const char *module, *function; /* NULL: none */
    int timeout_ms;
};

/* Calls before:() in the node `from` and after:(Result) in `to`. Without `before`, or without a
 * `from` (NULL), after:() is called; each may be absent.
 * -1: one could not be reached, raised, returned {error, Reason} or did not end in time; the
 * message says which. What it has done by then is done. */
REL_MUST_USE int hot_handover(const struct hot_contact *from, const struct hot_mfa *before,
                              const struct hot_contact *to, const struct hot_mfa *after,
                              struct rel_err *e);

#endif
