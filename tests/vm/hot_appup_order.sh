#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An appup is followed in its author's order: a library that stops its acceptors, changes its supervisors and the server
# that they ask, one after the other, and starts them again serves on; what fails on the way leaves it as it was,
# with the processes that an `apply` had ended or started.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

PORT=$(free_port)

# The supervisors ask the directory in init/1; the acceptors are plain processes.
tap() { # VERSION VSN
    app "$1" tap "$2" "{mod, {tap_app, []}}"
    module "$1" tap/tap_app <<'ERL'
-behaviour(application).
-export([start/2, stop/1]).
start(_, _) -> tap_sup:start_link().
stop(_) -> ok.
ERL
    module "$1" tap/tap <<ERL
-export([stop_acceptors/0, start_acceptors/0, helper/0, raise/0, version/0, again/0]).
stop_acceptors() -> ok = supervisor:terminate_child(tap_listener_sup, acceptors).
start_acceptors() -> {ok, _} = supervisor:restart_child(tap_listener_sup, acceptors).
again() -> stop_acceptors(), start_acceptors().
helper() ->
    ets:new(tap_table, [named_table, public]),
    register(tap_helper, spawn_link(timer, sleep, [infinity])),
    register(tap_other, spawn(timer, sleep, [infinity])).
raise() -> error(meant).
version() -> $2.
ERL
    module "$1" tap/tap_sup <<'ERL'
-behaviour(supervisor).
-export([start_link/0, init/1]).
start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
init([]) ->
    {ok, {#{}, [#{id => dir, start => {tap_dir, start_link, []}},
                #{id => listener, start => {tap_listener_sup, start_link, []}, type => supervisor}]}}.
ERL
    module "$1" tap/tap_listener_sup <<'ERL'
-behaviour(supervisor).
-export([start_link/0, init/1]).
start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
init([]) ->
    ok = tap_dir:set(listener, self()),
    {ok, {#{intensity => 50}, [#{id => acceptors, start => {tap_acceptors_sup, start_link, []}, type => supervisor}]}}.
ERL
    module "$1" tap/tap_acceptors_sup <<'ERL'
-behaviour(supervisor).
-export([start_link/0, init/1]).
start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
init([]) ->
    ok = tap_dir:set(acceptors, self()),
    {ok, L} = gen_tcp:listen(tap_dir:get(port), [{active, false}, {reuseaddr, true}, {ip, {127, 0, 0, 1}}, {backlog, 256}]),
    {ok, {#{intensity => 100}, [#{id => N, start => {tap_acceptor, start_link, [L]}} || N <- lists:seq(1, 5)]}}.
ERL
    module "$1" tap/tap_acceptor <<ERL
-export([start_link/1, loop/1]).
start_link(L) -> {ok, spawn_link(?MODULE, loop, [L])}.
loop(L) ->
    {ok, S} = gen_tcp:accept(L),
    gen_tcp:send(S, "$2"),
    gen_tcp:close(S),
    ?MODULE:loop(L).
ERL
    module "$1" tap/tap_dir <<ERL
-behaviour(gen_server).
-export([start_link/0, set/2, get/1, init/1, handle_call/3, handle_cast/2, code_change/3]).
start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).
set(K, V) -> gen_server:call(?MODULE, {set, K, V}).
get(K) -> gen_server:call(?MODULE, {get, K}).
init([]) -> {ok, {$2, #{port => $PORT}, []}}.
handle_call({set, K, V}, _, {$2, M, L}) -> {reply, ok, {$2, M#{K => V}, L}};
handle_call({get, changes}, _, {$2, _, L} = S) -> {reply, L, S};
handle_call({get, K}, _, {$2, M, _} = S) -> {reply, maps:get(K, M), S}.
handle_cast(_, S) -> {noreply, S}.
code_change(_, _, raise) -> error(meant);
code_change(_, {_, M, L}, Extra) -> {ok, {case Extra of {down, N} -> N; _ -> $2 end, M, [Extra | L]}}.
ERL
}

# The instructions in the middle, with what comes ahead of them and behind.
instructions() { # EXTRA BEFORE AFTER
    echo "[$2 {apply, {tap, stop_acceptors, []}}, {load_module, tap}, {load_module, tap_acceptor},
        {update, tap_acceptors_sup, supervisor}, {update, tap_dir, {advanced, $1}}, {update, tap_listener_sup, supervisor},
        {update, tap_sup, supervisor}, {load_module, tap_app}, {apply, {tap, start_acceptors, []}} $3]"
}

# A release of version 0.N.0 that has these instructions up, and that end in the file of other versions.
next() { # N UP DOWN
    tap "0.$1.0" "$1"
    { echo "{\"$1\", [{\"9\", []}, {<<\"[01]\">>, $2}], [{<<\"1\">>, $3}]}."
      echo '{"0", [{"x", [{no_such_instruction, x}]}], []}. this is not read'; } | appup "0.$1.0" tap
    release "0.$1.0"
}

answers() {
    python3 - "$PORT" <<'PY'
import socket, sys
got = set()
for n in range(20):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5) as s:
        got.add(s.recv(9).decode())
print(",".join(sorted(got)))
PY
}

# Who is who: all but the acceptors stays the same process, whatever happens.
stays() {
    ask "[{P, is_pid(whereis(P)) andalso whereis(P)} || P <- [tap_sup, tap_dir, tap_listener_sup]]"
}

children() {
    ask "{[{Id, is_pid(P)} || {Id, P, _, _} <- supervisor:which_children(tap_listener_sup)], length(supervisor:which_children(tap_acceptors_sup))}"
}

tap 0.1.0 1
one=$(release 0.1.0)
start_home "$one"
who=$(stays)
assert_eq 1 "$(answers)"

serves() { # ANSWER CHANGES
    assert_eq "$1" "$(answers)"
    assert_eq "$who" "$(stays)"
    assert_eq "$2" "$(ask 'tap_dir:get(changes)')"
    assert_eq "{[{acceptors,true}],5}" "$(children)"
    all_run
}

# What fails at any of its steps is undone.
fails() { # N EXTRA BEFORE AFTER
    assert_exit 3 hot "$(next "$1" "$(instructions "$2" "$3" "$4")" '[]')"
    serves 1 "[]"
    assert_eq '[undefined,undefined,undefined]' "$(ask '[whereis(tap_helper), whereis(tap_other), ets:whereis(tap_table)]')"
    assert_eq '[false]' "$(ask 'lists:usort([erlang:check_old_code(M) andalso lists:any(fun(P) ->
        erlang:check_process_code(P, M) end, processes()) || M <- [tap, tap_acceptor]])')"
}

fails 3 raise '' ''
fails 4 up '{apply, {tap, helper, []}},' ', {apply, {tap, raise, []}}'
fails 5 up '{apply, {tap, again, []}},' ', {apply, {tap, again, []}}, {apply, {no_such, function, []}}'

two=$(next 2 "$(instructions up '{apply, {tap, helper, []}},' '')" "$(instructions '{down, 1}' '' '')")
assert_exit 0 hot "$two"
serves 2 "[up]"
assert_eq '[true,true,true]' "$(ask '[whereis(tap_helper) =/= undefined, whereis(tap_other) =/= undefined, ets:info(tap_table, size) =:= 0]')"
assert_exit 0 relsup rollback --hot
serves 1 "[{down,1},up]"
end_home
