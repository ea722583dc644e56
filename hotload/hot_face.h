/* SPDX-License-Identifier: Apache-2.0 */
/* The in-VM face: the module relsup in a peer, and Relsup where the peer has Elixir, by which its
 * own code asks the supervisor (docs/face.md). They lie in the program as BEAM code. Blocking; one
 * thread at a time uses one connection. */
#ifndef HOT_FACE_H
#define HOT_FACE_H

#include "hotload/hot_node.h"

/* 0: the modules of this program are loaded in the node, but for those names that the application
 * has modules of its own for: *own is then the first of them (static text), else NULL. Another
 * version of ours was replaced.
 * -1: what was there is there still. REL_E_BUSY: a process runs a version before the last one, and
 * nobody is ended for this.
 * In interactive mode the node looks through its code path for the names first. */
REL_MUST_USE int hot_face_ensure(struct hot_node *node, int timeout_ms, const char **own,
                                 struct rel_err *e);

#endif
