/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake of the distribution protocol, version 6 (OTP 23 and later): own code, because
 * libei's trusts the lengths that the other end sends and gives no chance to look at him first.
 * Inside of hotload/. Any thread; no state. */
#ifndef HOT_HANDSHAKE_H
#define HOT_HANDSHAKE_H

#include <ei.h>
#include <stdint.h>

#include "base/rel_err.h"

struct hot_greeting {
    const char *node;        /* who must answer */
    int port;                /* for messages: where he does */
    const char *cookie;      /* and what both must know */
    const char *cookie_file; /* for messages */
    int64_t until_ms;
};

/* Greets over a connected stream socket, as a hidden node that asks for a name. Nothing made of the
 * cookie is sent before the other end has said the name that is expected of it.
 * 0: both have proved that they know the cookie; *self is a process of the name we got.
 * -1 REL_E_UNREACHABLE: the message says in one line who or what is there instead. */
REL_MUST_USE int hot_greet(int fd, const struct hot_greeting *g, erlang_pid *self,
                           struct rel_err *e);

#endif
