#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is hostile is parsed in a process of its own: however it ends, relsup serves on, says what happened, and nothing
# is left behind.
. "${RELPACK_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/support/lib.sh"

one=$(build_release shop 0.1.0 relpack)
two=$(build_release shop 0.2.0 relpack)
PORT=$(free_port)
export PORT RELSUP_HOME=$WORK/home
cd "$WORK" || exit 1

# A server that sends the beginning of a release and then a byte at a time.
cat >drip.py <<'PY'
import http.server, sys, time

class Drip(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        data = open(sys.argv[2], "rb").read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        for byte in data[:4000]:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(0.1)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Drip).serve_forever()
PY
drip_port=$(free_port)
start_bg drip python3 drip.py "$drip_port" "$two"
wait_until 10 bash -c "exec 3<>/dev/tcp/127.0.0.1/$drip_port"

worker_of() { # SUPERVISOR: the pid of its worker
    local pid

    for pid in $(ps -o pid= --ppid "$1"); do
        [ "$(tr '\0' ' ' <"/proc/$pid/cmdline")" = "relsup worker " ] && echo "$pid" && return
    done
    return 1
}
leftovers() {
    find "$RELSUP_HOME/releases" -mindepth 1 -maxdepth 1 -name '.*'
    find "$RELSUP_HOME/run" -name 'fetched*'
}
nothing_left() {
    assert_eq "" "$(leftovers)" "leftovers"
    assert_eq "$before" "$(find "$RELSUP_HOME/releases" | sort)" "what lies in the home"
    assert_eq "shop 0.1.0" "$(http version)" "the old one serves"
    assert_eq "$vm" "$(relsup pid)" "the VM that serves"
}

# The first release: relsup can be ended while it comes in, and nothing stays of it.
start_bg first relsup run "http://127.0.0.1:$drip_port/shop.tar.gz" --home home
wait_until 10 worker_of "$BG_PID"
worker=$(worker_of "$BG_PID")
assert_exit 0 relsup stop
wait_until 10 gone "$BG_PID"
wait_until 10 gone "$worker"
assert_eq "" "$(leftovers)" "of the first release"
[ ! -e home/current ] || fail "there is a current release"
start_bg first relsup run "http://127.0.0.1:$drip_port/shop.tar.gz" --home home
wait_until 10 worker_of "$BG_PID"
worker=$(worker_of "$BG_PID")
kill -KILL "$BG_PID"
wait_until 10 gone "$worker"

SECRET=hush start_bg relsup relsup run "$one" --home home
supervisor=$BG_PID
wait_until 30 running
assert_eq "" "$(leftovers)" "what a killed supervisor left is gone"
before=$(find "$RELSUP_HOME/releases" | sort)
vm=$(relsup pid)

upgrade_dripping() {
    relsup upgrade "http://127.0.0.1:$drip_port/shop.tar.gz" >out 2>err &
    client=$!
    wait_until 10 worker_of "$supervisor"
    worker=$(worker_of "$supervisor")
}

upgrade_dripping
assert_eq "$worker" "$(ps -o pgid= -p "$worker" | tr -d ' ')" "it leads a process group of its own"
assert_match 'NoNewPrivs:[[:space:]]1' "$(cat "/proc/$worker/status")"
assert_match 'Max core file size +0 +0 ' "$(cat "/proc/$worker/limits")"
case $RELPACK_BUILD in
*[at]san*) crash='exited with status' ;; # a sanitizer catches the signal, and its shadow needs more memory
*)
    crash='was killed by SIGSEGV'
    assert_match "Max address space +$((512 << 20)) " "$(cat "/proc/$worker/limits")"
    ;;
esac
if tr '\0' '\n' <"/proc/$worker/environ" | grep -E '^(SECRET|RELSUP_HOME|PORT)='; then
    fail "it has our environment"
fi
kill -SEGV "$worker"
wait "$client" && fail "an upgrade whose worker crashed is done"
assert_match "could not be unpacked: the worker $crash" "$(cat err)"
nothing_left

upgrade_dripping
kill -KILL "$worker"
status=0
wait "$client" || status=$?
assert_eq 1 "$status" "exit status"
assert_match 'the worker was killed by SIGKILL' "$(cat err)"
nothing_left

# What unpacks to more than anybody can have.
cat >bomb.py <<'PY'
import gzip, io, sys, tarfile

kind, path = sys.argv[1:]
with gzip.open(path, "wb", compresslevel=1) as out, tarfile.open(fileobj=out, mode="w|") as t:
    def add(name, size, data=None):
        entry = tarfile.TarInfo(name)
        entry.size = size
        t.addfile(entry, data or Zeros(size))

    class Zeros(io.RawIOBase):
        def __init__(self, n):
            self.n = n

        def read(self, n=-1):
            n = min(self.n, n if n >= 0 else self.n)
            self.n -= n
            return b"\0" * n

    if kind == "blank":
        for i in range(16):
            add("releases/blank%d" % i, 64 << 20)
    elif kind == "names":
        for i in range(100000):
            add("lib/%s/%08d" % ("/".join(["n" * 200] * 12), i), 0)
    elif kind == "mark":
        add(".relsup.json", 2, io.BytesIO(b"{}"))
PY
for kind in blank names mark; do
    python3 bomb.py $kind $kind.tar.gz
    assert_exit 2 relsup upgrade $kind.tar.gz
    echo "$kind ($(stat -c %s $kind.tar.gz) bytes): $(tail -1 err)"
    nothing_left
done
relsup stop >out
assert_eq "" "$(leftovers)" "at the end"

# With a key nothing but the three files that tell the signature is kept, and nothing is unpacked.
relpack keygen ours >out
relpack sign "$one" --key ours.key --output one.tar.gz >out
mkdir keyed
cp ours.pub keyed/ours.pub
echo '{"key": "ours.pub"}' >keyed/relsup.json
RELSUP_HOME=$WORK/keyed
start_bg keyed relsup run one.tar.gz --home keyed
supervisor=$BG_PID
wait_until 30 running
before=$(find "$RELSUP_HOME/releases" | sort)
vm=$(relsup pid)
assert_exit 2 relsup upgrade blank.tar.gz
assert_match 'start_erl.data is missing' "$(cat err)"
nothing_left
assert_exit 2 relsup upgrade "$two"
assert_match 'it is not signed' "$(cat err)"
nothing_left
mkdir more && tar -C more -xzf one.tar.gz
echo x >more/lib/more
tar --sort=name -C more -czf more.tar.gz .
assert_exit 2 relsup upgrade more.tar.gz
assert_match 'lib/more is in the release and not in the manifest' "$(cat err)"
nothing_left
echo "peak of the supervisor: $(sed -n 's/^VmHWM:[[:space:]]*//p' "/proc/$supervisor/status")"
relsup stop >out
