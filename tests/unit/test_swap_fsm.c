/* SPDX-License-Identifier: Apache-2.0 */
/* The table against a world that does not read it: processes, one job, a clock, a person. What can
 * happen follows from what was ordered before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "swap/swap_fsm.h"

enum { STEPS = 200000, SOON = 20, NOTHING = SWAP_EVENT_COUNT };

enum job { NO_JOB, UNPACK, CHANGE, STEP, BOOT, PROBE, PERSON, HANDOVER };
enum share { NONE, SOME, ALL }; /* of the ordinary traffic, to the candidate */

struct world {
    enum swap_state state;
    bool old, candidate;           /* run */
    bool old_told, candidate_told; /* to stop */
    bool old_deaf, candidate_deaf; /* must be killed */
    enum job job;                  /* answers at most once */
    bool ended;                    /* the job was told to */
    bool watched, draining;
    bool armed; /* the deadline of this state is to come */
    enum share share;
    bool proved, failed, committed, running;
    int shares_left;
    long reports;
    bool seen[SWAP_STATE_COUNT][SWAP_EVENT_COUNT];
};

static bool chance(void)
{
    return rand() % 2;
}

/* A person, or a job that was given, may end the swap until it is committed or undone. */
static bool can_abort(const struct world *w)
{
    return (w->job != NO_JOB && !w->ended) || w->watched;
}

static bool can_happen(const struct world *w, enum swap_event event)
{
    enum job job = w->job;

    switch (event) {
    case SWAP_ASKED:
        return !w->running;
    case SWAP_UNPACKED:
        return job == UNPACK && !w->ended;
    case SWAP_UNPACKED_HOT:
        return job == UNPACK && w->old && !w->ended;
    case SWAP_CHANGED:
        return job == CHANGE && w->old;
    case SWAP_NOT_HOT:
        return job == CHANGE && !w->ended;
    case SWAP_REFUSED:
        return job != NO_JOB && job != PERSON;
    case SWAP_PREPARED:
        return job == STEP && !w->ended;
    case SWAP_CANDIDATE_READY:
        return job == BOOT && w->candidate;
    case SWAP_PROBED:
        return job == PROBE && w->candidate;
    case SWAP_PROBE_FAILED:
        return job == PROBE || w->watched;
    case SWAP_CONTINUED:
        return job == PERSON;
    case SWAP_HANDED_OVER:
        return job == HANDOVER;
    case SWAP_QUIET:
    case SWAP_DRAINED:
        return w->draining;
    case SWAP_ABORTED:
        return can_abort(w);
    case SWAP_CANDIDATE_EXITED:
        return w->candidate;
    case SWAP_OLD_EXITED:
        return w->old;
    case SWAP_DEADLINE:
        return w->armed;
    default:
        return false; /* a share is posted by the order */
    }
}

/* Would it happen if everybody were hung: what was told to end does. */
static bool must_happen(const struct world *w, enum swap_event event)
{
    if (!can_happen(w, event))
        return false;
    switch (event) {
    case SWAP_REFUSED:
        return w->ended;
    case SWAP_CANDIDATE_EXITED:
        return w->candidate_told && !w->candidate_deaf;
    case SWAP_OLD_EXITED:
        return w->old_told && !w->old_deaf;
    default:
        return event == SWAP_DEADLINE;
    }
}

/* What made it happen is over. */
static void happens(struct world *w, enum swap_event event)
{
    if (event == SWAP_CANDIDATE_EXITED)
        w->candidate = false;
    else if (event == SWAP_OLD_EXITED)
        w->old = false;
    else if (event == SWAP_DEADLINE)
        w->armed = false;
    else if (event == SWAP_ASKED)
        w->running = true;
    if (event == SWAP_PROBED)
        w->proved = true;
    if (w->running &&
        (event == SWAP_PROBE_FAILED || event == SWAP_ABORTED || event == SWAP_REFUSED))
        w->failed = true;
}

/* Exactly one release is told of in a report: the one that goes on. */
static void end_run(struct world *w, bool swapped)
{
    assert_true(w->running);
    if (swapped) {
        assert_int_equal(w->share, ALL);
        assert_false(w->old);
        w->old = w->candidate;
    } else {
        assert_int_equal(w->share, NONE);
        assert_false(w->candidate);
    }
    w->reports++;
    w->candidate = w->old_told = w->candidate_told = w->ended = w->watched = false;
    w->draining = w->proved = w->failed = w->committed = w->running = false;
    w->share = NONE;
}

static enum swap_event shift(struct world *w)
{
    if (!w->old || !w->shares_left)
        return SWAP_SHIFTED;
    if (rand() % 10 == 0)
        return SWAP_REFUSED;
    w->shares_left--;
    w->share = SOME;
    w->watched = w->armed = true;
    return (enum swap_event)NOTHING;
}

static enum swap_event cut_over(struct world *w)
{
    assert_true(w->candidate && !w->failed);
    w->share = ALL;
    w->watched = true;
    if (!w->old)
        return SWAP_OLD_EXITED;
    return rand() % 10 ? (enum swap_event)NOTHING : SWAP_REFUSED;
}

static enum swap_event steer_back(struct world *w)
{
    assert_true(w->old && !w->old_told);
    w->share = NONE;
    w->watched = false;
    w->draining = w->candidate;
    return w->candidate ? (enum swap_event)NOTHING : SWAP_CANDIDATE_EXITED;
}

static enum swap_event stop_candidate(struct world *w)
{
    w->draining = false;
    w->candidate_told = true;
    w->candidate_deaf = chance();
    return w->candidate ? (enum swap_event)NOTHING : SWAP_CANDIDATE_EXITED;
}

static enum swap_event spawn(struct world *w)
{
    w->candidate = rand() % 10;
    w->job = BOOT;
    w->shares_left = rand() % 3;
    return w->candidate ? (enum swap_event)NOTHING : SWAP_CANDIDATE_EXITED;
}

static void stop_peers(struct world *w, enum swap_action action)
{
    if (action == SWAP_STOP_OLD) {
        w->old_told = true;
        w->old_deaf = chance();
        w->draining = false;
    } else if (action == SWAP_KILL_OLD) {
        assert_true(w->old_told);
        w->old_deaf = false;
    } else if (action == SWAP_KILL_CANDIDATE) {
        assert_true(w->candidate_told);
        w->candidate_deaf = false;
    }
}

/* Does what was ordered; returns what it posts. */
static enum swap_event obey(struct world *w, enum swap_action action)
{
    static const enum job jobs[SWAP_ACTION_COUNT] = {
        [SWAP_UNPACK] = UNPACK,      [SWAP_RUN_STEPS] = STEP, [SWAP_PROBE] = PROBE,
        [SWAP_CHANGE_CODE] = CHANGE, [SWAP_HOLD] = PERSON,    [SWAP_HAND_OVER] = HANDOVER};

    if (jobs[action])
        w->job = jobs[action];
    stop_peers(w, action);
    switch (action) {
    case SWAP_END_JOB:
        w->ended = true;
        break;
    case SWAP_SPAWN_CANDIDATE:
        return spawn(w);
    case SWAP_HOLD:
        return w->old && chance() ? (enum swap_event)NOTHING : SWAP_CONTINUED;
    case SWAP_SHIFT:
        return shift(w);
    case SWAP_CUT_OVER:
        return cut_over(w);
    case SWAP_STEER_BACK:
        return steer_back(w);
    case SWAP_DRAIN:
        assert_false(w->failed);
        w->watched = false;
        w->committed = w->draining = true;
        break;
    case SWAP_STOP_CANDIDATE:
        return stop_candidate(w);
    case SWAP_REPORT_DONE:
        end_run(w, w->share == ALL);
        break;
    case SWAP_REPORT_UNDONE:
    case SWAP_REPORT_REFUSED:
        end_run(w, false);
        break;
    default:
        break;
    }
    return (enum swap_event)NOTHING;
}

/* The rules, at every moment. */
static void check(const struct world *w)
{
    assert_true(w->share == NONE || w->proved); /* a sick candidate serves nobody */
    assert_true(w->share != SOME || w->state == SWAP_SHIFTING);
    assert_true(!w->old_told || w->committed);    /* the way back is there until then */
    assert_false(w->old_told && w->share != ALL); /* who gets connections is not stopped */
    assert_false(w->candidate_told && w->share != NONE);
    assert_int_equal(w->state == SWAP_IDLE, !w->running);
}

/* An answer that was waited for leads on; it is not left to the deadline. */
static bool leads_on(enum swap_event event)
{
    return event != SWAP_DEADLINE && event != SWAP_OLD_EXITED && event != SWAP_ABORTED &&
           event != SWAP_CANDIDATE_EXITED;
}

static void dispatch(struct world *w, enum swap_event event)
{
    while (event != (enum swap_event)NOTHING) {
        enum swap_state before = w->state;
        struct swap_cell cell = swap_fsm_step(before, event);

        w->seen[before][event] = true;
        if (cell.action == SWAP_UNEXPECTED)
            fail_msg("%s while %s", swap_event_name(event), swap_state_name(before));
        if (leads_on(event) && cell.next == before)
            fail_msg("%s changes nothing while %s", swap_event_name(event),
                     swap_state_name(before));
        if (event == SWAP_CANDIDATE_EXITED && !w->old_told && cell.next == before)
            fail_msg("nobody cares for the candidate's end while %s", swap_state_name(before));
        happens(w, event);
        w->state = cell.next;
        if (cell.next != before) {
            w->armed = swap_state_deadline(cell.next) != SWAP_DEADLINE_NONE;
            w->job = NO_JOB; /* who answers late finds another state */
        }
        event = obey(w, cell.action);
        check(w);
    }
    assert_true(w->old || w->job != PERSON); /* nobody looks on while nobody serves */
}

/* Everybody is hung from now on: the run ends all the same. */
static void ends_by_itself(struct world w)
{
    for (int i = 0; w.running; i++) {
        int event = 0;

        while (event < SWAP_EVENT_COUNT && !must_happen(&w, (enum swap_event)event))
            event++;
        if (event == SWAP_EVENT_COUNT || i == SOON)
            fail_msg("it does not end: %s", swap_state_name(w.state));
        dispatch(&w, (enum swap_event)event);
    }
}

/* Mishaps are rare, or no run would come far. */
static enum swap_event pick(const struct world *w)
{
    static const bool mishap[SWAP_EVENT_COUNT] = {
        [SWAP_UNPACKED_HOT] = true,     [SWAP_REFUSED] = true,    [SWAP_PROBE_FAILED] = true,
        [SWAP_CANDIDATE_EXITED] = true, [SWAP_OLD_EXITED] = true, [SWAP_ABORTED] = true,
        [SWAP_DEADLINE] = true};
    enum swap_event event;

    do
        event = (enum swap_event)(rand() % SWAP_EVENT_COUNT);
    while (!can_happen(w, event) || (mishap[event] && rand() % 20));
    return event;
}

/* The supervisor does so beside the table; once the old peer is on its way out, the active one is
 * what was the candidate. */
static void revive(struct world *w)
{
    bool *active = w->state == SWAP_RETIRING ? &w->candidate : &w->old;

    if (swap_state_revives(w->state) && !*active)
        *active = chance();
}

/* Nobody who serves is left dead: where it is not started again, its end leads on as soon as the
 * other peer is proved, and that one's end is a way out. */
static void every_active_peer_is_cared_for(void **state)
{
    (void)state;
    assert_true(swap_state_revives(SWAP_IDLE));
    for (int s = 0; s < SWAP_STATE_COUNT; s++) {
        struct swap_cell cell = swap_fsm_step((enum swap_state)s, SWAP_CANDIDATE_EXITED);

        assert_true(swap_state_revives((enum swap_state)s) || cell.next != (enum swap_state)s);
    }
}

static void every_run_serves_and_ends(void **state)
{
    struct world w = {.old = true};

    (void)state;
    srand(1);
    for (int i = 0; i < STEPS; i++) {
        enum swap_event event;

        revive(&w);
        event = pick(&w);
        dispatch(&w, event);
        ends_by_itself(w);
    }
    assert_true(w.reports > 1000);
    for (int s = 0; s < SWAP_STATE_COUNT; s++)
        for (int ev = 0; ev < SWAP_EVENT_COUNT; ev++)
            if (swap_fsm_step((enum swap_state)s, (enum swap_event)ev).action != SWAP_UNEXPECTED &&
                !w.seen[s][ev])
                fail_msg("a cell for what never happens: %s while %s",
                         swap_event_name((enum swap_event)ev), swap_state_name((enum swap_state)s));
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
            if (cell.action == SWAP_UNEXPECTED || cell.action == SWAP_IGNORE)
                assert_int_equal(cell.next, s);
        }
}

static void every_wait_ends(void **state)
{
    (void)state;
    for (int s = 0; s < SWAP_STATE_COUNT; s++) {
        enum swap_deadline deadline = swap_state_deadline((enum swap_state)s);
        struct swap_cell cell = swap_fsm_step((enum swap_state)s, SWAP_DEADLINE);

        assert_non_null(swap_deadline_name(deadline));
        assert_non_null(swap_state_waits_for((enum swap_state)s));
        assert_int_equal(deadline == SWAP_DEADLINE_NONE, s == SWAP_IDLE);
        if (deadline == SWAP_DEADLINE_NONE)
            assert_int_equal(cell.action, SWAP_UNEXPECTED);
        else
            assert_true(cell.action > SWAP_IGNORE);
    }
}

/* Or the operator would wait for twice what was said. */
static void each_of_the_operators_times_counts_once(void **state)
{
    int n[SWAP_DEADLINE_COUNT] = {0};

    (void)state;
    for (int s = 0; s < SWAP_STATE_COUNT; s++)
        n[swap_state_deadline((enum swap_state)s)]++;
    assert_int_equal(n[SWAP_DEADLINE_DRAIN], 1);
    assert_int_equal(n[SWAP_DEADLINE_SOAK], 1);
    assert_int_equal(n[SWAP_DEADLINE_HOLD], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_run_serves_and_ends),
        cmocka_unit_test(every_active_peer_is_cared_for),
        cmocka_unit_test(every_cell_stays_within_the_table),
        cmocka_unit_test(every_wait_ends),
        cmocka_unit_test(each_of_the_operators_times_counts_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
