#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# In a sandbox: where the copies of sockets may not be taken, the peer sends them; where steering is not permitted,
# peers overlap, and who asks is told.
. "$(dirname "$0")/../support/lib.sh"
need_ns
. "$RELPACK_SOURCE/tests/support/depot.sh"

one=$(depot 0.1.0 '{listen, [{inet, 1, 2}]}')
two=$(depot 0.2.0 '{listen, [{inet, 1, 1}]}')
run_in() {
    start_bg relsup refuse "$1" relsup run "$one" --home "$RELSUP_HOME"
    supervisor=$BG_PID
    wait_until 40 running
}

# What relsup saw before, such as the candidate's own sockets, does not count.
reopenings() {
    grep -c 'opened or closed a listening socket' "$WORK/relsup.log" || true
}
reopened() {
    [ "$(reopenings)" -gt "$seen" ]
}

run_in getfd
assert_exit 0 relsup upgrade "$two" --hold
assert_eq on "$(relsup status --json | field steering)"
for _ in $(seq 50); do
    assert_eq "depot 0.1.0" "$(get version)"
done
seen=$(reopenings)
assert_exit 0 relsup rpc 'depot_http:reopen().'
wait_until 10 reopened
load --url "http://127.0.0.1:${PORTS%,*}/version" --rate 300 --seconds 60 --until-file "$WORK/enough" --json >"$WORK/load.json" &
loader=$!
OWN_PIDS+=("$loader")
assert_exit 0 relsup cutover
touch "$WORK/enough"
wait "$loader" || true
assert_eq 0 "$(failed_of "$WORK/load.json")" "failed requests: $(cat "$WORK/load.json")"
[ ! -e "$RELSUP_HOME/run/fd.sock" ] || fail "the socket of the descriptors is left"
end_depot
rm -rf "$RELSUP_HOME"

run_in steer
assert_exit 0 relsup upgrade "$two"
assert_match '^off: ' "$(relsup status --json | field steering)"
assert_match 'steering *off' "$(relsup status)"
assert_match 'connections are not steered' "$(cat "$WORK/relsup.log")"
assert_exit 0 relsup upgrade "$one"
assert_eq 1 "$(grep -c 'connections are not steered' "$WORK/relsup.log")" "it is said once"
assert_eq "depot 0.1.0" "$(get version)"
end_depot
