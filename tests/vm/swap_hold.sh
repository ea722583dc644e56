#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An operator who looks before the cutover; a share at first; the way back; one upgrade at a time.
. "$(dirname "$0")/../support/lib.sh"
need_ns
. "$RELPACK_SOURCE/tests/support/depot.sh"

one=$(depot 0.1.0)
two=$(depot 0.2.0)
PORT=${PORTS%,*}
start_depot "$one"
first=$(relsup pid)

# The preview line that is printed reaches the candidate, and nobody else does.
assert_exit 0 relsup upgrade "$two" --hold
assert_match 'waits and gets no connection' "$(cat "$WORK/out")"
line=$(grep -o 'curl .*' "$WORK/out")
assert_eq "depot 0.2.0" "$(eval "$line" --silent)" "the line that looks at the candidate"
for _ in $(seq 50); do
    assert_eq "depot 0.1.0" "$(get version)" "an ordinary connection"
done
in_state holding || fail "the state is $(state)"
assert_eq "$first" "$(relsup pid)" "rpc reaches the one that serves"
assert_exit 2 relsup upgrade "$two"
assert_match "waits for 'relsup cutover' or 'relsup abort'" "$(cat "$WORK/err")"
assert_exit 0 relsup abort
assert_match '0.2.0 is undone, 0.1.0 serves' "$(cat "$WORK/out")"
in_state running || fail "after the abort the state is $(state)"
assert_eq "$first" "$(relsup pid)"
assert_exit 2 relsup abort
assert_exit 2 relsup cutover
assert_match 'no candidate waits' "$(cat "$WORK/err")"

assert_exit 0 relsup upgrade "$two" --hold --json
assert_eq True "$(field held <"$WORK/out")"
assert_exit 0 relsup cutover
assert_eq "depot 0.2.0" "$(get version)"
gone "$first" || fail "the old peer still runs"

# A quarter of 10,000 connections, within 3 points, while the step lasts.
relsup upgrade "$one" --canary 25 --step 60s --soak 60s >"$WORK/canary.log" 2>&1 &
upgrade=$!
wait_until 30 in_state shifting
load --url "http://127.0.0.1:$PORT/version" --rate 2500 --seconds 4 --json >"$WORK/load.json"
assert_eq 0 "$(failed_of "$WORK/load.json")"
new=$(answers_of "$WORK/load.json" "depot 0.1.0")
((new >= 2200 && new <= 2800)) || fail "$new of 10000 connections went to the candidate, not 25 %"
assert_exit 0 relsup abort
got=0
wait "$upgrade" || got=$?
assert_eq 3 "$got" "exit of the upgrade that was aborted"
assert_match 'aborted by the operator' "$(cat "$WORK/canary.log")"
load --url "http://127.0.0.1:$PORT/version" --rate 500 --seconds 1 --json >"$WORK/load.json"
assert_eq 500 "$(answers_of "$WORK/load.json" "depot 0.2.0")" "after the abort all go to the old one"

# Abort while it soaks: the old one has lost nothing.
second=$(relsup pid)
relsup upgrade "$one" --canary 10,50 --step 0.2s --soak 60s >"$WORK/soak.log" 2>&1 &
upgrade=$!
wait_until 30 in_state soaking
assert_eq "depot 0.1.0" "$(get version)" "while it soaks"
[ "$second" != "$(relsup pid)" ] || fail "rpc does not reach the new one while it soaks"
assert_exit 0 relsup abort
got=0
wait "$upgrade" || got=$?
assert_eq 3 "$got"
assert_eq "$second" "$(relsup pid)"
assert_eq "depot 0.2.0" "$(get version)"
assert_eq "releases/0.2.0" "$(readlink "$RELSUP_HOME/current")"

# The old peer crashes while the candidate boots or waits: nobody else serves, so it takes over once it is proved.
for wait in '' --hold; do
    third=$(relsup pid)
    relsup upgrade "$one" ${wait:+"$wait"} >"$WORK/crash.log" 2>&1 &
    upgrade=$!
    if [ -n "$wait" ]; then
        wait_until 30 in_state holding
    else
        wait_until 30 in_state booting
    fi
    kill -KILL "$third"
    wait_until 30 running
    wait "$upgrade" || fail "the upgrade: $(cat "$WORK/crash.log")"
    assert_eq "depot 0.1.0" "$(get version)" "after the crash of the old one"
    assert_exit 0 relsup upgrade "$two"
done

assert_exit 2 relsup upgrade "$one" --canary 50,10
assert_exit 2 relsup upgrade "$one" --canary nothing
assert_exit 2 relsup upgrade "$one" --step 1s
assert_exit 2 relsup upgrade "$one" --hot --hold
end_depot
