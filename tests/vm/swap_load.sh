#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# Twenty swaps under a paced load of new connections, IPv4 and IPv6: not one is lost.
. "$(dirname "$0")/../support/lib.sh"
need_ns
. "$RELPACK_SOURCE/tests/support/depot.sh"

start_depot "$(depot 0.1.0 '{listen, [{dual, 1, 1}]}')"
loaders=()
for host in 127.0.0.1 '[::1]'; do
    load --url "http://$host:${PORTS%,*}/version" --rate 400 --seconds 300 --until-file "$WORK/enough" --json \
        >"$WORK/load-${#host}.json" &
    loaders+=($!)
    OWN_PIDS+=($!)
done
for _ in $(seq 20); do
    assert_exit 0 relsup restart
done
touch "$WORK/enough"
for loader in "${loaders[@]}"; do
    wait "$loader" || true
done
for result in "$WORK"/load-*.json; do
    assert_eq 0 "$(failed_of "$result")" "failed requests: $(cat "$result")"
done
assert_eq 0 "$(grep -c 'are lost' "$WORK/relsup.log")" "lost ones that relsup knows of"
end_depot
