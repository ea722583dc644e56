/* SPDX-License-Identifier: Apache-2.0 */
/* May a peer share the ports that it opens from now on (SO_REUSEPORT)? Only while two of them run:
 * alone, its listen() fails where somebody listens already, in its own VM too, as it does without
 * us. What it has open stays as it is: the kernel lets a port be shared only by sockets that all
 * say so.
 *
 * The node is told beside the loop, and what fails is tried again when the state is next the idle
 * one. */
#include "base/rel_clock.h"
#include "hotload/hot_ready.h"
#include "supervisor/sup_engine.h"

enum { TELL_MS = 5000 };

struct telling {
    uv_work_t work;
    struct sup *s;
    struct hot_contact contact;
    bool share;
    struct rel_err e;
};

static void on_tell(uv_work_t *work)
{
    struct telling *t = work->data;

    (void)!hot_node_share(&t->contact, t->share, TELL_MS, &t->e);
}

static void on_told(uv_work_t *work, int status)
{
    struct telling *t = work->data;
    struct sup_peer *peer = t->s->active;

    (void)status;
    if (t->e.code && peer && peer->contact.pid == t->contact.pid && !peer->gone) {
        peer->shares = !t->share;
        sup_log(t->s, "%s was not told that its ports are %s: %s", t->contact.node,
                t->share ? "shared" : "its own", t->e.msg);
    }
    hot_contact_fini(&t->contact);
    free(t);
}

void sup_share(struct sup *s, bool share)
{
    struct telling *t;

    if (!s->active || s->active->gone || s->stopping || s->active->shares == share)
        return;
    t = rel_xcalloc(1, sizeof(*t));
    *t = (struct telling){
        .work.data = t, .s = s, .contact = hot_contact_copy(&s->active->contact), .share = share};
    s->active->shares = share;
    uv_queue_work(&s->loop, &t->work, on_tell, on_told);
}
