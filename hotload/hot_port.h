/* SPDX-License-Identifier: Apache-2.0 */
/* The port on which a node's distribution listens, on 127.0.0.1: finding a free one and keeping it
 * until the node has it, and seeing who really listens there before anybody shakes hands with him.
 * Any local user can take a port that is free for a moment, and what he relays from there to a node
 * with our cookie is our order. Any thread; no state. */
#ifndef HOT_PORT_H
#define HOT_PORT_H

#include "hotload/hot_contact.h"

/* Takes a free port, none of those that the kernel gives to outgoing connections
 * (ip_local_port_range). 0: *fd is a socket that is bound to it and does not listen; the caller
 * closes it (CLOEXEC), best when the node listens. Nobody had the port when it was bound. While it
 * is open only sockets of the user `owner` that ask for SO_REUSEPORT can have it too, so a node
 * that does not must be given the port free: close first, and rely on the check before each
 * connect. Another `owner` than this process's user needs CAP_CHOWN: the socket is given to him
 * (the kernel compares the users of the sockets, and fchown(2) sets that of ours). */
REL_MUST_USE int hot_port_take(uid_t owner, int *port, int *fd, struct rel_err *e);

/* Is the other end of the connected socket `fd` the process of the contact? To be asked before the
 * first byte is said. True without a look where the contact names no process (another host's node).
 * The socket over there must be of the user of the process, and every socket that listens for it
 * one of the process's own descriptors; where those may not be read (/proc/PID/fd of a process of
 * another user) the user alone decides, so what another program of that user does stays his affair.
 * 0: yes. REL_E_UNREACHABLE: no, and the message says whose it is; or the process has ended. */
REL_MUST_USE int hot_port_check(int fd, const struct hot_contact *c, int64_t until_ms,
                                struct rel_err *e);

#endif
