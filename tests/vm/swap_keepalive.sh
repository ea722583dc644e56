#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How connections end that outlive their requests: keep-alive ones in the gaps between their requests, whatever else is
# under way; the others by their own server, which may say goodbye; and what the end cuts is counted.
. "$(dirname "$0")/../support/lib.sh"
need_ns
. "$RELPACK_SOURCE/tests/support/depot.sh"

one=$(depot 0.1.0)
two=$(depot 0.2.0)
PORT=${PORTS%,*}
start_depot "$one"

# clients NAME COMMAND...: a Python program with $PORT and $WORK/NAME as its arguments; waits for $WORK/NAME.up.
clients() {
    local name=$1

    cat >"$WORK/$name.py"
    start_bg "$name" python3 "$WORK/$name.py" "$PORT" "$WORK/$name"
    wait_until 20 test -e "$WORK/$name.up"
}

# A stream that goes on until we let it end.
clients stream <<'PYTHON'
import os, socket, sys, time
port, flag = int(sys.argv[1]), sys.argv[2]
s = socket.create_connection(("127.0.0.1", port))
s.sendall(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
assert s.recv(1000).startswith(b"HTTP/1.1 200")
open(flag + ".up", "w").close()
while not os.path.exists(flag + ".enough"):
    assert s.recv(1000), "the stream was ended"
PYTHON

# Ten clients that ask three times a second. Each wants its first connection to end, without a request lost.
clients paced <<'PYTHON'
import select, socket, sys, threading, time
port, flag = int(sys.argv[1]), sys.argv[2]
begun, ended, lost = [], [], []
def client():
    s = socket.create_connection(("127.0.0.1", port))
    while True:
        s.sendall(b"GET /version HTTP/1.1\r\nhost: x\r\n\r\n")
        try:
            answer = s.recv(1000)
        except ConnectionError:
            answer = b""
        if not answer.startswith(b"HTTP/1.1 200"):
            lost.append(answer)
        begun.append(1)
        if select.select([s], [], [], 0.3)[0]: # in the gap
            assert s.recv(1) == b""
            ended.append(1)
            return
threads = [threading.Thread(target=client) for _ in range(10)]
for t in threads:
    t.start()
while len(begun) < 10:
    time.sleep(0.01)
open(flag + ".up", "w").close()
for t in threads:
    t.join()
assert not lost, lost
assert len(ended) == 10
open(flag + ".ended", "w").close()
PYTHON

relsup upgrade "$two" --drain 100s >"$WORK/upgrade.log" 2>&1 &
upgrade=$!
OWN_PIDS+=("$upgrade")
wait_until 50 test -e "$WORK/paced.ended"
assert_eq draining "$(state)" "the stream is still under way"
touch "$WORK/stream.enough"
wait "$upgrade" || fail "the upgrade: $(cat "$WORK/upgrade.log")"
assert_match '10 idle connections were ended' "$(cat "$WORK/upgrade.log")"
[[ $(cat "$WORK/upgrade.log") != *" cut after"* ]] || fail "nothing was cut: $(cat "$WORK/upgrade.log")"

# A connection that speaks something else hears its server's last word, whether it is quiet or not.
clients talks <<'PYTHON'
import socket, sys
port, flag = int(sys.argv[1]), sys.argv[2]
talks = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
for s in talks:
    s.sendall(b"GET /talk HTTP/1.1\r\nhost: x\r\nupgrade: talk\r\nconnection: upgrade\r\n\r\n")
    assert s.recv(1000).startswith(b"HTTP/1.1 101")
open(flag + ".up", "w").close()
for s in talks:
    last = b""
    while True:
        got = s.recv(1000)
        if not got:
            break
        last += got
    assert last == b"goodbye\n", last
open(flag + ".ended", "w").close()
PYTHON
assert_exit 0 relsup upgrade "$one" --drain 100s --json
assert_eq 0 "$(field requests_cut <"$WORK/out")" "requests cut"
wait_until 10 test -e "$WORK/talks.ended"

# Requests that are not answered in time are counted, and told to whoever asked and to whoever asks later.
for i in 1 2 3 4 5; do
    curl -sS --max-time 100 "http://127.0.0.1:$PORT/slow/90000" >"$WORK/slow.$i" 2>&1 &
    OWN_PIDS+=($!)
done
clients answered <<'PYTHON' # and one that has its answer
import socket, sys
port, flag = int(sys.argv[1]), sys.argv[2]
s = socket.create_connection(("127.0.0.1", port))
s.sendall(b"GET /version HTTP/1.1\r\nhost: x\r\n\r\n")
assert s.recv(1000).startswith(b"HTTP/1.1 200")
open(flag + ".up", "w").close()
assert s.recv(1000) == b""
PYTHON
six_connections() {
    [ "$(ss -Htn state established "( sport = :$PORT )" | wc -l)" = 6 ]
}
wait_until 10 six_connections
assert_exit 0 relsup upgrade "$two" --drain 1s
assert_match '5 requests were cut after 1[.0-9]* s' "$(cat "$WORK/out")"
assert_match '5 requests were cut after 1[.0-9]* s' "$(relsup history)"
assert_eq 5 "$(relsup history --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["history"][-1]["requests_cut"])')"
end_depot
