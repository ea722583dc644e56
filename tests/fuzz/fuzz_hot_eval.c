/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent sends while an expression runs: its output, its outcome, and whatever else a node
 * likes to send. */
#include "tests/fuzz/hot_peer.h"

static void on_output(void *ctx, int fd, const char *bytes, size_t len)
{
    (void)fd;
    must(strlen(bytes) <= len);
    *(size_t *)ctx += len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct peer p = peer_of_answers(data, size, true);
    size_t printed = 0;
    struct hot_eval eval = {.expr = "1",
                            .lang = HOT_ERLANG,
                            .timeout_ms = PEER_MS,
                            .output = on_output,
                            .ctx = &printed};
    rel_autofree char *value = NULL;
    struct rel_err e = {0};
    int rc = hot_node_eval(p.node, &eval, &value, &e);

    must_tell(rc, &e);
    must((rc == 0) == (value != NULL));
    must(printed <= PEER_MAX);
    peer_close(&p);
    return 0;
}
