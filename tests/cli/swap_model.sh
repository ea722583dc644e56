#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The table of the swap, checked by spin in a world where the peers and relsup may end at any moment; and tables with
# a fault planted, which it must find.
. "${RELPACK_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/support/lib.sh"
command -v spin >/dev/null || skip "spin is not installed"
cp "$RELPACK_SOURCE/tests/model/swap.pml" "$WORK"
cd "$WORK"
swap_table promela >good.pml

# verify TABLE: true if no run of the model breaks a rule.
verify() {
    cp "$1" table.pml
    rm -f ./*.trail
    spin -a swap.pml >spin.log || fail "spin: $(cat spin.log)"
    gcc -O0 -DSAFETY -DMEMLIM=1024 -DVECTORSZ=2048 -o pan pan.c
    timeout 120 ./pan -m1000000 >pan.log
    grep -q 'search not completed\|max search depth too small' pan.log && fail "$(cat pan.log)"
    grep -q 'errors: 0' pan.log
}

verify good.pml || fail "$(cat pan.log; spin -t -p swap.pml | tail -40)"
grep -E 'states, stored|errors' pan.log

# plant IN ON NEXT ACTION: that cell of the table is another one.
plant() {
    sed "s/\(in == S_$1 && on == E_$2 ->\).*/\1 next = S_$3; action = A_$4/" good.pml >bad.pml
    cmp -s good.pml bad.pml && fail "nothing planted: $*"
    verify bad.pml && fail "not found: $*"
    return 0
}
plant booting candidate_ready shifting shift
plant soaking probe_failed draining drain
plant soaking candidate_exited idle report_undone
plant holding old_exited holding ignore
plant draining candidate_exited retiring stop_old
plant retiring old_exited idle report_undone

# Without its deadline no wait ends when everybody is hung.
grep -oP 'in == S_\K\w+(?= && on == E_deadline)' good.pml >waits
while read -r state; do
    plant "$state" deadline "$state" ignore
done <waits
[ -s waits ] || fail "no state has a deadline"
