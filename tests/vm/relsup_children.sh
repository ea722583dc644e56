#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a VM starts ends with it: port programs that ignore the end of their input, lead groups and sessions of their own,
# fork, leave their parent, clear their environment and ignore SIGTERM. After a swap, a crash of the VM, a crash of
# relsup and a stop none of them is left; what was not started by a VM stays.
. "$(dirname "$0")/../support/lib.sh"

PORT=$(free_port)
export PORT RELSUP_HOME=$WORK/home
one=$(build_release shop 0.1.0 relpack)
two=$(build_release shop 0.2.0 relpack)

answers() {
    [ "$(http version)" = "$1" ]
}

cat >"$WORK/stray.py" <<'PYTHON'
import os, signal, sys, time
kind = sys.argv[1]
if kind == "session":                       # a session of its own, and a child in it
    os.setsid() if os.getpgid(0) != os.getpid() else os.fork() and os._exit(0) or os.setsid()
    os.fork()
elif kind == "orphan":                      # its parent goes
    if os.fork():
        time.sleep(0.2)
        os._exit(0)
elif kind == "daemon":                      # all of it, as an own program without our environment
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.execve("/usr/bin/python3", ["python3", sys.argv[0], "deaf"], {})
elif kind == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:                                 # and the end of the input is nothing to it
    time.sleep(60)
PYTHON

strays() {
    pgrep -cf "$WORK/stray.p[y]" || true
}

# Has at least that many.
has_strays() {
    [ "$(strays)" -ge "$1" ]
}

# One or two processes each.
start_strays() {
    local kind

    for kind in "$@"; do
        relsup rpc "spawn(fun() -> open_port({spawn_executable, \"/usr/bin/python3\"},
            [{args, [\"$WORK/stray.py\", \"$kind\"]}]), receive after infinity -> ok end end)." >/dev/null
    done
    wait_until 10 has_strays $(($# + 1))
    started=$((started + $(strays)))
}

none_left() { # WHEN
    assert_eq 0 "$(strays)" "left after $1"
}

started=0
# a script that starts something, and becomes relsup
# shellcheck disable=SC2016 # the variables of the inner shell
start_bg relsup bash -c 'sleep 600 & echo $! >"$0"; exec relsup run "$1" --home "$2"' "$WORK/own" "$one" "$RELSUP_HOME"
supervisor=$BG_PID
wait_until 60 answers "shop 0.1.0"
wait_until 10 running
own_pid "$(cat "$WORK/own")"

start_strays plain session orphan daemon
assert_exit 0 relsup upgrade "$two"
none_left "a swap"

start_strays plain session orphan daemon
old=$(relsup pid)
kill -KILL "$old"
wait_until 30 answers "shop 0.2.0"
wait_until 10 running
[ "$old" != "$(relsup pid)" ] || fail "it is the same VM"
none_left "a crash of the VM"
kill -0 "$(cat "$WORK/own")" || fail "what no VM started was ended"

# A daemon that nothing ties to us any more has the host's first process for a parent once relsup is dead, and only its
# cgroup tells whose it is.
daemon=()
! has_cgroups || daemon=(daemon)
start_strays plain session orphan "${daemon[@]}"
kill -KILL "$supervisor"
wait_until 5 gone "$supervisor"
start_bg again relsup run --home "$RELSUP_HOME"
supervisor=$BG_PID
wait_until 60 running
none_left "a crash of relsup"
assert_match 'processes of an earlier supervisor were ended' "$(cat "$WORK/again.log")"

start_strays plain session orphan daemon
assert_exit 0 relsup stop
none_left "a stop"
wait_until 5 gone "$supervisor"
echo "$started processes started, 0 left; ${daemon[*]:-no cgroup is delegated, so no daemon} at the crash of relsup"
