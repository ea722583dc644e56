/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of the distribution protocol over a stream socket: a length, then so many bytes. The
 * other end may be anybody: a packet takes no more memory than bytes of it have come (and room to
 * grow), never more than `max`, and no wait lasts longer than its deadline, however busy the other
 * end is. One thread at a time uses one reader. */
#ifndef HOT_FRAME_H
#define HOT_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "base/rel_err.h"

/* The largest message that is taken from a node: a term of that size is not the work of this
 * program, and a state that is handed over is smaller (docs/node.md). */
enum { HOT_FRAME_MAX = 64 << 20 };

struct hot_reader {
    int fd;        /* lent */
    size_t head_n; /* bytes of the length: 2 in the handshake, 4 after it */
    size_t max;    /* of a packet */
    size_t got;    /* of the one that is coming in, its length included */
    unsigned char head[4];
    char *body; /* owned */
    size_t len, cap;
};

/* 0: *body is the next packet, owned by the caller; NULL with *len 0 for an empty one (a tick).
 * -1 REL_E_TIMEOUT: the reader is as good as before, the next call goes on where this one stopped.
 * -1 REL_E_UNREACHABLE: it is of no use any more; `e` says why in words about the other end. */
REL_MUST_USE int hot_reader_next(struct hot_reader *r, int64_t until_ms, char **body, size_t *len,
                                 struct rel_err *e);
void hot_reader_fini(struct hot_reader *r);

/* Exactly `n` bytes that are no packet. The errors are those of hot_reader_next. */
REL_MUST_USE int hot_read_exactly(int fd, void *to, size_t n, int64_t until_ms, struct rel_err *e);

/* Sends a packet of those pieces behind its length of `head_n` bytes. -1: a part of it may be sent,
 * so the connection is of no use any more. */
struct hot_piece {
    const void *bytes;
    size_t len;
};
REL_MUST_USE int hot_send_packet(int fd, size_t head_n, const struct hot_piece *pieces, int n,
                                 int64_t until_ms, struct rel_err *e);

/* An empty packet, if there is room for it at once: the other end wants to hear from us now and
 * then, and who does not read will not miss it. */
void hot_send_tick(int fd);

#endif
