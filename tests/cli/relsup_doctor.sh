#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# relsup doctor: what the kernel or a sandbox refuses is told with what to do about it, and so is an application that
# would run as root.
. "${RELPACK_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/support/lib.sh"

home=$WORK/home
mkdir -m 700 "$home"

# findings [SANDBOX...]: "subject well" a line, in the order of the table.
findings() {
    "$@" relsup doctor --home "$home" --json >"$WORK/out" 2>"$WORK/err" || fail "doctor: $(cat "$WORK/err")"
    python3 - "$WORK/out" <<'PYTHON'
import json, sys

doc = json.load(open(sys.argv[1]))
assert doc["warnings"] == sum(not f["well"] for f in doc["findings"]), doc
for f in doc["findings"]:
    assert f["well"] == ("advice" not in f), f
    print(f["subject"], "ok" if f["well"] else "warning")
PYTHON
}

found=$(findings env)
assert_match 'steering ok' "$found"
assert_match 'descriptors ok' "$found"
assert_match 'steering warning' "$(findings refuse steer)"
assert_match 'descriptors warning' "$(findings refuse getfd)"

if [ "$(id -u)" = 0 ]; then
    assert_match 'user warning' "$found"
    echo '{"user": "nobody"}' >"$home/relsup.json"
    assert_match 'user ok' "$(findings env)"
fi
assert_match 'home ok' "$found"
echo '{"drain_s": 0}' >"$home/relsup.json"
assert_match 'home warning' "$(findings env)"
grep -q 'relsup.json:1: drain_s ' "$WORK/out" || fail "the setting is not named: $(cat "$WORK/out")"
rm "$home/relsup.json"
chmod 777 "$home"
assert_match 'home warning' "$(findings env)"
chmod 700 "$home"
relsup doctor --home "$home" >"$WORK/out"
assert_match '^ok +steering ' "$(head -n 1 "$WORK/out")"
assert_exit 2 relsup doctor --home "$WORK/none"
