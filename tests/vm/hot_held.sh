#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What processes, tables and persistent terms hold of a module that changes: closures, which take the way back, and
# structs whose fields change, of which the new code can make nothing.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

supervised_app 0.1.0 1
module 0.1.0 hx/hx_sup <<'ERL'
-behaviour(supervisor).
-export([start_link/0, init/1]).
start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
init([]) ->
    {ok, {#{}, [#{id => Id, start => {M, start_link, [Id]}}
                || {Id, M} <- [{box, hx_box}, {converts, hx_converts}, {same, hx_same}]]}}.
ERL
# Three servers that hold what they are given: of a module that stays, of one with a code_change of its own, and of one
# with that which `use GenServer` writes.
holder() { # VERSION MODULE CODE_CHANGE
    module "$1" "hx/$2" <<ERL
-behaviour(gen_server).
-export([start_link/1, init/1, handle_call/3, handle_cast/2, code_change/3, version/0]).
start_link(Name) -> gen_server:start_link({local, Name}, ?MODULE, [], []).
init([]) -> {ok, none}.
handle_call(get, _, S) -> {reply, S, S};
handle_call({hold, X}, _, _) -> {reply, ok, X}.
handle_cast(_, S) -> {noreply, S}.
code_change(_, S, _) -> $3.
version() -> "$4".
ERL
}
things() { # VERSION FIELDS
    module "$1" hx/hx_thing <<ERL
-export(['__struct__'/0, closure/1, version/0]).
'__struct__'() -> #{'__struct__' => ?MODULE, $2}.
closure(X) -> fun() -> {"$1", X} end.
version() -> "$1".
ERL
}
holder 0.1.0 hx_box '{ok, S}' always
holder 0.1.0 hx_converts '{ok, S}' 0.1.0
holder 0.1.0 hx_same '{ok, S}' 0.1.0
things 0.1.0 'a => 1'
for n in 2 3 4; do
    same 0.1.0 0.$n.0
    app 0.$n.0 hx $n '{mod, {hx_app, []}}'
    holder 0.$n.0 hx_converts "case S of {_, T} -> {ok, {now, maps:merge(hx_thing:'__struct__'(), T)}}; _ -> {ok, S} end" 0.$n.0
    holder 0.$n.0 hx_same '{ok, S}' 0.$n.0
done
things 0.2.0 'a => 2'
things 0.3.0 'a => 3'
things 0.4.0 'a => 1, b => 2'
one=$(release 0.1.0) two=$(release 0.2.0) three=$(release 0.3.0) four=$(release 0.4.0)
start_home "$one"

hold() { # NAME EXPR
    assert_eq ok "$(ask "gen_server:call($1, {hold, $2})")"
}
thing="{deep, [#{config => hx_thing:'__struct__'()}]}"

# closures: at the first upgrade it is said who takes the way back, and the second one says it again
hold box "#{handler => {hx_thing:closure(1)}}"
ask 'begin register(keeps, spawn(fun() -> ets:new(handlers, [named_table, public]), receive stop -> ok end end)), ok end' >"$WORK/out"
wait_until 5 ask 'true = ets:info(handlers) =/= undefined'
ask 'begin ets:insert(handlers, {x, hx_thing:closure(2)}), persistent_term:put(a_key, [hx_thing:closure(3)]), ok end' >"$WORK/out"
says() {
    local line

    for line in 'process box' 'ETS table handlers' 'persistent term a_key'; do
        assert_match "$line keeps a function of hx_thing: as long as it does, the way back and the next upgrade" "$(cat "$WORK/out")"
    done
}
assert_exit 0 hot "$two" --dry-run
says
assert_exit 0 hot "$two"
says
assert_exit 2 relsup rollback --hot
assert_match 'closure of hx_thing from before the last upgrade is still kept by .*process box' "$(cat "$WORK/err")"
assert_match 'persistent term a_key, ETS table handlers' "$(cat "$WORK/err")"
assert_exit 2 hot "$three"
assert_eq '{"0.1.0",1}' "$(ask 'begin #{handler := {F}} = gen_server:call(box, get), F() end')"
hold box none
ask 'begin ets:delete_all_objects(handlers), persistent_term:erase(a_key), ok end' >"$WORK/out"
assert_exit 0 hot "$three"
[[ $(cat "$WORK/out") != *"keeps a function"* ]] || fail "nobody keeps one: $(cat "$WORK/out")"

# a struct of other defaults is the same struct
hold box "$thing"
assert_exit 0 relsup rollback --hot
assert_exit 0 hot "$three"

# one of other fields is not, whoever holds it: of a module that stays, or that has no code_change of its own
assert_exit 2 hot "$four"
assert_match 'process box has a hx_thing in its state, whose fields change, and no code_change of its own' "$(cat "$WORK/err")"
assert_exit 0 relsup upgrade --auto --dry-run "$four"
assert_match 'by a swap: process box has a hx_thing' "$(cat "$WORK/out")"
hold box none
hold same "{x, hx_thing:'__struct__'()}"
assert_exit 2 hot "$four"
assert_match 'process same has a hx_thing in its state' "$(cat "$WORK/err")"
hold same none
ask "begin supervisor:start_child(hx_sup, #{id => args, start => {erlang, apply, [fun(_) -> ignore end, [hx_thing:'__struct__'()]]}}) end" >"$WORK/out"
assert_exit 2 hot "$four"
assert_match 'process hx_sup has a hx_thing in its state' "$(cat "$WORK/err")"
ask 'begin supervisor:delete_child(hx_sup, args) end' >"$WORK/out"

# with a code_change of its own it becomes the new one; in a table it is a reason to swap
hold converts "{x, hx_thing:'__struct__'()}"
ask "begin ets:insert(handlers, {x, hx_thing:'__struct__'()}), ok end" >"$WORK/out"
assert_exit 0 relsup upgrade --auto --dry-run "$four"
assert_match 'by a swap: ETS table handlers has a hx_thing, whose fields change' "$(cat "$WORK/out")"
assert_exit 0 hot "$four"
assert_eq "{now,#{'__struct__' => hx_thing,a => 3,b => 2}}" "$(ask 'gen_server:call(converts, get)')"
all_run
end_home
