#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The arrows between the folders: who may include whom, which library shows in which folder, and that only
# base/rel_io.c replaces a file. The link of the unit tests proves the same for what is called; headers in /usr/include
# are reachable from everywhere, so an include must be looked for.
. "${RELPACK_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/support/lib.sh"

declare -A ALLOWED=(
    [base]="base"
    [pkg]="base pkg templates"
    [swap]="base swap"
    [hotload]="base hotload"
    [supervisor]="base pkg swap hotload supervisor templates"
    [cmd]="base pkg hotload supervisor cmd templates"
)
# Header pattern and the folders that may include it.
declare -A LIBRARY=(
    ['archive(_entry)?\.h']="pkg"
    ['uv(/[a-z]+)?\.h']="supervisor"
    ['curl/[a-z]+\.h']="supervisor"
    ['ei(_connect)?\.h']="hotload pkg"
)

sources() { # ROOT FOLDER
    find "$1/$2" -name '*.[ch]' 2>/dev/null | sort
}

# Prints "FILE: reason" for each violation below ROOT.
violations() {
    local root=$1 folder file

    for folder in "${!ALLOWED[@]}"; do
        while read -r file; do
            check_folders "$file" "$folder" "${file#"$root"/}"
            check_libraries "$file" "$folder" "${file#"$root"/}"
            check_renames "$file" "${file#"$root"/}"
        done < <(sources "$root" "$folder")
    done
}

check_folders() {
    local header to

    while read -r header; do
        to=${header%%/*}
        if [ "$to" = "$header" ]; then
            echo "$3: \"$header\" is named without its folder"
        elif ! [[ " ${ALLOWED[$2]} " == *" $to "* ]]; then
            echo "$3: $2 must not include $to ($header)"
        fi
    done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"([^"]+)".*/\1/p' "$1")
}

check_libraries() {
    local pattern

    for pattern in "${!LIBRARY[@]}"; do
        [[ " ${LIBRARY[$pattern]} " == *" $2 "* ]] && continue
        if grep -qE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]${pattern}[>\"]" "$1"; then
            echo "$3: $pattern shows outside of ${LIBRARY[$pattern]}"
        fi
    done
}

check_renames() {
    [ "$2" = base/rel_io.c ] && return
    # Without comments, which may cite rename(2).
    if "${CC:-cc}" -fpreprocessed -dD -E -P -x c "$1" 2>/dev/null |
        grep -qE '(^|[^A-Za-z0-9_])rename(at|at2)?[[:space:]]*\('; then
        echo "$2: renames a file; only base/rel_io.c does"
    fi
}

# The check can fail: each of these is found, and only these.
plant() { # FILE TEXT
    mkdir -p "$WORK/tree/$(dirname "$1")"
    printf '%s\n' "$2" >"$WORK/tree/$1"
}
plant pkg/bad_folder.c '#include "hotload/hot_node.h"'
plant swap/bad_up.c '# include "supervisor/sup_loop.h"'
plant base/bad_knows.h '#include "pkg/pkg_release.h"'
plant cmd/bad_bare.c '#include "cmd.h"'
plant cmd/bad_archive.c '#include <archive_entry.h>'
plant pkg/bad_uv.c '#include <uv.h>'
plant pkg/bad_curl.c '#include <curl/curl.h>'
plant supervisor/bad_ei.c '#include <ei.h>'
plant supervisor/bad_rename.c 'int f(void) { return renameat(1, "a", 2, "b"); }'
plant pkg/good.c '/* like rename(2) */ #include "base/rel_io.h"'
plant pkg/good_too.c '#include <ei.h>
#include <archive.h>
int g(void) { return rel_rename_dir(1, "a", "b", 0); }'
plant base/rel_io.c 'int h(void) { return rename("a", "b"); }'
found=$(violations "$WORK/tree" | sort)
assert_eq 9 "$(wc -l <<<"$found")" "planted violations: $found"
if grep -vE '/bad_' <<<"$found"; then
    fail "a good file was reported"
fi

found=$(violations "$RELPACK_SOURCE")
[ -z "$found" ] || fail "$found"
n=$(for d in "${!ALLOWED[@]}"; do sources "$RELPACK_SOURCE" "$d"; done | wc -l)
[ "$n" -gt 10 ] || fail "only $n files were looked at"
echo "$n files"
