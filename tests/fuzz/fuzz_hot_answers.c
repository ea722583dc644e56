/* SPDX-License-Identifier: Apache-2.0 */
/* The small questions: boot, process id; and who has the names of the face,
 * and the way of a module into the node. The first byte says which. */
#include "hotload/hot_face.h"
#include "tests/fuzz/hot_peer.h"

static int ask_booted(struct hot_node *node, struct rel_err *e)
{
    bool booted;

    return hot_node_booted(node, PEER_MS, &booted, e);
}

static int ask_pid(struct hot_node *node, struct rel_err *e)
{
    pid_t pid = 0;
    int rc = hot_node_pid(node, PEER_MS, &pid, e);

    must((rc == 0) == (pid > 0));
    return rc;
}

static int ask_face(struct hot_node *node, struct rel_err *e)
{
    const char *own;

    return hot_face_ensure(node, PEER_MS, &own, e);
}

static int ask_agent(struct hot_node *node, struct rel_err *e)
{
    static const struct hot_beam beam = {
        .module = "m", .hash = "0", .code = (const unsigned char *)"code", .len = 4};

    return hot_agent_ensure(node, &beam, rel_mono_ms() + PEER_MS, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int (*const asks[])(struct hot_node * node, struct rel_err * e) = {ask_booted, ask_pid,
                                                                              ask_face, ask_agent};
    struct rel_err e = {0};
    struct peer p;

    if (!size)
        return 0;
    p = peer_of_answers(data + 1, size - 1, false);
    must_tell(asks[data[0] % (sizeof(asks) / sizeof(*asks))](p.node, &e), &e);
    peer_close(&p);
    return 0;
}
