/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what a node sends behind the handshake: frames, ticks, control messages, terms. A
 * message that is handed out was walked, so its decoders must be at home with it. */
#include "tests/fuzz/hot_peer.h"

/* All of a message, by every decoder at every term of it. */
static void read_all(const struct hot_term *t)
{
    size_t end;

    must(hot_term_end(t->buf, t->len, (size_t)t->at, &end) && end == t->len);
    for (int at = t->at; at < (int)t->len; at++) {
        rel_autofree char *text = NULL, *shown = NULL;
        char atom[MAXATOMLEN_UTF8];
        int64_t n;
        size_t len;
        int i;

        if (!hot_term_end(t->buf, t->len, (size_t)at, &end))
            continue;
        must(end <= t->len);
        if (hot_take_atom(t, &(int){at}, atom))
            must(strlen(atom) < sizeof(atom));
        if (hot_take_text(t, &(int){at}, &text, &len))
            must(strlen(text) <= len && len <= t->len);
        (void)hot_take_int(t, &(int){at}, &n);
        i = at;
        must(hot_take_list(t, &i) <= (int)t->len && i <= (int)t->len);
        i = at;
        must(hot_take_any_tuple(t, &i) <= (int)t->len && i <= (int)t->len);
        shown = hot_term_text(t, at, 80);
        must(shown != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rel_err e = {0};
    struct peer p;
    int rc;

    if (size > PEER_MAX)
        return 0;
    p = peer_of_bytes(data, size);
    do {
        hot_autoterm struct hot_term message = {0};

        rc = hot_node_receive(p.node, rel_mono_ms() + PEER_MS, &message, &e);
        must_tell(rc, &e);
        if (rc == 0)
            read_all(&message);
    } while (rc == 0);
    must(e.code == REL_E_UNREACHABLE); /* it hung up; no wait was for more than that */
    peer_close(&p);
    return 0;
}
