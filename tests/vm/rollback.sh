#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# A rollback goes to what served before, by the history: never to what was left, was undone or never served, and says
# which before it acts. Forward goes only who names a version.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

app 0.1.0 hx 0.1.0 '{mod, {hx_app, []}}'
module 0.1.0 hx/hx_app <<'ERL'
-behaviour(application).
-behaviour(gen_server).
-export([start/2, stop/1, init/1, handle_call/3, handle_cast/2, code_change/3]).
start(_, _) -> gen_server:start_link({local, hx}, ?MODULE, [], []).
stop(_) -> ok.
init([]) -> {ok, ["0.1.0"]}.
handle_call(get, _, S) -> {reply, S, S}.
handle_cast(_, S) -> {noreply, S}.
code_change({down, _}, [_ | S], _) -> {ok, S};
code_change(_, S, _) -> {ok, ["0.1.0" | S]}.
ERL
one=$(release 0.1.0)
next() { # VERSION
    same 0.1.0 "$1"
    sed -i "s/0\.1\.0/$1/" "$SOURCES/$1"/hx/{hx_app.erl,vsn}
}
next 0.2.0 && two=$(release 0.2.0)
next 0.3.0 && three=$(release 0.3.0)
next 0.4.0 && sed -i 's/^start.*/start(_, _) -> halt(1)./' "$SOURCES/0.4.0/hx/hx_app.erl" && bad=$(release 0.4.0)
next 0.5.0
five=$(release 0.5.0)

current() {
    basename "$(readlink "$RELSUP_HOME/current")"
}
back() { # FROM TO
    assert_exit 0 relsup rollback
    assert_match "hx $1 -> $2" "$(cat "$WORK/err")"
    assert_eq "$2" "$(current)"
}

start_home "$one"
assert_exit 2 relsup rollback
assert_match 'no release of this home served before 0\.1\.0: name the version' "$(cat "$WORK/err")"
assert_exit 0 relsup upgrade "$two"
assert_exit 0 relsup upgrade "$three"
assert_exit 3 relsup upgrade "$bad"

# what was undone last is not gone to, and what was left neither
back 0.3.0 0.2.0
back 0.2.0 0.1.0
assert_exit 2 relsup rollback
assert_match 'no release of this home served before 0\.1\.0' "$(cat "$WORK/err")"
assert_eq 0.1.0 "$(current)"

# forward, by name; then back again
assert_exit 0 relsup rollback 0.3.0
assert_match 'hx 0\.1\.0 -> 0\.3\.0' "$(cat "$WORK/err")"
back 0.3.0 0.1.0
assert_exit 2 relsup rollback 0.1.0
assert_match 'is what runs' "$(cat "$WORK/err")"
assert_exit 2 relsup rollback ../releases/0.2.0
assert_exit 2 relsup rollback 0.9.0

# in place, and back in place by the code of the newer one; a restart in between, and then by a swap
assert_exit 0 hot "$two"
assert_eq '["0.2.0","0.1.0"]' "$(ask 'gen_server:call(hx, get)')"
pid=$(relsup pid)
back 0.2.0 0.1.0
assert_eq '["0.1.0"]' "$(ask 'gen_server:call(hx, get)')"
assert_exit 0 hot "$two"
assert_exit 0 hot "$three"
assert_eq "$pid" "$(relsup pid)"
back 0.3.0 0.2.0
assert_eq '["0.2.0","0.1.0"]' "$(ask 'gen_server:call(hx, get)')"
assert_exit 0 relsup restart
back 0.2.0 0.1.0
[ "$pid" != "$(relsup pid)" ] || fail "it is the same VM"

# a folder that is gone is passed over; a history that was cut still leads back
assert_exit 0 relsup upgrade "$two"
assert_exit 0 relsup upgrade "$five"
rm -rf "$RELSUP_HOME/releases/0.2.0"
printf '{"at":"2026-01-01T00:00:00Z","what":"upg' >>"$RELSUP_HOME/log/history.jsonl"
assert_exit 0 relsup rollback
assert_match '0\.2\.0 served before, and is not in this home any more' "$(cat "$WORK/err")"
assert_eq 0.1.0 "$(current)"
relsup history --json >"$WORK/out"
assert_eq rollback "$(field 'd["history"][-1]["what"]')"
end_home
