#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A process that began as something else and has become a sys loop of a module that changes, as the process of a
# connection becomes a WebSocket: its state is changed, up, down and back after a failure. A client that waits in a
# function of that module is none.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

app 0.1.0 hx 1 '{mod, {hx, []}}'
module 0.1.0 hx/hx <<'E'
-export([start/2, stop/1, init/1]).
start(_, _) -> supervisor:start_link(?MODULE, []).
stop(_) -> ok.
init([]) -> {ok, {#{}, []}}.
E
# The connection: what it is spawned with is of another module, and is not there any more.
module 0.1.0 hx/hx_conn <<'E'
-export([start/1, accept/2]).
start(Name) -> proc_lib:start(?MODULE, accept, [self(), Name]).
accept(Parent, Name) ->
    register(Name, self()),
    proc_lib:init_ack(Parent, {ok, self()}),
    hx_ws:upgrade(Parent, Name).
E
module 0.1.0 hx/hx_ws <<'E'
-vsn(1).
-export([upgrade/2, loop/2, ask/1, never/0, system_continue/3, system_terminate/4, system_code_change/4]).
upgrade(Parent, Name) -> loop(Parent, {one, Name, 0}).
loop(Parent, S) ->
    receive
        {system, From, Request} -> sys:handle_system_msg(Request, From, Parent, ?MODULE, [], S);
        {ask, From} -> From ! {answer, S}, loop(Parent, setelement(3, S, element(3, S) + 1))
    end.
ask(Name) -> Name ! {ask, self()}, receive {answer, S} -> S end.
never() -> receive never_comes -> ok end.
system_continue(Parent, _, S) -> loop(Parent, S).
system_terminate(Reason, _, _, _) -> exit(Reason).
system_code_change({_, Name, N}, _, _, _) -> {ok, {one, Name, N}}.
E
for version in 0.2.0 0.3.0; do
    same 0.1.0 $version
    echo $version >"$SOURCES/$version/hx/vsn"
done
sed -i "s/{one,/{two,/; s/-vsn(1)/-vsn(2)/; s/_, _, _) -> {ok, {two, Name, N}}/_, {down, _}, _) -> {ok, {one, Name, N}};\nsystem_code_change({_, Name, N}, _, _, _) -> {ok, {two, Name, N}}/" "$SOURCES/0.2.0/hx/hx_ws.erl"
sed -i 's/-vsn(1)/-vsn(3)/; s/^system_code_change({_, Name, N}, _, _, _) -> .*/system_code_change({_, second, _}, _, _, _) -> error(planned);\nsystem_code_change(S, _, _, _) -> {ok, S}./' \
    "$SOURCES/0.3.0/hx/hx_ws.erl"
one=$(release 0.1.0) two=$(release 0.2.0) three=$(release 0.3.0)

start_home "$one"
ask '[hx_conn:start(N) || N <- [first, second]]' >/dev/null
pids=$(ask '[whereis(N) || N <- [first, second]]')
answers() { # TAG N
    assert_eq "[{$1,first,$2},{$1,second,$2}]" "$(ask '[hx_ws:ask(N) || N <- [first, second]]')"
    assert_eq "$pids" "$(ask '[whereis(N) || N <- [first, second]]')" "the same processes"
}
answers one 0
assert_exit 0 hot --dry-run "$two"
assert_match '2 special of hx_ws' "$(cat "$WORK/out")"
assert_exit 3 hot "$three"
assert_match 'planned' "$(cat "$WORK/err")"
answers one 1
assert_exit 0 hot "$two"
answers two 2
assert_exit 0 relsup rollback --hot
answers one 3

# in there, but no loop of it: spawned by proc_lib, with a frame of its own beneath
ask 'register(client, proc_lib:spawn(erlang, apply, [fun() -> hx_ws:never(), ok end, []]))' >/dev/null
assert_exit 0 hot --dry-run "$two"
assert_match '2 special of hx_ws' "$(cat "$WORK/out")"
all_run
end_home
