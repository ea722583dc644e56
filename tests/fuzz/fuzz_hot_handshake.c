/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what a stranger says in the handshake. He does not know the cookie, so he must never
 * be let in. */
#include "hotload/hot_handshake.h"
#include "tests/fuzz/hot_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct hot_greeting g = {.node = "a@localhost",
                                   .port = 1,
                                   .cookie = "chocolate",
                                   .cookie_file = "cookie",
                                   .until_ms = rel_mono_ms() + PEER_MS};
    struct rel_err e = {0};
    erlang_pid self;
    struct peer p;

    if (size > PEER_MAX)
        return 0;
    p = peer_of_bytes(data, size);
    must(hot_greet(p.node->fd, &g, &self, &e) == -1);
    must(e.code == REL_E_UNREACHABLE && *e.msg);
    peer_close(&p);
    return 0;
}
