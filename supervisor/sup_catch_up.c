/* SPDX-License-Identifier: Apache-2.0 */
/* What could not be written down while it happened, such as on a full disk, is written later. */
#include <string.h>

#include "base/rel_clock.h"
#include "supervisor/sup_engine.h"

enum { RETRY_MS = 5000 };

void sup_show_active(struct sup *s)
{
    rel_autofree char *path = rel_strf("%s/run/active.json", s->store.home);
    struct rel_err e = {0};

    if (hot_contact_write(path, &s->active->contact, &e) < 0) {
        sup_log(s, "%s", e.msg);
        s->unwritten = true;
        s->retry_ms = rel_mono_ms() + RETRY_MS;
    }
    sup_note_journal(s);
}

void sup_set_current(struct sup *s, const char *dir)
{
    struct rel_err e = {0};

    if (sup_store_set_current(s->store.home, dir, &e) == 0) {
        s->unlinked = false;
        return;
    }
    rel_wrap(&e, "%s runs, but a restart would boot another release", dir);
    e.code = REL_E_STUCK;
    sup_log(s, "%s", e.msg);
    s->unlinked = true;
    s->retry_ms = rel_mono_ms() + RETRY_MS;
    if (!s->ask.failure.code)
        s->ask.failure = e;
}

void sup_catch_up(struct sup *s, int64_t now)
{
    struct rel_err e = {0};

    if (!(s->unwritten || s->unlinked) || now < s->retry_ms || s->state != SWAP_IDLE || !s->active)
        return;
    s->retry_ms = now + RETRY_MS;
    if (s->unlinked && sup_store_set_current(s->store.home, s->active->dir, &e) == 0) {
        s->unlinked = false;
        sup_log(s, "a restart boots %s now", s->active->dir);
    }
    if (s->unwritten) {
        s->unwritten = false;
        sup_show_active(s);
    }
}
