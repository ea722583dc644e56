#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A running node that no relsup started: changed in place, up and down again; its own files are never written.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

for v in 1 2; do
    app 0.$v.0 hx $v
    module 0.$v.0 hx/hx_lib <<ERL
-export([version/0]).
version() -> $v.
ERL
    module 0.$v.0 hx/hx_srv <<ERL
-behaviour(gen_server).
-export([start/0, init/1, handle_call/3, handle_cast/2, code_change/3]).
start() -> gen_server:start({local, ?MODULE}, ?MODULE, [], []).
init([]) -> {ok, [$v]}.
handle_call(get, _, S) -> {reply, S, S}.
handle_cast(_, S) -> {noreply, S}.
code_change(_, S, _) -> {ok, [$v | S]}.
ERL
done
one=$(release 0.1.0) two=$(release 0.2.0)
export XDG_STATE_HOME=$WORK/state
printf chocolate >"$WORK/cookie"
chmod 600 "$WORK/cookie"
tar -C "$two" -czf "$WORK/two.tar.gz" .
tar -C "$one" -czf "$WORK/one.tar.gz" .
(cd "$one" && find lib releases -type f -exec sha256sum {} + | sort) >"$WORK/before"

# as its own launcher starts it, known to an epmd
unset RELSUP_HOME
ERL_EPMD_PORT=$(free_port)
export ERL_EPMD_PORT RELEASE_DISTRIBUTION=sname RELEASE_COOKIE=chocolate RELEASE_NODE=hx_$$@localhost
start_bg node "$one/bin/hx" start
node=$RELEASE_NODE
here() {
    timeout 20 "$one/bin/hx" rpc "$1"
}
wait_until 20 here 'hx_srv:start()'
on_node() {
    relsup upgrade --hot --node "$node" --cookie-file "$WORK/cookie" "$@"
}
assert_exit 0 on_node "$WORK/two.tar.gz" --dry-run
assert_match 'hx 0.1.0 can be changed to 0.2.0 in place' "$(cat "$WORK/out")"
assert_exit 0 on_node "$WORK/two.tar.gz"
assert_match 'hx 0.2.0 runs, changed in place from 0.1.0: 2 modules, 1 processes' "$(cat "$WORK/out")"
here 'ok = io:format("~w ~w", [hx_lib:version(), gen_server:call(hx_srv, get)])' >"$WORK/said"
assert_eq '2 [2,1]' "$(cat "$WORK/said")"
assert_exit 0 on_node "$WORK/one.tar.gz" --json
assert_eq "0.1.0 0.2.0 2" "$(field '"{} {} {}".format(d["release"], d["previous"], d["modules"])')"
here 'ok = io:format("~w ~w", [hx_lib:version(), gen_server:call(hx_srv, get)])' >"$WORK/said"
assert_eq '1 [1,2,1]' "$(cat "$WORK/said")"
(cd "$one" && find lib releases -type f -exec sha256sum {} + | sort) >"$WORK/after"
cmp "$WORK/before" "$WORK/after" || fail "the files of the running release were written"

# what is wrong is told
assert_exit 2 relsup upgrade --hot --node "$node" "$WORK/two.tar.gz"
assert_match 'node and --cookie-file go together' "$(cat "$WORK/err")"
assert_exit 2 relsup upgrade --node "$node" --cookie-file "$WORK/cookie" "$WORK/two.tar.gz"
assert_match 'goes with --hot' "$(cat "$WORK/err")"
printf wrong >"$WORK/wrong"
chmod 600 "$WORK/wrong"
assert_exit 1 relsup upgrade --hot --node "$node" --cookie-file "$WORK/wrong" "$WORK/two.tar.gz"
assert_match 'cookie' "$(cat "$WORK/err")"
assert_exit 1 relsup upgrade --hot --node nobody@localhost --cookie-file "$WORK/cookie" "$WORK/two.tar.gz"
timeout 20 "$one/bin/hx" stop
wait_until 10 gone "$BG_PID"
epmd -kill >"$WORK/out" 2>&1 || true
