#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# A hostile user of the host wants the port of a candidate's distribution, which its command line shows to everybody: who
# has it relays relsup's handshake to the node that serves. He tries from the first moment to the last, in each way that a
# port can be taken: none works, nobody connects to him, and the upgrade is done.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/users.sh"
need_users "$@"

PORT=$(free_port)
RELSUP_HOME=$OWNER_DIR/home
export PORT RELSUP_HOME
one=$(build_release shop 0.1.0 relpack)
two=$(build_release shop 0.2.0 relpack)
dies=$(build_release shop 0.2.0 relpack dies)
cp "$one" "$WORK/one.tar.gz"
cp "$two" "$WORK/two.tar.gz"
cp "$dies" "$WORK/dies.tar.gz"
chmod 644 "$WORK"/*.tar.gz

answers() {
    [ "$(http version)" = "$1" ]
}

settled() {
    as_owner relsup status --home "$RELSUP_HOME" | grep 'state *running' >/dev/null
}

cat >"$WORK/thief.py" <<'PYTHON'
# Reads the ports from command lines, tries to have them, and takes every connection that comes. Prints what it got.
import glob, os, re, select, signal, socket, sys, time
found, tries, bound, accepted = {}, 0, [], 0
stop = False
def end(*_):
    global stop
    stop = True
signal.signal(signal.SIGTERM, end)
ways = [(family, address, options)
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"))
        for options in ((), (socket.SO_REUSEPORT,), (socket.SO_REUSEADDR,), (socket.SO_REUSEPORT, socket.SO_REUSEADDR))]
with open(sys.argv[1] + ".new", "w") as f:
    f.write(str(os.getpid()))
os.rename(sys.argv[1] + ".new", sys.argv[1])
while not stop:
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            line = open(path, "rb").read()
        except OSError:
            continue
        m = re.search(rb"-erl_epmd_port\0(\d+)", line)
        if m and b"shop_" in line:
            found.setdefault(int(m.group(1)), path)
    for port, path in found.items():
        gone = not os.path.exists(os.path.dirname(path))
        for family, address, options in ways:
            s = socket.socket(family)
            for o in options:
                s.setsockopt(socket.SOL_SOCKET, o, 1)
            tries += 1
            try:
                s.bind((address, port))
                s.listen(8)
                s.setblocking(False)
                bound.append((s, gone))
            except OSError:
                s.close()
    if bound:
        for s in select.select([s for s, _ in bound], [], [], 0)[0]:
            s.accept()
            accepted += 1
    time.sleep(0.002)
print(len(found), tries, sum(not gone for _, gone in bound), accepted)
PYTHON

start_bg relsup as_owner relsup run "$WORK/one.tar.gz" --home "$RELSUP_HOME"
wait_until 60 answers "shop 0.1.0"
wait_until 20 settled
as_other python3 "$WORK/thief.py" "$OTHER_DIR/ready" >"$WORK/thief" 2>"$WORK/thief.log" &
thief=$!
own_pid "$thief"
wait_until 10 test -e "$OTHER_DIR/ready"

assert_exit 0 as_owner relsup upgrade "$WORK/two.tar.gz"
answers "shop 0.2.0" || fail "the new one does not answer"
assert_exit 3 as_owner relsup upgrade "$WORK/dies.tar.gz"
answers "shop 0.2.0" || fail "the old one does not answer"
kill -TERM "$(cat "$OTHER_DIR/ready")"
wait "$thief" || true
read -r ports tries bound accepted <"$WORK/thief" || fail "$(cat "$WORK/thief.log")"
assert_exit 0 as_owner relsup stop
[ "$ports" -ge 2 ] || fail "he saw only $ports ports"
[ "$tries" -ge 100 ] || fail "he tried only $tries times"
assert_eq 0 "$bound" "ports that he had while their VM ran"
assert_eq 0 "$accepted" "connections that came to him"
echo "$ports ports, $tries tries, $bound taken from a peer, $accepted connections to the thief"
