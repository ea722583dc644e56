#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A stranger has the port: the first boot ends with one line that says so, and nothing stays.
. "$(dirname "$0")/../support/lib.sh"

tarball=$(build_release shop 0.1.0 relpack)
PORT=$(free_port)
export PORT
start_bg stranger python3 -c "import socket, time
s = socket.socket()
s.bind(('127.0.0.1', $PORT))
s.listen()
time.sleep(120)"
wait_until 10 bash -c "exec 3<>/dev/tcp/127.0.0.1/$PORT"
assert_exit 2 timeout 60 relsup run "$tarball" --home "$WORK/home"
assert_match "another program has its port \\(eaddrinuse: process $BG_PID of [a-z0-9]+ listens on 127.0.0.1:$PORT already" \
    "$(tail -n 1 "$WORK/err")"
[ ! -e "$WORK/home/current" ] || fail "current points at a release that never ran"
[ ! -e "$WORK/home/releases/0.1.0" ] || fail "the release stayed"
