#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# Each state-changing call of a swap fails once; and what relsup makes of itself is killed.
. "$(dirname "$0")/../support/lib.sh"
need_ns
. "$RELPACK_SOURCE/tests/support/hot.sh"
. "$RELPACK_SOURCE/tests/support/sweep.sh"

sweep_releases
sweep_home "$ONE"
FAULT_POINTS=4 sweep swap fail run relsup upgrade --swap {}
FAULT_POINTS=3 sweep swap kill child relsup upgrade --swap {}
FAULT_POINTS=3 sweep "full disk" ENOSPC+ any relsup upgrade --swap {}
sweep_end
