#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each child of relsup has a cgroup of its own where that of relsup is delegated, and none where it is not: who runs in it
# ends with the child, also what the application put into cgroups below, and the cgroup goes. Those of others stay.
. "$(dirname "$0")/../support/lib.sh"
has_cgroups || skip "no cgroup is delegated to this test"

PORT=$(free_port)
export PORT RELSUP_HOME=$WORK/home
one=$(build_release shop 0.1.0 relpack)
two=$(build_release shop 0.2.0 relpack)
top=$(relsup doctor | sed -n 's/.* a cgroup of its own in //p')
ours=$top/relpack-test-$$
mkdir "$ours"

leave() {
    local status=$? folder

    echo $$ >"$top/cgroup.procs"
    end_processes
    for folder in "$ours"/*/*/ "$ours"/*/ "$ours"; do
        [ ! -d "$folder" ] || rmdir "$folder" || status=1
    done
    (exit $status)
    on_exit
}
trap leave EXIT
echo $$ >"$ours/cgroup.procs"

cgroups() {
    find "$ours" -mindepth 1 -maxdepth 1 -name 'relsup-*' ! -name relsup-1.1-1-1 | wc -l
}

# That process is in the cgroup that was made for that one.
is_in() { # PID CHILD
    case $(grep '^0::' "/proc/$1/cgroup") in
    *"/relpack-test-$$/relsup-"*"-$2") ;;
    *) return 1 ;;
    esac
}

# A daemon that nothing ties to whoever starts it.
cat >"$WORK/daemon.py" <<PYTHON
import os, sys, time
out = sys.argv[1]
if os.fork():
    while not os.path.exists(out):
        time.sleep(0.01)
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
open(out + ".new", "w").write(str(os.getpid()))
os.rename(out + ".new", out)
os.execve("/bin/sh", ["sh", "-c", "trap '' TERM; while :; do sleep 60; done"], {})
PYTHON

daemon() { # NAME: by the application
    relsup rpc "os:cmd(\"python3 $WORK/daemon.py $WORK/$1 </dev/null >/dev/null 2>&1\")." >/dev/null
    wait_until 10 test -e "$WORK/$1"
    own_pid "$(cat "$WORK/$1")"
}

install -d -m 700 "$RELSUP_HOME"

# --- not delegated: all is as it was
assert_match 'warning +cgroup +no cgroup: .* is not delegated' "$(relsup doctor)"
start_bg plain relsup run "$one" --home "$RELSUP_HOME"
wait_until 40 running
assert_eq 0 "$(cgroups)" "cgroups where none is delegated"
assert_exit 0 relsup stop
wait_until 5 gone "$BG_PID"

# --- delegated, as systemd says so
python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.delegate", b"1")' "$ours"
assert_match 'ok +cgroup .*'"$ours" "$(relsup doctor)"
mkdir "$ours/relsup-1.1-1-1" # of another home
cat >"$RELSUP_HOME/relsup.json" <<JSON
{ "before_boot": [{"run": ["/bin/sh", "-c", "grep ^0:: /proc/self/cgroup >$WORK/of-step; python3 $WORK/daemon.py $WORK/step"]}],
  "health": [{"type": "exec", "command": ["/bin/sh", "-c",
    "grep ^0:: /proc/self/cgroup >$WORK/of-probe; [ -e $WORK/probe ] || python3 $WORK/daemon.py $WORK/probe"]}] }
JSON
start_bg delegated relsup run --home "$RELSUP_HOME"
supervisor=$BG_PID
wait_until 40 running
is_in "$(relsup pid)" "$(relsup pid)" || fail "the peer is in $(cat "/proc/$(relsup pid)/cgroup")"
assert_eq "0::${ours#"$top"}" "$(sed -n 's/^\(0::.*\)$/\1/p' "/proc/$supervisor/cgroup" | sed "s|^0::.*\(/relpack-test\)|0::\1|")"
daemon swapped
is_in "$(cat "$WORK/swapped")" "$(relsup pid)" || fail "a daemon left the cgroup of its peer"
assert_exit 0 relsup upgrade "$two"
assert_eq 1 "$(cgroups)" "cgroups after a swap"
for kind in step probe swapped; do
    gone "$(cat "$WORK/$kind")" || fail "a daemon ($kind) survived"
done
assert_match "/relsup-[0-9a-f.]+-3-[0-9]+$" "$(cat "$WORK/of-step")"
assert_match "/relsup-[0-9a-f.]+-3-[0-9]+$" "$(cat "$WORK/of-probe")"

# --- the application makes cgroups in its own
daemon deeper
below=$ours/$(sed -n "s|^0::.*/relpack-test-$$/||p" "/proc/$(relsup pid)/cgroup")/of-app
mkdir "$below"
cat "$WORK/deeper" >"$below/cgroup.procs"

# --- relsup is killed: whoever comes next ends them all
daemon killed
kill -KILL "$supervisor"
wait_until 5 gone "$supervisor"
for kind in deeper killed; do
    kill -0 "$(cat "$WORK/$kind")" || fail "a daemon ($kind) ended too early"
done
start_bg again relsup run --home "$RELSUP_HOME"
wait_until 40 running
for kind in deeper killed; do
    gone "$(cat "$WORK/$kind")" || fail "a daemon ($kind) survived"
done
assert_eq 1 "$(cgroups)" "cgroups after a crash of relsup"
[ ! -e "$below" ] || fail "what the application made is there still"

assert_exit 0 relsup stop
wait_until 5 gone "$BG_PID"
assert_eq 0 "$(cgroups)" "cgroups after a stop"
[ -d "$ours/relsup-1.1-1-1" ] || fail "the cgroup of another home is gone"
echo "5 daemons without a tie ended, 0 cgroups left"
