/* SPDX-License-Identifier: Apache-2.0 */
/* A copy of a descriptor of a node, sent by the agent in it over a Unix socket: the way that is
 * left where a sandbox forbids pidfd_getfd(2). Blocking; any thread. */
#ifndef HOT_FETCH_H
#define HOT_FETCH_H

#include "hotload/hot_contact.h"

/* `path` is where the socket is made (0600), and is gone afterwards. 0: *fd is open with CLOEXEC
 * and owned by the caller. */
REL_MUST_USE int hot_fetch_fd(const struct hot_contact *c, const char *path, int vm_fd,
                              int timeout_ms, int *fd, struct rel_err *e);

/* Its last step: takes the one descriptor from who has connected to `listener` and sent it, waits
 * for nothing. -1 REL_E_REMOTE: nobody, or something else; whatever came with it is closed. */
REL_MUST_USE int hot_fetch_take(int listener, int *fd, struct rel_err *e);

#endif
