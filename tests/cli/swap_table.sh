#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# docs/swap.md shows the table that the code has.
. "${RELPACK_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/support/lib.sh"

page=$RELPACK_SOURCE/docs/swap.md
swap_table markdown >"$WORK/table"
sed '1,/^<!-- the table -->$/d' "$page" >"$WORK/shown"
diff "$WORK/shown" "$WORK/table" ||
    fail "the table in docs/swap.md is not that of the code: print it anew behind its mark by 'swap_table markdown'"
