#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every BEAM file of the installed OTP and Elixir: relpack sees the md5 that beam_lib:md5/1 computes, and the on_load
# function that the loader finds; the same after stripping is tested in unit.pkg_beam.
. "$(dirname "${BASH_SOURCE[0]}")/../support/lib.sh"

command -v escript >/dev/null || skip "no Erlang here"

find -L /usr/lib/erlang/lib /usr/lib/elixir/lib -path '*/ebin/*.beam' 2>/dev/null | LC_ALL=C sort >"$WORK/beams"
count=$(wc -l <"$WORK/beams")
[ "$count" -gt 300 ] || fail "only $count BEAM files found"

# One plain and one compressed by the compiler, whatever the installation holds.
mkdir "$WORK/own"
printf -- '-module(packed).\n-export([f/0]).\n-on_load(f/0).\nf() -> ok.\n' >"$WORK/own/packed.erl"
(cd "$WORK/own" && erlc +compressed packed.erl)
echo "$WORK/own/packed.beam" >>"$WORK/beams"

timeout 200 escript "$RELPACK_SOURCE/tests/support/beam_md5.escript" "$WORK/beams" "$WORK/otp"
xargs -a "$WORK/beams" relpack beam >"$WORK/ours"
cut -d' ' -f1-3 "$WORK/otp" | diff - "$WORK/ours" >"$WORK/differ" || fail "md5 differs: $(head -3 "$WORK/differ")"

xargs -a "$WORK/beams" relpack beam --json >"$WORK/json"
jq -r '.modules[] | select(.on_load) | .path' "$WORK/json" >"$WORK/ours_on_load"
awk '$4 == "true" { print $3 }' "$WORK/otp" | diff - "$WORK/ours_on_load" >"$WORK/differ" ||
    fail "on_load differs: $(head -3 "$WORK/differ")"
assert_match '/packed\.beam' "$(cat "$WORK/ours_on_load")" "the compressed module's on_load"

head -c 300 "$WORK/own/packed.beam" >"$WORK/cut.beam"
assert_exit 2 relpack beam "$WORK/cut.beam"
assert_eq 1 "$(wc -l <"$WORK/err")" "lines of the error"
echo "$count modules"
