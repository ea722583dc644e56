/* SPDX-License-Identifier: Apache-2.0 */
/* The swap, for spin: the table of swap/swap_fsm.c in a world where everything may end at any
 * moment. `old` served when the swap began, `new` is its candidate. What a dispatch does is one
 * step, as in the supervisor: an event is looked up, its order performed, and what the order posts
 * follows at once. Between two of them relsup may be killed: the next one ends both peers (the
 * journal names them) and boots what `current` names.
 *
 * At any moment the world may fall calm: from then on nobody crashes, answers or decides any more,
 * whoever is hung stays so, and nothing is left but the supervisor's own deadlines, what ends
 * because it was told to, and an active peer that is started again, beside the table. Everything
 * must come to rest then; be idle; and serve. */
#include "table.pml"

#define NOBODY 0
#define OLD 1
#define NEW 2
#define BOTH 3

byte state = S_idle;
byte route = OLD;   /* who gets new connections */
byte current = OLD; /* what the next relsup boots */
bool old_runs = true, new_runs = false;
bool old_told = false, new_told = false; /* to stop; who is deaf to that must be killed */
bool deaf = false, old_killed = false, new_killed = false;
bool proved = false, soaked = false;
bool failed = false; /* a probe said no, or a person, or the kernel */
bool armed = false;  /* the deadline of this state is to come */
bool draining = false, ending_job = false;
bool job = false; /* a worker is to answer, once */
bool calm = false;
byte shares = 0;
byte runs = 0, aborts = 0, kills = 0, crashes = 0;
chan fact = [0] of { byte };   /* from the world */
chan posted = [4] of { byte }; /* by an order, dispatched behind it */

/* Only what was proved gets connections, only one release but for a share, and nobody who was told
 * to stop. */
inline check() {
    assert((route != NEW && route != BOTH) || proved);
    assert(route != BOTH || state == S_shifting);
    assert(!old_told || (proved && soaked));
    assert(!(route == OLD && old_told));
    assert(!(route == NEW && new_told));
    assert(state != S_idle || !new_runs)
}

/* The run is over: whoever serves is the old one of the next run. */
inline end_run(release) {
    assert(current == release);
    assert(release == OLD -> !new_runs : !old_runs);
    if
    :: release == NEW -> old_runs = new_runs; new_runs = false
    :: else
    fi;
    current = OLD;
    route = OLD;
    old_told = false; new_told = false; old_killed = false; new_killed = false; proved = false; soaked = false; failed = false;
    draining = false; ending_job = false; job = false
}

inline perform(order) {
    if
    :: order == A_ignore || order == A_unexpected -> skip
    :: order == A_unpack || order == A_run_steps || order == A_probe || order == A_change_code ->
        job = true
    :: order == A_end_job -> ending_job = true; job = true /* it ends now, hung or not */
    :: order == A_spawn_candidate ->
        if
        :: new_runs = true; job = true
        :: posted!E_candidate_exited
        fi
    :: order == A_hold ->
        if
        :: old_runs -> skip /* somebody looks */
        :: posted!E_continued
        fi
    :: order == A_hand_over ->
        proved = true;
        if
        :: job = true
        :: posted!E_handed_over
        fi
    :: order == A_shift ->
        if
        :: old_runs && shares < 2 -> shares++; route = BOTH; armed = true
        :: posted!E_shifted
        :: old_runs -> posted!E_refused
        fi
    :: order == A_cut_over ->
        assert(new_runs && !failed);
        route = NEW;
        if
        :: !old_runs -> posted!E_old_exited
        :: old_runs -> skip
        :: old_runs -> posted!E_refused
        fi
    :: order == A_steer_back ->
        assert(old_runs && !old_told);
        route = OLD;
        draining = true;
        if
        :: new_runs -> skip
        :: else -> posted!E_candidate_exited
        fi
    :: order == A_drain -> assert(!failed); soaked = true; current = NEW; draining = true
    :: order == A_stop_old -> assert(new_runs && route == NEW); old_told = true
    :: order == A_kill_old -> assert(old_told); old_killed = true
    :: order == A_stop_candidate ->
        assert(route != NEW && route != BOTH);
        if
        :: new_runs -> new_told = true
        :: else -> posted!E_candidate_exited
        fi
    :: order == A_kill_candidate -> assert(new_told); new_killed = true
    :: order == A_report_done ->
        if
        :: before == S_changing -> ending_job = false; failed = false
        :: else -> current = NEW; end_run(NEW)
        fi
    :: order == A_report_refused -> end_run(OLD)
    :: order == A_report_undone -> assert(route == OLD); current = OLD; end_run(OLD)
    fi
}

/* Facts arrive one at a time; each is dispatched to its end. */
active proctype Supervisor() {
    byte on, order, before;
end:
    do
    :: atomic { fact?on ->
        posted!on;
        do
        :: posted?on ->
            before = state;
            look_up(before, on, state, order);
            assert(order != A_unexpected);
            failed = failed || on == E_probe_failed || on == E_aborted || on == E_refused;
            armed = (state != before -> has_deadline(state) : armed);
            job = (state == before && job); /* who answers late finds another state */
            perform(order);
            check()
        :: empty(posted) ->
            assert(old_runs || state != S_holding); /* nobody looks on while nobody serves */
            break
        od }
    od
}

/* What was told to end says so, hung or not. */
active proctype Worker() {
end:
    do
    :: atomic { job && state == S_unpacking && ending_job -> job = false; fact!E_refused }
    :: atomic { !calm && job && state == S_unpacking && !ending_job -> job = false;
        if
        :: fact!E_unpacked
        :: old_runs -> fact!E_unpacked_hot
        :: fact!E_refused
        fi }
    :: atomic { job && state == S_changing && ending_job -> job = false;
        if
        :: old_runs -> fact!E_changed /* too late */
        :: fact!E_refused
        fi }
    :: atomic { !calm && job && state == S_changing && !ending_job -> job = false;
        if
        :: old_runs -> fact!E_changed
        :: fact!E_not_hot
        :: fact!E_refused
        fi }
    :: atomic { job && state == S_preparing && ending_job -> job = false; fact!E_refused }
    :: atomic { !calm && job && state == S_preparing && !ending_job -> job = false;
        if
        :: fact!E_prepared
        :: fact!E_refused
        fi }
    :: atomic { !calm && job && state == S_booting && new_runs -> job = false;
        if
        :: fact!E_candidate_ready
        :: fact!E_refused
        fi }
    :: atomic { !calm && job && state == S_probing -> job = false;
        if
        :: fact!E_probed
        :: fact!E_probe_failed
        :: fact!E_refused
        fi }
    :: atomic { !calm && job && state == S_handing_over -> job = false;
        if
        :: fact!E_handed_over
        :: fact!E_refused
        fi }
    :: atomic { !calm && (state == S_shifting || state == S_soaking) -> fact!E_probe_failed }
    :: atomic { !calm && draining &&
                (state == S_draining || state == S_reverting) ->
        draining = false;
        if
        :: fact!E_drained
        :: fact!E_quiet
        fi }
    od
}

active proctype Clock() {
end:
    do
    :: atomic { armed -> armed = false; fact!E_deadline }
    od
}

/* A peer ends when it was told to, or by itself. */
active proctype OldPeer() {
end:
    do
    :: atomic { old_runs && old_told && (!deaf || old_killed) -> old_runs = false; fact!E_old_exited }
    :: atomic { !calm && old_runs && crashes < 2 -> crashes++; old_runs = false; fact!E_old_exited }
    od
}

active proctype NewPeer() {
end:
    do
    :: atomic { new_runs && new_told && (!deaf || new_killed) -> new_runs = false; fact!E_candidate_exited }
    :: atomic { !calm && new_runs && crashes < 2 -> crashes++; new_runs = false; fact!E_candidate_exited }
    od
}

/* What the supervisor does beside the table; behind the cutover the active peer is the new one. */
active proctype Reviver() {
end:
    do
    :: atomic { revives(state) && state != S_retiring && !old_runs -> old_runs = true }
    :: atomic { revives(state) && state == S_retiring && !new_runs -> new_runs = true }
    od
}

active proctype Operator() {
end:
    do
    :: atomic { !calm && state == S_idle && runs < 2 -> runs++; shares = 0;
        if
        :: deaf = true
        :: deaf = false
        fi;
        fact!E_asked }
    :: atomic { !calm && state == S_holding -> fact!E_continued }
    :: atomic { !calm && can_abort(state) && !ending_job && aborts < 2 -> aborts++; fact!E_aborted }
    od
}

/* kill -9 of relsup, and the next one: there is one whole release, the committed one. */
active proctype Killer() {
end:
    atomic { !calm && kills < 1 -> kills++;
        assert(current == OLD || soaked);
        old_runs = true; new_runs = false; /* of `current` */
        old_told = false; new_told = false; old_killed = false; new_killed = false; proved = false; soaked = false; failed = false;
        draining = false; ending_job = false; armed = false; job = false;
        current = OLD; route = OLD; state = S_idle }
}

active proctype World() {
end:
    calm = true
}

/* Nothing moves any more. */
active proctype Rest() {
end:
    timeout -> assert(state == S_idle && old_runs && !new_runs && route != NEW && route != BOTH)
}
