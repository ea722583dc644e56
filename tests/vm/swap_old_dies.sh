#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# The one that serves is killed while a release that listens on nothing comes in: that nobody is left to compare it with
# proves nothing. It is refused, and what served is started again.
. "$(dirname "$0")/../support/lib.sh"

one=$(build_release shop 0.1.0 relpack)
two=$(build_release shop 0.2.0 relpack)
deaf=$(build_release shop 0.2.0 relpack deaf)
PORT=$(free_port)
export PORT RELSUP_HOME=$WORK/home

answers() {
    [ "$(http version)" = "$1" ]
}

state_is() {
    relsup status --json | grep "\"state\": *\"$1\"" >/dev/null
}

start_bg relsup relsup run "$one" --home "$RELSUP_HOME"
wait_until 30 running

# in the state STATE of an upgrade to RELEASE
kill_active_while() {
    relsup upgrade "$2" --boot "${3:-8s}" >"$WORK/out" 2>"$WORK/err" &
    OWN_PIDS+=($!)
    upgrade=$!
    wait_until 20 state_is "$1"
    kill -KILL "$(relsup pid)"
    got=0
    wait "$upgrade" || got=$?
}

kill_active_while unpacking "$deaf"
[ "$got" = 1 ] || [ "$got" = 3 ] || fail "wanted exit 1 or 3, got $got"
assert_match 'does not listen on' "$(cat "$WORK/err")" "killed while it came in"
wait_until 30 answers "shop 0.1.0"
wait_until 10 running

# it does not have all of its time while nobody serves
kill_active_while booting "$deaf" 10m
assert_eq 1 "$got" "exit"
assert_match 'does not listen on' "$(cat "$WORK/err")" "killed while it booted"
wait_until 30 answers "shop 0.1.0"
wait_until 10 running
assert_eq releases/0.1.0 "$(readlink "$RELSUP_HOME/current")" "current"

# one that does listen is the fastest way back
kill_active_while booting "$two"
assert_eq 0 "$got" "exit"
answers "shop 0.2.0" || fail "the candidate serves"
assert_exit 0 relsup stop
