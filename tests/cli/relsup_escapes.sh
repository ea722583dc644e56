#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a release, or whoever asks the application, has put into the history or a log does nothing to the terminal of who
# reads it: controls are shown, the colours of a log stay, and a pipe gets the bytes as they are.
. "$(dirname "$0")/../support/lib.sh"

home=$WORK/home
install -d -m 700 "$home" "$home/log" "$home/run" "$home/releases" "$home/releases/"$'0.1.0\e[2J'
python3 - "$home" <<'PYTHON'
import json, os, sys
home = sys.argv[1]
entry = {"at": "2026-01-01T00:00:00.000Z", "what": "upgrade", "outcome": "refused", "from": "0.1.0\x1b[2J",
         "to": "0.2.0", "reason": "no\nfake line\u009b2J\x1b]0;title\x07"}
open(home + "/log/history.jsonl", "w").write(json.dumps(entry) + "\n")
open(home + "/log/peer-1.log", "wb").write(b"\x1b[31mred\x1b[0m \x1b[2J\x07\xff\nlast \x1b]52;c;eA==\x07")
contact = {"node": "a@localhost", "port": 1, "cookie_file": "/", "pid": 1, "pid_start": 1, "root": "/", "name": "a",
           "version": "1", "generation": 1, "elixir": False, "v": 1}
open(os.open(home + "/run/active.json", os.O_CREAT | os.O_WRONLY, 0o600), "w").write(json.dumps(contact))
PYTHON

relsup history --home "$home" >"$WORK/out"
assert_eq 1 "$(wc -l <"$WORK/out")" "lines of a history of one"
assert_match 'refused  0\.1\.0\\x1b\[2J -> 0\.2\.0  no\\nfake line\\xc2\\x9b2J\\x1b\]0;title\\x07$' "$(cat "$WORK/out")"
relsup releases --home "$home" >"$WORK/out"
assert_match '0\.1\.0\\x1b\[2J' "$(cat "$WORK/out")"

relsup logs --home "$home" >"$WORK/out"
cmp "$WORK/out" "$home/log/peer-1.log" || fail "a pipe gets other bytes"
python3 - "$home" >"$WORK/out" <<'PYTHON'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execvp("relsup", ["relsup", "logs", "--home", sys.argv[1]])
got = b""
try:
    while True:
        got += os.read(fd, 4096)
except OSError:
    pass
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, got
sys.stdout.buffer.write(got.replace(b"\r\n", b"\n"))
PYTHON
assert_eq $'\e[31mred\e[0m \\x1b[2J\\x07\\xff\nlast \\x1b]52;c;eA==\\x07' "$(cat "$WORK/out")" "a log on a terminal"
