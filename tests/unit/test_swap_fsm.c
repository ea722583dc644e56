/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "swap/swap_fsm.h"

/* A world that obeys the orders; what it holds is checked after each. */
struct world {
    enum swap_state state;
    int candidate, old, active; /* processes that run */
    int proved, reports, waits;
};

static void obey(struct world *w, enum swap_action action)
{
    switch (action) {
    case SWAP_SPAWN_CANDIDATE:
        w->candidate = 1;
        w->proved = 0;
        break;
    case SWAP_HAND_OVER:
        w->proved = 1; /* every probe was passed */
        break;
    case SWAP_CUT_OVER:
        assert_true(w->proved);
        w->old = w->active;
        w->active = 1;
        w->candidate = 0;
        break;
    case SWAP_STOP_OLD:
    case SWAP_KILL_OLD:
        assert_true(w->proved); /* the old one is never stopped before the new one is proved */
        break;
    case SWAP_REPORT_DONE:
    case SWAP_REPORT_UNDONE:
    case SWAP_REPORT_REFUSED:
        w->reports++;
        break;
    default:
        break;
    }
}

/* A fact that the table knows in this state. */
static enum swap_event pick(const struct world *w)
{
    enum swap_event event;

    do
        event = (enum swap_event)(rand() % SWAP_EVENT_COUNT);
    while (swap_fsm_step(w->state, event).action == SWAP_UNEXPECTED);
    return event;
}

static void every_run_ends_and_never_stops_the_old_one_early(void **state)
{
    struct world w = {.active = 1};

    (void)state;
    srand(1);
    for (int i = 0; i < 200000; i++) {
        enum swap_event event = pick(&w);
        struct swap_cell cell = swap_fsm_step(w.state, event);

        assert_int_not_equal(cell.action, SWAP_UNEXPECTED);
        w.state = cell.next;
        obey(&w, cell.action);
        if (event == SWAP_CANDIDATE_EXITED)
            w.candidate = 0;
        if (event == SWAP_OLD_EXITED)
            w.old = 0;
        if (w.state == SWAP_IDLE)
            w.waits = 0;
        assert_true(++w.waits < 2000);
        assert_true(w.active);
    }
    assert_true(w.reports > 1000);
}

static void every_cell_stays_within_the_table(void **state)
{
    (void)state;
    for (int s = 0; s < SWAP_STATE_COUNT; s++)
        for (int ev = 0; ev < SWAP_EVENT_COUNT; ev++) {
            struct swap_cell cell = swap_fsm_step((enum swap_state)s, (enum swap_event)ev);

            assert_in_range(cell.next, 0, SWAP_STATE_COUNT - 1);
            assert_in_range(cell.action, 0, SWAP_ACTION_COUNT - 1);
            assert_non_null(swap_event_name((enum swap_event)ev));
            assert_non_null(swap_action_name(cell.action));
            if (cell.action == SWAP_UNEXPECTED)
                assert_int_equal(cell.next, s);
        }
}

/* A state that waits for a process has a deadline; those that wait for a worker end with it. */
static void waiting_for_a_process_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(swap_state_deadline(SWAP_BOOTING), SWAP_DEADLINE_BOOT);
    assert_int_equal(swap_state_deadline(SWAP_ABORTING), SWAP_DEADLINE_SHUTDOWN);
    assert_int_equal(swap_state_deadline(SWAP_RETIRING), SWAP_DEADLINE_SHUTDOWN);
    assert_int_equal(swap_fsm_step(SWAP_RETIRING, SWAP_DEADLINE).action, SWAP_KILL_OLD);
    assert_int_equal(swap_fsm_step(SWAP_ABORTING, SWAP_DEADLINE).action, SWAP_KILL_CANDIDATE);
    assert_string_equal(swap_state_name(SWAP_RETIRING), "retiring");
}

static void every_wait_ends(void **state)
{
    (void)state;
    for (int s = 0; s < SWAP_STATE_COUNT; s++) {
        enum swap_deadline deadline = swap_state_deadline((enum swap_state)s);
        struct swap_cell cell = swap_fsm_step((enum swap_state)s, SWAP_DEADLINE);

        assert_non_null(swap_deadline_name(deadline));
        assert_non_null(swap_state_waits_for((enum swap_state)s));
        if (deadline == SWAP_DEADLINE_NONE)
            assert_int_equal(cell.action, SWAP_UNEXPECTED);
        else
            assert_true(cell.action > SWAP_IGNORE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_run_ends_and_never_stops_the_old_one_early),
        cmocka_unit_test(every_cell_stays_within_the_table),
        cmocka_unit_test(waiting_for_a_process_is_bounded),
        cmocka_unit_test(every_wait_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
