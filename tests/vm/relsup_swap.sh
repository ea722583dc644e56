#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A home from its first boot to its stop: swaps, a hot upgrade, releases that must not come in, a crash.
. "$(dirname "$0")/../support/lib.sh"

one=$(build_release shop 0.1.0 relpack)
two=$(build_release shop 0.2.0 relpack)
dies=$(build_release shop 0.2.0 relpack dies)
deaf=$(build_release shop 0.2.0 relpack deaf)
PORT=$(free_port)
export PORT RELSUP_HOME=$WORK/home

answers() {
    [ "$(http version)" = "$1" ]
}

assert_exit 2 relsup upgrade "$two"
assert_match 'No such file' "$(cat "$WORK/err")"
assert_exit 2 relsup run "$WORK/nothing.tar.gz" --home "$WORK/empty"
[ ! -e "$WORK/empty/current" ] || fail "a missing tarball left a current"

start_bg relsup relsup run "$one" --home "$RELSUP_HOME"
supervisor=$BG_PID
wait_until 30 answers "shop 0.1.0"
wait_until 10 running
first=$(relsup pid)
assert_eq "$first" "$(http pid)" "pid"
assert_eq 600 "$(stat -c %a "$RELSUP_HOME/run/control.sock")" "mode of the control socket"
assert_eq 400 "$(stat -c %a "$RELSUP_HOME/secret/peer-1/cookie")" "mode of the cookie"
if grep -lsF -- "$(cat "$RELSUP_HOME/secret/peer-1/cookie")" /proc/[0-9]*/cmdline; then
    fail "the cookie is on a command line"
fi
assert_exit 2 relsup run --home "$RELSUP_HOME"
assert_match 'another supervisor' "$(cat "$WORK/err")"

# Whoever must not come in changes nothing.
head -c 1000 "$two" >"$WORK/short.tar.gz"
assert_exit 2 relsup upgrade "$WORK/short.tar.gz"
: >"$WORK/void.tar.gz"
assert_exit 2 relsup upgrade "$WORK/void.tar.gz"
tar -C "$RELPACK_SOURCE" -czf "$WORK/other.tar.gz" README.md
assert_exit 2 relsup upgrade "$WORK/other.tar.gz"
assert_exit 3 relsup upgrade "$dies"
assert_match 'the old one serves' "$(cat "$WORK/err")"
assert_exit 3 relsup upgrade "$deaf" --boot 15s
assert_match 'does not listen on' "$(cat "$WORK/err")"
assert_eq "$first" "$(relsup pid)" "the first peer still serves"
answers "shop 0.1.0" || fail "the old one does not answer"

# A swap, while it is asked.
load --url "http://127.0.0.1:$PORT/version" --rate 100 --seconds 6 --json >"$WORK/load.json" &
OWN_PIDS+=($!)
loader=$!
assert_exit 0 relsup upgrade "$two"
wait "$loader" || true
answers "shop 0.2.0" || fail "the new one does not answer"
second=$(relsup pid)
[ "$first" != "$second" ] || fail "the peer is the same"
gone "$first" || fail "the old peer still runs"
assert_eq "releases/0.2.0" "$(readlink "$RELSUP_HOME/current")" "current"
assert_eq "$second" "$("$RELSUP_HOME/current/bin/shop" pid)" "pid by the launcher"
python3 - "$WORK/load.json" <<'PYTHON'
import json, sys
load = json.load(open(sys.argv[1]))
# without steering a connection that waits in a closing queue may be lost: few, never many
assert load["ok"] > 0.99 * load["sent"], load
PYTHON

# In place, and back.
http count >/dev/null
count=$(relsup rpc 'shop_counter:value().' --print)
assert_exit 0 relsup upgrade --hot "$one"
assert_eq "$second" "$(relsup pid)" "the process goes on"
answers "shop 0.1.0" || fail "the code is not changed"
assert_eq "$count" "$(relsup rpc 'shop_counter:value().' --print)" "the state is kept"
assert_eq "releases/0.1.0" "$(readlink "$RELSUP_HOME/current")" "current after the hot upgrade"
assert_exit 0 relsup rollback 0.2.0
answers "shop 0.2.0" || fail "rollback"

# Two at once: one of them is told to come again.
relsup restart >"$WORK/restart.log" 2>&1 &
restart=$!
wait_until 10 bash -c '! relsup status | grep "state *running" >/dev/null'
assert_exit 2 relsup upgrade "$one"
assert_match 'try again' "$(cat "$WORK/err")"
wait "$restart" || fail "restart"

# A folder; and another build of a version that is there, even when only its configuration differs.
mkdir "$WORK/unpacked"
tar -C "$WORK/unpacked" -xzf "$two"
echo "[{shop, [{built, again}]}]." >"$WORK/unpacked/releases/0.2.0/sys.config"
assert_exit 0 relsup upgrade "$WORK/unpacked"
assert_match '^releases/0\.2\.0\+[0-9a-f]{8}$' "$(readlink "$RELSUP_HOME/current")"
again=$(readlink "$RELSUP_HOME/current")
assert_exit 0 relsup upgrade "$WORK/unpacked"
assert_eq "$again" "$(readlink "$RELSUP_HOME/current")" "the same build is the same release"
assert_exit 0 relsup rollback 0.2.0

# A crash of the peer, then of the supervisor.
kill -KILL "$(relsup pid)"
wait_until 30 answers "shop 0.2.0"
wait_until 10 running
orphan=$(relsup pid)
own_pid "$orphan"
kill -KILL "$supervisor"
wait_until 5 gone "$supervisor"
start_bg again relsup run --home "$RELSUP_HOME"
supervisor=$BG_PID
wait_until 40 running
gone "$orphan" || fail "the orphan still runs"
answers "shop 0.2.0" || fail "after the crash of the supervisor"

last=$(relsup pid)
assert_exit 0 relsup stop
gone "$last" || fail "stop returned before the peer was gone"
wait_until 5 gone "$supervisor"
assert_exit 2 relsup status
relsup history | grep 'rollback *done' >/dev/null || fail "the history lacks the rollback"
