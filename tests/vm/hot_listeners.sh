#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A supervisor whose init/1 opens the listener, and other ways to end up with a port that nobody accepts from: a hot
# upgrade that is done costs no connection, and one that is undone leaves the listeners as they were.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"
need_ns "$@"

PORT=$(free_port) OTHER=$(free_port)
supervised_app 0.1.0 1
# The acceptors are of a module that does not change.
module 0.1.0 hx/hx_conn <<'ERL'
-export([start_link/2, init/2, loop/1]).
start_link(L, Name) -> {ok, spawn_link(?MODULE, init, [L, Name])}.
init(L, Name) -> register(Name, self()), loop(L).
loop(L) -> {ok, S} = gen_tcp:accept(L), gen_tcp:send(S, "hello"), gen_tcp:close(S), ?MODULE:loop(L).
ERL
sup() { # VERSION BEFORE CHILDREN
    module "$1" hx/hx_sup <<ERL
-behaviour(supervisor).
-export([start_link/0, init/1, version/0]).
version() -> "$1".
start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
init([]) ->
    $2
    {ok, {#{}, [$3]}}.
listen(Port, Options) ->
    {ok, L} = gen_tcp:listen(Port, [{ip, {127,0,0,1}}, {reuseaddr, true}, {active, false}, {backlog, 1000} | Options]),
    L.
acceptor(Id, L) -> #{id => Id, start => {hx_conn, start_link, [L, Id]}}.
unused() -> {listen(0, []), acceptor(a, none)}.
ERL
}
opens="L = listen($PORT, []),"
shares="L = listen($PORT, [{raw, 1, 15, <<1:32/native>>}]),"
sup 0.1.0 "$opens" 'acceptor(a1, L), acceptor(a2, L)'
version() { # VERSION BEFORE CHILDREN
    same 0.1.0 "$1"
    app "$1" hx "$1" '{mod, {hx_app, []}}'
    sup "$@"
}
version 0.2.0 "$opens" 'acceptor(a1, L), acceptor(a2, L)'
version 0.3.0 "$opens" 'acceptor(a1, L), acceptor(a2, L)'
version 0.4.0 "$shares" 'acceptor(a1, L), acceptor(a2, L)'
version 0.5.0 "$shares" 'acceptor(a1, L), acceptor(a2, L)'
version 0.6.0 "M = listen($OTHER, [])," 'acceptor(a1, M), acceptor(a2, M), acceptor(a3, M)'
r1=$(release 0.1.0) r2=$(release 0.2.0) r3=$(release 0.3.0) r4=$(release 0.4.0) r5=$(release 0.5.0) r6=$(release 0.6.0)

# All of so many connections are answered, and so many listeners are there.
serves() { # LISTENERS VERSION
    python3 - "$PORT" <<'P' || fail "connections hang"
import socket, sys
for n in range(60):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10)
    assert s.recv(5) == b"hello", n
    s.close()
P
    assert_eq "$1" "$(ss -Hltn "sport = :$PORT" | wc -l)" "listeners"
    assert_eq "\"$2\"" "$(ask 'hx_sup:version()')"
}
# A port that is taken does not open, as without us.
is_taken() {
    ask "element(2, gen_tcp:listen($PORT, [{ip, {127,0,0,1}}, {reuseaddr, true}]))" >"$WORK/taken"
    [ "$(cat "$WORK/taken")" = eaddrinuse ]
}
fails() { # RELEASE REASON
    local got=0

    hot "$1" >"$WORK/out" 2>"$WORK/err" || got=$?
    [[ $got =~ ^[13]$ ]] || fail "exit $got: $(cat "$WORK/out" "$WORK/err")"
    assert_match "$2" "$(cat "$WORK/err")"
    all_run
}

start_home "$r1"
wait_until 10 is_taken
serves 1 0.1.0
assert_exit 0 relsup upgrade --auto --dry-run "$r2"
assert_match 'by a swap: init/1 of hx_sup, which is run again, opens a listener .gen_tcp:listen/2' "$(cat "$WORK/out")"
fails "$r2" eaddrinuse
serves 1 0.1.0

# the same after a swap, whose candidate had to share the port; and after one that was aborted
assert_exit 0 relsup upgrade --auto "$r2" --json
assert_eq False "$(field 'd["hot"]')"
wait_until 10 is_taken
serves 1 0.2.0
fails "$r3" eaddrinuse
serves 1 0.2.0
assert_exit 0 relsup upgrade "$r3" --hold
assert_exit 0 relsup abort
wait_until 10 is_taken
serves 1 0.2.0

# it shares the port by itself: found by what nobody accepts from, and closed again
assert_exit 0 relsup upgrade "$r4"
serves 1 0.4.0
fails "$r5" "hx_sup listens on 127.0.0.1:$PORT once more, and nobody accepts there"
serves 1 0.4.0

# a listener where nothing was, of which a new child makes use: nothing is lost, and nothing closed
assert_exit 0 hot "$r6"
serves 1 0.6.0
assert_eq 1 "$(ss -Hltn "sport = :$OTHER" | wc -l)"
end_home
