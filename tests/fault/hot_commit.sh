#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# The end of a hot upgrade: what has need of the disk comes ahead of the node's point of no return. On a full disk the
# node goes back and says so; relsup is killed at each of its calls from there on, and what boots next is one of both,
# whole, and known to the next rollback.
. "$(dirname "$0")/../support/lib.sh"
need_ns "$@"
. "$(dirname "$0")/../support/hot.sh"
. "$(dirname "$0")/../support/sweep.sh"

versioned_app
same 0.1.0 0.2.0
sed -i 's/0\.1\.0/0.2.0/' "$SOURCES"/0.2.0/hx/{hx_code.erl,vsn}
one=$(release 0.1.0) two=$(release 0.2.0)

start() {
    run_it relsup "$@"
    wait_until 40 running
}
version() {
    ask 'list_to_atom("v" ++ hx_code:version())' | tr -d "v'"
}
is() { # VERSION WHAT
    assert_eq "$1" "$(version)" "the code after $2"
    assert_eq "$1" "$(current)" "current after $2"
    relsup status --json >"$WORK/out"
    assert_eq "$1" "$(field 'd["release"]')" "the status after $2"
}

# A disk of its own, which gets full.
install -d -m 700 "$RELSUP_HOME"
if unshare --mount true 2>/dev/null && [ "${OWN_DISK:-0}" = 0 ]; then
    chmod -R u+w "$WORK" && rm -rf "$WORK"
    trap - EXIT
    OWN_DISK=1 exec unshare --mount bash "$0" "$@"
fi
full=0
if [ "${OWN_DISK:-0}" = 1 ] && mount -t tmpfs -o size=32m,nr_inodes=4000,mode=700 none "$RELSUP_HOME" 2>/dev/null; then
    full=1
    trap 's=$?; umount --lazy "$RELSUP_HOME"; (exit $s); on_exit' EXIT
fi
fill() {
    head -c 64M /dev/zero >"$RELSUP_HOME/log/filler" 2>/dev/null || true
    mkdir "$RELSUP_HOME/log/many"
    (cd "$RELSUP_HOME/log/many" && seq 5000 | xargs touch 2>/dev/null) || true
}
empty() {
    rm -rf "$RELSUP_HOME/log/filler" "$RELSUP_HOME/log/many"
}

faultctl "$FAULT" new
start "$one"
assert_exit 0 hot "$two"
is 0.2.0 "a hot upgrade"
if [ $full = 1 ]; then
    fill
    assert_exit 3 relsup rollback --hot
    assert_match 'No space left' "$(cat "$WORK/err")"
    empty
    is 0.2.0 "a rollback on a full disk"
    assert_exit 0 relsup rollback --hot
    is 0.1.0 "a rollback"
    assert_exit 0 hot "$two"
fi
before=$(cd "$RELSUP_HOME" && find releases -printf '%p %T@\n' | sort)
faultctl "$FAULT" arm symlinkat:1 ENOSPC
assert_exit 3 relsup rollback --hot
assert_match 'No space left' "$(cat "$WORK/err")"
faultctl "$FAULT" disarm
is 0.2.0 "a full disk"
assert_eq "$before" "$(cd "$RELSUP_HOME" && find releases -printf '%p %T@\n' | sort)" "the releases"
assert_exit 0 relsup rollback --hot
is 0.1.0 "the rollback"

# The N-th of that call: the first that is about WHAT, at or behind the moment when `current` is replaced.
nth() { # CALL WHAT
    faultctl "$FAULT" log | awk -v call="$1" -v what="$2" '
        $3 == call { n++ }
        $3 == "symlinkat" { seen = 1 }
        seen && $3 == call && $4 ~ what { print call ":" n; exit }'
}
# each time in a VM that has nothing of the agent yet
assert_exit 0 relsup restart
faultctl "$FAULT" arm 0 kill
assert_exit 0 hot "$two"
link=$(nth symlinkat current) replace=$(nth renameat '^current$') commit=$(nth sendmsg socket) noted=$(nth openat history)
[ -n "$noted" ] || noted=$(nth open history)
if [ -z "$link" ] || [ -z "$replace" ] || [ -z "$commit" ] || [ -z "$noted" ]; then
    fail "$(faultctl "$FAULT" log)"
fi
faultctl "$FAULT" disarm
assert_exit 0 relsup rollback --swap

node_is() {
    [ "$(version)" = "$1" ]
}
killed() { # AT HOW NODE BOOTS: relsup is killed there; what the node is then, and what boots next
    faultctl "$FAULT" arm "$1" "$2"
    assert_exit 4 hot "$two"
    assert_match 'ended before it answered' "$(cat "$WORK/err")"
    faultctl "$FAULT" disarm
    wait_until 5 gone "$SUPERVISOR"
    wait_until 10 node_is "$3"
    all_run
    start
    is "$4" "relsup was killed at $1 ($2)"
    if [ "$4" = 0.2.0 ]; then
        assert_exit 0 relsup rollback
        assert_match 'hx 0\.2\.0 -> 0\.1\.0' "$(cat "$WORK/err")"
    else
        assert_exit 2 relsup rollback
        assert_match 'no release of this home served before 0\.1\.0' "$(cat "$WORK/err")"
    fi
    echo "killed at $1 ($2): the node is $3, $4 boots"
}
killed "$link" kill 0.1.0 0.1.0
killed "$replace" kill 0.1.0 0.1.0
killed "$replace" kill-after 0.1.0 0.2.0
killed "$commit" kill 0.1.0 0.2.0
killed "$commit" kill-after 0.2.0 0.2.0
killed "$noted" kill 0.2.0 0.2.0
relsup stop >"$WORK/out"
