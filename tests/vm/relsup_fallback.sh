#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a home has does not boot any more: what served before it does so again, and everybody is told.
. "$(dirname "$0")/../support/lib.sh"
need_ns
. "$RELPACK_SOURCE/tests/support/depot.sh"

one=$(depot 0.1.0)
two=$(depot 0.2.0)
start_depot "$one"
assert_exit 0 relsup upgrade "$two"
end_depot

# A file of the newer one is lost.
chmod -R u+w "$RELSUP_HOME/releases/0.2.0"
rm "$RELSUP_HOME"/releases/0.2.0/lib/depot-*/ebin/depot_app.beam
: >"$RELSUP_HOME/run/journal.json"
start_bg relsup relsup run --home "$RELSUP_HOME"
supervisor=$BG_PID
wait_until 60 running
assert_eq "depot 0.1.0" "$(get version)"
assert_eq releases/0.1.0 "$(readlink "$RELSUP_HOME/current")"
assert_match '0.2.0 DOES NOT BOOT: .*; 0.1.0, which served before, is booted instead' "$(cat "$WORK/relsup.log")"
assert_match 'journal could not be read' "$(cat "$WORK/relsup.log")"
assert_match '0.2.0 does not boot .*, 0.1.0 runs instead' "$(relsup status)"
assert_match 'boot +done +0.2.0 -> 0.1.0 +0.2.0 does not boot' "$(relsup history | tail -1)"
assert_exit 0 relsup restart
relsup status | grep 'runs instead' >/dev/null && fail "it is said after another order, too"
end_depot

# It stays so, and what is not there at all is passed over as well.
mv "$RELSUP_HOME/releases/0.1.0" "$WORK/kept"
assert_exit 2 relsup run --home "$RELSUP_HOME"
assert_match 'which is no release' "$(cat "$WORK/err")"
mv "$WORK/kept" "$RELSUP_HOME/releases/0.1.0"
rm -rf "$RELSUP_HOME/releases/0.2.0"
ln -sfn releases/0.2.0 "$RELSUP_HOME/current"
start_bg relsup relsup run --home "$RELSUP_HOME"
supervisor=$BG_PID
wait_until 60 running
assert_eq "depot 0.1.0" "$(get version)"
end_depot

# Where nothing served before, that is the end: exit 1, with the reason.
bad=$(depot 0.1.0)
rm "$bad"/lib/depot-*/ebin/depot_app.beam
assert_exit 1 relsup run "$bad" --home "$WORK/other"
