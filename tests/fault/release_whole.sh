#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A release in a home is whole or not there: one with a file missing never serves, what was half removed goes, one that
# an older relsup took in is looked at once, and nobody but its owner may write what came in.
. "${RELPACK_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/support/lib.sh"

one=$(build_release shop 0.1.0 relpack)
two=$(build_release shop 0.2.0 relpack)
PORT=$(free_port)
export PORT RELSUP_HOME=$WORK/home
cd "$WORK" || exit 1
names() {
    find home/releases -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tr '\n' ' '
}
run() {
    start_bg relsup relsup run "$@" --home home
    supervisor=$BG_PID
    wait_until 40 running
}
stop() {
    assert_exit 0 relsup stop
    wait_until 10 gone "$supervisor"
}

# Everybody may write what the archive says, and its modes name a group.
mkdir t && tar -C t -xzf "$one"
rm t/releases/0.1.0/relpack.json
find t -type f -exec chmod go+w {} +
tar -C t -czf open.tar.gz .
run open.tar.gz
assert_eq "" "$(find home/releases -type f -perm /6022)" "files that others can write"
assert_exit 0 relsup upgrade "$two"
assert_exit 0 relsup upgrade open.tar.gz
assert_eq "0.1.0 0.2.0 " "$(names)"

# Half of it was removed, as by a crash of an older relsup: without a manifest, and with one.
module=home/releases/0.2.0/lib/shop-0.2.0/ebin/shop_http.beam
rm "$module"
assert_exit 0 relsup upgrade "$two" --auto --dry-run
[ -e "$module" ] || fail "a release with a file missing is taken as there"
assert_eq "0.1.0 0.2.0 " "$(names)"
printf x | dd of="$module" conv=notrunc status=none
assert_exit 0 relsup upgrade "$two"
assert_eq "shop 0.2.0" "$(http version)"
rm -r home/releases/0.1.0/lib/shop-0.1.0
assert_exit 0 relsup upgrade open.tar.gz
assert_eq "shop 0.1.0" "$(http version)"
assert_eq "0.1.0 0.2.0 " "$(names)"
inode=$(stat -c %i home/releases/0.2.0)
echo data >home/releases/0.2.0/written.by.the.application
assert_exit 0 relsup upgrade "$two"
assert_eq "$inode" "$(stat -c %i home/releases/0.2.0)" "the one that is whole is used again"
stop

# What a crash left.
mkdir -p home/releases/.removing-x/lib home/releases/.incoming-x/tree/lib
# As an older relsup marked it.
sha256sum <"$two" | cut -c1-64 | tr -d '\n' >home/releases/0.2.0/.relsup.sha256
rm -f home/releases/0.2.0/.relsup.json
run
assert_eq "0.1.0 0.2.0 " "$(names)"
assert_eq "shop 0.2.0" "$(http version)"
[ -e home/releases/0.2.0/.relsup.json ] || fail "it has no mark"
assert_exit 0 relsup upgrade "$two"
assert_eq "0.1.0 0.2.0 " "$(names)" "it is known by its older mark"
stop

# Without a mark, and not what its manifest says.
rm -f home/releases/0.2.0/.relsup.json "$module"
run
assert_eq "shop 0.1.0" "$(http version)" "what served before"
assert_match 'shop_http.beam is in the manifest and not in the release' "$(cat relsup.log)"
[ ! -e home/releases/0.2.0/.relsup.json ] || fail "half a release is marked"
stop
