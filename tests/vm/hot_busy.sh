#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who is busy in a module that a hot upgrade changes: callers that come and go are no hindrance, a request that ends
# is waited for, and one that does not finishes in the old code or has the upgrade refused. Nobody is ended for it.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

supervised_app 0.1.0 1
module 0.1.0 hx/hx_sup <<'ERL'
-behaviour(supervisor).
-export([start_link/0, init/1]).
start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
init([]) ->
    Workers = [#{id => I, start => {hx_worker, start_link, [I]}} || I <- [one, two]],
    {ok, {#{}, [#{id => srv, start => {hx_srv, start_link, []}} | Workers]}}.
ERL
# A web server's process: it is not of a changed module, what it calls is. And who is spawned to call.
module 0.1.0 hx/hx_worker <<'ERL'
-behaviour(gen_server).
-export([start_link/1, init/1, handle_call/3, handle_cast/2, callers/1]).
start_link(Name) -> gen_server:start_link({local, Name}, ?MODULE, [], []).
init([]) -> {ok, none}.
handle_call({M, F, A}, _, S) -> {reply, apply(M, F, A), S}.
handle_cast({M, F, A}, _) -> {noreply, apply(M, F, A)}.
callers(N) -> [register(list_to_atom("caller" ++ integer_to_list(I)), spawn(fun caller/0)) || I <- lists:seq(1, N)], ok.
caller() -> _ = hx_srv:next(), caller().
ERL
server() { # VERSION N CODE_CHANGE
    module "$1" hx/hx_srv <<ERL
-behaviour(gen_server).
-export([start_link/0, next/0, init/1, handle_call/3, handle_cast/2, code_change/3]).
start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).
next() -> {ok, N} = gen_server:call(?MODULE, next, infinity), N.
init([]) -> {ok, 0}.
handle_call(next, _, N) -> {reply, {ok, N}, N + $2};
handle_call({sleep, Ms}, _, N) -> timer:sleep(Ms), {reply, $2, N};
handle_call(version, _, N) -> {reply, $2, N}.
handle_cast({sleep, Ms}, N) -> timer:sleep(Ms), {noreply, N}.
code_change(_, N, _) -> $3.
ERL
    module "$1" hx/hx_page <<ERL
-export([slow/1, stream/0, twice/0, local/0, other/0]).
slow(Ms) -> timer:sleep(Ms), $2.
stream() -> receive stop -> $2; {who, P} -> P ! $2, stream() end.
twice() -> hx_lib:twice(fun() -> receive stop -> $2 end end).
local() -> receive stop -> ok; {who, P} -> P ! $2, local() end.
other() -> receive stop -> ok; {who, P} -> P ! $2, ?MODULE:other() after 5 -> ?MODULE:other() end.
ERL
}
module 0.1.0 hx/hx_lib <<'ERL'
-export([twice/1]).
twice(F) -> {F(), here}.
ERL
server 0.1.0 1 '{ok, N}'
for n in 2 3; do
    same "0.$((n - 1)).0" 0.$n.0
    app 0.$n.0 hx $n '{mod, {hx_app, []}}'
    server 0.$n.0 $n '{ok, N}'
done
same 0.3.0 0.4.0
app 0.4.0 hx 4 '{mod, {hx_app, []}}'
server 0.4.0 4 'error(spoilt)'
one=$(release 0.1.0) two=$(release 0.2.0) three=$(release 0.3.0) spoilt=$(release 0.4.0)
start_home "$one"

version() {
    assert_eq "$1" "$(ask 'gen_server:call(hx_srv, version)')"
}
who() { # NAME
    ask "begin $1 ! {who, self()}, receive V -> V end end"
}
is_in() { # NAME MODULE
    ask "begin {_, S} = process_info(whereis($1), current_stacktrace), lists:keymember($2, 1, S) end" >"$WORK/is_in"
    [ "$(cat "$WORK/is_in")" = true ]
}

# callers that are always inside, but never the same time: neither a hindrance nor worth the wait
ask 'hx_worker:callers(20)' >"$WORK/out"
assert_exit 0 hot "$two" --old-code refuse --wait 30s
assert_exit 0 relsup rollback --hot --old-code refuse --wait 30s
assert_exit 0 hot "$two" --json
assert_eq "False" "$(field '"old_code" in d["plan"]')"
ask 'begin [exit(whereis(list_to_atom("caller" ++ integer_to_list(I))), kill) || I <- lists:seq(1, 20)], ok end' >"$WORK/out"
version 2

# a request that ends within the wait, in a process of another module; and one in a changed server itself
ask 'begin [gen_server:cast(P, {hx_page, slow, [1500]}) || P <- [one, two]], gen_server:cast(hx_srv, {sleep, 1500}) end' >"$WORK/out"
assert_exit 0 hot "$three" --old-code refuse --wait 30s --json
assert_eq True "$(field 'd["pause_us"] < 1000000')"
version 3
assert_exit 0 relsup rollback --hot

# one that does not: it is named, with what it is and where
ask 'gen_server:cast(one, {hx_page, stream, []})' >"$WORK/out"
wait_until 5 is_in one hx_page
assert_exit 1 hot "$three" --old-code refuse --wait 300ms
assert_match 'process one \(gen_server in a callback, hx_worker, in hx_page:stream/0\) does not leave module hx_page' "$(cat "$WORK/err")"
version 2
ask 'gen_server:cast(hx_srv, {sleep, 3000})' >"$WORK/out"
assert_exit 1 hot "$three" --wait 300ms
assert_match 'process hx_srv \(gen_server in a callback, hx_srv, in hx_srv:handle_cast/2\) is busy' "$(cat "$WORK/err")"
version 2

# it finishes in the old code; the next upgrade needs its place, waits, and then ends nobody either
assert_exit 0 hot "$three" --wait 300ms --dry-run
assert_match 'process one .* stays in the old code of hx_page until it leaves it; an undo would have to end it' "$(cat "$WORK/out")"
assert_exit 0 hot "$three" --wait 300ms
assert_match 'process one .* stays in the old code of hx_page' "$(cat "$WORK/out")"
version 3
assert_eq '3 2' "$(ask 'gen_server:call(two, {hx_page, slow, [1]})') $(who one)"
assert_exit 1 relsup rollback --hot --wait 300ms
assert_match 'process one .* still runs the code of hx_page from before the last upgrade' "$(cat "$WORK/err")"
assert_exit 1 hot "$two" --wait 300ms --dry-run
version 3
assert_eq 2 "$(who one)"
start_bg late relsup rollback --hot --wait 30s
sleep 0.5
ask 'begin one ! stop, ok end' >"$WORK/out"
wait_until 20 gone "$BG_PID"
version 2
assert_eq 2 "$(ask 'sys:get_state(one)')"

# frames of the module on both sides of another one's
ask 'gen_server:cast(two, {hx_page, twice, []})' >"$WORK/out"
wait_until 5 is_in two hx_page
assert_exit 1 hot "$three" --old-code refuse --wait 300ms
assert_match 'process two .* does not leave module hx_page' "$(cat "$WORK/err")"
ask 'begin two ! stop, ok end' >"$WORK/out"

# loops of plain processes: who calls itself by the module's name moves on, who does not stays and is named
ask 'begin register(moves, spawn(hx_page, other, [])), register(stays, spawn(hx_page, local, [])), ok end' >"$WORK/out"
assert_exit 0 relsup upgrade --auto "$three" --dry-run --wait 500ms
assert_match 'by a swap: process stays .plain process, in hx_page:local/0. would not leave the old code of hx_page by itself' "$(cat "$WORK/out")"
assert_exit 0 hot "$three" --wait 500ms
assert_match 'process stays .* stays in the old code of hx_page' "$(cat "$WORK/out")"
[[ $(cat "$WORK/out") != *moves* ]] || fail "who moves was told to stay: $(cat "$WORK/out")"
assert_eq '3 2' "$(who moves) $(who stays)"

# an undo waits for who is kept, and only then ends it, and says so
ask 'begin stays ! stop, ok end' >"$WORK/out"
ask 'begin register(stays, spawn(hx_page, local, [])), register(ends, spawn(hx_page, slow, [4000])), ok end' >"$WORK/out"
assert_exit 3 hot "$spoilt" --wait 200ms --suspend 5s
assert_match 'code_change of .*hx_srv.*spoilt.*process stays was still in the old code, and was ended' "$(cat "$WORK/err")"
[[ $(cat "$WORK/err") != *"process ends"* ]] || fail "who left was ended: $(cat "$WORK/err")"
version 3
assert_eq '3 undefined' "$(who moves) $(ask 'whereis(stays)')"
all_run
end_home
