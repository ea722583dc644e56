#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whoever reads the supervisor's notes, and stops, does not hold it up; closed descriptors are opened first.
. "$(dirname "$0")/../support/lib.sh"
need_ns
. "$RELPACK_SOURCE/tests/support/depot.sh"

one=$(depot 0.1.0)

# A pipe of one page that nobody empties until $WORK/read is there.
cat >"$WORK/reader.py" <<'PYTHON'
import fcntl, os, sys, time
fifo, go, out = sys.argv[1:]
fd = os.open(fifo, os.O_RDONLY)
fcntl.fcntl(fd, 1031, 4096)  # F_SETPIPE_SZ
while not os.path.exists(go):
    time.sleep(0.05)
with open(out, "wb", buffering=0) as f:
    while chunk := os.read(fd, 65536):
        f.write(chunk)
PYTHON
# Orders that are refused, and noted, one after the other; each is answered.
cat >"$WORK/ask.py" <<'PYTHON'
import json, os, socket, sys
answers = 0
for i in range(int(sys.argv[1])):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(os.environ["RELSUP_HOME"] + "/run/control.sock")
    s.sendall(json.dumps({"v": 1, "cmd": "upgrade", "args": {"release": "/" + "x" * 300 + str(i)}}).encode() + b"\n")
    text = b""
    while chunk := s.recv(65536):
        text += chunk
    assert b'"error"' in text, text
    answers += 1
print(answers)
PYTHON
mkfifo "$WORK/fifo"
start_bg reader python3 "$WORK/reader.py" "$WORK/fifo" "$WORK/read" "$WORK/notes"
relsup run "$one" --home "$RELSUP_HOME" 2>"$WORK/fifo" </dev/null &
supervisor=$!
own_pid "$supervisor"
wait_until 40 running
assert_eq 400 "$(python3 "$WORK/ask.py" 400)" "orders that were answered"
running || fail "it does not answer"
assert_eq "depot 0.1.0" "$(get version)"
touch "$WORK/read"
wait_until 10 grep -qE '^warning: [0-9]+ lines were dropped' "$WORK/notes"
echo "400 orders answered behind a full pipe; $(grep -o '[0-9]* lines were dropped' "$WORK/notes" | head -1)"
assert_exit 0 relsup stop
wait_until 20 gone "$supervisor"

# Nobody reads when it ends, either.
rm "$WORK/read"
start_bg reader python3 "$WORK/reader.py" "$WORK/fifo" "$WORK/read" "$WORK/notes"
relsup run "$one" --home "$RELSUP_HOME" 2>"$WORK/fifo" </dev/null &
supervisor=$!
own_pid "$supervisor"
wait_until 40 running
assert_eq 50 "$(python3 "$WORK/ask.py" 50)"
assert_exit 0 relsup stop
wait_until 20 gone "$supervisor"

# Without standard descriptors nothing of ours takes their place.
relsup run --home "$RELSUP_HOME" 0<&- 1>&- 2>&- &
supervisor=$!
own_pid "$supervisor"
wait_until 40 running
for fd in 0 1 2; do
    assert_eq /dev/null "$(readlink "/proc/$supervisor/fd/$fd")" "descriptor $fd"
done
assert_exit 0 relsup stop
wait_until 20 gone "$supervisor"
for program in relpack relsup relctl; do
    "$program" --help 0<&- 1>&- 2>&- || fail "$program with its descriptors closed"
done
