#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# relsup is killed at its state-changing calls of a rollback.
. "$(dirname "$0")/../support/lib.sh"
need_ns
. "$RELPACK_SOURCE/tests/support/hot.sh"
. "$RELPACK_SOURCE/tests/support/sweep.sh"

sweep_releases
sweep_home "$ONE"
relsup upgrade --swap "$TWO" >/dev/null 2>&1 || fail upgrade
sweep rollback kill run relsup rollback --swap "{v}"
sweep_end
