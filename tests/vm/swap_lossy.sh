#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# Swaps under new connections over a link with 100 ms round trip and 1 % loss: handshakes are under way at every moment,
# and none of them is reset or left hanging.
. "$(dirname "$0")/../support/lib.sh"
need_ns
. "$RELPACK_SOURCE/tests/support/depot.sh"
. "$RELPACK_SOURCE/tests/support/link.sh"

start_link 50 1
start_depot "$(depot 0.1.0 '{listen, [{any, 1, 2}]}')"
far load --url "http://10.77.0.1:${PORTS%,*}/version" --rate 300 --seconds 120 --timeout-ms 40000 --private --json \
    --until-file "$WORK/enough" >"$WORK/load.json" &
loader=$!
OWN_PIDS+=("$loader")
for _ in 1 2 3; do
    assert_exit 0 relsup restart
done
touch "$WORK/enough"
wait "$loader" || true
assert_eq 0 "$(failed_of "$WORK/load.json")" "failed requests: $(cat "$WORK/load.json")"
end_depot
