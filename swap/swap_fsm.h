/* SPDX-License-Identifier: Apache-2.0 */
/* The swap as a pure table: in which state which fact leads where, and what is to be done. It
 * opens no file, reads no clock and knows no library, so it is tested like arithmetic. The
 * supervisor performs the orders. No state of its own. */
#ifndef SWAP_FSM_H
#define SWAP_FSM_H

/* XX(constant, name, deadline): waiting states are gerunds; which of the supervisor's times bounds
 * each is in its row (none: it ends by itself). */
#define SWAP_STATE_MAP(XX)                \
    XX(SWAP_IDLE, idle, NONE)             \
    XX(SWAP_UNPACKING, unpacking, NONE)   \
    XX(SWAP_BOOTING, booting, BOOT)       \
    XX(SWAP_ABORTING, aborting, SHUTDOWN) \
    XX(SWAP_RETIRING, retiring, SHUTDOWN) \
    XX(SWAP_CHANGING, changing, NONE)

/* Events are facts. */
#define SWAP_EVENT_MAP(XX)                      \
    XX(SWAP_ASKED, asked)                       \
    XX(SWAP_UNPACKED, unpacked)                 \
    XX(SWAP_UNPACKED_HOT, unpacked_hot)         \
    XX(SWAP_CHANGED, changed)                   \
    XX(SWAP_REFUSED, refused)                   \
    XX(SWAP_CANDIDATE_READY, candidate_ready)   \
    XX(SWAP_CANDIDATE_EXITED, candidate_exited) \
    XX(SWAP_OLD_EXITED, old_exited)             \
    XX(SWAP_DEADLINE, deadline)

/* Actions are orders. */
#define SWAP_ACTION_MAP(XX)                   \
    XX(SWAP_UNEXPECTED, unexpected)           \
    XX(SWAP_IGNORE, ignore)                   \
    XX(SWAP_UNPACK, unpack)                   \
    XX(SWAP_SPAWN_CANDIDATE, spawn_candidate) \
    XX(SWAP_STOP_CANDIDATE, stop_candidate)   \
    XX(SWAP_KILL_CANDIDATE, kill_candidate)   \
    XX(SWAP_CUT_OVER, cut_over)               \
    XX(SWAP_CHANGE_CODE, change_code)         \
    XX(SWAP_KILL_OLD, kill_old)               \
    XX(SWAP_REPORT_REFUSED, report_refused)   \
    XX(SWAP_REPORT_UNDONE, report_undone)     \
    XX(SWAP_REPORT_DONE, report_done)

enum swap_deadline { SWAP_DEADLINE_NONE, SWAP_DEADLINE_BOOT, SWAP_DEADLINE_SHUTDOWN };

#define XX(constant, name, deadline) constant,
enum swap_state { SWAP_STATE_MAP(XX) SWAP_STATE_COUNT };
#undef XX
#define XX(constant, name) constant,
enum swap_event { SWAP_EVENT_MAP(XX) SWAP_EVENT_COUNT };
enum swap_action { SWAP_ACTION_MAP(XX) SWAP_ACTION_COUNT };
#undef XX

struct swap_cell {
    enum swap_state next;
    enum swap_action action; /* SWAP_UNEXPECTED (an unwritten cell): the state is kept */
};

struct swap_cell swap_fsm_step(enum swap_state state, enum swap_event event);
enum swap_deadline swap_state_deadline(enum swap_state state);
const char *swap_state_name(enum swap_state state);
const char *swap_event_name(enum swap_event event);
const char *swap_action_name(enum swap_action action);

#endif
