#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What random upgrades (hot_property.sh) stumbled over, one by one: applications that do not start, or of which a restarted
# one has need; supervisors that go with their children; handlers whose module goes; settings that go back to their
# defaults; and what must not be loaded by asking for its version.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

sup() { # VERSION NAME CHILDREN
    module "$1" "hx/$2" <<ERL
-behaviour(supervisor).
-export([start_link/0, init/1]).
start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
init([]) -> {ok, {#{}, [#{id => M, start => {M, start_link, []}} || M <- [$3]]}}.
ERL
}

# An application without processes of its own, that says what its config_change/3 is told.
plain_app() { # VERSION APP VSN [KEYS]
    app "$1" "$2" "$3" "{mod, {$2, []}}${4:+, $4}"
    module "$1" "$2/$2" <<ERL
-behaviour(application).
-behaviour(supervisor).
-export([start/2, stop/1, init/1, config_change/3]).
start(_, _) -> supervisor:start_link(?MODULE, []).
stop(_) -> ok.
init([]) -> {ok, {#{}, []}}.
config_change(C, N, R) -> persistent_term:put(?MODULE, {C, N, R}), ok.
ERL
}

supervised_app 0.1.0 1
sup 0.1.0 hx_sup 'hx_srv, hx_nest, hx_events'
sup 0.1.0 hx_nest hx_leaf
for name in hx_srv hx_leaf; do
    module 0.1.0 hx/$name <<'ERL'
-vsn(10).
-behaviour(gen_server).
-export([start_link/0, init/1, handle_call/3, handle_cast/2]).
start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).
init([]) -> {ok, one}.
handle_call(get, _, S) -> {reply, S, S}.
handle_cast(_, S) -> {noreply, S}.
ERL
done
module 0.1.0 hx/hx_events <<'ERL'
-export([start_link/0]).
start_link() ->
    {ok, P} = gen_event:start_link({local, ?MODULE}),
    ok = gen_event:add_handler(P, hx_handler, []),
    {ok, P}.
ERL
module 0.1.0 hx/hx_handler <<'ERL'
-behaviour(gen_event).
-export([init/1, handle_event/2, handle_call/2]).
init([]) -> {ok, []}.
handle_event(_, S) -> {ok, S}.
handle_call(_, S) -> {ok, here, S}.
ERL
plain_app 0.1.0 again 1 '{env, [{kept, 1}, {set, 1}]}'
plain_app 0.1.0 same 1 '{env, [{set, default}, {back, default}]}'
plain_app 0.1.0 lone 1
app 0.1.0 sleepy 1
for name in sleepy sleepy_old; do
    module 0.1.0 sleepy/$name <<'ERL'
-vsn(1).
ERL
done
echo '[{same, [{back, configured}]}].' >"$SOURCES/0.1.0/config"

same 0.1.0 0.2.0
app 0.2.0 hx 2 '{mod, {hx_app, []}}'
sup 0.2.0 hx_sup 'hx_srv, hx_events'
rm "$SOURCES"/0.2.0/hx/hx_nest.erl "$SOURCES"/0.2.0/hx/hx_leaf.erl "$SOURCES"/0.2.0/sleepy/sleepy_old.erl
module 0.2.0 hx/hx_srv <<'ERL'
-vsn(11).
-behaviour(gen_server).
-export([start_link/0, init/1, handle_call/3, handle_cast/2, code_change/3]).
start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).
init([]) -> {ok, two}.
handle_call(get, _, S) -> {reply, S, S}.
handle_cast(_, S) -> {noreply, S}.
code_change(10, one, []) -> {ok, two};
code_change({down, 10}, two, []) -> {ok, one}.
ERL
plain_app 0.2.0 fresh 1
plain_app 0.2.0 again 2 '{env, [{kept, 1}, {set, 2}]}, {applications, [kernel, stdlib, fresh]}'
appup 0.2.0 again <<'ERL'
{"2", [{"1", [{restart_application, again}]}], [{"1", [{restart_application, again}]}]}.
ERL
app 0.2.0 sleepy 2
module 0.2.0 sleepy/sleepy <<'ERL'
-vsn(2).
ERL
appup 0.2.0 sleepy <<'ERL'
{"2", [{"1", [{load_module, sleepy}, {delete_module, sleepy_old}]}],
      [{"1", [{load_module, sleepy}, {add_module, sleepy_old}]}]}.
ERL
echo '[{same, [{set, configured}]}].' >"$SOURCES/0.2.0/config"

same 0.2.0 0.2.1
plain_app 0.2.1 bad 1
sed -i 's/^start(_, _) -> .*/start(_, _) -> {error, no}./' "$SOURCES/0.2.1/bad/bad.erl"

same 0.2.0 0.3.0
rm -r "$SOURCES/0.3.0/lone"
same 0.3.0 0.3.1
rm "$SOURCES/0.3.1/hx/hx_handler.erl"

one=$(release 0.1.0) two=$(release 0.2.0) bad=$(release 0.2.1) three=$(release 0.3.0) handler=$(release 0.3.1)
mkdir -p "$RELSUP_HOME"
echo '{"env": {"RELEASE_MODE": "interactive"}}' >"$RELSUP_HOME/relsup.json"
start_home "$one"
now() {
    ask '{gen_server:call(hx_srv, get), whereis(hx_leaf), [application:get_env(same, K) || K <- [set, back]],
        [A || {A, _, _} <- application:which_applications(), lists:member(A, [bad, fresh, lone])],
        [M || M <- [hx_leaf, sleepy, sleepy_old], erlang:module_loaded(M)]}'
}
before=$(now)
assert_match '^\{one,<.*>,\[\{ok,default\},\{ok,configured\}\],\[lone\],\[hx_leaf\]\}$' "$before"

# a permanent application that does not start is no reason for the VM to end
pid=$(relsup pid)
assert_exit 3 hot "$bad"
assert_match 'application bad does not start: \{no,' "$(cat "$WORK/err")"
assert_eq "$before" "$(now)"
assert_eq "$pid" "$(relsup pid)"
all_run

assert_exit 0 hot "$two"
assert_eq '{two,undefined,[{ok,configured},{ok,default}],[fresh,lone],[]}' "$(now | tr -d ' \n')"
assert_eq '{{[{set,2}],[],[]},{[{set,configured},{back,default}],[],[]}}' \
    "$(ask 'begin {C, [], []} = persistent_term:get(same), {persistent_term:get(again), {lists:reverse(lists:sort(C)), [], []}} end')"
assert_eq '[{again,permanent},{fresh,permanent}]' \
    "$(ask 'lists:sort([T || T = {A, _} <- proplists:get_value(started, application:info()), A =:= again orelse A =:= fresh])')"
all_run

assert_exit 0 relsup rollback
assert_match '^\{one,<.*>,\[\{ok,default\},\{ok,configured\}\],\[lone\],\[' "$(now)"
all_run

# what was not changed by the upgrade before goes as well
assert_exit 0 hot "$two"
assert_eq true "$(ask 'is_list(code:lib_dir(lone))')"
assert_exit 0 hot "$three"
assert_eq '{[],{error,bad_name}}' \
    "$(ask '{[P || P <- code:get_path(), string:find(P, "/lone-1/") =/= nomatch], code:lib_dir(lone)}')"

assert_exit 2 hot "$handler"
assert_match 'process hx_events runs module hx_handler, which the new release does not have' "$(cat "$WORK/err")"
assert_eq here "$(ask 'gen_event:call(hx_events, hx_handler, any)')"
all_run
end_home
