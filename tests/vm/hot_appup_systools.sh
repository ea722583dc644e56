#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A hot upgrade follows an appup in the order of the relup that systools would make of it: random appups, translated by
# both (tests/support/appup_order.escript).
#   APPUPS=N   so many (1000), from RELPACK_SEED on (1)
. "$(dirname "$0")/../support/lib.sh"

command -v escript >/dev/null || skip "no Erlang here"
mkdir "$WORK/ebin"
erlc -o "$WORK/ebin" "$RELPACK_SOURCE"/hotload/relsup_hot_{rc,text}.erl || fail "compile"
escript "$RELPACK_SOURCE/tests/support/appup_order.escript" "$WORK/ebin" "${APPUPS:-1000}" "${RELPACK_SEED:-1}"
