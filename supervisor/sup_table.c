/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the swap's table: facts come in, one state follows the other, each with its deadline. */
#include <string.h>

#include "base/rel_clock.h"
#include "supervisor/sup_engine.h"

enum {
    UNPACK_MS = 4800000, /* its worker has less */
    STEPS_MS = 86400000, /* each has its own */
    CHANGE_MS = 300000,  /* beyond its probes: it has deadlines of its own as well */
    HANDOVER_MS = 1000,  /* beyond what the two calls may take */
    REVERT_MS = 10000
};

/* How long a state with that deadline may last; -1: without limit. */
static int64_t time_of(const struct sup *s, enum swap_deadline deadline)
{
    switch (deadline) {
    case SWAP_DEADLINE_UNPACK:
        return UNPACK_MS;
    case SWAP_DEADLINE_STEPS:
        return STEPS_MS;
    case SWAP_DEADLINE_BOOT:
        return s->ask.boot_ms > 0 ? s->ask.boot_ms : s->config.boot_ms;
    case SWAP_DEADLINE_HOLD:
        return s->ask.hold_ms;
    case SWAP_DEADLINE_HANDOVER:
        return s->config.before_cutover.timeout_ms + s->config.after_cutover.timeout_ms +
               HANDOVER_MS;
    case SWAP_DEADLINE_STEP:
        return s->ask.step_ms;
    case SWAP_DEADLINE_SOAK:
        return s->ask.soak_ms;
    case SWAP_DEADLINE_DRAIN:
        return s->ask.drain_ms;
    case SWAP_DEADLINE_REVERT:
        return s->ask.drain_ms < REVERT_MS ? s->ask.drain_ms : REVERT_MS;
    case SWAP_DEADLINE_SHUTDOWN:
        return s->config.shutdown_ms;
    case SWAP_DEADLINE_CHANGE:
        return CHANGE_MS + time_of(s, SWAP_DEADLINE_BOOT);
    case SWAP_DEADLINE_NONE:
    case SWAP_DEADLINE_COUNT:
        break;
    }
    return -1;
}

static void enter(struct sup *s, enum swap_state state)
{
    int64_t now = rel_mono_ms(), time_ms = time_of(s, swap_state_deadline(state));

    if (s->state == state)
        return;
    s->left = s->state;
    s->state = state;
    s->entered_ms = s->nudged_ms = now;
    s->deadline_ms = time_ms < 0 ? INT64_MAX : now + time_ms;
    sup_note_journal(s);
    if (state == SWAP_IDLE)
        sup_share(s, false);
}

void sup_post(struct sup *s, enum swap_event event)
{
    if (s->queue_n == SUP_EVENTS)
        abort(); /* each order posts at most one event */
    s->queue[s->queue_n++] = event;
    if (s->draining_queue)
        return;
    s->draining_queue = true;
    while (s->queue_n) {
        enum swap_event next = s->queue[0];
        struct swap_cell cell = swap_fsm_step(s->state, next);

        memmove(s->queue, s->queue + 1, --s->queue_n * sizeof(*s->queue));
        if (cell.action == SWAP_UNEXPECTED)
            sup_log(s, "unexpected %s while %s", swap_event_name(next), swap_state_name(s->state));
        enter(s, cell.next);
        sup_perform(s, cell.action);
    }
    s->draining_queue = false;
}
