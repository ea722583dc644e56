#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# relpack relup: OTP's own release_handler unpacks the next release, installs it and makes it permanent, and goes back
# the same way, with the processes and their states kept: releases of relpack, from a rebar3 and from a mix project.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/relup.sh"

# The next release, with the relup that leads to it packed along by an overlay, as $NEXT.
next_release() { # APP OLD-TARBALL
    local dir=$WORK/next-$1

    app_copy "$1" 0.2.0 "$dir"
    case $1 in
    shop) sed -i 's|{overlay, \[|&{copy, "up/relup", "releases/{{release_version}}/relup"}, |' "$dir/rebar.config" ;;
    notes) mkdir -p "$dir/rel/overlays/releases/0.2.0" && ln -s "$dir/rel/overlays/releases/0.2.0" "$dir/up" ;;
    esac
    assert_exit 0 relpack relup "$2" "$(build_release "$1" 0.2.0 relpack)" --output "$dir/up" --json
    assert_eq "0.1.0 0.2.0 ['$1'] []" "$(python3 -c 'import json, sys
print("{old} {new} {derived} {beside}".format(**json.load(open(sys.argv[1]))))' "$WORK/out")"
    assert_exit 0 relpack build "$dir" --tar --output "$WORK/made"
    NEXT=$WORK/made/$1-0.2.0.tar.gz
    assert_exit 0 relpack verify "$NEXT"
    cmp "$dir/up/relup" <(tar -xzOf "$NEXT" releases/0.2.0/relup) || fail "the relup is not in the release"
}

try() { # APP ROUTE
    local old

    old=$(build_release "$1" 0.1.0 relpack)
    next_release "$1" "$old"
    T=$WORK/$1
    PORT=$(free_port)
    export PORT DATABASE_PATH=$WORK/notes.db
    mkdir "$T" && tar -C "$T" -xzf "$old"
    [ "$1" = shop ] || "$T/bin/notes" eval 'Notes.Release.migrate()' >/dev/null
    up_and_down relpack "$1" "$2" "$NEXT"
}

try shop count
try notes notes
