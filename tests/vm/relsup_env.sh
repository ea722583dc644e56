#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The environment of what relsup starts: with 5,000 variables around it, a peer, a before_boot step and an exec probe all
# get what relsup tells them, and none gets what describes another release or relsup's own service.
. "$(dirname "$0")/../support/lib.sh"

PORT=$(free_port)
RELSUP_HOME=$WORK/home
export PORT RELSUP_HOME
mkdir -m 0700 "$RELSUP_HOME"
cat >"$WORK/show" <<SH
#!/bin/sh
tr '\0' '\n' </proc/\$\$/environ >"\$1"
SH
chmod +x "$WORK/show"
cat >"$RELSUP_HOME/relsup.json" <<JSON
{ "env": {"GREETING": "of the operator"},
  "before_boot": [{"run": ["$WORK/show", "$WORK/step.env"]}],
  "health": [{"type": "exec", "command": ["$WORK/show", "$WORK/probe.env"]}] }
JSON

answers() {
    [[ "$(http version)" == *"$1"* ]]
}

# How many lines of FILE match.
count() {
    grep -cE "$2" "$1" || true
}

supervisor() {
    for ((i = 0; i < 5000; i++)); do
        export "SERVICE_${i}_PORT=tcp://10.0.0.1:$i"
    done
    export RELEASE_NODE=stranger ERL_LIBS=/nowhere ROOTDIR=/nowhere RELSUP_GENERATION=99 RELEASE_COOKIE=known
    exec "$RELPACK_BIN/relsup" run "$1" --home "$RELSUP_HOME"
}
start_bg relsup supervisor "$(build_release shop 0.1.0 relpack)"
wait_until 40 answers 0.1.0
wait_until 10 running
assert_exit 0 relsup upgrade "$(build_release shop 0.2.0 relpack)"
answers 0.2.0 || fail "the new release does not serve"
tr '\0' '\n' <"/proc/$(relsup pid)/environ" >"$WORK/peer.env"

for child in peer step probe; do
    file=$WORK/$child.env
    assert_eq 5000 "$(count "$file" '^SERVICE_[0-9]+_PORT=')" "$child"
    assert_eq "GREETING=of the operator" "$(grep ^GREETING= "$file")" "$child"
    assert_eq 0 "$(count "$file" '=(stranger|known|/nowhere)$|^RELSUP_GENERATION=99$|^NOTIFY_SOCKET=')" "$child"
done
for name in RELEASE_NODE RELEASE_TMP RELSUP_HOME RELSUP_GENERATION ERL_CRASH_DUMP; do
    assert_eq 1 "$(count "$WORK/peer.env" "^$name=")" "$name of the peer"
done
assert_eq "RELEASE_VSN=0.2.0" "$(grep ^RELEASE_VSN= "$WORK/step.env")"
assert_eq "RELSUP_GENERATION=2" "$(grep ^RELSUP_GENERATION= "$WORK/probe.env")"
assert_eq RELSUP_STEPS "$(grep -oE "^RELSUP_[A-Z_]+" "$WORK/step.env")" "a step is told of no peer"
assert_exit 0 relsup stop
echo "5000 variables, 3 kinds of children"
