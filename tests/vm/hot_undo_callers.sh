#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A code_change fails while hundreds of callers wait for its process inside of a function of its module, so that they keep
# the old code busy: all is as it was, no caller notices, and a second attempt meets the same as the first.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

server() { # VERSION N CODE-CHANGE
    module "$1" hx/hx_count <<ERL
-behaviour(gen_server).
-export([start_link/0, init/1, handle_call/3, handle_cast/2, code_change/3, next/0, version/0]).
start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).
version() -> $2.
next() ->
    {ok, N} = gen_server:call(?MODULE, next),
    {N, version()}.
init([]) -> {ok, {$2, 0}}.
handle_call(next, _, {$2, N}) -> N rem 8 =:= 0 andalso timer:sleep(1), {reply, {ok, N}, {$2, N + 1}}.
handle_cast(_, S) -> {noreply, S}.
code_change({down, _}, {_, N}, _) -> {ok, {1, N}};
code_change(_, {_, N}, _) -> $3.
ERL
    # a state machine, whose callers come by way of a server that does not change
    module "$1" hx/hx_state <<ERL
-behaviour(gen_statem).
-export([start_link/0, init/1, callback_mode/0, code_change/4, handle_event/4, get/0]).
start_link() -> gen_statem:start_link({local, ?MODULE}, ?MODULE, [], []).
get() -> {ok, V} = gen_server:call(hx_way, get), V.
init([]) -> {ok, on, $2}.
callback_mode() -> handle_event_function.
handle_event({call, From}, get, on, $2) -> {keep_state_and_data, [{reply, From, $2}]}.
code_change({down, _}, on, _, _) -> {ok, on, 1};
code_change(_, on, _, _) -> {ok, on, $2}.
ERL
}

common() {
    app 0.1.0 hx 0.1.0 '{mod, {hx_app, []}}'
    module 0.1.0 hx/hx_app <<'ERL'
-behaviour(application).
-behaviour(supervisor).
-export([start/2, stop/1, init/1]).
start(_, _) -> supervisor:start_link(?MODULE, []).
stop(_) -> ok.
init([]) -> {ok, {#{}, [#{id => M, start => {M, start_link, []}} || M <- [hx_count, hx_state, hx_way]]}}.
ERL
    module 0.1.0 hx/hx_way <<'ERL'
-behaviour(gen_server).
-export([start_link/0, init/1, handle_call/3, handle_cast/2]).
start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).
init([]) -> {ok, []}.
handle_call(get, _, S) -> {reply, {ok, gen_statem:call(hx_state, get)}, S}.
handle_cast(_, S) -> {noreply, S}.
ERL
    # Callers in a loop, and some that are born for one call, as a request is. Whoever fails is counted.
    module 0.1.0 hx/hx_load <<'ERL'
-export([start/1, stop/0, wait/0]).
start(N) ->
    T = ets:new(hx_load, [named_table, public]),
    ets:insert(T, [{calls, 0}, {bad, 0}, {max, 0}]),
    register(hx_load, spawn(fun() ->
        Ps = [spawn_monitor(fun() -> loop(hx_count, next) end) || _ <- lists:seq(1, N)]
            ++ [spawn_monitor(fun() -> loop(hx_state, get) end) || _ <- lists:seq(1, N div 10)]
            ++ [spawn_monitor(fun() -> births() end)],
        watch(), [exit(P, kill) || {P, _} <- Ps], receive {done, From} -> From ! {T, ets:tab2list(T)} end end)),
    ets:give_away(T, whereis(hx_load), []),
    ok.
watch() ->
    receive
        {'DOWN', _, _, _, Why} -> ets:insert(hx_load, {why, Why}), ets:update_counter(hx_load, bad, 1), watch();
        stop -> ok
    after 600000 -> ok
    end.
loop(M, F) -> call(M, F), loop(M, F).
births() -> spawn_monitor(fun() -> call(hx_count, next) end),
    receive {'DOWN', _, _, _, normal} -> ok; {'DOWN', _, _, _, Why} -> exit(Why) after 0 -> ok end,
    timer:sleep(20), births().
call(M, F) ->
    T0 = erlang:monotonic_time(millisecond),
    M:F(),
    T = erlang:monotonic_time(millisecond) - T0,
    ets:update_counter(hx_load, calls, 1),
    ets:lookup_element(hx_load, max, 2) < T andalso ets:insert(hx_load, {max, T}).
wait() -> [{calls, C}] = ets:lookup(hx_load, calls), C > 1000.
stop() ->
    hx_load ! stop,
    hx_load ! {done, self()},
    receive {_, L} -> {proplists:get_value(bad, L), proplists:get_value(max, L) < 5000, proplists:get_value(why, L, none)} end.
ERL
}

common
server 0.1.0 1 '{ok, {1, N}}'
for v in 2 3; do
    same 0.1.0 0.$v.0
    app 0.$v.0 hx 0.$v.0 '{mod, {hx_app, []}}'
done
server 0.2.0 2 'exit(no_luck)'
server 0.3.0 3 '{ok, {3, N}}'
v1=$(release 0.1.0) v2=$(release 0.2.0) v3=$(release 0.3.0)

start_home "$v1"
assert_eq ok "$(ask 'hx_load:start(300)')"
calling() { [ "$(ask 'hx_load:wait()')" = true ]; }
wait_until 30 calling
pids=$(ask '[whereis(N) || N <- [hx_count, hx_state, hx_way]]')
for ((n = 1; n <= 3; n++)); do
    assert_exit 3 hot "$v2" --wait 0s
    assert_match no_luck "$(cat "$WORK/err")" "attempt $n"
    assert_eq "{1,1,1}" "$(ask '{hx_count:version(), element(1, sys:get_state(hx_count)), element(2, sys:get_state(hx_state))}')"
done
assert_exit 0 hot "$v3" --wait 0s
assert_eq "{3,3,3}" "$(ask '{hx_count:version(), element(1, sys:get_state(hx_count)), element(2, sys:get_state(hx_state))}')"
# the way back, with a probe that fails first: undone when the servers have run on
echo '{"health": [{"type": "rpc", "expr": "false"}]}' >"$RELSUP_HOME/relsup.json"
relsup reload >"$WORK/out" 2>&1 || true
assert_exit 3 relsup rollback --hot --wait 0s
assert_eq "{3,3}" "$(ask '{hx_count:version(), element(1, sys:get_state(hx_count))}')"
echo '{}' >"$RELSUP_HOME/relsup.json"
relsup reload >"$WORK/out" 2>&1 || true
assert_exit 0 relsup rollback --hot --wait 0s
assert_eq "{1,1,1}" "$(ask '{hx_count:version(), element(1, sys:get_state(hx_count)), element(2, sys:get_state(hx_state))}')"
assert_eq "$pids" "$(ask '[whereis(N) || N <- [hx_count, hx_state, hx_way]]')" "nobody was started anew"
assert_eq "{0,true,none}" "$(ask 'hx_load:stop()')" "callers that failed, all within their time, why"
all_run
end_home
