#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The probes of relsup.json look at what was changed in place: one that fails puts old code and old states back, and
# whoever was started meanwhile by the new code goes on by the old one.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

server() { # VERSION N HEALTHY
    supervised_app "$1" "$2"
    module "$1" hx/hx_sup <<ERL
-behaviour(supervisor).
-export([start_link/0, init/1]).
start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
init([]) -> {ok, {#{strategy => simple_one_for_one, intensity => $2},
    [#{id => x, start => {hx_srv, start_link, []}, restart => transient}]}}.
ERL
    module "$1" hx/hx_srv <<ERL
-behaviour(gen_server).
-export([start_link/1, init/1, handle_call/3, handle_cast/2, code_change/3, healthy/0]).
start_link(N) -> gen_server:start_link({local, N}, ?MODULE, [], []).
init([]) -> {ok, {$2, 0}}.
handle_call(get, _, {$2, N}) -> {reply, {$2, N + 1}, {$2, N + 1}}.
handle_cast(_, S) -> {noreply, S}.
code_change({down, _}, {2, N}, _) -> {ok, {1, N}};
code_change(_, {_, N}, _) -> {ok, {$2, N}}.
healthy() -> $3.
ERL
}
server 0.1.0 1 true
# it starts one more server while it is looked at, and then is not well
server 0.2.0 2 '
    case whereis(hx_born) of
        undefined -> supervisor:start_child(hx_sup, [hx_born]), [gen_server:call(P, get) || P <- [hx_a, hx_born]], false;
        _ -> false
    end'
server 0.3.0 3 true
one=$(release 0.1.0) two=$(release 0.2.0) three=$(release 0.3.0)
mkdir -p "$RELSUP_HOME"
echo '{"health": [{"type": "rpc", "expr": "hx_srv:healthy()", "interval_s": 0.1, "failures": 2}]}' >"$RELSUP_HOME/relsup.json"
start_home "$one"
ask '[supervisor:start_child(hx_sup, [N]) || N <- [hx_a, hx_b]]' >"$WORK/out"
assert_eq '[{1,1},{1,1}]' "$(ask '[gen_server:call(P, get) || P <- [hx_a, hx_b]]')"
assert_exit 3 hot "$two"
assert_match 'it did not pass its probe: hx_srv:healthy\(\) is false' "$(cat "$WORK/err")"
assert_eq '[{1,2},{1,2},{1,2}]' "$(ask '[gen_server:call(P, get) || P <- [hx_a, hx_b, hx_born]]')"
all_run
assert_eq 0.1.0 "$(ls "$RELSUP_HOME/releases")"
assert_match 'upgrade +refused +0.1.0 -> 0.2.0' "$(relsup history)"
assert_exit 0 hot "$three"
assert_eq '[{3,3},{3,3},{3,3}]' "$(ask '[gen_server:call(P, get) || P <- [hx_a, hx_b, hx_born]]')"
end_home
