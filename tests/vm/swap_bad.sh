#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Candidates that must not serve: no ordinary request is answered by them, or none after the way back.
. "$(dirname "$0")/../support/lib.sh"
need_ns
. "$RELPACK_SOURCE/tests/support/depot.sh"

good=$(depot 0.1.0 '{listen, [{inet, 1, 1}, {inet, 2, 1}]}')
mkdir -p "$RELSUP_HOME"
echo '{"health": [{"type": "http", "path": "/version", "port": '"${PORTS%,*}"', "interval_s": 0.1, "failures": 2}],
       "shutdown_s": 3}' >"$RELSUP_HOME/relsup.json"
start_depot "$good"
first=$(relsup pid)

# try WANTED-REASON CONFIG [upgrade's options]: upgrades to it under load; leaves the load's result in $WORK/load.json.
try() {
    local reason=$1 bad

    bad=$(depot 0.2.0 "$2")
    shift 2
    load --url "http://127.0.0.1:${PORTS%,*}/version" --rate 300 --seconds 60 --until-file "$WORK/enough" --json \
        >"$WORK/load.json" &
    OWN_PIDS+=($!)
    local loader=$!
    assert_exit 3 relsup upgrade "$bad" "$@"
    assert_match "$reason" "$(cat "$WORK/err")"
    get version >/dev/null
    touch "$WORK/enough"
    wait "$loader" || true
    rm "$WORK/enough"
    assert_eq "$first" "$(relsup pid)" "the old peer serves"
    assert_eq "depot 0.1.0" "$(get version)"
    assert_eq running "$(state)"
    assert_eq "releases/0.1.0" "$(readlink "$RELSUP_HOME/current")"
}

none_by_it() {
    assert_eq 0 "$(failed_of "$WORK/load.json")" "failed requests"
    assert_eq 0 "$(answers_of "$WORK/load.json" "depot 0.2.0")" "requests that the candidate answered"
}

both='{listen, [{inet, 1, 1}, {inet, 2, 1}]}'
try 'GET /version answers 500' "{mode, sick}, $both"
none_by_it
try 'GET /version' "{mode, mute}, $both" --boot 20s
none_by_it
try 'accepts no connection' "{mode, deaf}, $both"
none_by_it
try 'exited with status' "{mode, late}, $both"
none_by_it
try 'does not listen on 127.0.0.1' '{listen, [{inet, 1, 1}]}' --boot 4s
none_by_it
try 'it listens on 0.0.0.0:[0-9]* where the old one listens on 127.0.0.1' '{listen, [{any, 1, 1}, {any, 2, 1}]}'
none_by_it

# It crashes after the cutover: what it had begun is lost with it, and nothing of it is left after the way back.
try 'after the cutover' "{mode, {crash, 1000}}, $both" --soak 20s
[ "$(answers_of "$WORK/load.json" "depot 0.2.0")" -gt 0 ] || fail "it never served"
load --url "http://127.0.0.1:${PORTS%,*}/version" --rate 300 --seconds 2 --json >"$WORK/after.json"
assert_eq 600 "$(answers_of "$WORK/after.json" "depot 0.1.0")" "after the way back"
end_depot
