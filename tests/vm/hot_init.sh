#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The init/1 of a supervisor runs in the supervisor, once in an upgrade, and not at all in a dry run: what it does
# beside naming its children is done by the right process; and gone again where the upgrade fails.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

# hx_reg notes what its callers' init/1 do; it never changes.
common() { # VERSION
    app "$1" hx "$1" '{mod, {hx_app, []}}'
    module "$1" hx/hx_app <<'ERL'
-behaviour(application).
-export([start/2, stop/1]).
start(_, _) -> ets:new(hx_log, [named_table, public, duplicate_bag]), hx_top:start_link().
stop(_) -> ok.
ERL
    module "$1" hx/hx_top <<'ERL'
-behaviour(supervisor).
-export([start_link/0, init/1]).
start_link() -> supervisor:start_link(?MODULE, []).
init([]) ->
    S = fun(M) -> #{id => M, start => {M, start_link, []}, type => supervisor} end,
    {ok, {#{}, [#{id => srv, start => {hx_srv, start_link, []}}, S(hx_self), S(hx_once), S(hx_dyn)]}}.
ERL
}

# VERSION VALUE CODE-CHANGE CHILDREN-OF-hx_self
versions() {
    common "$1"
    module "$1" hx/hx_srv <<ERL
-behaviour(gen_server).
-export([start_link/0, init/1, handle_call/3, handle_cast/2, code_change/3]).
start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).
init([]) -> put(kept, here), {ok, $2}.
handle_call(get, _, S) -> {reply, {S, [{K, V} || {K, V} <- get(), lists:member(K, [kept, touched])]}, S}.
handle_cast(_, S) -> {noreply, S}.
code_change(_, S, _) -> put(touched, $2), erase(kept), ets:new(x, []), $3.
ERL
    module "$1" hx/hx_w <<'ERL'
-behaviour(gen_server).
-export([start_link/1, init/1, handle_call/3, handle_cast/2]).
start_link(_) -> gen_server:start_link(?MODULE, [], []).
init([]) -> {ok, []}.
handle_call(_, _, S) -> {reply, S, S}.
handle_cast(_, S) -> {noreply, S}.
ERL
    # ids that hold self(), a monitor, a link, an unnamed table, the dictionary
    module "$1" hx/hx_self <<ERL
-behaviour(supervisor).
-export([start_link/0, init/1]).
start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
init([]) ->
    ets:insert(hx_log, {?MODULE, self(), $2}),
    monitor(process, whereis(hx_srv)),
    put(inits, $2),
    put({by, self()}, true),
    T = ets:new(hx_self, [public]),
    put(table, T),
    {ok, P} = gen_udp:open(0, [{ip, {127, 0, 0, 1}}]),
    put(socket, P),
    {ok, {#{intensity => $2}, [#{id => {Id, self()}, start => {hx_w, start_link, [T]}} || Id <- [$4]]}}.
ERL
    # registers what only one may
    module "$1" hx/hx_once <<ERL
-behaviour(supervisor).
-export([start_link/0, init/1]).
start_link() -> supervisor:start_link(?MODULE, []).
init([]) ->
    ets:insert(hx_log, {?MODULE, self(), $2}),
    case whereis(hx_once) of
        undefined -> register(hx_once, self());
        P when P =:= self() -> ok
    end,
    {ok, {#{}, [#{id => w, start => {hx_w, start_link, [$2]}}, #{id => {p, $2}, start => {hx_w, start_link, [1]}, restart => temporary}]}}.
ERL
    # children that nobody names: start_child/2
    module "$1" hx/hx_dyn <<ERL
-behaviour(supervisor).
-export([start_link/0, init/1, add/1]).
start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
init([]) -> {ok, {#{intensity => $2}, [#{id => named, start => {hx_w, start_link, [$2]}}]}}.
add(Id) -> supervisor:start_child(?MODULE, #{id => Id, start => {hx_w, start_link, [0]}}).
ERL
}

versions 0.1.0 1 '{ok, 1}' 'a, b, c'
versions 0.2.0 2 'case ets:lookup(hx_log, bad) of [] -> {ok, 2}; _ -> exit(no_luck) end' 'a, c, d'
versions 0.3.0 3 '{ok, 3}' 'c, d'
v1=$(release 0.1.0) v2=$(release 0.2.0) v3=$(release 0.3.0)

ids() {
    ask "[lists:sort([case I of {X, P} when is_pid(P) -> {X, P =:= whereis(hx_self), is_pid(C)}; _ -> {I, is_pid(C)} end
        || {I, C, _, _} <- supervisor:which_children(S)]) || S <- [hx_self, hx_once, hx_dyn]]"
}

log() {
    ask "lists:sort([{S, case whereis(S) of P -> right; _ -> wrong end, N} || {S, P, N} <- ets:tab2list(hx_log)])"
}

# What an observer inside sees: pids, names, links, monitors (but not how often), dictionaries, tables, ports, states.
observed() {
    ask "{[{N, whereis(N), [case process_info(whereis(N), I) of {dictionary, D} -> {I, lists:sort([X || X = {K, _} <- D,
            K =/= '\$relsup_old'])}; {I, L} when is_list(L) -> {I, lists:usort(L)}; O -> O end
            || I <- [registered_name, links, monitored_by, dictionary]]}
         || N <- [hx_srv, hx_self, hx_once, hx_dyn]],
        lists:sort([{ets:info(T, owner), ets:info(T, name)} || T <- ets:all(),
            lists:member(ets:info(T, owner), [whereis(N) || N <- [hx_srv, hx_self, hx_once]])]),
        length(erlang:ports()), [supervisor:which_children(N) || N <- [hx_self, hx_once, hx_dyn]],
        [sys:get_state(N) || N <- [hx_srv, hx_self, hx_dyn]], gen_server:call(hx_srv, get)}"
}

start_home "$v1"
ask "[hx_dyn:add(I) || I <- [x, y]], whereis(hx_dyn)" >/dev/null
first='[{hx_once,right,1},{hx_self,right,1}]'
assert_eq "$first" "$(log)" "the boot"
assert_exit 0 hot "$v2" --dry-run
assert_eq "$first" "$(log)" "init/1 in a dry run"

# one who fails: nothing is different
observed >"$WORK/before"
ask "ets:insert(hx_log, {bad, self(), 0})" >/dev/null
assert_exit 3 hot "$v2"
assert_match no_luck "$(cat "$WORK/err")"
ask "ets:delete(hx_log, bad)" >/dev/null
observed >"$WORK/after"
diff "$WORK/before" "$WORK/after" || fail "an observer sees the upgrade that failed"
all_run

# a probe that fails, after the supervisors have run on: their init/1 had run, and is undone
echo '{"health": [{"type": "rpc", "expr": "ets:lookup(hx_log, unwell) =:= []"}]}' >"$RELSUP_HOME/relsup.json"
relsup reload >"$WORK/out" 2>&1 || true
ask "ets:insert(hx_log, {unwell, self(), 0})" >/dev/null
assert_exit 3 hot "$v2"
ask "ets:delete(hx_log, unwell)" >/dev/null
observed >"$WORK/after"
diff "$WORK/before" "$WORK/after" || fail "an observer sees the upgrade whose probe failed"
all_run

ask "ets:delete_all_objects(hx_log)" >/dev/null
assert_exit 0 hot "$v2"
assert_eq '[{hx_once,right,2},{hx_self,right,2}]' "$(log)" "once, in the supervisor"
assert_eq '[[{a,true,true},{c,true,true},{d,true,true}],[{w,true},{{p,2},true}],[{named,true},{x,true},{y,true}]]' "$(ids)"
assert_exit 0 hot "$v3"
assert_eq '[[{c,true,true},{d,true,true}],[{w,true},{{p,3},true}],[{named,true},{x,true},{y,true}]]' "$(ids)"
assert_exit 0 relsup rollback --hot
assert_eq '[[{a,true,true},{c,true,true},{d,true,true}],[{w,true},{{p,2},true}],[{named,true},{x,true},{y,true}]]' "$(ids)"
assert_eq "[]" "$(ask "[B || {_, _, B} <- ets:tab2list(hx_log), B =:= 1]")" "which versions ran"
all_run
end_home
