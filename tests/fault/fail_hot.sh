#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# Each state-changing call of a hot upgrade fails once, and the disk is full from there on.
. "$(dirname "$0")/../support/lib.sh"
need_ns
. "$RELPACK_SOURCE/tests/support/hot.sh"
. "$RELPACK_SOURCE/tests/support/sweep.sh"

sweep_releases
sweep_home "$ONE"
sweep hot fail run relsup upgrade --hot {}
FAULT_POINTS=4 sweep "full disk" ENOSPC+ any relsup upgrade --hot {}
sweep_end
