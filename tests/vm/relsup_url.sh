#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# A release by URL: a password and a signature in it are told and kept nowhere, and it may be of any length.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

versioned_app
same 0.1.0 0.2.0
sed -i 's/0\.1\.0/0.2.0/' "$SOURCES"/0.2.0/hx/{hx_code.erl,vsn}
one=$(release 0.1.0) two=$(release 0.2.0)
mkdir "$WORK/www"
tar -C "$two" -czf "$WORK/www/two.tar.gz" .
head -c 1000 "$WORK/www/two.tar.gz" >"$WORK/www/cut.tar.gz"
tar -C "$RELPACK_SOURCE" -czf "$WORK/www/none.tar.gz" README.md

port=$(free_port)
start_bg www python3 -m http.server --bind 127.0.0.1 --directory "$WORK/www" "$port"
wait_until 10 curl -sf "http://127.0.0.1:$port/" -o /dev/null
of() {
    echo "http://me:hushhush@127.0.0.1:$port/$1?X-Signature=hushhush$(printf 'a%.0s' {1..6000})"
}
nothing_told() { # AFTER
    if grep -rl hushhush "$WORK/out" "$WORK/err" "$WORK/relsup.log" "$RELSUP_HOME"; then
        fail "a secret of the URL is told, $1"
    fi
}

start_home "$one"
for bad in cut none gone; do
    assert_exit 2 relsup upgrade --json "$(of $bad.tar.gz)"
    nothing_told "$bad"
done
assert_exit 0 relsup upgrade --json "$(of two.tar.gz)"
nothing_told "done"
assert_match "http://127\.0\.0\.1:$port/two.tar.gz" "$(cat "$WORK/err")" "where it comes from"
assert_eq '"0.2.0"' "$(ask 'hx_code:version()')"
relsup history >"$WORK/out"
relsup status --json >"$WORK/err"
nothing_told "history and status"
end_home
