#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A code_change, and the init/1 of a supervisor, may call what changes with it: siblings, its parent, a chain of them,
# up and down. And a cycle, which nothing can free, is undone at the deadline.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

server() { # VERSION NAME CODE-CHANGE-CALL NEXT
    module "$1" "hx/$2" <<ERL
-behaviour(gen_server).
-export([start_link/0, init/1, handle_call/3, handle_cast/2, code_change/3, get/0]).
start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).
get() -> {?MODULE, V} = gen_server:call(?MODULE, get), V.
init([]) -> {ok, $5}.
handle_call(get, _, S) when S =:= $5 -> $4, {reply, {?MODULE, S}, S}.
handle_cast(_, S) -> {noreply, S}.
code_change({down, _}, _, _) -> $3, {ok, 1};
code_change(_, _, _) -> $3, {ok, $5}.
ERL
}

versions() { # VERSION N CALL-OF-hx_a CALL-OF-hx_d CALL-OF-hx_c
    app "$1" hx "$1" '{mod, {hx_app, []}}'
    module "$1" hx/hx_app <<'ERL'
-behaviour(application).
-export([start/2, stop/1]).
start(_, _) -> hx_top:start_link().
stop(_) -> ok.
ERL
    module "$1" hx/hx_top <<ERL
-behaviour(supervisor).
-export([start_link/0, init/1]).
start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
init([]) ->
    {ok, {#{intensity => $2}, [#{id => M, start => {M, start_link, []}} || M <- [hx_a, hx_b, hx_c, hx_d, hx_sup, hx_inner]]}}.
ERL
    server "$1" hx_a "$3" ok "$2"
    # the answer of hx_b takes one of hx_a: a chain of two
    server "$1" hx_b ok 'hx_a:get()' "$2"
    server "$1" hx_c "$5" ok "$2"
    server "$1" hx_d "true = is_list(supervisor:which_children(hx_top)), $4" ok "$2"
    # calls servers, and its parent's siblings
    module "$1" hx/hx_sup <<ERL
-behaviour(supervisor).
-export([start_link/0, init/1]).
start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
init([]) ->
    $2 = hx_d:get(),
    {ok, {#{intensity => hx_b:get()}, [#{id => leaf$2, start => {hx_leaf, start_link, []}}]}}.
ERL
    module "$1" hx/hx_inner <<ERL
-behaviour(supervisor).
-export([start_link/0, init/1]).
start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
init([]) ->
    true = is_list(supervisor:which_children(hx_sup)),
    {ok, {#{intensity => hx_c:get()}, [#{id => inner$2, start => {hx_leaf, start_link, []}}]}}.
ERL
    module "$1" hx/hx_leaf <<'ERL'
-export([start_link/0, init/1]).
start_link() -> proc_lib:start_link(?MODULE, init, [self()]).
init(Parent) -> proc_lib:init_ack(Parent, {ok, self()}), receive stop -> ok end.
ERL
}

versions 0.1.0 1 ok 'hx_c:get()' 'hx_b:get()'
versions 0.2.0 2 ok 'hx_c:get()' 'hx_b:get()'
versions 0.3.0 3 'hx_d:get()' 'hx_a:get()' ok
v1=$(release 0.1.0) v2=$(release 0.2.0) v3=$(release 0.3.0)

children() {
    ask "[lists:sort([I || {I, _, _, _} <- supervisor:which_children(S)]) || S <- [hx_sup, hx_inner]]"
}

states() {
    ask "[sys:get_state(S) || S <- [hx_a, hx_b, hx_c, hx_d]]"
}

start_home "$v1"
assert_eq "[[leaf1],[inner1]]" "$(children)" "at the start"
assert_exit 0 hot "$v2"
assert_eq "[2,2,2,2]" "$(states)"
assert_eq "[[leaf2],[inner2]]" "$(children)" "their init/1 met servers that run"
assert_exit 0 relsup rollback --hot
assert_eq "[1,1,1,1]" "$(states)"
assert_eq "[[leaf1],[inner1]]" "$(children)"
all_run
assert_exit 3 hot "$v3" --suspend 3s
assert_match 'code_change of process hx_[ad] .*was not over' "$(cat "$WORK/err")"
assert_eq "[1,1,1,1]" "$(states)"
assert_eq "[[leaf1],[inner1]]" "$(children)"
all_run
end_home
