#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The test applications themselves, built by rebar3 and mix alone: they build in every variant, answer what
# the other tests rely on, and share a port when they are told so from outside.
. "$(dirname "$0")/../support/lib.sh"
need_ns "$@"

share_port='-kernel inet_default_listen_options [{raw,1,15,<<1,0,0,0>>}]'

listeners() {
    ss -Hltn "sport = :$PORT" | wc -l
}

listen_n() {
    [ "$(listeners)" = "$1" ]
}

unpack() {
    mkdir "$WORK/$1"
    tar -C "$WORK/$1" -xzf "$2"
}

# start_shop NAME VERSION: by relx's launcher, with a node name of its own.
start_shop() {
    unpack "$1" "$(build_release shop "$2" relx)"
    sed '/^-sname/d' "$WORK/$1/releases/$2/vm.args" >"$WORK/$1.args"
    echo "-sname $1@localhost" >>"$WORK/$1.args"
    start_bg "$1" env HOME="$WORK" VMARGS_PATH="$WORK/$1.args" RELX_OUT_FILE_PATH="$WORK" \
        ERL_AFLAGS="$share_port" "$WORK/$1/bin/shop" foreground
}

PORT=$(free_port)
export PORT
start_shop one 0.1.0
first=$BG_PID
wait_until 20 http version
assert_eq "shop 0.1.0" "$(http version)"
assert_eq 1 "$(http count)"
assert_eq 2 "$(http count)"
start_shop two 0.2.0
wait_until 20 listen_n 2
load --url "http://127.0.0.1:$PORT/version" --rate 100 --seconds 1 --json >"$WORK/out"
assert_match '"shop 0.1.0":.*"failed":0|"failed":0.*"shop 0.1.0":' "$(cat "$WORK/out")"
assert_match '"shop 0.2.0":' "$(cat "$WORK/out")"
stop_bg "$first"
assert_eq "shop 0.2.0" "$(http version)"
stop_bg "$BG_PID"

for variant in dies deaf crash_code_change; do
    build_release shop 0.4.0 relx "$variant" >/dev/null
done
build_release notes 0.4.0 mix dies >/dev/null

PORT=$(free_port)
export DATABASE_PATH=$WORK/notes.db
for version in 0.1.0 0.2.0; do
    unpack "notes-$version" "$(build_release notes $version mix)"
    notes=$WORK/notes-$version/bin/notes
    RELEASE_DISTRIBUTION=none "$notes" eval 'Notes.Release.migrate()' >"$WORK/out"
    assert_eq "notes: the schema is at version $(cut -d. -f2 <<<$version)" "$(cat "$WORK/out")"
    start_bg "notes" env RELEASE_DISTRIBUTION=none ERL_AFLAGS="$share_port" "$notes" start
    wait_until 20 http version
    assert_eq "notes $version" "$(http version)"
    assert_eq "built in prod" "$(http greeting)"
    assert_eq "notes $version" "$(http motd)"
    assert_match first "$(http notes)"
    assert_eq 1 "$(http readings)"
    stop_bg "$BG_PID"
done
