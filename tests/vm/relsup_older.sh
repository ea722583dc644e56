#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# A signature stays good for ever, so whoever kept an old release could replay it: a home with a key takes in nothing
# below what served there, and nothing that has expired. Going back to what served is a rollback, as ever; one that
# expired since is told as such.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

versioned_app
for version in 0.2.0 0.10.0; do
    same 0.1.0 $version
    sed -i "s/0\.1\.0/$version/" "$SOURCES/$version"/hx/{hx_code.erl,vsn}
done
cd "$WORK" || exit 1
relpack keygen ours >out
signed() { # VERSION NAME [OPTION...]
    release "$1" >out
    (cd "build-$1" && relpack build --no-erts --no-compile --tar --key ../ours.key "${@:3}" --output "../$2" >../out) ||
        fail "build $2"
    mv "$2"/*.tar.gz "$2.tar.gz"
}
signed 0.1.0 one
signed 0.2.0 two --expires 2w
signed 0.10.0 ten --expires 2001-01-01T01:00:00+01:00
mkdir cut && tar -C cut -xzf two.tar.gz

assert_exit 0 relpack verify two.tar.gz --key ours.pub
assert_match ', until 20[0-9-]*T[0-9:]*Z' "$(cat out)"
assert_exit 0 relpack verify two.tar.gz --json
assert_match '"expires":"20' "$(cat out)"
assert_exit 2 relpack verify ten.tar.gz
assert_match 'it expired at 2001-01-01T00:00:00Z: build it anew' "$(cat err)"
sed -i '/"expires"/d' cut/releases/0.2.0/relpack.json
assert_exit 2 relpack verify cut --key ours.pub
assert_exit 2 relpack build build-0.2.0 --no-erts --no-compile --expires tomorrow --output never
assert_match "'tomorrow' is neither a time" "$(cat err)"
sed -i 's/^{/{"expires": "1d", /' build-0.10.0/relpack.json
SOURCE_DATE_EPOCH=1000000000 relpack build build-0.10.0 --no-erts --no-compile --output dated >out
assert_match '"expires":"2001-09-10T01:46:40Z"' "$(cat dated/hx/releases/0.10.0/relpack.json)"

install -d -m 700 home
cp ours.pub home/ours.pub
echo '{"key": "ours.pub"}' >home/relsup.json
start_home two.tar.gz
assert_exit 2 relsup upgrade ten.tar.gz
assert_match 'it expired at 2001-01-01T00:00:00Z' "$(cat err)"
assert_eq 0.2.0 "$(ls home/releases)" "what lies in the home"
assert_exit 1 relsup upgrade one.tar.gz
assert_match '0\.1\.0 is older than 0\.2\.0, which served here: .*--allow-older' "$(cat err)"
assert_exit 1 relsup upgrade --auto --dry-run one.tar.gz
assert_eq 0.2.0 "$(ls home/releases)" "what lies in the home"
assert_exit 0 relsup upgrade --hot --allow-older one.tar.gz
assert_eq '"0.1.0"' "$(ask 'hx_code:version()')"
assert_exit 0 relsup rollback
assert_eq '"0.2.0"' "$(ask 'hx_code:version()')"
assert_exit 0 relsup upgrade --hot --allow-older one.tar.gz
assert_exit 0 relsup upgrade --hot two.tar.gz

# --- it expires where it lies: it serves on, and whoever looks is told
assert_match 'ok +release +0\.2\.0 is good until 20' "$(relsup doctor)"
[[ $(relsup status) != *expired* ]] || fail "it has not expired yet"
sed -i 's/"expires":"[^"]*"/"expires":"2001-01-01T00:00:00Z"/' home/releases/0.2.0/.relsup.json
assert_match 'warning +release +0\.2\.0 expired at 2001-01-01T00:00:00Z' "$(relsup doctor)"
assert_exit 0 relsup upgrade --hot --allow-older one.tar.gz
[[ $(relsup status) != *expired* ]] || fail "another release runs"
assert_exit 0 relsup rollback
assert_match '0\.2\.0 expired at 2001-01-01T00:00:00Z' "$(cat err)"
assert_eq '"0.2.0"' "$(ask 'hx_code:version()')"
assert_match 'warning .*0\.2\.0 expired at 2001-01-01T00:00:00Z: upgrade' "$(relsup status)"
end_home
