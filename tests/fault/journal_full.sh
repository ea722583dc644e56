#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A journal that cannot be written: an order is refused with exit 1 before anything ran that nobody could find again, and
# the next one, with room again, is carried out.
. "$(dirname "$0")/../support/lib.sh"

[ -f "$RELPACK_BUILD/support/libfault.so" ] || skip "libfault.so is not built"
if ldd "$RELPACK_BIN/relsup" | grep 'lib[at]san' >/dev/null; then
    skip "the sanitizer's runtime must be the first library"
fi
PORT=$(free_port)
export PORT RELSUP_HOME=$WORK/home
one=$(build_release shop 0.1.0 relpack)
two=$(build_release shop 0.2.0 relpack)
JOURNAL=$RELSUP_HOME/run/journal.json

start_bg relsup env LD_PRELOAD="$RELPACK_BUILD/support/libfault.so" FAULT_FILE="$WORK/fault" \
    relsup run "$one" --home "$RELSUP_HOME"
faultctl "$WORK/fault" new
wait_until 40 running
pid=$(relsup pid)

# Nothing was booted: what is booted writes to its log before it does anything else.
refused() { # WHAT
    assert_eq "$pid" "$(relsup pid)" "$1"
    assert_match 'exit 1' "$(cat "$WORK/code")" "$1"
    assert_eq "" "$(find "$RELSUP_HOME/log" -name 'peer-*.log' ! -name 'peer-1.log' -size +0)" "booted by $1"
    assert_eq "shop 0.1.0" "$(http version)" "$1"
    wait_until 10 running
    count=$((count + 1))
}

order() {
    local code=0

    timeout 60 relsup "$@" >"$WORK/out" 2>"$WORK/err" || code=$?
    echo "exit $code" >"$WORK/code"
}

count=0
# its name is taken by a folder, which no file can replace
mv "$JOURNAL" "$WORK/kept"
mkdir "$JOURNAL"
order upgrade "$two"
refused "an upgrade"
assert_match 'a peer that the journal does not know may not start' "$(cat "$WORK/err")"
[ ! -e "$RELSUP_HOME/releases/0.2.0" ] || fail "the refused release was left behind"
order restart
refused "a restart"

echo '{"before_boot": [{"run": ["/usr/bin/touch", "'"$WORK"'/stepped"]}]}' >"$RELSUP_HOME/relsup.json"
order upgrade "$two"
refused "an upgrade with a step"
assert_match 'a step that the journal does not know may not start' "$(cat "$WORK/err")"
[ ! -e "$WORK/stepped" ] || fail "a step ran that the journal does not know"
rmdir "$JOURNAL"
mv "$WORK/kept" "$JOURNAL"

# the disk is full
faultctl "$WORK/fault" arm 1 ENOSPC+
order restart
faultctl "$WORK/fault" disarm
refused "a restart on a full disk"

assert_exit 0 relsup upgrade "$two"
[ -e "$WORK/stepped" ] || fail "the step did not run"
assert_eq "shop 0.2.0" "$(http version)"
assert_exit 0 relsup stop
echo "$count orders refused, exit 1, nothing booted"
