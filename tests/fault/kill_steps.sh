#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# relsup is killed while a before_boot step runs. The next relsup ends the step with all that it started, in whatever group
# or session, before it begins anything; and a step that is run again never runs beside what is left of the first.
. "$(dirname "$0")/../support/lib.sh"

PORT=$(free_port)
export PORT RELSUP_HOME=$WORK/home
one=$(build_release shop 0.1.0 relpack)
two=$(build_release shop 0.2.0 relpack)

# All that a step starts holds the lock that it took, and says how long it has lived (proc_uptime(5), as the start of a
# process is counted). $WORK/kind says what it does then.
cat >"$WORK/step.py" <<'PYTHON'
import fcntl, os, signal, sys, time
work = sys.argv[1]
def live():
    out = open(f"{work}/beats.{os.getpid()}", "a", buffering=1)
    while True:
        print(open("/proc/uptime").read().split()[0], file=out)
        if os.path.exists(work + "/late"):      # what it would write after a while
            open(work + "/wrote", "a").write("x\n")
        time.sleep(0.02)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) > 2:
    live()
lock = open(work + "/lock", "a")
os.set_inheritable(lock.fileno(), True)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    open(work + "/beside", "a").write("x\n")
kind = open(work + "/kind").read().strip()
def child(enter):
    if os.fork() == 0:
        enter()
        live()
open(work + "/steps", "a").write(f"{os.getpid()}\n")
if kind == "good":
    sys.exit(0)
child(lambda: os.setpgid(0, 0))                 # a group of its own
if kind != "alone":
    child(os.setsid)                            # a session of its own
    def orphan():                               # and that without a parent
        os.setsid()
        if os.fork():
            os._exit(0)
    child(orphan)
if kind == "daemon":                            # and that without our environment, where only a cgroup tells
    def daemon():
        os.setsid()
        if os.fork():
            os._exit(0)
        os.execve("/usr/bin/python3", ["python3", sys.argv[0], work, "live"], {})
    child(daemon)
if kind == "ended":                             # the step itself is over
    sys.exit(0)
live()
PYTHON

beats() {
    find "$WORK" -name 'beats.*' | wc -l
}

has_beats() {
    [ "$(beats)" -ge "$1" ]
}

left() {
    pgrep -cf "$WORK/step.p[y]" || true
}

# In hundredths of a second since the start of the host.
last_beat() {
    cat "$WORK"/beats.* | tr -d . | sort -n | tail -1
}

start_of() {
    sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f20
}

settings() {
    install -d -m 700 "$RELSUP_HOME"
    echo '{"before_boot": [{"run": ["/usr/bin/python3", "'"$WORK"'/step.py", "'"$WORK"'"]}]}' >"$RELSUP_HOME/relsup.json"
}

run_it() {
    start_bg "$1" relsup run "${@:2}" --home "$RELSUP_HOME"
    supervisor=$BG_PID
    wait_until 40 running
}

settings
echo good >"$WORK/kind"
run_it first "$one"
killed=0 ended=0
kinds=(alone strays)
! has_cgroups || kinds+=(daemon)
for kind in "${kinds[@]}"; do
    echo "$kind" >"$WORK/kind"
    rm -f "$WORK"/beats.* "$WORK/late"
    start_bg upgrade relsup upgrade "$two"
    case $kind in alone) n=2 ;; strays) n=4 ;; daemon) n=5 ;; esac
    wait_until 20 has_beats "$n"
    kill -KILL "$supervisor"
    wait_until 5 gone "$supervisor"
    assert_eq "$n" "$(left)" "the step is to be there when relsup is killed"
    killed=$((killed + 1)) ended=$((ended + n))
    run_it "again-$kind"
    assert_eq 0 "$(left)" "left of a step ($kind) when the application serves"
    [ "$(start_of "$(relsup pid)")" -ge "$(last_beat)" ] || fail "$kind: the VM began before the step was gone"
    touch "$WORK/late"
    assert_match 'processes of an earlier supervisor were ended' "$(cat "$WORK/again-$kind.log")"
    echo good >"$WORK/kind"
    assert_exit 0 relsup upgrade "$two"
    assert_exit 0 relsup rollback
    rm -rf "$RELSUP_HOME/releases/0.2.0"
done

# One that leaves others behind and is over has left them to nobody: the next step, and the peer, begin without them.
echo ended >"$WORK/kind"
rm -f "$WORK"/beats.* "$WORK/late"
settings_twice='{"run": ["/usr/bin/python3", "'"$WORK"'/step.py", "'"$WORK"'"]}'
echo '{"before_boot": ['"$settings_twice, $settings_twice"']}' >"$RELSUP_HOME/relsup.json"
assert_exit 0 relsup upgrade "$two"
assert_eq 0 "$(left)" "left of steps that are over"
assert_exit 0 relsup stop

touch "$WORK/beside"
assert_eq 0 "$(wc -l <"$WORK/beside")" "steps that ran beside an earlier one"
[ ! -e "$WORK/wrote" ] || fail "what was ended went on"
echo "$killed times killed in a step, $ended processes of it ended, $(wc -l <"$WORK/steps") steps run, 0 beside another"
