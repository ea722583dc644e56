#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The agent fails, is killed or hangs at each of its steps in turn; its keeper is killed; relsup is stopped. After each
# every process answers, with the old code and its old state, and nobody is suspended.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

supervised_app 0.1.0 1
sup() { # VERSION CHILDREN
    module "$1" hx/hx_sup <<ERL
-behaviour(supervisor).
-export([start_link/0, init/1]).
start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
init([]) -> {ok, {#{}, [#{id => N, start => {hx_srv, start_link, [N]}} || N <- [$2]]}}.
ERL
}
server() { # VERSION STATE
    module "$1" hx/hx_srv <<ERL
-behaviour(gen_server).
-export([start_link/1, init/1, handle_call/3, handle_cast/2, code_change/3, version/0]).
start_link(N) -> gen_server:start_link({local, N}, ?MODULE, [], []).
init([]) -> {ok, {$1, 0}}.
handle_call(get, _, {$1, N}) -> {reply, {$1, N + 1}, {$1, N + 1}}.
handle_cast(_, S) -> {noreply, S}.
code_change(_, {_, N}, _) -> {ok, {$1, N}}.
version() -> $1.
ERL
}
sup 0.1.0 'hx_a, hx_b, hx_c'
server 0.1.0
same 0.1.0 0.2.0
app 0.2.0 hx 2 '{mod, {hx_app, []}}'
sup 0.2.0 'hx_a, hx_b, hx_c, hx_new'
server 0.2.0
sed -i 's/0\.1\.0/1/g' "$SOURCES"/0.1.0/hx/*.erl
sed -i 's/0\.2\.0/2/g' "$SOURCES"/0.2.0/hx/*.erl
one=$(release 0.1.0) two=$(release 0.2.0)

# fault STEP WHAT: what the agent does when it comes to that step.
step=$(grep -ao 'relsup_hot_step_[0-9a-f]\{8\}' "$RELPACK_BIN/relsup" | sort -u)
assert_match '^relsup_hot_step_' "$step"
fault() {
    printf -- '-module(%s).\n-export([at/1]).\nat(%s) -> %s;\nat(_) -> ok.\n' "$step" "$1" "$2" >"$WORK/$step.erl"
    erlc -W0 -o "$WORK" "$WORK/$step.erl"
    ask "begin code:purge($step), code:delete($step), code:purge($step),
        code:load_abs(\"$WORK/$step\") end" >"$WORK/out"
}

md5s=
count=0
# Three servers that count what they are asked.
untouched() {
    count=$((count + 1))
    assert_eq "[{1,$count},{1,$count},{1,$count}]" "$(ask '[gen_server:call(P, get, 3000) || P <- [hx_a, hx_b, hx_c]]')" "$1"
    assert_eq "$md5s" "$(ask '[M:module_info(md5) || M <- [hx_app, hx_sup, hx_srv]]')" "code after: $1"
    assert_eq '{[hx_a,hx_b,hx_c],{ok,"1"},"hx-1",undefined}' \
        "$(ask '{lists:sort([element(1, C) || C <- supervisor:which_children(hx_sup)]), application:get_key(hx, vsn),
            filename:basename(code:lib_dir(hx)), whereis(hx_new)}')" "the rest after: $1"
    all_run
}

keeper_gone() {
    [ "$(ask "whereis('relsup.hot')")" = undefined ]
}

start_home "$one"
md5s=$(ask '[M:module_info(md5) || M <- [hx_app, hx_sup, hx_srv]]')
untouched "nothing"

for at in began suspended changed_ahead loading loaded changed resumed start_child started; do
    fault $at 'error(planned)'
    assert_exit 3 hot "$two"
    assert_match 'planned' "$(cat "$WORK/err")"
    untouched "an error at $at"

    fault $at 'exit(self(), kill)'
    assert_exit 3 hot "$two"
    assert_match 'the worker ended: killed' "$(cat "$WORK/err")"
    untouched "killed at $at"

    fault $at "begin exit(whereis('relsup.hot'), kill), receive after infinity -> ok end end"
    assert_exit 3 hot "$two"
    assert_match 'the keeper ended: killed' "$(cat "$WORK/err")"
    wait_until 5 keeper_gone
    untouched "its keeper killed at $at"
done

# before anything is touched it is no way back
fault checked 'error(planned)'
assert_exit 1 hot "$two"
untouched "an error before"

# in the pause a hang is noticed soon
fault loaded 'receive after infinity -> ok end'
assert_exit 3 hot "$two" --suspend 300ms
assert_match 'it was not over within' "$(cat "$WORK/err")"
untouched "a hang"

# relsup is stopped in the middle: the node neither hears from it nor loses it
fault suspended "os:cmd(\"kill -STOP $HOME_PID\")"
hot "$two" --boot 1s >"$WORK/out" 2>"$WORK/err" &
asker=$!
own_pid $asker
contact=$RELSUP_HOME/run/active.json
stopped() {
    grep -q '^State:.T' "/proc/$HOME_PID/status"
}
wait_until 10 stopped
wait_until 10 keeper_gone
untouched "relsup was stopped"
[ -f "$contact" ] || fail "no contact"
kill -CONT "$HOME_PID"
status=0
wait $asker || status=$?
assert_eq 3 $status "exit of a hot upgrade that was stopped"
assert_match 'nobody said within 1000 ms whether it is good' "$(cat "$WORK/err")"
untouched "relsup went on"

# behind the commit nothing leads back
fault committed 'exit(self(), kill)'
assert_exit 0 hot "$two"
assert_eq "[{2,$((count + 1))},{2,1}]" "$(ask '[gen_server:call(P, get) || P <- [hx_a, hx_new]]')"
all_run
end_home
