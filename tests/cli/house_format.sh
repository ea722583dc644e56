#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every C file is as .clang-format says; every source file names its licence.
. "${RELPACK_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/support/lib.sh"

command -v clang-format >/dev/null || skip "no clang-format"
cd "$RELPACK_SOURCE"

mkdir "$WORK/style"
cp .clang-format "$WORK/style/"
printf 'int f( void ) {\nreturn 0; }\n' >"$WORK/style/bad.c"
if clang-format --dry-run -Werror "$WORK/style/bad.c" 2>/dev/null; then
    fail "clang-format accepts anything"
fi

mapfile -t files < <(find base pkg swap hotload supervisor cmd tests bench templates -name '*.[ch]' -type f | sort)
[ "${#files[@]}" -gt 10 ] || fail "only ${#files[@]} files found"
clang-format --dry-run -Werror "${files[@]}" || fail "run clang-format -i on these"

mapfile -t erl < <(find hotload tests/unit -name '*.erl' -type f)
without=$(grep -L 'SPDX-License-Identifier' "${files[@]}" "${erl[@]}" || true)
[ -z "$without" ] || fail "no SPDX line: $without"
echo "${#files[@]} files"
