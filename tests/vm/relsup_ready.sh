#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# "running", READY=1 and exit 0 of an upgrade mean that the application listens and answers: where the settings say, where
# the old one does, or where it did when it ran last. What it gave up on purpose, and what the kernel chose, is not
# waited for.
. "$RELPACK_SOURCE/tests/support/lib.sh"
need_ns "$@"
. "$RELPACK_SOURCE/tests/support/depot.sh"
mkdir -m 0700 "$RELSUP_HOME"
LATE='{listen_after, 2500}'
settings() {
    printf '%s\n' "$1" >"$RELSUP_HOME/relsup.json"
}

# READY=1 is heard by whoever stands in for the service manager; the time of the first one is in $WORK/ready
python3 - "$WORK/notify" "$WORK/ready" <<'PYTHON' &
import socket, sys, time, urllib.request
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while b"READY=1" not in s.recv(4096):
    pass
try:
    said = urllib.request.urlopen("http://127.0.0.1:20080/version", timeout=5).read().decode()
except OSError as e:
    said = str(e)
open(sys.argv[2], "w").write(said)
PYTHON
own_pid $!
wait_until 10 test -S "$WORK/notify"

# 1. the first boot, with the port in the settings
settings '{"ports": [20080]}'
NOTIFY_SOCKET=$WORK/notify start_depot "$(depot 0.1.0 "$LATE")"
assert_match 'depot 0.1.0' "$(get version)" "as soon as it is said to run"
wait_until 10 test -s "$WORK/ready"
assert_match 'depot 0.1.0' "$(cat "$WORK/ready")" "as soon as READY=1 is said"

# 2. without settings, an upgrade is compared with the one that serves ...
rm "$RELSUP_HOME/relsup.json"
assert_exit 0 relsup upgrade "$(depot 0.2.0 "$LATE, {listen, [{inet, 1, 1}, {inet, 2, 1}, {inet, 0, 1}]}")"
assert_match 'depot 0.2.0' "$(get version)"
noted() {
    grep -q '"port":20081' "$RELSUP_HOME/run/listens.json"
}
wait_until 20 noted

# 3. ... and the next start with its last run
end_depot
start_depot "$WORK"
assert_match 'depot 0.2.0' "$(get version)" "as soon as it is said to run again"
assert_match 'depot 0.2.0' "$(get version 20081)" "its second port, as soon as it is said to run again"

# 4. a port that is given up must be given up in the settings; the kernel's own choice is never waited for
settings '{"boot_s": 12}'
assert_exit 3 relsup upgrade "$(depot 0.3.0 '{listen, [{inet, 1, 1}, {inet, 0, 1}]}')"
assert_match 'does not listen on 127.0.0.1:20081' "$(cat "$WORK/err")"
rm "$RELSUP_HOME/relsup.json"
fourth=$(depot 0.4.0 '{listen, [{inet, 1, 1}, {inet, 0, 1}]}')
echo '{"ports": [20080]}' >"$fourth/relsup.json"
assert_exit 0 relsup upgrade "$fourth" --soak 1.5
assert_match 'depot 0.4.0' "$(get version)"
assert_exit 7 curl -sS "http://127.0.0.1:20081/version"

# 5. it listens and nobody accepts; its start fails: neither is ever said to run
settings '{"boot_s": 10, "ports": [20080]}'
assert_exit 3 relsup upgrade "$(depot 0.5.0 '{mode, deaf}')"
assert_match 'accepts no connection' "$(cat "$WORK/err")"
assert_exit 3 relsup upgrade "$(depot 0.6.0 '{mode, refuses}')"
end_depot
settings '{"boot_s": 12}'
rm -rf "$RELSUP_HOME/releases/0.1.0" "$RELSUP_HOME/releases/0.2.0" # or these would be booted instead
for mode in deaf refuses; do
    echo "[{depot, [{mode, $mode}]}]." >"$RELSUP_HOME/releases/0.4.0/releases/0.4.0/sys.config"
    assert_exit 1 env NOTIFY_SOCKET="$WORK/never" relsup run
done

# 6. told another port, it is not waited for on the old one
echo "[{depot, [{listen, [{inet, 2, 1}]}]}]." >"$RELSUP_HOME/releases/0.4.0/releases/0.4.0/sys.config"
settings '{"boot_s": 600}'
start_depot "$WORK"
assert_match 'depot 0.4.0' "$(get version 20081)"
end_depot
settings '{"boot_s": 12}'

# 7. what it listened on last does not come back: served without it rather than not at all, and loudly
echo "[{depot, [{listen, []}]}]." >"$RELSUP_HOME/releases/0.4.0/releases/0.4.0/sys.config"
start_depot "$WORK"
grep -q 'SERVES WITHOUT ALL OF ITS PORTS: it does not listen on 127.0.0.1:2008[01], as it did' "$WORK/relsup.log" ||
    fail "nothing was said of the port that is missing"
end_depot
