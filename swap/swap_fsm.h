/* SPDX-License-Identifier: Apache-2.0 */
/* The swap as a pure table: in which state which fact leads where, and what is to be done. It
 * opens no file, reads no clock and knows no library, so it is tested like arithmetic and printed
 * into docs/swap.md and into the model (tests/model). The supervisor performs the orders. No state
 * of its own.
 *
 * `old` is the peer that served when the swap began, `candidate` the one that was booted for it,
 * whichever of them serves now.
 */
#ifndef SWAP_FSM_H
#define SWAP_FSM_H

#include <stdbool.h>

/* XX(constant, name, deadline, active, what it waits for): waiting states are gerunds; which of the
 * supervisor's times bounds each is in its row. `active`: what becomes of an active peer that ends:
 * REVIVED, it is started again at once beside whatever is under way; COVERED, the other peer is the
 * way back to service, and the table says how. */
#define SWAP_STATE_MAP(XX)                                                                        \
    XX(SWAP_IDLE, idle, NONE, REVIVED, "an order")                                                \
    XX(SWAP_UNPACKING, unpacking, UNPACK, REVIVED, "the release is fetched, verified, unpacked")  \
    XX(SWAP_PREPARING, preparing, STEPS, REVIVED, "the before_boot steps")                        \
    XX(SWAP_BOOTING, booting, BOOT, COVERED, "the candidate is started and listens")              \
    XX(SWAP_PROBING, probing, BOOT, COVERED, "the candidate answers through preview connections") \
    XX(SWAP_HOLDING, holding, HOLD, COVERED, "a person who looks at the candidate")               \
    XX(SWAP_HANDING_OVER, handing_over, HANDOVER, COVERED, "before_cutover and after_cutover")    \
    XX(SWAP_SHIFTING, shifting, STEP, COVERED, "a share of the new connections proves it")        \
    XX(SWAP_SOAKING, soaking, SOAK, COVERED, "the time in which a failure leads back")            \
    XX(SWAP_DRAINING, draining, DRAIN, COVERED, "what the old peer has begun")                    \
    XX(SWAP_RETIRING, retiring, SHUTDOWN, REVIVED,                                                \
       "the old peer ends, and its connections with it")                                          \
    XX(SWAP_REVERTING, reverting, REVERT, COVERED, "what the candidate has begun")                \
    XX(SWAP_ABORTING, aborting, SHUTDOWN, REVIVED, "the candidate ends")                          \
    XX(SWAP_CHANGING, changing, CHANGE, REVIVED, "the hot upgrade")

/* Events are facts. */
#define SWAP_EVENT_MAP(XX)                      \
    XX(SWAP_ASKED, asked)                       \
    XX(SWAP_UNPACKED, unpacked)                 \
    XX(SWAP_UNPACKED_HOT, unpacked_hot)         \
    XX(SWAP_CHANGED, changed)                   \
    XX(SWAP_NOT_HOT, not_hot)                   \
    XX(SWAP_REFUSED, refused)                   \
    XX(SWAP_PREPARED, prepared)                 \
    XX(SWAP_CANDIDATE_READY, candidate_ready)   \
    XX(SWAP_PROBED, probed)                     \
    XX(SWAP_PROBE_FAILED, probe_failed)         \
    XX(SWAP_CONTINUED, continued)               \
    XX(SWAP_HANDED_OVER, handed_over)           \
    XX(SWAP_SHIFTED, shifted)                   \
    XX(SWAP_QUIET, quiet)                       \
    XX(SWAP_DRAINED, drained)                   \
    XX(SWAP_ABORTED, aborted)                   \
    XX(SWAP_CANDIDATE_EXITED, candidate_exited) \
    XX(SWAP_OLD_EXITED, old_exited)             \
    XX(SWAP_DEADLINE, deadline)

/* Actions are orders. */
#define SWAP_ACTION_MAP(XX)                   \
    XX(SWAP_UNEXPECTED, unexpected)           \
    XX(SWAP_IGNORE, ignore)                   \
    XX(SWAP_UNPACK, unpack)                   \
    XX(SWAP_RUN_STEPS, run_steps)             \
    XX(SWAP_END_JOB, end_job)                 \
    XX(SWAP_SPAWN_CANDIDATE, spawn_candidate) \
    XX(SWAP_PROBE, probe)                     \
    XX(SWAP_HOLD, hold)                       \
    XX(SWAP_HAND_OVER, hand_over)             \
    XX(SWAP_SHIFT, shift)                     \
    XX(SWAP_CUT_OVER, cut_over)               \
    XX(SWAP_STEER_BACK, steer_back)           \
    XX(SWAP_DRAIN, drain)                     \
    XX(SWAP_STOP_OLD, stop_old)               \
    XX(SWAP_KILL_OLD, kill_old)               \
    XX(SWAP_STOP_CANDIDATE, stop_candidate)   \
    XX(SWAP_KILL_CANDIDATE, kill_candidate)   \
    XX(SWAP_CHANGE_CODE, change_code)         \
    XX(SWAP_REPORT_REFUSED, report_refused)   \
    XX(SWAP_REPORT_UNDONE, report_undone)     \
    XX(SWAP_REPORT_DONE, report_done)

#define SWAP_DEADLINE_MAP(XX)            \
    XX(SWAP_DEADLINE_NONE, none)         \
    XX(SWAP_DEADLINE_UNPACK, unpack)     \
    XX(SWAP_DEADLINE_STEPS, steps)       \
    XX(SWAP_DEADLINE_BOOT, boot)         \
    XX(SWAP_DEADLINE_HOLD, hold)         \
    XX(SWAP_DEADLINE_HANDOVER, handover) \
    XX(SWAP_DEADLINE_STEP, step)         \
    XX(SWAP_DEADLINE_SOAK, soak)         \
    XX(SWAP_DEADLINE_DRAIN, drain)       \
    XX(SWAP_DEADLINE_REVERT, revert)     \
    XX(SWAP_DEADLINE_SHUTDOWN, shutdown) \
    XX(SWAP_DEADLINE_CHANGE, change)

#define XX(constant, name, deadline, active, what) constant,
enum swap_state { SWAP_STATE_MAP(XX) SWAP_STATE_COUNT };
#undef XX
#define XX(constant, name) constant,
enum swap_event { SWAP_EVENT_MAP(XX) SWAP_EVENT_COUNT };
enum swap_action { SWAP_ACTION_MAP(XX) SWAP_ACTION_COUNT };
enum swap_deadline { SWAP_DEADLINE_MAP(XX) SWAP_DEADLINE_COUNT };
#undef XX

struct swap_cell {
    enum swap_state next;
    enum swap_action action; /* SWAP_UNEXPECTED (an unwritten cell): the state is kept */
};

struct swap_cell swap_fsm_step(enum swap_state state, enum swap_event event);
enum swap_deadline swap_state_deadline(enum swap_state state);
/* Is an active peer that ended started again in that state? */
bool swap_state_revives(enum swap_state state);
const char *swap_state_name(enum swap_state state);
const char *swap_state_waits_for(enum swap_state state);
const char *swap_event_name(enum swap_event event);
const char *swap_action_name(enum swap_action action);
const char *swap_deadline_name(enum swap_deadline deadline);

#endif
