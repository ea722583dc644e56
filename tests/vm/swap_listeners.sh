#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Listeners of all kinds: both families, several ports, several sockets a port that change in number, listeners that
# are closed and opened again in the middle of a swap; and what cannot be taken over.
. "$(dirname "$0")/../support/lib.sh"
need_ns
. "$RELPACK_SOURCE/tests/support/depot.sh"
first_port=${PORTS%,*}
second_port=${PORTS#*,}

# under_load URL COMMAND...: succeeds with the command, and no request was lost meanwhile.
under_load() {
    local url=$1 loader

    shift
    load --url "$url" --rate 500 --seconds 60 --until-file "$WORK/enough" --json >"$WORK/load.json" &
    loader=$!
    OWN_PIDS+=("$loader")
    "$@"
    touch "$WORK/enough"
    wait "$loader" || true
    rm "$WORK/enough"
    assert_eq 0 "$(failed_of "$WORK/load.json")" "failed requests at $url"
}

# swap CONFIG CONFIG...: one after the other, each under load.
swap() {
    local url=$1 release n=1 config

    shift
    start_depot "$(depot 0.1.0 "$1")"
    shift
    for config in "$@"; do
        n=$((n + 1))
        release=$(depot "0.$n.0" "$config")
        under_load "$url" assert_exit 0 relsup upgrade "$release"
        assert_match 'cutover' "$(cat "$WORK/err")"
        assert_eq on "$(relsup status --json | field steering)" "steering"
    done
    end_depot
    rm -rf "$RELSUP_HOME"
}

v4=http://127.0.0.1:$first_port/version
swap "$v4" '{listen, [{inet, 1, 3}]}' '{listen, [{inet, 1, 1}]}' '{listen, [{inet, 1, 2}]}'
swap "http://127.0.0.1:$second_port/version" '{listen, [{any, 1, 1}, {inet, 2, 2}]}' '{listen, [{any, 1, 2}, {inet, 2, 1}]}'
swap "$v4" '{listen, [{dual, 1, 1}]}' '{listen, [{dual, 1, 1}]}'

# The application closes its listeners and opens them again while a candidate waits.
start_depot "$(depot 0.1.0 '{listen, [{inet, 1, 2}]}')"
assert_exit 0 relsup upgrade "$(depot 0.2.0 '{listen, [{inet, 1, 2}]}')" --hold
# What relsup saw before, such as the candidate's own sockets, does not count.
reopenings() {
    grep -c 'opened or closed a listening socket' "$WORK/relsup.log" || true
}
reopened() {
    [ "$(reopenings)" -gt "$seen" ]
}
seen=$(reopenings)
assert_exit 0 relsup rpc 'depot_http:reopen().'
wait_until 10 reopened
for _ in $(seq 100); do
    assert_eq "depot 0.1.0" "$(get version)" "after the reopening"
done
under_load "$v4" assert_exit 0 relsup cutover
assert_eq "depot 0.2.0" "$(get version)"
for _ in $(seq 100); do
    assert_eq "depot 0.2.0" "$(get version)"
done
end_depot
rm -rf "$RELSUP_HOME"

# A UDP port cannot be shared.
start_depot "$(depot 0.1.0 '{udp, 2}')"
assert_exit 3 relsup upgrade "$(depot 0.2.0 '{udp, 2}')"
assert_match "UDP port $second_port" "$(cat "$WORK/err")"

# Another process of this user in the group: its share could not be steered, so nothing is booted.
python3 - "$first_port" "$WORK/stranger" <<'PYTHON' &
import socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
open(sys.argv[2], "w").close()
time.sleep(60)
PYTHON
stranger=$!
own_pid "$stranger"
wait_until 10 test -e "$WORK/stranger"
assert_exit 2 relsup upgrade "$(depot 0.3.0)"
assert_match "process $stranger of root listens on 127.0.0.1:$first_port already" "$(cat "$WORK/err")"
kill "$stranger"
end_depot
