#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# No signal ends the supervisor and leaves its application alone, nor does a terminal that is closed; SIGHUP reads the
# settings.
. "$(dirname "$0")/../support/lib.sh"
need_ns
. "$RELPACK_SOURCE/tests/support/depot.sh"

one=$(depot 0.1.0)
logged() {
    [ "$(grep -c "$1" "$WORK/relsup.log")" -ge "$2" ]
}
unmoved() {
    [ "$(relsup pid)" = "$first" ] && [ "$(relsup status --json | field supervisor_pid)" = "$supervisor" ] &&
        [ "$(get version)" = "depot 0.1.0" ]
}

start_depot "$one"
first=$(relsup pid)
sent=0
for signal in USR1 USR2 QUIT ALRM VTALRM PROF PIPE IO PWR STKFLT TSTP TTIN TTOU XCPU XFSZ URG WINCH CHLD CONT HUP RTMIN \
    RTMIN+5 RTMAX; do
    kill "-$signal" "$supervisor"
    unmoved || fail "SIG$signal"
    sent=$((sent + 1))
done
echo "$sent signals, the same supervisor and the same VM"

# The VM does not inherit what we ignore.
ignored=$(awk '/SigIgn/ {print $2}' "/proc/$first/status")
for number in 1 3 10 12 14 20 21 22 24 25; do
    [ $((0x$ignored >> (number - 1) & 1)) = 0 ] || [ "$number" = 13 ] || fail "the VM ignores signal $number"
done

seen=$(grep -c 'settings' "$WORK/relsup.log" || true)
echo '{"drain_s": 7}' >"$RELSUP_HOME/relsup.json"
kill -HUP "$supervisor"
wait_until 10 logged 'settings are read anew' $((seen + 1))
echo '{"drain_s": ' >"$RELSUP_HOME/relsup.json"
kill -HUP "$supervisor"
wait_until 10 logged 'relsup.json' 1
unmoved || fail "wrong settings"
echo '{}' >"$RELSUP_HOME/relsup.json"
end_depot

# In the background of a shell on a terminal, which is closed: the kernel hangs up, and then every write fails.
cat >"$WORK/terminal.py" <<'PYTHON'
import os, pty, sys, time
pid, master = pty.fork()
if pid == 0:
    os.execvp("bash", ["bash", "-ic", 'relsup run --home "$RELSUP_HOME" & echo $! >"$WORK/pid"; wait'])
gone = sys.argv[1]
while not os.path.exists(gone):
    os.set_blocking(master, False)
    try:
        os.read(master, 4096)
    except BlockingIOError:
        time.sleep(0.05)
os.close(master)
os.waitpid(pid, 0)
PYTHON
export WORK
rm -f "$WORK/pid" "$WORK/close"
start_bg terminal python3 "$WORK/terminal.py" "$WORK/close"
terminal=$BG_PID
wait_until 40 running
supervisor=$(relsup status --json | field supervisor_pid)
own_pid "$supervisor"
first=$(relsup pid)
touch "$WORK/close"
wait_until 20 gone "$terminal"
unmoved || fail "after the terminal was closed"
assert_exit 0 relsup restart
[ "$(relsup pid)" != "$first" ] || fail "it was not restarted"
assert_eq "depot 0.1.0" "$(get version)"
end_depot
