#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Where the system gives no random bytes there is no secret: no cookie of zeros, no file, a clear error; and the VM is
# not started.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/fake_release.sh"

fake_release shop erlang "$WORK/erl"
export RELEASE_TMP=$WORK/tmp RELEASE_NAME=shop RELEASE_VSN=0.1.0 RELEASE_ROOT=$WORK/erl
mkdir -m 700 "$WORK/tmp"
# The C library seeds itself at the start of some programs: refuse is to be known not to break those.
assert_exit 0 refuse random_bytes "$WORK/erl/bin/relctl" --version

assert_exit 1 refuse random_bytes "$WORK/erl/bin/relctl" prepare --root "$WORK/erl" --pid $$ --node
assert_match 'make a cookie: ask the system for random bytes' "$(cat "$WORK/err")"
assert_exit 1 refuse random_bytes "$WORK/erl/bin/shop" start
[ ! -e "$WORK/tmp/secret/cookie" ] || fail "there is a cookie: $(cat "$WORK/tmp/secret/cookie")"
assert_eq "" "$(find "$WORK/tmp" -type f)" "files"

assert_exit 0 "$WORK/erl/bin/relctl" prepare --root "$WORK/erl" --pid $$ --node
assert_match '^[A-Z2-7]{32}$' "$(cat "$WORK/tmp/secret/cookie")" "the cookie"
