#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# relsup is killed at its state-changing calls of a swap.
. "$(dirname "$0")/../support/lib.sh"
need_ns
. "$RELPACK_SOURCE/tests/support/hot.sh"
. "$RELPACK_SOURCE/tests/support/sweep.sh"

sweep_releases
sweep_home "$ONE"
sweep swap kill run relsup upgrade --swap {}
FAULT_AT="fork:1 fork:2 renameat:7" sweep swap kill-after run relsup upgrade --swap {}
sweep_end
