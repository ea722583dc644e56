#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What README.md promises is there: every command and option it names, and every path.
. "$(dirname "$0")/../support/lib.sh"

readme=$RELPACK_SOURCE/README.md

# `prog verb ... --option` at the start of a row of the table of commands.
check_command() {
    local text=$1 prog verb option

    read -r prog verb _ <<<"$text"
    assert_exit 0 "$prog" "$verb" --help
    { grep -oE -- '--[a-z-]+' <<<"$text" || true; } | while read -r option; do
        grep -qF -- "$option" "$WORK/out" || fail "$prog $verb has no $option"
    done
}

count=0
# shellcheck disable=SC2016 # the backquotes are Markdown's
while read -r command; do
    check_command "${command//\\/}"
    count=$((count + 1))
done < <(grep '^| `rel' "$readme" | cut -d'|' -f2- | grep -oE '`rel(pack|sup) [^`]*`' | tr -d '`')
[ $count -ge 8 ] || fail "only $count commands were found in README.md"

while read -r verb; do
    grep -qE "^ *([a-z_]+ *\| *)*$verb( *\| *[a-z_]+)*\)" "$RELPACK_SOURCE/templates/launcher.sh" ||
        fail "the launcher has no $verb"
done < <(grep '^| `bin/<app>' "$readme" | cut -d'|' -f2 | grep -oE '[a-z_]{3,}' | grep -vxE 'bin|app')

while read -r path; do
    [ -e "$RELPACK_SOURCE/$path" ] || fail "README.md names $path, which is not there"
done < <(grep -oE '\b(scripts|docs|tests|bench|cmd|pkg|supervisor|swap|hotload|templates|base)/[a-z_./]*' "$readme" | sort -u)
