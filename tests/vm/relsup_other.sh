#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The other peer: each has a cookie of its own and a port that OTP does not find, and yet the two connect by name, in both
# directions, once the candidate is proved and one of them asks for it; not before, and to nobody who took the port of a
# peer that is gone (docs/face.md).
. "$(dirname "$0")/../support/lib.sh"

PORT=$(free_port)
export PORT RELSUP_HOME=$WORK/home
one=$(build_release shop 0.1.0 relpack)
two=$(build_release shop 0.2.0 relpack)

holding() {
    [ "$(relsup status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["state"])')" = holding ]
}

ask() {
    relsup rpc --print "$1"
}

is() { # ANSWER EXPR
    [ "$(ask "$2")" = "$1" ]
}

port_of() { # PID
    tr '\0' '\n' <"/proc/$1/cmdline" | grep -A 1 -x -e -erl_epmd_port | tail -1
}

# In both directions; the second time it is the other one that dials.
connects() { # OWN OTHER
    assert_eq '[]' "$(ask 'nodes(connected) -- nodes(hidden).')" "nobody is connected before somebody asks for it"
    assert_eq pong "$(ask "net_adm:ping($2).")"
    assert_eq "$2" "$(ask "erpc:call($2, erlang, node, []).")"
    ask "{ok, _} = erpc:call($2, timer, apply_after, [500, net_adm, ping, [$1]]), erlang:disconnect_node($2)." >/dev/null
    wait_until 10 is "[$2]" 'nodes().'
}

install -d -m 700 "$RELSUP_HOME"
start_bg relsup relsup run "$one" --home "$RELSUP_HOME"
supervisor=$BG_PID
wait_until 40 running

# --- one that is never proved
echo '{"health": [{"type": "exec", "command": ["/bin/false"], "failures": 1, "timeout_s": 5}]}' >"$RELSUP_HOME/relsup.json"
assert_exit 3 relsup upgrade "$two" --boot 20
assert_eq true "$(ask 'erlang:get_cookie(shop_green@localhost) =:= erlang:get_cookie().')" "what it knows of one unproved"
assert_eq pang "$(ask 'net_adm:ping(shop_green@localhost).')"
rm "$RELSUP_HOME/relsup.json"

# --- one that is
assert_exit 0 relsup upgrade "$two" --hold
wait_until 10 holding
read -r own other < <(ask '{ok, #{node := N, other := O}} = relsup:peer(), [N, O].' | tr -d '[]' | tr , ' ')
assert_eq 'shop_blue@localhost shop_green@localhost shop_blue@localhost' "$own $other $(ask 'node().')"
wait_until 10 is true "erlang:get_cookie($other) =/= erlang:get_cookie()."
[ "$(md5sum "$RELSUP_HOME"/secret/peer-*/cookie | cut -d' ' -f1 | sort -u | wc -l)" = 2 ] || fail "both have one cookie"
assert_eq "{port,$(port_of "$(relsup pid)"),5}" \
    "$(ask 'erl_epmd:port_please("shop_green", {127,0,0,1}).')" "OTP takes its own port for that of every name"
connects "$own" "$other"
assert_eq "[$(ask "erlang:get_cookie($other)."),true]" "$(ask "[erpc:call($other, erlang, get_cookie, [$own]),
    erpc:call($other, erlang, get_cookie, []) =/= erlang:get_cookie($other)].")" "what they have in common, and that alone"
assert_exit 0 relsup abort
wait_until 20 running
assert_match 'other => undefined' "$(ask 'relsup:peer().')"
wait_until 10 is true "erlang:get_cookie($other) =:= erlang:get_cookie()."

# --- the next two: the one that serves now was a candidate itself
assert_exit 0 relsup upgrade "$two"
assert_exit 0 relsup upgrade "$one" --hold
wait_until 10 holding
wait_until 10 is true "erlang:get_cookie(shop_blue@localhost) =/= erlang:get_cookie()."
connects "$(ask 'node().')" shop_blue@localhost
assert_exit 0 relsup cutover
wait_until 20 running
wait_until 10 is true 'erlang:get_cookie(shop_green@localhost) =:= erlang:get_cookie().'

# --- it is gone, nobody is there to say so, and another user has its port
assert_exit 0 relsup upgrade "$two" --hold
wait_until 10 holding
wait_until 10 is true "erlang:get_cookie($other) =/= erlang:get_cookie()."
candidate=$(relsup status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["peers"][1]["pid"])')
port=$(port_of "$candidate")
kill -KILL "$supervisor"
wait_until 5 gone "$supervisor"
kill -KILL "$candidate"
wait_until 5 gone "$candidate"
if [ "$(id -u)" = 0 ]; then
    cat >"$WORK/thief.py" <<PYTHON
import os, socket
os.setuid(65534)
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", $port))
s.listen()
print("listens", flush=True)
c, _ = s.accept()
c.settimeout(10)
print("got", len(c.recv(1000)), flush=True)
PYTHON
    start_bg thief python3 "$WORK/thief.py"
    wait_until 10 grep listens "$WORK/thief.log"
fi
assert_eq pang "$(ask "net_adm:ping($other).")"
if [ "$(id -u)" = 0 ]; then
    wait_until 10 grep got "$WORK/thief.log"
    assert_eq "got 0" "$(tail -1 "$WORK/thief.log")" "what a thief of the port is told"
fi
start_bg again relsup run --home "$RELSUP_HOME"
wait_until 40 running
assert_exit 0 relsup stop
echo "connected in both directions in 2 swaps, not before a candidate is proved, not to a thief of its port"
