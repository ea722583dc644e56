#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The application is killed while something slow is under way: it comes back long before that is over. Each state that
# waits can be aborted, and nothing waits for it when relsup is told to stop.
. "$(dirname "$0")/../support/lib.sh"
need_ns
. "$RELPACK_SOURCE/tests/support/depot.sh"

one=$(depot 0.1.0)
two=$(depot 0.2.0)
SECONDS=0

# A server that sends a byte now and then, for as long as somebody listens.
cat >"$WORK/drip.py" <<'PYTHON'
import http.server, time
class Drip(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"x" * 64)
                time.sleep(0.05)
        except OSError:
            pass
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", 20090), Drip).serve_forever()
PYTHON
start_bg drip python3 "$WORK/drip.py"
slow=http://127.0.0.1:20090/depot.tar.gz

upgrade() {
    relsup upgrade "$@" >"$WORK/upgrade.log" 2>&1 &
    upgrade=$!
    OWN_PIDS+=("$upgrade")
}
upgrade_ends() {
    local got=0

    wait "$upgrade" || got=$?
    assert_eq "$1" "$got" "exit of the upgrade: $(cat "$WORK/upgrade.log")"
}
serves() {
    [ "$(get version)" = "depot $1" ]
}
# crash WHILE: kills the VM; the next one serves while that is still under way.
crash() {
    local pid began=${EPOCHREALTIME/./}

    pid=$(relsup pid)
    kill -KILL "$pid"
    wait_until 20 gone "$pid"
    wait_until 20 serves 0.1.0
    assert_eq "$1" "$(state)" "the state when it serves again"
    echo "while $1: back within $(((${EPOCHREALTIME/./} - began) / 1000)) ms"
}

mkdir "$RELSUP_HOME"
start_depot "$one"

upgrade "$slow"
wait_until 10 in_state unpacking
crash unpacking
relsup history | tail -1 | grep 'recover *done' >/dev/null || fail "the history: $(relsup history)"
assert_exit 0 relsup abort
assert_match 'upgrade is undone, 0.1.0 serves' "$(cat "$WORK/out")"
upgrade_ends 1
assert_match 'aborted by the operator' "$(cat "$WORK/upgrade.log")"
wait_until 10 running

# Told to stop while it fetches: at once, and who waits is told why.
upgrade "$slow"
wait_until 10 in_state unpacking
relsup stop >"$WORK/stop.log" 2>&1 &
first_stop=$!
assert_exit 0 relsup stop
wait "$first_stop" || fail "the first of two who stop: $(cat "$WORK/stop.log")"
upgrade_ends 1
assert_match 'told to stop' "$(cat "$WORK/upgrade.log")"
wait_until 10 gone "$supervisor"

# A step that takes long.
mkdir -p "$WORK/long"
waiting='["/bin/sh", "-c", "while [ -e '"$WORK"'/long ]; do sleep 0.1; done"]'
echo '{"before_boot": [{"run": '"$waiting"'}]}' >"$RELSUP_HOME/relsup.json"
start_depot "$one"
upgrade "$two"
wait_until 20 in_state preparing
crash preparing
# Once more, and the step ends before it is back: the candidate is the way back to service.
kill -KILL "$(relsup pid)"
rmdir "$WORK/long"
wait_until 20 serves 0.2.0
upgrade_ends 0
wait_until 20 running
assert_exit 0 relsup upgrade "$one"

# They are read at each order.
settings() {
    echo "$1" >"$RELSUP_HOME/relsup.json"
}
# abort_in STATE EXIT [upgrade's arguments]
abort_in() {
    local first state=$1 exit=$2

    first=$(relsup pid)
    shift 2
    upgrade "$@"
    wait_until 30 in_state "$state"
    assert_exit 0 relsup abort
    upgrade_ends "$exit"
    wait_until 20 running
    assert_eq "$first" "$(relsup pid)" "abort while $state"
    serves 0.1.0 || fail "abort while $state"
    echo "abort while $state"
}
mkdir "$WORK/long"
abort_in preparing 1 "$two"
settings '{}'
abort_in unpacking 1 "$slow"
abort_in booting 3 "$(depot 0.3.0 '{listen, []}')" --boot 60s
settings '{"health": [{"type": "exec", "command": ["test", "!", "-e", "'"$WORK"'/long"], "failures": 1000, "interval_s": 0.1}]}'
abort_in probing 3 "$two" --boot 60s
settings '{}'
abort_in shifting 3 "$two" --canary 10 --step 60s
abort_in soaking 3 "$two" --soak 60s

# Nobody decides: without a limit it waits, and says for how long; with one it is undone.
assert_exit 0 relsup upgrade "$two" --hold
assert_match 'waited' "$(relsup status)"
relsup status | grep 'at most' >/dev/null && fail "a hold without limit"
assert_exit 0 relsup abort
assert_exit 0 relsup upgrade "$two" --hold --hold-for 1s
wait_until 20 running
serves 0.1.0 || fail "nobody decided"
assert_match 'nobody decided' "$(relsup history | tail -1)"
settings '{"before_cutover": {"call": "depot_state:loiter", "timeout_s": 60}}'
abort_in handing_over 3 "$two"
echo "$SECONDS s"
end_depot
