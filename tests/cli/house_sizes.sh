#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Functions of at most 60 lines, files of at most 500. A function over 80 lines or a file over 600 fails; what lies
# between is reported.
. "${RELPACK_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/support/lib.sh"

# Prints "FILE:LINE function LINES" and "FILE file LINES" for what is longer than the two limits. The repository's
# style puts the braces of a function, and of nothing else, alone into the first column.
longer_than() { # FUNCTION-LINES FILE-LINES FILE...
    local function_max=$1 file_max=$2

    shift 2
    awk -v fmax="$function_max" -v max="$file_max" '
        FNR == 1 { if (file && lines > max) print file, "file", lines; file = FILENAME; start = 0 }
        { lines = FNR }
        /^\{/ { start = FNR }
        /^\}/ && start { if (FNR - start - 1 > fmax) print FILENAME ":" start, "function", FNR - start - 1; start = 0 }
        END { if (lines > max) print file, "file", lines }' "$@"
}

{
    printf 'int small(void)\n{\n    return 0;\n}\n\nint big(void)\n{\n'
    printf '    ;\n%.0s' {1..81}
    printf '}\n'
} >"$WORK/big.c"
assert_eq "$WORK/big.c:7 function 81" "$(longer_than 80 600 "$WORK/big.c")" "a long function"
printf '/* */\n%.0s' {1..601} >"$WORK/long.c"
assert_eq "$WORK/long.c file 601" "$(longer_than 80 600 "$WORK/long.c" /dev/null)" "a long file"

cd "$RELPACK_SOURCE"
mapfile -t files < <(find base pkg swap hotload supervisor cmd tests bench -name '*.c' -not -path '*/build/*' | sort)
longer_than 60 500 "${files[@]}" | sed 's/^/over the house limit: /'
found=$(longer_than 80 600 "${files[@]}")
[ -z "$found" ] || fail "too long: $found"
echo "${#files[@]} files"
