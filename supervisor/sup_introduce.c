/* SPDX-License-Identifier: Apache-2.0 */
#include "hotload/hot_introduce.h"
#include "supervisor/sup_engine.h"

enum { INTRODUCE_MS = 2000 };

struct introduction {
    uv_work_t work;
    struct hot_contact active, candidate; /* copies: they may end meanwhile */
};

/* An offer, like the face: the swap is as good without it. */
static void on_introduce(uv_work_t *work)
{
    struct introduction *i = work->data;
    struct rel_err ignored = {0};

    (void)!hot_introduce(&i->active, &i->candidate, INTRODUCE_MS, &ignored);
}

static void on_introduced(uv_work_t *work, int status)
{
    struct introduction *i = work->data;

    (void)status;
    hot_contact_fini(&i->active);
    hot_contact_fini(&i->candidate);
    free(i);
}

void sup_introduce(struct sup *s)
{
    struct introduction *i;

    if (!s->active)
        return;
    i = rel_xcalloc(1, sizeof(*i));
    i->work.data = i;
    i->active = hot_contact_copy(&s->active->contact);
    i->candidate = hot_contact_copy(&s->candidate->contact);
    uv_queue_work(&s->loop, &i->work, on_introduce, on_introduced);
}
