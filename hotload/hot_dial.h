/* SPDX-License-Identifier: Apache-2.0 */
/* The way to a node's distribution: its port, or its host's epmd. Inside of hotload/. */
#ifndef HOT_DIAL_H
#define HOT_DIAL_H

#include "hotload/hot_contact.h"

/* 0: *fd is connected (CLOEXEC, non-blocking, owned by the caller) to *port. REL_E_UNREACHABLE: the
 * node is not running. The name of a host is looked up by the system, in its own time. */
REL_MUST_USE int hot_dial(const struct hot_contact *c, int64_t until_ms, int *fd, int *port,
                          struct rel_err *e);

#endif
