#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every shell script of the repository passes shellcheck; the templates, which run on foreign hosts, too.
. "${RELPACK_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/support/lib.sh"

command -v shellcheck >/dev/null || skip "no shellcheck"
cd "$RELPACK_SOURCE"

# SC1090, SC1091: sourced files are found at run time. SC2154: lib.sh sets what its users read.
check() {
    shellcheck -x -e SC1090,SC1091,SC2154 "$@"
}

# shellcheck disable=SC2016 # the planted fault is a variable that is not quoted
printf '#!/bin/sh\nrm -rf $1/x\n' >"$WORK/bad.sh"
if check "$WORK/bad.sh" >/dev/null; then
    fail "shellcheck accepts an unquoted variable"
fi

# A script is a file whose first line names a shell.
mapfile -t scripts < <(find scripts templates tests bench .ci -type f -exec \
    awk 'FNR == 1 { if (/^#!.*[\/ ](ba|da)?sh( |$)/) print FILENAME; nextfile }' {} + | sort)
[ "${#scripts[@]}" -gt 5 ] || fail "only ${#scripts[@]} scripts found"
check "${scripts[@]}" || fail "shellcheck"
# Under pipefail a writer that SIGPIPE ends fails a pipe whose reader has found what it looked for.
if grep -rnE '[|] *grep -[a-zA-Z]*q' scripts tests bench .ci; then
    fail "a pipe into grep -q: redirect its output instead"
fi
echo "${#scripts[@]} scripts"
