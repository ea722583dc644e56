#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What rpc must not do to a node and its host: leave atoms, show the cookie, talk to a stranger, wait for ever.
# shellcheck disable=SC2016 # the expressions are not the shell's
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/fake_release.sh"

fake_release shop erlang "$WORK/erl"
export RELEASE_TMP=$WORK/tmp
shop=$WORK/erl/bin/shop
contact=$RELEASE_TMP/shop.contact.json
cookie_file=$RELEASE_TMP/secret/cookie

# --- many at once on a node that has not seen the agent: it is loaded without killing anybody
"$shop" daemon
pid=$("$shop" pid)
own_pid "$pid"
clients=()
for n in $(seq 12); do
    "$shop" rpc --print "timer:sleep(1000), $n" >"$WORK/many.$n" 2>&1 &
    clients+=($!)
done
for n in $(seq 12); do
    wait "${clients[n - 1]}" || fail "client $n: $(cat "$WORK/many.$n")"
    assert_eq "$n" "$(cat "$WORK/many.$n")"
done

# --- ten thousand calls (a sanitizer makes each take many times as long: a thousand) leave no new atom (the first ones fill the pool of dynamic names)
calls() {
    local i

    for ((i = 0; i < $1; i++)); do
        "$WORK/erl/bin/relctl" rpc --contact "$contact" 'io:format("x"), ok' >/dev/null
    done
}
case $RELPACK_BUILD in
*[at]san*) n=${RPC_CALLS:-1000} ;;
*) n=${RPC_CALLS:-10000} ;;
esac
calls 50
before=$("$shop" rpc --print 'erlang:system_info(atom_count)')
calls "$n"
after=$("$shop" rpc --print 'erlang:system_info(atom_count)')
assert_eq "$before" "$after" "atoms after $n calls"
few_processes() {
    [ "$("$shop" rpc --print 'erlang:system_info(process_count)')" -lt 100 ]
}
wait_until 10 few_processes

# --- the cookie shows nowhere but in its file
cookie=$(cat "$cookie_file")
assert_eq 400 "$(stat -c %a "$cookie_file")"
assert_eq 600 "$(stat -c %a "$contact")"
assert_eq 700 "$(stat -c %a "$RELEASE_TMP/secret")"
"$shop" rpc 'timer:sleep(60000)' >/dev/null 2>&1 &
own_pid $!
mkfifo "$WORK/keys"
exec 5<>"$WORK/keys"
script -qefc "'$shop' remote" "$WORK/shell" <&5 >/dev/null 2>&1 &
own_pid $!
wait_until 10 grep -q '(shop@localhost)1>' "$WORK/shell"
# (-f: grep's own command line must not hold it; its status is 2 when a process has ended meanwhile)
seen=$(grep -a -l -F -f "$cookie_file" /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null) || true
assert_eq '' "$seen" "command lines and environments with the cookie"
if grep -q -F -f "$cookie_file" "$contact" "$RELEASE_TMP"/log/*; then
    fail "the cookie is in the contact file or in a log"
fi

# --- nothing of the node listens beyond loopback
ss -Hltnp | grep "pid=$pid," | awk '{print $4}' | while read -r address; do
    assert_match '^127\.0\.0\.1:' "$address" "listener"
done

# --- one clear line each: wrong cookie, another node, nobody, a stranger that says nothing
one_line() {
    assert_eq 1 "$(wc -l <"$WORK/err")" "lines on stderr"
    assert_match "$1" "$(cat "$WORK/err")"
}
relctl=$WORK/erl/bin/relctl
echo WRONG >"$WORK/wrong"
sed "s#$cookie_file#$WORK/wrong#" "$contact" >"$WORK/c.json"
assert_exit 1 "$relctl" rpc --contact "$WORK/c.json" 1
one_line 'refuses the cookie'
sed 's#shop@localhost#other@localhost#' "$contact" >"$WORK/c.json"
assert_exit 1 "$relctl" rpc --contact "$WORK/c.json" 1
one_line 'node shop@localhost answers there'
sed "s#\"port\": [0-9]*#\"port\": $(free_port)#" "$contact" >"$WORK/c.json"
assert_exit 1 "$relctl" rpc --contact "$WORK/c.json" 1
one_line 'nothing listens on port'
start_bg mute python3 -c 'import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
print(s.getsockname()[1], flush=True); time.sleep(60)'
wait_until 5 test -s "$WORK/mute.log"
sed "s#\"port\": [0-9]*#\"port\": $(cat "$WORK/mute.log")#" "$contact" >"$WORK/c.json"
assert_exit 1 "$relctl" ping --contact "$WORK/c.json" --timeout 300ms
one_line "what listens on port .* it belongs to user $(id -un) \(process $BG_PID\)"
sed -i "s#\"pid\": [0-9]*#\"pid\": $BG_PID#; s#\"pid_start\": [0-9]*#\"pid_start\": 0#" "$WORK/c.json"
assert_exit 1 "$relctl" ping --contact "$WORK/c.json" --timeout 300ms
one_line 'does not answer in time'
rm "$cookie_file"
assert_exit 1 "$shop" ping
one_line 'the cookie cannot be read'
echo '{"node": 1}' >"$WORK/c.json"
assert_exit 2 "$relctl" ping --contact "$WORK/c.json"
one_line 'is no contact file'

# --- a stopped process answers nothing: the deadline holds
printf %s "$cookie" >"$cookie_file"
kill -STOP "$pid"
assert_exit 1 "$shop" rpc 1 --timeout 500ms
kill -CONT "$pid"
one_line 'in time'
assert_exit 0 "$shop" stop
