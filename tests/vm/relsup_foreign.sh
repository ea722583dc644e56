#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Tarballs of `mix release` and of rebar3/relx are swapped just as ours.
. "$(dirname "$0")/../support/lib.sh"

PORT=$(free_port)
export PORT DATABASE_PATH=$WORK/notes.db RELSUP_HOME

answers() {
    [[ "$(http version)" == *"$1"* ]]
}

for kind in mix relx; do
    app=shop
    [ $kind = relx ] || app=notes
    RELSUP_HOME=$WORK/$kind
    one=$(build_release $app 0.1.0 $kind)
    two=$(build_release $app 0.2.0 $kind)
    start_bg "$kind" relsup run "$one" --home "$RELSUP_HOME"
    supervisor=$BG_PID
    wait_until 40 answers 0.1.0
    wait_until 10 running
    if grep -lsF -- "$(cat "$RELSUP_HOME/secret/peer-1/cookie")" /proc/[0-9]*/cmdline; then
        fail "$kind: the cookie is on a command line"
    fi
    assert_exit 0 relsup upgrade "$two"
    answers 0.2.0 || fail "$kind: the new release does not answer"
    assert_exit 0 relsup rpc '1 + 1' --print
    assert_exit 0 relsup stop
    wait_until 10 gone "$supervisor"
done
