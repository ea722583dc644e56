#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What code in a peer may ask of its supervisor: from Erlang and from Elixir, by each way in, and without a supervisor.
. "$(dirname "$0")/../support/lib.sh"

PORT=$(free_port)
export PORT DATABASE_PATH=$WORK/notes.db RELSUP_HOME

answers() {
    [[ "$(http version)" == *"$1"* ]]
}

# Prints the value of an expression in the active peer.
ask() {
    relsup rpc --print "$1"
}

# An order from inside: the answer is there before its peer is retired.
order() {
    assert_exit 0 "$@"
}

start_home() {
    RELSUP_HOME=$WORK/home-$1
    start_bg "$1" relsup run "$2" --home "$RELSUP_HOME"
    wait_until 40 answers 0.1.0
    wait_until 10 running
}

stop_home() {
    assert_exit 0 relsup stop
    wait_until 10 gone "$BG_PID"
}

# --- Erlang
one=$(build_release shop 0.1.0 relpack)
two=$(build_release shop 0.2.0 relpack)
dies=$(build_release shop 0.2.0 relpack dies)
deaf=$(build_release shop 0.2.0 relpack deaf)
start_home shop "$one"
assert_match '<<"app">> => <<"shop">>.*<<"state">> => <<"running">>' "$(ask 'relsup:status().')"
assert_match "<<\"pid\">> => $(relsup pid)," "$(ask 'relsup:status().')"
assert_eq "{ok,#{generation => 1,home => <<\"$RELSUP_HOME\">>,node => shop_blue@localhost,other => undefined,\
release => <<\"0.1.0\">>,role => active,version => <<\"0.1.0\">>}}" "$(ask 'relsup:peer().')"
assert_eq false "$(ask 'relsup:upgrading().')"
assert_eq false "$(ask "erlang:module_loaded('Elixir.Relsup').")" "a node without Elixir"

assert_match '^\{error,\{bad_input,<<"/nowhere/x.tar.gz: open: ' "$(ask 'relsup:upgrade("/nowhere/x.tar.gz").')"
# a relative path is one in the folder of the VM
assert_match "\{bad_input,<<\"$RELSUP_HOME/releases/0.1.0/x.tar.gz: " "$(ask 'relsup:upgrade(<<"x.tar.gz">>).')"
assert_match '^\{error,\{bad_input,.*"/utf8' "$(ask 'relsup:upgrade(<<"/nowhere/\"é\\\"\n"/utf8>>).')"
assert_match '^\{error,\{bad_input,<<".* is no text">>}}' "$(ask 'relsup:upgrade({}).')"
assert_match '^\{error,\{rolled_back,<<".*the old one serves' "$(ask "relsup:upgrade(\"$dies\").")"

# the old peer sees what is under way, and who else is there
ask "relsup:upgrade(\"$deaf\", #{boot => 8})." >"$WORK/deaf" 2>&1 &
deaf_pid=$!
other_is_green() {
    [[ "$(ask 'relsup:peer().')" == *"other => shop_green@localhost"* ]]
}
wait_until 20 other_is_green
assert_eq true "$(ask 'relsup:upgrading().')"
assert_match '^\{error,\{busy,' "$(ask "relsup:upgrade(\"$two\").")"
wait "$deaf_pid" || fail "$(cat "$WORK/deaf")"
assert_match '^\{error,\{rolled_back,<<".*does not listen on' "$(cat "$WORK/deaf")"
assert_eq false "$(ask 'relsup:upgrading().')"

# a hot upgrade ends before its answer; the next release is swapped in, by either way into the peer
pid=$(relsup pid)
assert_eq ok "$(ask "relsup:upgrade(\"$two\", [{mode, hot}]).")"
answers 0.2.0 || fail "the code is not changed"
assert_eq "$pid" "$(relsup pid)" "it is the same VM"
order "$RELSUP_HOME/current/bin/shop" rpc "ok = relsup:upgrade(<<\"$one\">>)."
wait_until 30 answers 0.1.0
wait_until 30 running
order relsup rpc "ok = relsup:upgrade(\"$two\")."
wait_until 30 answers 0.2.0
wait_until 30 running
assert_match 'role => active,version => <<"0.2.0">>' "$(ask 'relsup:peer().')"
stop_home

# --- Elixir, in a release of ours and in one of mix
for kind in relpack mix; do
    one=$(build_release notes 0.1.0 $kind)
    two=$(build_release notes 0.2.0 $kind)
    start_home "notes-$kind" "$one"
    assert_match '"state" => "running"' "$(ask '{:ok, %{}} = Relsup.status()')"
    assert_match 'other: nil' "$(ask 'Relsup.peer()')"
    assert_eq "{false, false, true}" \
        "$(ask '{Relsup.upgrading(), Relsup.upgrading?(), Code.ensure_loaded?(:relsup)}')"
    assert_match '^\{:error, \{:bad_input, "/nowhere/x.tar.gz' "$(ask 'Relsup.upgrade("/nowhere/x.tar.gz")')"
    assert_match '^\{:error, \{:bad_input, ' "$(ask 'Relsup.upgrade("/nowhere/x.tar.gz", mode: :hot, soak: nil)')"
    if [ $kind = relpack ]; then
        order "$RELSUP_HOME/current/bin/notes" rpc ":ok = Relsup.upgrade(\"$two\")"
    else
        order relsup rpc ":ok = Relsup.upgrade(\"$two\")"
    fi
    wait_until 30 answers 0.2.0
    wait_until 30 running
    assert_match 'version: "0.2.0"' "$(ask 'Relsup.peer()')"
    stop_home
done

# --- without a supervisor there is no such module
unset RELSUP_HOME
mkdir "$WORK/alone"
tar -C "$WORK/alone" -xzf "$(build_release shop 0.1.0 relpack)"
export RELEASE_TMP=$WORK/tmp
"$WORK/alone/bin/shop" daemon
own_pid "$("$WORK/alone/bin/shop" pid)"
assert_eq false "$("$WORK/alone/bin/shop" rpc --print 'erlang:module_loaded(relsup).')"
assert_exit 0 "$WORK/alone/bin/shop" stop
