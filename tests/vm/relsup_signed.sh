#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A home with a key takes in what that key signed and nothing else; a home without one still refuses what is damaged.
. "$(dirname "$0")/../support/lib.sh"

one=$(build_release shop 0.1.0 relpack)
two=$(build_release shop 0.2.0 relpack)
PORT=$(free_port)
export PORT RELSUP_HOME=$WORK/home
cd "$WORK" || exit 1
relpack keygen ours >out && relpack keygen other >out
relpack sign "$one" --key ours.key --output one.tar.gz >out
relpack sign "$two" --key ours.key --output two.tar.gz >out
relpack sign "$two" --key other.key --output foreign.tar.gz >out

mkdir home
echo '{"key": "nothing.pub"}' >home/relsup.json
assert_exit 2 relsup run one.tar.gz --home home
assert_match 'nothing.pub' "$(cat err)"
cp ours.pub home/ours.pub
ln -s nothing.json home/elsewhere && mv home/elsewhere home/relsup.json
assert_exit 2 relsup run "$one" --home home
assert_match 'relsup.json' "$(cat err)"
rm home/relsup.json
echo '{"key": "ours.pub"}' >home/relsup.json
assert_exit 2 relsup run "$one" --home home
assert_match 'it is not signed' "$(cat err)"
[ ! -e home/current ] || fail "an unsigned release is current"

start_bg relsup relsup run one.tar.gz --home home
wait_until 30 http version
wait_until 10 relsup pid
before=$(find home/releases | sort)
refused() { # PATTERN RELEASE
    assert_exit 2 relsup upgrade "$2"
    assert_match "$1" "$(cat err)"
    assert_eq "$before" "$(find home/releases | sort)" "what lies in the home"
}
refused 'it is not signed' "$two"
refused 'signed by the key' "$WORK/foreign.tar.gz"
mkdir t && tar -C t -xzf two.tar.gz
echo >>t/releases/0.2.0/env.sh
refused 'releases/0.2.0/env.sh has' "$WORK/t"
tar --sort=name -C t -czf altered.tar.gz .
refused 'releases/0.2.0/env.sh has' "$WORK/altered.tar.gz"
assert_eq "shop 0.1.0" "$(http version)" "the old one serves"
gunzip -c two.tar.gz | zstd -q -o two.tar.zst
assert_exit 0 relsup upgrade two.tar.zst
assert_eq "shop 0.2.0" "$(http version)" "the new one serves"
relsup stop >out

# Without a key: what has a manifest must be what that says.
start_bg plain relsup run "$one" --home plain
export RELSUP_HOME=$WORK/plain
wait_until 30 http version
wait_until 10 relsup pid
before=$(find plain/releases | sort)
assert_exit 2 relsup upgrade altered.tar.gz
assert_match 'releases/0.2.0/env.sh has' "$(cat err)"
assert_eq "$before" "$(find plain/releases | sort)" "what lies in the home"
assert_exit 0 relsup upgrade foreign.tar.gz
relsup stop >out
