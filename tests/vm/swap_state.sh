#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What goes on around a swap: steps before the boot, state from one peer to the next, node names, probes of each kind.
. "$(dirname "$0")/../support/lib.sh"
need_ns
. "$RELPACK_SOURCE/tests/support/depot.sh"

one=$(depot 0.1.0)
two=$(depot 0.2.0)
settings() {
    echo "$1" >"$RELSUP_HOME/relsup.json"
}
# Settings are read when relsup starts.
restart_with() {
    assert_exit 0 relsup stop
    wait_until 20 gone "$supervisor"
    settings "$1"
    start_depot "$one"
}
running_release() {
    relsup status --json | field release
}

mkdir "$RELSUP_HOME"
settings '{"before_cutover": "depot_state:export", "after_cutover": "depot_state:import", "node_names": ["x1", "x2"],
  "before_boot": [{"eval": "io:format(\"migrated ~s~n\", [os:getenv(\"RELEASE_VSN\")])."},
                  {"run": ["/bin/sh", "-c", "echo ran >>'"$WORK"'/ran; pwd"]}]}'
start_depot "$one"
assert_eq 1 "$(grep -c ran "$WORK/ran")" "the steps of the first boot"
get count >/dev/null
get count >/dev/null
assert_exit 0 relsup upgrade "$two"
assert_match 'migrated 0.2.0' "$(cat "$WORK/err")" "the output of a step is shown"
grep -q 'migrated 0.2.0' "$RELSUP_HOME"/log/steps-*.log || fail "the output of a step is not kept"
assert_match 'handover' "$(cat "$WORK/err")"
assert_eq 2 "$(grep -c ran "$WORK/ran")" "a step runs once"
assert_eq 3 "$(get count)" "the state came along"
assert_exit 0 relsup rollback 0.1.0
assert_eq 2 "$(grep -c ran "$WORK/ran")" "a rollback migrates nothing"
assert_eq 4 "$(get count)"
nodes=$(sed -n 's/.*boot: done \(.*\)@.*/\1/p' "$WORK/relsup.log" | sort -u | tr '\n' ' ')
assert_eq "x1 x2 " "$nodes" "the nodes that a cluster would have seen"

# A step that fails: nothing is booted.
restart_with '{"before_boot": [{"run": ["/bin/sh", "-c", "echo no room; exit 7"]}, {"run": ["/bin/false"]}]}'
first=$(relsup pid)
assert_exit 1 relsup upgrade "$(depot 0.3.0)"
assert_match 'no room' "$(cat "$WORK/err")"
assert_match "exited with status 7" "$(cat "$WORK/err")"
assert_eq "$first" "$(relsup pid)"
[ ! -e "$RELSUP_HOME/releases/0.3.0" ] || fail "the refused release was left behind"
restart_with '{"before_boot": [{"run": ["/bin/sleep", "100"], "timeout_s": 0.5}]}'
assert_exit 1 relsup upgrade "$two"
assert_match 'did not end in time' "$(cat "$WORK/err")"

# A handover that fails, or loiters: undone before anything was moved.
for call in '"before_cutover": "depot_state:nothing"' '"after_cutover": "depot_http:handle_cast"' \
    '"before_cutover": {"call": "depot_state:loiter", "timeout_s": 0.5}' \
    '"before_cutover": "depot_state:export", "after_cutover": "depot_state:refuse"'; do
    restart_with "{$call}"
    first=$(relsup pid)
    assert_exit 3 relsup upgrade "$two"
    assert_match '_cutover: ' "$(cat "$WORK/err")"
    assert_eq "$first" "$(relsup pid)" "$call"
done

# Each kind of probe, passed and failed.
# shellcheck disable=SC2016 # the command's own variables
for probe in '"type": "tcp"' '"type": "rpc", "expr": "depot_state:value() >= 0."' \
    '"type": "http", "path": "/version", "status": 200, "body": "^depot 0", "host": "shop.example", "in_a_row": 3, "interval_s": 0.05' \
    '"type": "exec", "command": ["/bin/sh", "-c", "test -n \"$RELSUP_NODE\" && curl -sf --interface \"$RELSUP_PREVIEW_ADDRESS\" http://127.0.0.1:'"${PORTS%,*}"'/"]'; do
    restart_with "{\"health\": [{$probe}]}"
    assert_exit 0 relsup upgrade "$two"
    assert_exit 0 relsup upgrade "$one"
done
for probe in '"type": "tcp", "port": 1' '"type": "rpc", "expr": "depot_state:value() < 0."' \
    '"type": "http", "path": "/version", "body": "nothing like it"' '"type": "exec", "command": ["/bin/sleep", "9"], "timeout_s": 0.2'; do
    settings "{\"health\": [{$probe, \"interval_s\": 0.05}]}"
    assert_exit 0 relsup stop
    wait_until 20 gone "$supervisor"
    start_bg relsup relsup run --home "$RELSUP_HOME"
    supervisor=$BG_PID
    wait_until 40 gone "$supervisor"
    assert_match 'did not pass its probe' "$(cat "$WORK/relsup.log")" "$probe"
    settings '{}'
    start_depot "$one"
done

# Who asks from inside has its answer as soon as the new one serves.
assert_exit 0 relsup rpc "io:format(\"~p~n\", [relsup:upgrade(\"$two\")])."
assert_match '^ok' "$(cat "$WORK/out")"
assert_eq "depot 0.2.0" "$(get version)"
wait_until 30 running
assert_eq 0.2.0 "$(running_release)"
end_depot
