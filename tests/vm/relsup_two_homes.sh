#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two homes on one port, and a stranger on it: the second is refused and says who has the port, and the first one loses
# nothing.
. "$RELPACK_SOURCE/tests/support/lib.sh"
need_ns "$@"
. "$RELPACK_SOURCE/tests/support/depot.sh"
first=$RELSUP_HOME
second=$WORK/second
release=$(depot 0.1.0)

at() {
    local home=$1

    shift
    RELSUP_HOME=$home "$@"
}

running_at() {
    [ "$(at "$1" state 2>/dev/null)" = running ]
}

# second_refused PATTERN: it does not start, says who has the port, and no request to the first one fails or is answered
# by another than the first one's VM
second_refused() {
    local loader pid

    pid=$(at "$first" relsup pid)
    rm -f "$WORK/enough"
    load --url "http://127.0.0.1:20080/pid" --rate 500 --seconds 60 --until-file "$WORK/enough" --json >"$WORK/load.json" &
    loader=$!
    OWN_PIDS+=("$loader")
    assert_exit 2 env RELSUP_HOME="$second" relsup run "$release"
    touch "$WORK/enough"
    wait "$loader" || true
    assert_match "$1" "$(tail -n 1 "$WORK/err")"
    echo "$(field sent <"$WORK/load.json") requests, $(failed_of "$WORK/load.json") failed, $(answers_of "$WORK/load.json" "$pid") by the first"
    assert_eq 0 "$(failed_of "$WORK/load.json")" "failed requests"
    assert_eq "$(field sent <"$WORK/load.json")" "$(answers_of "$WORK/load.json" "$pid")" "answers of the first one"
    [ -z "$(at "$second" relsup releases)" ] || [ "${2:-}" = knows ] || fail "the release stayed"
}

# 1. nothing is known of the second one
start_depot "$release"
pid=$(relsup pid)
second_refused "its port \\(eaddrinuse: process $pid of root listens on 127.0.0.1:20080 already, for the home $first\\)"

# 2. it is known: refused before anything is booted
end_depot
start_bg second env RELSUP_HOME="$second" relsup run "$release"
other=$BG_PID
wait_until 40 running_at "$second"
wait_until 20 test -s "$second/run/listens.json"
at "$second" relsup stop --quiet
wait_until 20 gone "$other"
start_depot "$release"
pid=$(relsup pid)
logs=$(find "$second/log" -name 'peer-*' | wc -l)
second_refused "process $pid of root listens on 127.0.0.1:20080 already, for the home $first: end that one" knows
assert_eq "$logs" "$(find "$second/log" -name 'peer-*' | wc -l)" "peers that were booted"

# 3. by settings, although nothing was known
rm "$second/run/listens.json"
echo '{"ports": [20080]}' >"$second/relsup.json"
second_refused "process $pid of root listens on 127.0.0.1:20080 already" knows
assert_eq "$logs" "$(find "$second/log" -name 'peer-*' | wc -l)" "peers that were booted"

# 4. an upgrade of the second one to the port of the first one
rm "$second/relsup.json" && rm -rf "$second"
start_bg second env RELSUP_HOME="$second" relsup run "$(depot 0.2.0 '{listen, [{inet, 2, 1}]}')"
wait_until 40 running_at "$second"
assert_exit 3 env RELSUP_HOME="$second" relsup upgrade "$(depot 0.3.0 '{listen, [{inet, 2, 1}, {inet, 1, 1}]}')"
assert_match "eaddrinuse: process $pid of root listens on 127.0.0.1:20080 already, for the home $first" "$(cat "$WORK/err")"
assert_eq 127.0.0.1:20081 "$(ss -Hltn 'sport = :20081' | awk '{print $4}' | sort -u)"
assert_eq 1 "$(ss -Hltn 'sport = :20080' | wc -l)" "listeners on the first one's port"
at "$second" relsup stop --quiet
end_depot

# 5. a process of another user
[ "$(id -u)" = 0 ] || exit 0
setpriv --reuid 61843 --regid 61843 --clear-groups /usr/bin/python3 -c "
import socket, time
s = socket.socket()
s.bind(('0.0.0.0', 20080))
s.listen()
time.sleep(60)" 2>/dev/null &
stranger=$!
own_pid $stranger
listening() {
    [ -n "$(ss -Hltn 'sport = :20080')" ]
}
wait_until 10 listening || exit 0
wait_until 5 test -s "$first/run/listens.json"
assert_exit 2 relsup run
assert_match "process $stranger of (user 61843|[a-z]+) listens on 0.0.0.0:20080 already: end that one" "$(tail -n 1 "$WORK/err")"
