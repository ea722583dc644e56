#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# What the supervisor itself takes at rest, after ten upgrades: what is hostile or large is read by workers, which are
# gone. The figure is printed; the bound is a generous one, for debug builds.
. "${RELPACK_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/support/lib.sh"

case $RELPACK_BUILD in
*[at]san*) skip "the shadow of a sanitizer is not ours" ;;
esac
one=$(build_release shop 0.1.0 relpack)
two=$(build_release shop 0.2.0 relpack)
PORT=$(free_port)
export PORT RELSUP_HOME=$WORK/home
private_kib() {
    awk '/^Private_(Clean|Dirty):/ { n += $2 } END { print n }' "/proc/$1/smaps_rollup"
}

start_bg relsup relsup run "$one" --home "$RELSUP_HOME"
supervisor=$BG_PID
wait_until 40 running
echo "after the first boot: $(private_kib "$supervisor") KiB"
for _ in $(seq 5); do
    assert_exit 0 relsup upgrade "$two" --drain 1
    assert_exit 0 relsup upgrade "$one" --drain 1
done
wait_until 10 running
kib=$(private_kib "$supervisor")
echo "after ten upgrades: $kib KiB"
[ "$kib" -lt 8192 ] || fail "$kib KiB of private memory: $(cat "/proc/$supervisor/smaps_rollup")"
if grep -E 'libcurl' "/proc/$supervisor/maps"; then
    fail "the supervisor has loaded libcurl"
fi
awk '/^[0-9a-f]+-/ { name = $6 } /^Private_(Clean|Dirty):/ { n[name] += $2 } END { for (x in n) print n[x], x }' \
    "/proc/$supervisor/smaps" | sort -rn | head -12
relsup stop >"$WORK/out"
