#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# relsup is killed at its state-changing calls of a hot upgrade.
. "$(dirname "$0")/../support/lib.sh"
need_ns
. "$RELPACK_SOURCE/tests/support/hot.sh"
. "$RELPACK_SOURCE/tests/support/sweep.sh"

sweep_releases
sweep_home "$ONE"
sweep hot kill run relsup upgrade --hot {}
sweep_end
