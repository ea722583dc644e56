#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every kind of process keeps its pid and takes its state over, up and down; those that cannot are left alone or named.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

# Modules of version N, whose states are {N, ...}.
kinds() { # VERSION N OTHER-N STATEM
    supervised_app "$1" "$2"
    module "$1" hx/hx_sup <<'ERL'
-behaviour(supervisor).
-export([start_link/0, init/1]).
start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
init([]) ->
    W = fun(Id, M, F, A) -> #{id => Id, start => {M, F, A}, modules => [M]} end,
    {ok, {#{strategy => one_for_all},
          [W(server, hx_server, start_link, [hx_server]), W(statem, hx_statem, start_link, []),
           #{id => events, start => {gen_event, start_link, [{local, hx_events}]}, modules => dynamic},
           W(special, hx_special, start_link, []), W(library, hx_client, start_link, [hx_client]),
           #{id => deep, type => supervisor, start => {hx_deep, start_link, [3]}},
           #{id => simple, type => supervisor, start => {hx_simple, start_link, []}},
           #{id => table, type => supervisor, start => {hx_table, start_link, []}}]}}.
ERL
    module "$1" hx/hx_server <<ERL
-behaviour(gen_server).
-export([start_link/1, init/1, handle_call/3, handle_cast/2, code_change/3]).
start_link(N) -> gen_server:start_link({local, N}, ?MODULE, [], []).
init([]) -> {ok, {$2, init}}.
handle_call(get, _, {$2, _} = S) -> {reply, S, S}.
handle_cast(sleep, S) -> {noreply, S, hibernate}.
code_change(_, {$3, S}, _) -> {ok, {$2, S}};
code_change({down, _}, {$2, S}, _) -> {ok, {$3, S}}.
ERL
    module "$1" hx/hx_statem <<ERL
-behaviour(gen_statem).
-export([start_link/0, init/1, callback_mode/0, code_change/4, on/3, handle_event/4]).
start_link() -> gen_statem:start_link({local, ?MODULE}, ?MODULE, [], []).
init([]) -> {ok, on, {$2, init}}.
$4
code_change(_, on, {$3, S}, _) -> {ok, on, {$2, S}};
code_change({down, _}, on, {$2, S}, _) -> {ok, on, {$3, S}};
code_change(undefined, on, S, _) -> {ok, on, S}.
ERL
    module "$1" hx/hx_event <<ERL
-behaviour(gen_event).
-export([init/1, handle_event/2, handle_call/2, code_change/3]).
init(A) -> {ok, {$2, A}}.
handle_event(_, S) -> {ok, S}.
handle_call(get, {$2, _} = S) -> {ok, S, S}.
code_change(_, {$3, S}, _) -> {ok, {$2, S}};
code_change({down, _}, {$2, S}, _) -> {ok, {$3, S}}.
ERL
    module "$1" hx/hx_special <<ERL
-export([start_link/0, init/1, system_continue/3, system_terminate/4, system_code_change/4,
         system_get_state/1, system_replace_state/2, loop/2]).
start_link() -> proc_lib:start_link(?MODULE, init, [self()]).
init(Parent) -> register(?MODULE, self()), proc_lib:init_ack({ok, self()}), loop(Parent, {$2, init}).
loop(Parent, S) ->
    receive
        {get, From} -> From ! {$2, S}, loop(Parent, S);
        {system, From, R} -> sys:handle_system_msg(R, From, Parent, ?MODULE, [], S)
    end.
system_continue(Parent, _, S) -> loop(Parent, S).
system_terminate(Why, _, _, _) -> exit(Why).
system_code_change({$3, S}, _, _, _) -> {ok, {$2, S}};
system_code_change({$2, S}, _, {down, _}, _) -> {ok, {$3, S}}.
system_get_state(S) -> {ok, S}.
system_replace_state(F, S) -> N = F(S), {ok, N, N}.
ERL
    # a behaviour of a library, whose processes are gen_servers of the library's own module
    module "$1" hx/hx_behaviour <<'ERL'
-export([start_link/2, init/1, handle_call/3, handle_cast/2, code_change/3, loop/1]).
-callback value(term()) -> term().
start_link(N, M) -> gen_server:start_link({local, N}, ?MODULE, M, []).
init(M) -> {ok, {M, M:first()}}.
handle_call(get, _, {M, S}) -> {reply, M:value(S), {M, S}}.
handle_cast(_, S) -> {noreply, S}.
code_change(V, {M, S}, X) -> {ok, {M, M:code_change(V, S, X)}}.
loop(M) -> gen_server:enter_loop(?MODULE, [], {M, M:first()}).
ERL
    module "$1" hx/hx_client <<ERL
-export([start_link/1, first/0, value/1, code_change/3]).
start_link(N) -> hx_behaviour:start_link(N, ?MODULE).
first() -> {$2, init}.
value({$2, _} = S) -> S.
code_change(_, {$3, S}, _) -> {$2, S};
code_change({down, _}, {$2, S}, _) -> {$3, S}.
ERL
    module "$1" hx/hx_deep <<'ERL'
-behaviour(supervisor).
-export([start_link/1, init/1]).
start_link(N) -> supervisor:start_link(?MODULE, N).
init(0) -> {ok, {#{strategy => rest_for_one}, [#{id => srv, start => {hx_server, start_link, [hx_leaf]}}]}};
init(N) -> {ok, {#{}, [#{id => N, type => supervisor, start => {?MODULE, start_link, [N - 1]}}]}}.
ERL
    module "$1" hx/hx_simple <<ERL
-behaviour(supervisor).
-export([start_link/0, init/1]).
start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
init([]) -> {ok, {#{strategy => simple_one_for_one, intensity => $2},
    [#{id => x, start => {hx_server, start_link, []}, restart => temporary}]}}.
ERL
    module "$1" hx/hx_table <<ERL
-behaviour(supervisor).
-export([start_link/0, init/1]).
start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
init([]) -> ets:new(?MODULE, [named_table, public]),
    {ok, {#{intensity => $2}, [#{id => x, start => {hx_server, start_link, [hx_worker]}}]}}.
ERL
    module "$1" hx/hx_plain <<ERL
-export([loop/0, pass/0]).
loop() -> receive stop -> ok; _ -> loop() end.
pass() -> $2.
ERL
}
kinds 0.1.0 1 2 '
callback_mode() -> state_functions.
on({call, F}, get, {1, _} = S) -> {keep_state, S, [{reply, F, {state_functions, S}}]}.
handle_event(_, _, _, _) -> error(wrong_mode).'
kinds 0.2.0 2 1 '
callback_mode() -> handle_event_function.
on(_, _, _) -> error(wrong_mode).
handle_event({call, F}, get, on, {2, _} = S) -> {keep_state, S, [{reply, F, {handle_event_function, S}}]}.'

one=$(release 0.1.0) two=$(release 0.2.0)
mkdir -p "$RELSUP_HOME"
echo '{"hot_callbacks": {"hx_lonely": "hx_client"}}' >"$RELSUP_HOME/relsup.json"
start_home "$one"
ask 'begin
    gen_event:add_handler(hx_events, hx_event, a), gen_event:add_handler(hx_events, {hx_event, two}, b),
    [supervisor:start_child(hx_simple, [list_to_atom("hx_simple" ++ integer_to_list(I))]) || I <- [1, 2, 3]],
    gen_server:cast(hx_simple2, sleep),
    {ok, P} = hx_behaviour:start_link(hx_lonely, hx_client), unlink(P),
    Q = proc_lib:spawn(hx_behaviour, loop, [hx_client]), register(hx_entered, Q),
    persistent_term:put(pids, lists:sort(registered())), ok end' >"$WORK/out"

states() {
    ask 'begin
        hx_special ! {get, self()},
        {[gen_server:call(P, get, 3000) || P <- [hx_server, hx_leaf, hx_worker, hx_simple1, hx_simple2, hx_simple3, hx_client, hx_lonely]],
         gen_statem:call(hx_statem, get, 3000), [gen_event:call(hx_events, H, get) || H <- [hx_event, {hx_event, two}]],
         receive S -> S after 3000 -> none end,
         [{P, element(4, sys:get_state(P))} || P <- []]} end'
}
pids() {
    ask '[{N, whereis(N)} || N <- [hx_server, hx_leaf, hx_worker, hx_simple2, hx_client, hx_lonely, hx_statem, hx_events, hx_special, hx_sup, hx_simple, hx_table]]'
}
of() { # N MODE
    local s="{$1,init}"
    echo "{[$s,$s,$s,$s,$s,$s,$s,$s],{$2,$s},[{$1,a},{$1,b}],{$1,$s},[]}"
}
assert_eq "$(of 1 state_functions)" "$(states)"
before=$(pids)

# hx_entered has no supervisor to tell what it runs, and no hint: it is found by nobody, and runs on
assert_exit 0 hot "$two" --dry-run
for line in '6 gen_server of hx_server' '1 gen_statem of hx_statem' '1 gen_event of hx_event' '1 special of hx_special' \
    '2 gen_server of hx_client' '1 supervisor of hx_simple' \
    'process hx_table keeps its children: its init/1 makes a named table'; do
    assert_match "$line" "$(cat "$WORK/out")"
done
assert_eq "$(of 1 state_functions)" "$(states)"

assert_exit 0 hot "$two"
assert_eq "$(of 2 handle_event_function)" "$(states)"
assert_eq "$before" "$(pids)"
all_run
assert_exit 0 relsup rollback --hot
assert_eq "$(of 1 state_functions)" "$(states)"
assert_eq "$before" "$(pids)"
all_run

# A plain process that lives in a changed module: found, never suspended, and refused if it is to be.
ask 'begin register(plain, spawn(hx_plain, loop, [])), ok end' >"$WORK/out"
assert_exit 1 hot "$two" --old-code refuse --wait 200ms
assert_match 'process plain .plain process, in hx_plain:loop/0. does not leave module hx_plain' "$(cat "$WORK/err")"
assert_eq "$(of 1 state_functions)" "$(states)"
ask 'plain ! stop' >"$WORK/out"
assert_exit 0 hot "$two"
assert_eq "$(of 2 handle_event_function)" "$(states)"

# Servers that call each other, and children that are born in the middle of it
ask 'begin
    [spawn(fun() -> (fun L() -> catch gen_server:call(P, get, 5000), L() end)() end) || P <- [hx_server, hx_leaf, hx_simple1], _ <- [1,2,3]],
    register(births, spawn(fun() -> (fun L(I) -> N = list_to_atom("hx_born" ++ integer_to_list(I)),
        supervisor:start_child(hx_simple, [N]), receive stop -> ok after 1 -> L(I + 1) end end)(1) end)), ok end' >"$WORK/out"
assert_exit 0 relsup rollback --hot
ask 'births ! stop' >"$WORK/out"
assert_eq "[{1,init}]" "$(ask 'lists:usort([gen_server:call(P, get) || {_, P, _, _} <- supervisor:which_children(hx_simple)])')"
all_run
end_home
