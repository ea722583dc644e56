#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each instruction of appup(4) as a hot upgrade follows it: one application for each, in one release; up by one list
# of instructions, down by the other. The expected lines are what the manual page says of the instruction.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

# A server that remembers each code_change, and a library module that tells its version.
parts() { # VERSION APP VSN
    app "$1" "$2" "$3" "{mod, {${2}_app, []}}"
    module "$1" "$2/${2}_app" <<ERL
-behaviour(application).
-export([start/2, stop/1]).
start(_, _) -> ${2}_sup:start_link().
stop(_) -> ok.
ERL
    module "$1" "$2/${2}_sup" <<ERL
-behaviour(supervisor).
-export([start_link/0, init/1]).
start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
init([]) -> {ok, {#{}, [#{id => srv, start => {${2}_srv, start_link, []}}]}}.
ERL
    server "$1" "$2" "${2}_srv" "$3"
    module "$1" "$2/${2}_lib" <<ERL
-export([version/0, keep/1]).
version() -> "$3".
keep(X) -> persistent_term:put({?MODULE, X}, {"$3", ${2}_srv:version()}).
ERL
}

server() { # VERSION APP NAME VSN
    module "$1" "$2/$3" <<ERL
-vsn("$4").
-behaviour(gen_server).
-export([start_link/0, init/1, handle_call/3, handle_cast/2, code_change/3, version/0]).
start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).
init([]) -> {ok, []}.
handle_call(get, _, S) -> {reply, S, S}.
handle_cast(_, S) -> {noreply, S}.
code_change(V, S, Extra) -> {ok, [{"$4", V, Extra} | S]}.
version() -> "$4".
ERL
}

# what NAME UP DOWN: an application with these instructions.
what() {
    parts 0.1.0 "$1" 1
    parts 0.2.0 "$1" 2
    appup 0.2.0 "$1" <<ERL
{"2", [{${4:-\"1\"}, [$2]}], [{${4:-\"1\"}, [$3]}]}.
ERL
}

what advanced '{update, advanced_srv, {advanced, up}}' '{update, advanced_srv, {advanced, down}}'
what soft '{update, soft_srv}' '{update, soft_srv, soft}'
what full '{update, full_srv, static, 9000, {advanced, up}, soft_purge, soft_purge, []}' \
    '{update, full_srv, static, 9000, {advanced, down}, soft_purge, soft_purge, []}'
what deps '{load_module, deps_lib, [deps_srv]}, {update, deps_srv, {advanced, dep}, [deps_lib]}' \
    '{update, deps_srv, {advanced, dep}}, {load_module, deps_lib, [deps_srv]}'
what regexp '{load_module, regexp_lib}' '{load_module, regexp_lib}' '<<"[0-9](\\\\.[0-9]+)*">>'
what added '{add_module, added_new}, {apply, {added_new, here, [up]}}' '{apply, {added_new, here, [down]}}, {delete_module, added_new}'
module 0.2.0 added/added_new <<'ERL'
-export([here/1]).
here(X) -> persistent_term:put(?MODULE, X).
ERL
what restarted '{restart_application, restarted}' '{restart_application, restarted}'
# in front of the load and behind it
what applied '{apply, {applied_lib, keep, [ahead]}}, point_of_no_return, {load_module, applied_lib},
    {apply, {applied_lib, keep, [behind]}}, {load_module, applied_srv}, {apply, {applied_lib, keep, [last]}}' \
    '{load_module, applied_srv}, {apply, {applied_lib, keep, [back]}}, {load_module, applied_lib}'
what low '{load_object_code, {low, "2", [low_srv]}}, point_of_no_return, {suspend, [{low_srv, 5000}]},
    {load, {low_srv, brutal_purge, brutal_purge}}, {code_change, up, [{low_srv, up}]}, {resume, [low_srv]}' \
    '{load_object_code, {low, "1", [low_srv]}}, point_of_no_return, {suspend, [low_srv]}, {code_change, down, [{low_srv, down}]},
    {load, {low_srv, brutal_purge, brutal_purge}}, {resume, [low_srv]}, {purge, [low_srv]}'
what stopped '{stop, [stopped_srv]}, {load_module, stopped_srv}, {start, [stopped_srv]}' \
    '{stop, [stopped_srv]}, {load_module, stopped_srv}, {start, [stopped_srv]}'
# the Appup Cookbook on supervisors
what cook '{add_module, cook_two}, {update, cook_sup, supervisor}, {apply, {supervisor, restart_child, [cook_sup, two]}}' \
    '{apply, {supervisor, terminate_child, [cook_sup, two]}}, {apply, {supervisor, delete_child, [cook_sup, two]}},
    {update, cook_sup, supervisor}, {delete_module, cook_two}'
server 0.2.0 cook cook_two 2
sed -i 's|\[#{id => srv.*|[#{id => I, start => {M, start_link, []}} \|\| {I, M} <- [{srv, cook_srv}, {two, cook_two}]]}}.|' \
    "$SOURCES/0.2.0/cook/cook_sup.erl"
what apps '{add_application, fresh, transient}, {remove_application, stale}' '{remove_application, fresh}, {add_application, stale}'
parts 0.1.0 stale 1
parts 0.2.0 fresh 1
# nobody names its appup: derived
parts 0.1.0 derived 1
parts 0.2.0 derived 2

one=$(release 0.1.0) two=$(release 0.2.0)
start_home "$one"
names='[advanced, soft, full, deps, regexp, added, restarted, applied, low, stopped, cook, apps, derived]'
ask "begin persistent_term:put(pids, [{A, P} || A <- $names, P <- [whereis(list_to_atom(atom_to_list(A) ++ \"_srv\"))]]), ok end" \
    >"$WORK/out"

# The version of the library and of the server, the changes that the server saw, and is it the same process?
of() {
    ask "{$1_lib:version(), $1_srv:version(), gen_server:call($1_srv, get), {$1, whereis($1_srv)} =:= lists:keyfind($1, 1, persistent_term:get(pids))}"
}

assert_exit 0 hot "$two" --dry-run
for line in 'appup: apply applied_lib:keep/1, of which a failure undoes only what it ends and starts' 'appup: application restarted is stopped' \
    'appup: children of stopped_srv are stopped' 'advanced: its appup is followed \(up\)' \
    'soft: module soft_lib differs, but its appup does not name it'; do
    assert_match "$line" "$(cat "$WORK/out")"
done
assert_eq '{"1","1",[],true}' "$(of advanced)"

assert_exit 0 hot "$two"
assert_eq '{"1","2",[{"2","1",up}],true}' "$(of advanced)"
assert_eq '{"1","2",[],true}' "$(of soft)"
assert_eq '{"1","2",[{"2","1",up}],true}' "$(of full)"
assert_eq '{"2","2",[{"2","1",dep}],true}' "$(of deps)"
assert_eq '{"2","1",[],true}' "$(of regexp)"
assert_eq '{up,true}' "$(ask '{persistent_term:get(added_new), erlang:module_loaded(added_new)}')"
assert_eq '{"2","2",[],false}' "$(of restarted)"
assert_eq '{{"1","1"},{"2","1"},{"2","2"}}' \
    "$(ask '{persistent_term:get({applied_lib, ahead}), persistent_term:get({applied_lib, behind}), persistent_term:get({applied_lib, last})}')"
assert_eq '{"1","2",[{"2","1",up}],true}' "$(of low)"
assert_eq '{"1","2",[],false}' "$(of stopped)"
assert_eq '{[two,srv],"2",[]}' \
    "$(ask '{[element(1, C) || C <- supervisor:which_children(cook_sup)], cook_two:version(), gen_server:call(cook_srv, get)}')"
assert_eq '{true,undefined,[transient]}' \
    "$(ask '{is_pid(whereis(fresh_srv)), whereis(stale_srv), [T || {fresh, T} <- proplists:get_value(started, application:info())]}')"
assert_eq '{"2","2",[{"2","1",[]}],true}' "$(of derived)"
assert_eq '["2"]' "$(ask "lists:usort([element(2, application:get_key(A, vsn)) || A <- $names])")"
all_run

assert_exit 0 relsup rollback --hot
assert_eq '{"1","1",[{"2",{down,"1"},down},{"2","1",up}],true}' "$(of advanced)" "the newer code changes down"
assert_eq '{"1","1",[],true}' "$(of soft)"
assert_eq '{"1","1",[{"1",{down,"1"},down},{"2","1",up}],true}' "$(of full)" "static: the older code does"
assert_eq '{"1","1",[{"2",{down,"1"},dep},{"2","1",dep}],true}' "$(of deps)"
assert_eq '{"1","1",[],true}' "$(of regexp)"
assert_eq '{down,false}' "$(ask '{persistent_term:get(added_new), erlang:module_loaded(added_new)}')"
assert_eq '{"1","1",[],false}' "$(of restarted)"
assert_eq '{"2","1"}' "$(ask 'persistent_term:get({applied_lib, back})')"
assert_eq '{"1","1",[{"2",{down,"1"},down},{"2","1",up}],true}' "$(of low)"
assert_eq '[srv]' "$(ask '[element(1, C) || C <- supervisor:which_children(cook_sup)]')"
assert_eq '{undefined,true}' "$(ask '{whereis(fresh_srv), is_pid(whereis(stale_srv))}')"
assert_eq '{"1","1",[{"2",{down,"1"},[]},{"2","1",[]}],true}' "$(of derived)"
all_run

# refused, with file and reason, and nothing is touched
appup=$two/lib/soft-2/ebin/soft.appup
refuse() { # TEXT REASON
    cp -R "$two" "$WORK/bad-$RANDOM"
    local bad
    bad=$(ls -d "$WORK"/bad-*)
    echo "$1" >"$bad/lib/soft-2/ebin/soft.appup"
    sed -i 's/0\.2\.0/0.2.1/' "$bad/releases/start_erl.data" "$bad"/releases/0.2.0/*.rel
    mv "$bad/releases/0.2.0" "$bad/releases/0.2.1"
    assert_exit 2 hot "$bad"
    assert_match "$2" "$(cat "$WORK/err")"
    rm -r "$bad"
    assert_eq '{"1","1",[],true}' "$(of soft)"
}
[ -f "$appup" ] || fail "no appup in the release"
refuse '{"2", [{"1", [{sync_nodes, 1, [a]}]}], []}.' 'soft.appup says sync_nodes, which cannot be done in a running node'
refuse '{"2", [{"1", [restart_new_emulator]}], []}.' 'soft.appup says restart_new_emulator'
refuse '{"2", [{"1", [{frob, soft_srv}]}], []}.' 'soft.appup: .frob,soft_srv. is no instruction'
refuse '{"3", [{"1", []}], []}.' 'soft.appup is of version 3, not 2'
refuse '{"2", [{"1", [{load_module, soft_lib]}], []}.' 'soft.appup: 1: syntax error before'
refuse '{"2", [{"1", [{add_application, soft}]}], []}.' 'soft.appup adds application soft, which is not new'
end_home
