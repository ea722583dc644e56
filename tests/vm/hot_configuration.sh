#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A hot upgrade brings in the configuration that a boot of the new release would evaluate: variables of the environment,
# files that are named, what was put at run time meanwhile. What cannot be known, or is read at boot only, is no hot
# upgrade; after a failure nothing is different.
# shellcheck disable=SC2016 # the variables are not the shell's
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

settings() { # VERSION < sys.config.src: instead of what was built
    local dir=$WORK/release-$1/hx/releases/$1

    rm -f "$dir"/sys.config "$dir"/sys.config.src
    cat >"$dir/sys.config.src"
}

# At its start it puts two keys of its own; it keeps what it is told.
app 0.1.0 hx 0.1.0 '{applications, [kernel, stdlib, sasl]}, {mod, {hx_app, []}}, {env, [{of_app, 1}, {of_both, 1}]}'
module 0.1.0 hx/hx_app <<'E'
-behaviour(application).
-export([start/2, stop/1, init/1, config_change/3]).
start(_, _) ->
    application:set_env(hx, kept, put),
    application:set_env(hx, over, put),
    application:set_env(hx, own, put),
    application:unset_env(hx, taken),
    supervisor:start_link({local, hx_sup}, ?MODULE, []).
stop(_) -> ok.
init([]) -> {ok, {#{}, [#{id => one, start => {hx_one, start_link, []}}]}}.
config_change(Changed, New, Removed) ->
    persistent_term:put(told, {lists:sort(Changed), lists:sort(New), lists:sort(Removed)}).
E
module 0.1.0 hx/hx_one <<'E'
-behaviour(gen_server).
-export([start_link/0, init/1, handle_call/3, handle_cast/2, code_change/3]).
start_link() -> gen_server:start_link({local, hx_one}, ?MODULE, [], []).
init([]) -> {ok, 1}.
handle_call(_, _, S) -> {reply, S, S}.
handle_cast(_, S) -> {noreply, S}.
code_change(_, S, _) -> {ok, S}.
E
for version in 0.2.0 0.3.0 0.4.0 0.5.0; do
    same 0.1.0 $version
    echo $version >"$SOURCES/$version/hx/vsn"
    sed -i "s/{ok, 1}/{ok, '$version'}/; s/of_app, 1/of_app, '$version'/" "$SOURCES/$version"/hx/{hx_one.erl,keys}
done
sed -i 's/{of_both, 1}/{of_both, 2}, {of_new, 3}/' "$SOURCES/0.2.0/hx/keys"
sed -i 's/^code_change.*/code_change(_, _, _) -> error(planned)./' "$SOURCES/0.3.0/hx/hx_one.erl"
declare -A release
for version in 0.1.0 0.2.0 0.3.0 0.4.0 0.5.0; do
    release[$version]=$(release $version)
done

settings 0.1.0 <<'C'
[{hx, [{port, ${HX_PORT:-1}}, {name, "${HX_NAME:-one}"}, {kept, file}, {over, 1}, {gone, [{deep, true}]}, {taken, 1}]},
 {sasl, [{shown, 1}]}, "beside.config"].
C
settings 0.2.0 <<'C'
[{hx, [{port, ${HX_PORT:-2}}, {name, "${HX_NAME:-two}"}, {secret, "${HX_SECRET}"}, {kept, file}, {over, 2}, {taken, 1}, {of_both, 9}]},
 {sasl, [{shown, 2}]}, {kernel, [{net_tickintensity, 5}]}, "beside"].
C
sed 's/${HX_SECRET}/of three/' "${release[0.2.0]}/releases/0.2.0/sys.config.src" | settings 0.3.0
settings 0.4.0 <<<'[{hx, [{port, ${HX_NOWHERE}}]}].'
settings 0.5.0 <"${release[0.2.0]}/releases/0.2.0/sys.config.src"
echo '[{hx, [{beside, old}]}].' >"${release[0.1.0]}/releases/0.1.0/beside.config"
for version in 0.2.0 0.3.0 0.5.0; do
    echo '[{hx, [{beside, new}]}, {other, [{a, 1}]}].' >"${release[$version]}/releases/$version/beside.config"
done

environment() {
    ask "{[{A, lists:sort(application:get_all_env(A))} || A <- [hx, sasl, kernel, other]],
          lists:sort([{A, lists:sort(E)} || {A, E} <- element(9, sys:get_state(application_controller))])}"
}

is() {
    assert_eq "$1" "$(ask "$2")" "$2"
}

mkdir -p "$RELSUP_HOME"
export HX_PORT=7777
start_home "${release[0.1.0]}"
is '[{beside,old},{gone,[{deep,true}]},{kept,put},{name,"one"},{of_app,1},{of_both,1},{over,put},{own,put},{port,7777}]' \
    'lists:sort(application:get_all_env(hx))'
before=$(environment)

# --- what cannot be evaluated: a variable that nobody sets, a launcher that fails, one that hangs
assert_exit 1 hot "${release[0.4.0]}"
assert_match 'configuration that it would boot with' "$(cat "$WORK/err")"
assert_match 'its evaluation exited with status' "$(cat "$WORK/err")"
assert_match 'HX_NOWHERE' "$(cat "$WORK/err")"
assert_exit 1 hot --dry-run "${release[0.4.0]}"
echo '[ "$RELEASE_COMMAND" != eval ] || exit 7' >>"${release[0.5.0]}/releases/0.5.0/env.sh"
assert_exit 1 hot "${release[0.5.0]}"
assert_match 'exited with status 7' "$(cat "$WORK/err")"
assert_exit 0 relsup upgrade --auto --dry-run "${release[0.5.0]}"
assert_match 'would be replaced by 0.5.0 by a swap: the configuration' "$(cat "$WORK/out")"
echo '[ "$RELEASE_COMMAND" != eval ] || { echo "$$" >"'"$WORK"'/evaluates"; exec sleep 600; }' >"${release[0.4.0]}/releases/0.4.0/env.sh"
start_bg waits relsup upgrade --hot "${release[0.4.0]}"
wait_until 20 test -s "$WORK/evaluates"
assert_exit 0 relsup abort
wait_until 20 gone "$BG_PID"
rc=0
wait "$BG_PID" || rc=$?
assert_eq 1 $rc "of the upgrade that was told to end"
wait_until 10 gone "$(cat "$WORK/evaluates")"
assert_eq "$before" "$(environment)" "after what could not be evaluated"
assert_eq 0.1.0 "$(ls "$RELSUP_HOME/releases")"

# --- one that fails behind the change
assert_exit 3 hot "${release[0.3.0]}"
assert_match 'planned' "$(cat "$WORK/err")"
assert_eq "$before" "$(environment)" "after a rollback"

# --- the settings say another name by now, and give the secret: as a boot would read them
echo '{"env": {"HX_NAME": "later", "HX_SECRET": "never shown"}}' >"$RELSUP_HOME/relsup.json"
assert_exit 0 hot --dry-run --json "${release[0.2.0]}"
assert_eq "['hx: beside changed', 'hx: gone removed', 'hx: name changed', 'hx: of_app changed', 'hx: of_both changed', \
'hx: of_new new', 'hx: over changed', 'hx: secret new', 'kernel: net_tickintensity changed', 'sasl: shown changed']" \
    "$(field '[l.split(" (")[0] for l in d["plan"]["configuration"]]')"
assert_match 'net_tickintensity changed in its configuration, and is read at boot only' "$(field 'd["plan"]["harm"][0]')"
! grep -q 'never shown\|later' "$WORK/out" "$WORK/err" || fail "the plan shows a value"
assert_eq "$before" "$(environment)" "after a dry run"
assert_exit 0 hot "${release[0.2.0]}"
new='[{beside,new},{kept,put},{name,"later"},{of_app,'"'0.2.0'"'},{of_both,9},{of_new,3},{over,2},{own,put},{port,7777},{secret,"never shown"}]'
is "$new" 'lists:sort(application:get_all_env(hx))'
is '{{ok,2},{ok,4}}' '{application:get_env(sasl, shown), application:get_env(kernel, net_tickintensity)}'
is '{[{beside,new},{name,"later"},{of_app,'"'0.2.0'"'},{of_both,9},{over,2}],[{of_new,3},{secret,"never shown"}],[gone]}' 'persistent_term:get(told)'
all_run

# --- a boot of it says the same, but for what is put at run time
assert_exit 0 relsup restart
is '[{beside,new},{kept,put},{name,"later"},{of_app,'"'0.2.0'"'},{of_both,9},{of_new,3},{over,put},{own,put},{port,7777},{secret,"never shown"}]' \
    'lists:sort(application:get_all_env(hx))'
is '{ok,5}' 'application:get_env(kernel, net_tickintensity)'

# --- and back, in place
assert_exit 0 relsup rollback --hot
is '[{beside,old},{gone,[{deep,true}]},{kept,put},{name,"later"},{of_app,1},{of_both,1},{over,1},{own,put},{port,7777}]' \
    'lists:sort(application:get_all_env(hx))'
end_home
