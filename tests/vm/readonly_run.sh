#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A release runs read-only, as another user than the one who built it, with no writable folder but RELEASE_TMP: Erlang,
# and Elixir with a runtime.exs whose result has to be written somewhere. Also without HOME, in a folder that
# cannot be read.
. "$(dirname "$0")/../support/lib.sh"

command -v bwrap >"$WORK/out" || skip "no bwrap"
bwrap --ro-bind / / --unshare-user --uid 4321 --gid 4321 true 2>"$WORK/err" || skip "bwrap may not: $(cat "$WORK/err")"

# Really another user when we may become one; otherwise one whose number differs, but who still owns the files.
as_other=()
tmp_owner=$(id -u)
if [ "$tmp_owner" = 0 ]; then
    tmp_owner=4321
    as_other=(setpriv --reuid 4321 --regid 4321 --clear-groups)
    chmod 711 "$WORK"
fi

# Everything is read-only but the one folder; uid 4321 has built nothing and owns nothing else.
inside() { # COMMAND...
    "${as_other[@]}" bwrap --ro-bind / / --dev /dev --proc /proc --ro-bind "$WORK" "$WORK" --bind "$WORK/tmp" "$WORK/tmp" --unshare-user \
        --uid 4321 --gid 4321 --chdir "$WORK/closed" --unsetenv HOME --unsetenv TMPDIR --setenv RELEASE_TMP "$WORK/tmp" \
        --setenv PORT "$PORT" --setenv DATABASE_PATH "$WORK/tmp/notes.db" "$@"
}
mkdir -m 111 "$WORK/closed" # can be entered, not read
PORT=0

check() { # APP EXPR
    local root=$WORK/$1 open tarball launcher=$WORK/$1/bin/$1

    tarball=$(build_release "$1" 0.1.0 relpack)
    mkdir "$root" "$WORK/tmp"
    chown "$tmp_owner" "$WORK/tmp"
    tar -C "$root" -xzf "$tarball"
    chmod -R a-w "$root"
    find "$root" | sort >"$WORK/before"
    assert_exit 1 inside touch "$root/x"
    PORT=$(free_port)
    export PORT
    start_bg "$1" inside "$launcher" start
    wait_until 30 http version
    assert_exit 0 inside "$launcher" rpc "$2" --print
    assert_eq 42 "$(cat "$WORK/out")" "rpc"
    assert_exit 0 inside "$launcher" eval "$3"
    assert_match '^43' "$(cat "$WORK/out")" "eval"
    assert_exit 0 inside "$launcher" pid
    assert_exit 0 inside "$launcher" stop
    assert_exit 0 inside "$launcher" daemon
    assert_exit 0 inside "$launcher" pid
    own_pid "$(cat "$WORK/out")"
    wait_until 30 http version
    assert_exit 0 inside "$launcher" rpc "$2" --print
    assert_eq 42 "$(cat "$WORK/out")" "rpc to the daemon"
    assert_exit 0 inside "$launcher" stop
    find "$root" | sort | cmp -s - "$WORK/before" || fail "the release has changed"
    # What run_erl writes is open to all, but lies in a closed folder.
    open=$(find "$WORK/tmp" -mindepth 1 -type d ! -perm /077 -prune -o -type f -perm /077 -print)
    [ -z "$open" ] || fail "others can read: $open"
    chmod -R u+w "$root"
    rm -rf "$WORK/tmp"
}
check shop '41 + 1.' 'io:format("~p~n", [42 + 1]).'
check notes '41 + 1' 'IO.puts(42 + 1)'
