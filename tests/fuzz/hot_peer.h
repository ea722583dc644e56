/* SPDX-License-Identifier: Apache-2.0 */
/* A node whose answers are the fuzzer's bytes. The other end of its connection has said all that it
 * will ever say before anybody reads it, so nothing waits. For one fuzz target each: everything
 * here is static. */
#ifndef FUZZ_HOT_PEER_H
#define FUZZ_HOT_PEER_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "hotload/hot_agent.h"

/* No target needs all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

enum { PEER_MS = 5000, PEER_MAX = 60000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

struct peer {
    struct hot_node *node;
    int far; /* the other end */
};

/* It sends exactly these bytes, then hangs up. */
static struct peer peer_of_bytes(const void *bytes, size_t len)
{
    static const erlang_pid self = {.node = "fuzz@localhost", .num = 1, .creation = 1};
    int pair[2];

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    must(send(pair[1], bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len);
    must(shutdown(pair[1], SHUT_WR) == 0);
    return (struct peer){.node = hot_node_new("fuzz@localhost", pair[0], &self), .far = pair[1]};
}

static void add_frame(struct rel_buf *out, const void *prefix, size_t prefix_len, const void *term,
                      size_t len)
{
    /* PASS_THROUGH, and the control message {2, '', a} */
    static const unsigned char control[] = {112, 131, 104, 3, 97, 2, 119, 0, 119, 1, 'a', 131};
    size_t all = sizeof(control) + prefix_len + len;
    unsigned char head[4] = {(unsigned char)(all >> 24), (unsigned char)(all >> 16),
                             (unsigned char)(all >> 8), (unsigned char)all};

    rel_buf_add(out, head, sizeof(head));
    rel_buf_add(out, control, sizeof(control));
    rel_buf_add(out, prefix, prefix_len);
    rel_buf_add(out, term, len);
}

/* It answers the calls that come one after the other with the terms in `data`, each behind its
 * length of two bytes; the last bytes are one more term. With `raw` the first of them is the answer
 * of a call, and the others are messages as they are. */
static struct peer peer_of_answers(const uint8_t *data, size_t size, bool raw)
{
    static const unsigned char rex[] = {104, 2, 119, 3, 'r', 'e', 'x'};
    rel_autobuf struct rel_buf out = {0};

    rel_buf_add(&out, "", 0);
    for (int i = 0; size && out.len + size < PEER_MAX; i++) {
        size_t len = size > 2 ? (size_t)(data[0] << 8 | data[1]) : size;
        bool answers = !raw || i == 0;

        if (size > 2) {
            data += 2;
            size -= 2;
        }
        len = len < size ? len : size;
        add_frame(&out, rex, answers ? sizeof(rex) : 0, data, len);
        data += len;
        size -= len;
    }
    return peer_of_bytes(out.p, out.len);
}

static void peer_close(struct peer *p)
{
    hot_node_close(p->node);
    close(p->far);
}

/* Whatever happens, a failure says something and a success says nothing. */
static void must_tell(int rc, const struct rel_err *e)
{
    must(rc == 0 ? e->code == REL_E_NONE : rc == -1 && e->code != REL_E_NONE && *e->msg);
}

#endif
