#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# relsup is killed at its state-changing calls of a swap to a release that answers but is never proved.
. "$(dirname "$0")/../support/lib.sh"
need_ns
. "$RELPACK_SOURCE/tests/support/hot.sh"
. "$RELPACK_SOURCE/tests/support/sweep.sh"

sweep_releases
sweep_home "$ONE"
SWEEP_TO=$SICK sweep "a sick one" kill run relsup upgrade --swap {} --boot 3s
FAULT_AT="fork:1 fork:2" SWEEP_TO=$SICK sweep "a sick one" kill-after run relsup upgrade --swap {} --boot 3s
sweep_end
