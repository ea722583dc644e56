/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "hotload/hot_introduce.h"
#include "supervisor/sup_engine.h"

enum { INTRODUCE_MS = 2000 };

/* Copies: they may end meanwhile. */
struct introduction {
    uv_work_t work;
    struct hot_contact peer;  /* the active one, or who is left */
    struct hot_contact other; /* the candidate, or who is gone */
    bool gone;
};

/* An offer, like the face: the swap is as good without it. */
static void on_introduce(uv_work_t *work)
{
    struct introduction *i = work->data;
    struct rel_err ignored = {0};

    if (i->gone)
        (void)!hot_forget(&i->peer, i->other.node, INTRODUCE_MS, &ignored);
    else
        (void)!hot_introduce(&i->peer, &i->other, INTRODUCE_MS, &ignored);
}

static void on_introduced(uv_work_t *work, int status)
{
    struct introduction *i = work->data;

    (void)status;
    hot_contact_fini(&i->peer);
    hot_contact_fini(&i->other);
    free(i);
}

static void queue(struct sup *s, const struct sup_peer *peer, const struct sup_peer *other,
                  bool gone)
{
    struct introduction *i = rel_xcalloc(1, sizeof(*i));

    i->work.data = i;
    i->peer = hot_contact_copy(&peer->contact);
    i->other = hot_contact_copy(&other->contact);
    i->gone = gone;
    uv_queue_work(&s->loop, &i->work, on_introduce, on_introduced);
}

void sup_introduce(struct sup *s)
{
    if (s->active)
        queue(s, s->active, s->candidate, false);
}

void sup_part(struct sup *s, const struct sup_peer *gone)
{
    const struct sup_peer *all[] = {s->active, s->candidate, s->old}, *left = NULL;

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        if (!all[i] || all[i] == gone || all[i]->gone)
            continue;
        if (!strcmp(all[i]->contact.node, gone->contact.node)) /* the next one of that name */
            return;
        left = all[i];
    }
    if (left && !s->stopping)
        queue(s, left, gone, true);
}
