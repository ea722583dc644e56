#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# relsup is killed at its state-changing calls of the first boot of a home, and what it makes of itself is.
. "$(dirname "$0")/../support/lib.sh"
need_ns
. "$RELPACK_SOURCE/tests/support/hot.sh"
. "$RELPACK_SOURCE/tests/support/sweep.sh"

sweep_releases
sweep_first_boot kill run
FAULT_POINTS=2 sweep_first_boot kill child
sweep_end
