#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# relpack relup between releases that `mix release` and rebar3/relx made: it is written into the folder of the next one,
# with what release_handler needs beside it, and release_handler goes up and down.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/relup.sh"
need_ns # these nodes have names, and an epmd

try() { # TOOL APP ROUTE
    local new=$WORK/next-$1 old

    old=$(build_release "$2" 0.1.0 "$1")
    T=$WORK/$1
    mkdir "$T" "$new"
    tar -C "$T" -xzf "$old"
    tar -C "$new" -xzf "$(build_release "$2" 0.2.0 "$1")"
    assert_exit 0 relpack relup "$old" "$new" --json
    assert_match "releases/$2-0.2.0.rel" "$(cat "$WORK/out")"
    [ -f "$new/releases/RELEASES" ] || fail "no RELEASES"
    (cd "$new" && tar -czf "$WORK/$2-0.2.0.tar.gz" -- *)

    PORT=$(free_port)
    export PORT DATABASE_PATH=$WORK/notes.db
    if [ "$1" = mix ]; then
        # mix makes no RELEASES: what the first release lacks is made before its first boot.
        "$T/bin/notes" eval 'Notes.Release.migrate()' >/dev/null
        "$T/bin/notes" eval ":ok = :release_handler.create_RELEASES('', '$T/releases', '$T/releases/0.1.0/notes.rel', [])"
        cmp <(sed 1d "$new/releases/RELEASES" | tr -d ' \n' | sed 's/0\.2\.0/0.1.0/g') <(sed 1d "$T/releases/RELEASES" | tr -d ' \n') ||
            fail "OTP makes another RELEASES"
    fi
    up_and_down "$1" "$2" "$3" "$WORK/$2-0.2.0.tar.gz"
}

try mix notes notes
try relx shop count
