#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the old peer has begun at the cutover: it ends well, and nobody waits longer than needed.
. "$(dirname "$0")/../support/lib.sh"
need_ns
. "$RELPACK_SOURCE/tests/support/depot.sh"

one=$(depot 0.1.0)
two=$(depot 0.2.0)
PORT=${PORTS%,*}
start_depot "$one"

# asking N PATH...: N slow requests at once, their answers in $WORK/slow.*
asking() {
    local n=$1 i

    SLOW=()
    for i in $(seq "$n"); do
        get "$2" >"$WORK/slow.$i" &
        SLOW+=($!)
        OWN_PIDS+=($!)
    done
    wait_until 10 has_established "$n"
}

# One answer that goes on until $STREAM is ended.
streaming() {
    curl -sN "http://127.0.0.1:$PORT/stream" >"$WORK/stream" 2>/dev/null &
    STREAM=$!
    OWN_PIDS+=("$STREAM")
    wait_until 10 test -s "$WORK/stream"
    : >"$WORK/stream"
}

# Accepted connections of the port, seen from the server's side.
has_established() {
    [ "$(ss -Htn state established "( sport = :$PORT )" | wc -l)" -ge "$1" ]
}

# Requests under way are all answered by the old one, and the drain is over when they are.
asking 20 slow/3000
began=$(date +%s)
assert_exit 0 relsup upgrade "$two" --drain 100s
[ $(($(date +%s) - began)) -lt 60 ] || fail "a finished drain waited for its deadline"
for i in $(seq 20); do
    wait "${SLOW[i - 1]}" || fail "slow request $i"
    assert_eq "depot 0.1.0" "$(cat "$WORK/slow.$i")"
done
assert_match 'drain' "$(cat "$WORK/err")"

# Idle keep-alive connections do not hold it up; a second upgrade is told what is going on.
python3 - "$PORT" "$WORK/idle" <<'PYTHON' &
import os, socket, sys
port, flag = int(sys.argv[1]), sys.argv[2]
idle = []
for _ in range(50):
    s = socket.create_connection(("127.0.0.1", port))
    s.sendall(b"GET /version HTTP/1.1\r\nhost: x\r\n\r\n")
    assert s.recv(1000).startswith(b"HTTP/1.1 200")
    idle.append(s)
open(flag + ".up", "w").close()
ends = [s.recv(1000) for s in idle]
assert not any(ends), ends
open(flag + ".ended", "w").close()
PYTHON
OWN_PIDS+=($!)
wait_until 10 test -e "$WORK/idle.up"
streaming
relsup upgrade "$one" --drain 100s >"$WORK/idle.log" 2>&1 &
upgrade=$!
wait_until 30 in_state draining
assert_exit 2 relsup upgrade "$two"
assert_match 'draining .*connections?, [0-9]+ s left' "$(cat "$WORK/err")"
assert_exit 2 relsup abort
assert_match "use 'relsup rollback'" "$(cat "$WORK/err")"
gone "$STREAM" && fail "the stream beside idle connections was ended"
kill "$STREAM"
wait "$upgrade" || fail "the upgrade: $(cat "$WORK/idle.log")"
wait_until 10 test -e "$WORK/idle.ended"

# Streams go on until the deadline; then the server ends them.
echo '{"shutdown_s": 3}' >"$RELSUP_HOME/relsup.json"
assert_exit 0 relsup stop
wait_until 20 gone "$supervisor"
start_depot "$one"
python3 - "$PORT" "$WORK/streams" <<'PYTHON' &
import selectors, socket, sys
port, flag = int(sys.argv[1]), sys.argv[2]
poll = selectors.DefaultSelector()
for _ in range(40):
    s = socket.create_connection(("127.0.0.1", port))
    s.sendall(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
    poll.register(s, selectors.EVENT_READ)
open(flag + ".up", "w").close()
ends = 0
while ends < 40:
    for key, _ in poll.select(60):
        if not key.fileobj.recv(10000):
            ends += 1
            poll.unregister(key.fileobj)
open(flag + ".ended", "w").close()
PYTHON
OWN_PIDS+=($!)
wait_until 10 test -e "$WORK/streams.up"
assert_exit 0 relsup upgrade "$two" --drain 4s
wait_until 10 test -e "$WORK/streams.ended"
assert_eq "depot 0.2.0" "$(get version)"

# Told to stop while it drains: the release that was committed stays, whichever peer ends first.
old=$(relsup pid)
streaming
relsup upgrade "$one" --drain 100s >"$WORK/stopped.log" 2>&1 &
upgrade=$!
wait_until 30 in_state draining
kill -STOP "$old" # it will not end by itself
assert_exit 0 relsup stop
wait "$upgrade" || fail "the upgrade that was committed: $(cat "$WORK/stopped.log")"
assert_match '0.1.0 is what the home has now' "$(cat "$WORK/stopped.log")"
wait_until 20 gone "$supervisor"
gone "$old" || fail "the old peer still runs"
assert_eq "releases/0.1.0" "$(readlink "$RELSUP_HOME/current")"
