/* SPDX-License-Identifier: Apache-2.0 */
#include "swap/swap_fsm.h"

#define ON(state, event, then, order) [state][event] = {.next = (then), .action = (order)}

static const struct swap_cell table[SWAP_STATE_COUNT][SWAP_EVENT_COUNT] = {
    ON(SWAP_IDLE, SWAP_ASKED, SWAP_UNPACKING, SWAP_UNPACK),
    ON(SWAP_UNPACKING, SWAP_UNPACKED, SWAP_BOOTING, SWAP_SPAWN_CANDIDATE),
    ON(SWAP_UNPACKING, SWAP_UNPACKED_HOT, SWAP_CHANGING, SWAP_CHANGE_CODE),
    ON(SWAP_CHANGING, SWAP_CHANGED, SWAP_IDLE, SWAP_REPORT_DONE),
    ON(SWAP_CHANGING, SWAP_REFUSED, SWAP_IDLE, SWAP_REPORT_REFUSED),
    ON(SWAP_UNPACKING, SWAP_REFUSED, SWAP_IDLE, SWAP_REPORT_REFUSED),
    ON(SWAP_BOOTING, SWAP_CANDIDATE_READY, SWAP_RETIRING, SWAP_CUT_OVER),
    ON(SWAP_BOOTING, SWAP_CANDIDATE_EXITED, SWAP_IDLE, SWAP_REPORT_UNDONE),
    ON(SWAP_BOOTING, SWAP_REFUSED, SWAP_ABORTING, SWAP_STOP_CANDIDATE),
    ON(SWAP_BOOTING, SWAP_DEADLINE, SWAP_ABORTING, SWAP_STOP_CANDIDATE),
    ON(SWAP_ABORTING, SWAP_CANDIDATE_READY, SWAP_ABORTING, SWAP_IGNORE),
    ON(SWAP_ABORTING, SWAP_REFUSED, SWAP_ABORTING, SWAP_IGNORE),
    ON(SWAP_ABORTING, SWAP_DEADLINE, SWAP_ABORTING, SWAP_KILL_CANDIDATE),
    ON(SWAP_ABORTING, SWAP_CANDIDATE_EXITED, SWAP_IDLE, SWAP_REPORT_UNDONE),
    ON(SWAP_RETIRING, SWAP_DEADLINE, SWAP_RETIRING, SWAP_KILL_OLD),
    ON(SWAP_RETIRING, SWAP_OLD_EXITED, SWAP_IDLE, SWAP_REPORT_DONE),
};

struct swap_cell swap_fsm_step(enum swap_state state, enum swap_event event)
{
    struct swap_cell cell = table[state][event];

    if (cell.action == SWAP_UNEXPECTED)
        cell.next = state;
    return cell;
}

enum swap_deadline swap_state_deadline(enum swap_state state)
{
#define XX(constant, name, deadline) SWAP_DEADLINE_##deadline,
    static const enum swap_deadline deadlines[] = {SWAP_STATE_MAP(XX)};
#undef XX
    return deadlines[state];
}

const char *swap_state_name(enum swap_state state)
{
#define XX(constant, name, deadline) #name,
    static const char *const names[] = {SWAP_STATE_MAP(XX)};
#undef XX
    return names[state];
}

#define XX(constant, name) #name,
const char *swap_event_name(enum swap_event event)
{
    static const char *const names[] = {SWAP_EVENT_MAP(XX)};

    return names[event];
}

const char *swap_action_name(enum swap_action action)
{
    static const char *const names[] = {SWAP_ACTION_MAP(XX)};

    return names[action];
}
#undef XX
