#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A hot upgrade that waits for its probes is aborted: undone in the VM. And the VM is killed in the middle of one.
. "$(dirname "$0")/../support/lib.sh"

one=$(build_release shop 0.1.0 relpack)
two=$(build_release shop 0.2.0 relpack)
PORT=$(free_port)
export PORT RELSUP_HOME=$WORK/home

in_state() {
    relsup status --json | grep "\"state\":\"$1\"" >/dev/null
}
answers() {
    [ "$(http version)" = "shop 0.1.0" ]
}
upgrade() {
    relsup upgrade "$two" --hot >"$WORK/upgrade.log" 2>&1 &
    upgrade=$!
    OWN_PIDS+=("$upgrade")
    wait_until 30 in_state changing
    wait_until 20 test -e "$WORK/asked"
}

mkdir "$RELSUP_HOME"
start_bg relsup relsup run "$one" --home "$RELSUP_HOME"
supervisor=$BG_PID
wait_until 40 running
first=$(relsup pid)
echo '{"health": [{"type": "exec", "command": ["/bin/sh", "-c", "touch '"$WORK"'/asked; exit 1"],
                   "failures": 1000, "interval_s": 0.1}]}' >"$RELSUP_HOME/relsup.json"
upgrade
assert_exit 0 relsup abort
got=0
wait "$upgrade" || got=$?
assert_eq 3 "$got" "exit of the upgrade: $(cat "$WORK/upgrade.log")"
assert_match 'aborted by the operator' "$(cat "$WORK/upgrade.log")"
answers || fail "the change was not undone: $(http version)"
assert_eq "$first" "$(relsup pid)"
assert_eq releases/0.1.0 "$(readlink "$RELSUP_HOME/current")"

rm "$WORK/asked"
upgrade
kill -KILL "$first"
got=0
wait "$upgrade" || got=$?
[ "$got" = 3 ] || [ "$got" = 1 ] || fail "exit $got of a hot upgrade whose VM ended: $(cat "$WORK/upgrade.log")"
wait_until 40 answers
wait_until 20 running
assert_eq releases/0.1.0 "$(readlink "$RELSUP_HOME/current")"
assert_exit 0 relsup stop
wait_until 20 gone "$supervisor"
