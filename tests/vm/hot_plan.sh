#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Everything that may change at once: the plan says so, nothing happens without leave, and then all of it does:
# kinds of processes, children, applications, configuration. And the way back.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

server() { # VERSION NAME STATE CHANGE
    module "$1" "hx/$2" <<ERL
-behaviour(gen_server).
-export([start_link/0, init/1, handle_call/3, handle_cast/2, code_change/3]).
start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).
init([]) -> {ok, $3}.
handle_call(get, _, S) -> {reply, S, S}.
handle_cast(_, S) -> {noreply, S}.
code_change(V, S, _) -> $4.
ERL
}

sup() { # VERSION CHILDREN
    module "$1" hx/hx_sup <<ERL
-behaviour(supervisor).
-export([start_link/0, init/1]).
start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
init([]) -> {ok, {#{strategy => rest_for_one}, [#{id => M, start => {M, start_link, []}} || M <- [$2]]}}.
ERL
}

app 0.1.0 hx 1 '{mod, {hx_app, []}}, {env, [{from_app, 1}]}'
module 0.1.0 hx/hx_app <<'ERL'
-behaviour(application).
-export([start/2, stop/1, config_change/3]).
start(_, _) -> hx_sup:start_link().
stop(_) -> ok.
config_change(C, N, R) -> persistent_term:put(config, {C, N, R}).
ERL
sup 0.1.0 'hx_one, hx_old'
server 0.1.0 hx_one '{one, 1}' '{ok, S}'
server 0.1.0 hx_old old '{ok, S}'
module 0.1.0 hx/hx_lib <<'ERL'
-export([version/0]).
version() -> hx_deep:version().
ERL
module 0.1.0 hx/hx_deep <<'ERL'
-export([version/0]).
version() -> 1.
ERL
app 0.1.0 legacy 1
module 0.1.0 legacy/legacy <<'ERL'
-export([here/0]).
here() -> true.
ERL
echo '[{hx, [{file, 1}]}].' >"$SOURCES/0.1.0/config"

same 0.1.0 0.2.0
rm -r "$SOURCES/0.2.0/legacy" "$SOURCES/0.2.0/hx/hx_old.erl"
app 0.2.0 hx 2 '{mod, {hx_app, []}}, {env, [{from_app, 2}, {added, 2}]}, {applications, [kernel, stdlib, extra]}'
sup 0.2.0 'hx_first, hx_one, hx_last'
server 0.2.0 hx_one '{two, new}' '
    case {V, S} of {{down, _}, {two, N}} -> {ok, {one, N}}; {_, {one, N}} -> {ok, {two, N + 1}} end'
server 0.2.0 hx_first first '{ok, S}'
server 0.2.0 hx_last '{last, extra:here(), gen_server:call(hx_one, get)}' '{ok, S}'
module 0.2.0 hx/hx_deep <<'ERL'
-export([version/0]).
version() -> 2.
ERL
module 0.2.0 hx/hx_lib <<'ERL'
-export([version/0]).
version() -> {lib, hx_deep:version()}.
ERL
app 0.2.0 extra 1 '{mod, {extra, []}}'
module 0.2.0 extra/extra <<'ERL'
-export([start/2, stop/1, here/0, init/1]).
start(_, _) -> supervisor:start_link({local, extra_sup}, ?MODULE, []).
stop(_) -> ok.
init([]) -> {ok, {#{}, []}}.
here() -> is_pid(whereis(extra_sup)).
ERL
echo '[{hx, [{file, 2}]}].' >"$SOURCES/0.2.0/config"

one=$(release 0.1.0 legacy hx) two=$(release 0.2.0 extra hx)
start_home "$one"
assert_eq "{1,{one,1},old,true}" \
    "$(ask '{hx_lib:version(), gen_server:call(hx_one, get), gen_server:call(hx_old, get), legacy:here()}')"
ask 'application:set_env(hx, put, by_hand)' >"$WORK/out"
pids=$(ask '{whereis(hx_one), whereis(hx_sup)}')

# the plan: nothing happens
assert_exit 0 hot "$two" --dry-run
for line in 'hx 1 -> 2' 'extra 1 added \(permanent\)' 'legacy 1 removed' 'changed hx_one \(hx\)' 'added hx_first' \
    'removed hx_old' '1 gen_server of hx_one' '1 supervisor of hx_sup' 'process hx_sup takes over' \
    'hx: added new \(told to config_change/3\)' 'hx: file changed' 'hx: from_app changed' 'hx 0.1.0 can be changed to 0.2.0 in place'; do
    assert_match "$line" "$(cat "$WORK/out")"
done
# callees come before their callers
assert_match 'changed hx_deep .*changed hx_lib ' "$(tr '\n' ' ' <"$WORK/out")"
assert_eq 1 "$(ask 'hx_lib:version()')"
assert_eq releases/0.1.0 "$(readlink "$RELSUP_HOME/current")"
assert_eq 0.1.0 "$(ls "$RELSUP_HOME/releases")"

assert_exit 0 hot "$two" --json
assert_eq "True ['process hx_sup: new child hx_first', 'process hx_sup: new child hx_last', 'process hx_sup: child hx_old ended']" \
    "$(field 'str(d["hot"]) + " " + str(d["plan"]["children"])')"
now() {
    ask '{hx_lib:version(), gen_server:call(hx_one, get), gen_server:call(hx_last, get), whereis(hx_old),
        erlang:module_loaded(hx_old), erlang:module_loaded(legacy), [element(1, C) || C <- supervisor:which_children(hx_sup)]}'
}
assert_eq "{{lib,2},{two,2},{last,true,{two,2}},undefined,false,false,[hx_last,hx_one,hx_first]}" "$(now)"
assert_eq "[{extra,\"1\"},{hx,\"2\"},{legacy,none}]" "$(ask "[{A, case [V || {B, _, V} <- application:which_applications(), A =:= B] of [V] -> V; [] -> none end} || A <- [extra, hx, legacy]]")"
assert_eq "{error,bad_name}" "$(ask 'code:lib_dir(legacy)')"
assert_eq "[{ok,2},{ok,2},{ok,2},{ok,by_hand}]" "$(ask '[application:get_env(hx, K) || K <- [from_app, added, file, put]]')"
assert_eq "{[{file,2},{from_app,2}],[{added,2}],[]}" \
    "$(ask 'begin {C, N, R} = persistent_term:get(config), {lists:sort(C), N, R} end')"
assert_eq "$pids" "$(ask '{whereis(hx_one), whereis(hx_sup)}')" "no process was lost"
all_run
assert_match 'in place +0.1.0 > 0.2.0' "$(relsup status)"
assert_eq releases/0.2.0 "$(readlink "$RELSUP_HOME/current")"

# the way back goes the same way
assert_exit 0 relsup rollback
assert_match 'changed in place from 0.2.0' "$(cat "$WORK/out")"
assert_eq "{1,{one,2},old,true}" \
    "$(ask '{hx_lib:version(), gen_server:call(hx_one, get), gen_server:call(hx_old, get), legacy:here()}')"
assert_eq "{[hx_old,hx_one],undefined,{error,bad_name},[{ok,1},undefined,{ok,1}]}" \
    "$(ask '{[element(1, C) || C <- supervisor:which_children(hx_sup)], whereis(extra_sup), code:lib_dir(extra),
        [application:get_env(hx, K) || K <- [from_app, added, file]]}')"
assert_eq "$pids" "$(ask '{whereis(hx_one), whereis(hx_sup)}')" "no process was lost"
all_run
assert_match 'in place +0.1.0 > 0.2.0 > 0.1.0' "$(relsup status)"

# once more, then the VM ends: it boots what it was changed to
assert_exit 0 hot "$two"
pid=$(relsup pid)
another_serves() {
    relsup status --json >"$WORK/out" && [ "$(field 'd["state"] == "running" and d["pid"] != '"$pid")" = True ]
}
kill -KILL "$pid"
wait_until 40 another_serves
assert_eq '{lib,2}' "$(ask 'hx_lib:version()')"
assert_eq "[hx_last,hx_one,hx_first]" "$(ask '[element(1, C) || C <- supervisor:which_children(hx_sup)]')"

# a swap after it, and a hot upgrade after that
assert_exit 0 relsup upgrade "$one"
assert_eq 1 "$(ask 'hx_lib:version()')"
assert_exit 0 relsup upgrade --auto "$two" --json
assert_eq True "$(field 'd["hot"]')"
assert_eq '{lib,2}' "$(ask 'hx_lib:version()')"
end_home
