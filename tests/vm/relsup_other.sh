#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a peer can do with the name of the other one: each knows it, nobody has the other's cookie, and with that and an
# address they connect (docs/face.md).
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

start_bg relsup relsup run "$one" --home "$RELSUP_HOME"
wait_until 40 running
start_bg upgrade relsup upgrade "$two" --hold
wait_until 40 holding
assert_match 'node => shop_blue@localhost,other => shop_green@localhost' "$(ask 'relsup:peer().')"
cookie=$(cat "$RELSUP_HOME/secret/peer-2/cookie")
[ "$cookie" != "$(cat "$RELSUP_HOME/secret/peer-1/cookie")" ] || fail "both have one cookie"
assert_eq false "$(ask "lists:member('$cookie', [erlang:get_cookie(), erlang:get_cookie(shop_green@localhost)]).")"
assert_eq "{port,$(ask 'list_to_integer(hd(hd(element(2, init:get_argument(erl_epmd_port))))).'),5}" \
    "$(ask 'erl_epmd:port_please("shop_green", {127,0,0,1}).')" "OTP takes its own port for that of every name"

# an application that brings both
candidate=$(relsup status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["peers"][1]["pid"])')
address=$(tr '\0' '\n' <"/proc/$candidate/cmdline" | grep -A 1 -x -e -erl_epmd_port | tail -1)
cat >"$WORK/erl_epmd.erl" <<ERL
-module(erl_epmd).
-export([address_please/3]).
address_please(_, _, _) -> {ok, {127,0,0,1}, $address, 5}.
ERL
erlc -o "$WORK" "$WORK/erl_epmd.erl"
assert_eq '{true,shop_green@localhost}' "$(ask "code:unstick_mod(erl_epmd), {ok, B} = file:read_file(\"$WORK/erl_epmd.beam\"),
    {module, _} = code:load_binary(erl_epmd, \"x\", B), erlang:set_cookie(shop_green@localhost, '$cookie'),
    {net_kernel:connect_node(shop_green@localhost), erpc:call(shop_green@localhost, erlang, node, [])}.")"
assert_exit 0 relsup abort
assert_exit 0 relsup stop
