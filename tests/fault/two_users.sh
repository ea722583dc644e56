#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What one local user can do to the home and the releases of another: each attack is tried for real. The folder of the
# home is open to all (0755), so that what is in it has to stand for itself.
. "$(dirname "$0")/../support/lib.sh"
. "$RELPACK_SOURCE/tests/support/users.sh"
need_users "$@"
private_tmp

# the cache of the tests is their user's alone
one=$WORK/one.tar.gz two=$WORK/two.tar.gz
cp "$(build_release shop 0.1.0 relpack)" "$one"
cp "$(build_release shop 0.2.0 relpack)" "$two"
chmod 644 "$one" "$two"
PORT=$(free_port)
SECRET=hunter2-in-the-settings
export PORT
mkdir -m 755 "$WORK/srv"
HOME_DIR=$WORK/srv/home
install -d -m 755 -o $OWNER_UID -g $OWNER_UID "$HOME_DIR"
install -m 600 -o $OWNER_UID -g $OWNER_UID /dev/null "$HOME_DIR/relsup.json"
cat >"$HOME_DIR/relsup.json" <<JSON
{"env": {"DATABASE_PASSWORD": "$SECRET"}, "shutdown_s": 5}
JSON

# ------------------------------------------------------------------ names in /tmp that are known beforehand
# The folder of the announcements is the other's, with a home of his in it that a careless client would speak to.
as_other bash -c "mkdir -m 777 /tmp/relsup-$OWNER_UID && mkdir -p -m 755 ~/bait/run && chmod 755 ~ ~/bait
    ln -s ~/bait /tmp/relsup-$OWNER_UID/009c3e51329a4530"
start_bg bait as_other python3 -uc "
import os, socket
s = socket.socket(socket.AF_UNIX)
s.bind('$OTHER_DIR/bait/run/control.sock'); os.chmod('$OTHER_DIR/bait/run/control.sock', 0o777); s.listen()
while True:
    c, _ = s.accept(); print('somebody came', flush=True); c.close()"
wait_until 5 test -S "$OTHER_DIR/bait/run/control.sock"

run_as_owner() { # NAME COMMAND...
    start_bg "$1" setpriv --reuid $OWNER_UID --regid $OWNER_UID --clear-groups --inh-caps=-all \
        env -u XDG_RUNTIME_DIR PATH="$USERS_PATH" HOME="$OWNER_DIR" TMPDIR="$OWNER_DIR" "${@:2}"
}
owner_relsup() {
    as_owner env -u XDG_RUNTIME_DIR RELSUP_HOME="$HOME_DIR" relsup "$@"
}
serves() {
    [ "$(http version)" = "shop $1" ] && owner_relsup status | grep 'state *running' >/dev/null
}
run_as_owner relsup relsup run "$one" --home "$HOME_DIR"
supervisor=$BG_PID
wait_until 40 serves 0.1.0
vm=$(owner_relsup pid)
assert_exit 2 as_owner env -u XDG_RUNTIME_DIR -u RELSUP_HOME relsup status
attack "lead a client to a home of his" grep . "$WORK/bait.log"
attack "get an announcement in a folder of his" bash -c "find /tmp/relsup-$OWNER_UID -lname '*/srv/*' | grep ."

# ------------------------------------------------------------------ what can be read
attack "read a file of the home" bash -c "find '$HOME_DIR' -type f -readable 2>/dev/null | grep ."
attack "list a folder of the home" bash -c "find '$HOME_DIR' -mindepth 1 -type d -readable 2>/dev/null | grep ."
attack "open the cookie" bash -c "cat '$HOME_DIR'/secret/cookie '$HOME_DIR'/secret/*/cookie"
attack "read the environment of the VM" cat "/proc/$vm/environ"
attack "read the memory of the VM" head -c 1 "/proc/$vm/mem"
attack "look at the descriptors of the supervisor" ls "/proc/$supervisor/fd"
cookies=$(find "$HOME_DIR/secret" -type f -exec cat {} \; -exec echo \;)
assert_match '[0-9a-zA-Z]{20}' "$cookies" "cookies"
# What to look for is in files, so that nobody finds his own command line.
install -m 644 /dev/null "$OTHER_DIR/cookies"
install -m 644 /dev/null "$OTHER_DIR/secret"
grep . <<<"$cookies" >"$OTHER_DIR/cookies"
echo "$SECRET" >"$OTHER_DIR/secret"
on_command_lines() { # TEXT FILE
    # shellcheck disable=SC2016 # it is that shell's
    attack "find $1 on a command line" bash -c 'grep -lsaF -f "$1" /proc/[0-9]*/cmdline | grep .' - "$2"
}
on_command_lines "the cookie" cookies
on_command_lines "a setting" secret
# shellcheck disable=SC2016
attack "read a setting elsewhere" bash -c \
    'find /tmp /var/tmp /dev/shm /run -type f -readable ! -path "$HOME/*" -exec grep -lsF -f secret {} + | grep .'

# ------------------------------------------------------------------ what can be reached
talk() {
    printf 'import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect("%s")' "$1"
}
attack "speak to the control socket" python3 -c "$(talk "$HOME_DIR/run/control.sock")"
attack "order by relsup" relsup status --home "$HOME_DIR"
attack "stop by relsup" relsup stop --home "$HOME_DIR"
attack "take the control socket away" mv "$HOME_DIR/run/control.sock" "$OTHER_DIR/"
attack "occupy the place of descriptors" bash -c "mkfifo '$HOME_DIR/run/fd.sock'"
attack "put a file into the home" touch "$HOME_DIR/current.next"
attack "turn current" ln -sfn "$OTHER_DIR" "$HOME_DIR/current"
attack "end the VM" kill -KILL "$vm"
attack "end the supervisor" kill -TERM "$supervisor"
dist=$(tr '\0' '\n' <"/proc/$vm/cmdline" | grep -A 1 -x -e -erl_epmd_port | tail -n 1)
assert_match '^[0-9]+$' "$dist" "port of the distribution"
node=$(owner_relsup status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["node"])')
enter=(timeout 20 erl -noshell -sname intruder -start_epmd false -erl_epmd_port "$dist" -dist_listen false
    -eval "case net_adm:ping('$node') of pong -> halt(0); pang -> io:put_chars(\"pang\"), halt(1) end." -setcookie)
for cookie in $cookies; do
    as_other "${enter[@]}" "$cookie" && break
done || fail "the node cannot be entered even with its cookie: the attack proves nothing"
attack "enter the node by the decoy on its command line" "${enter[@]}" decoy
join() {
    printf 'import socket\ns = socket.socket()\ns.setsockopt(socket.SOL_SOCKET, %s, 1)\n' "socket.$1"
    printf 's.bind(("%s", %s)); s.listen()' "$2" "$3"
}
for address in 127.0.0.1 0.0.0.0; do
    for option in SO_REUSEPORT SO_REUSEADDR; do
        attack "listen on $address:PORT by $option" python3 -c "$(join $option $address "$PORT")"
        attack "listen on $address:DISTRIBUTION by $option" python3 -c "$(join $option $address "$dist")"
    done
done

# ------------------------------------------------------------------ while a release comes in
# A slow server that wants a password. As long as it lasts the other reads what he can.
start_bg server python3 -c "
import http.server, time
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        data = open('$two', 'rb').read()
        self.send_response(200); self.send_header('content-length', str(len(data))); self.end_headers()
        self.wfile.write(data[:100000]); self.wfile.flush(); time.sleep(4)
        self.wfile.write(data[100000:])
s = http.server.HTTPServer(('127.0.0.1', 0), H)
print(s.server_address[1], flush=True)
s.serve_forever()"
wait_until 5 test -s "$WORK/server.log"
# The operator's own command line is his to keep: he asks by the socket, as a pipeline would.
as_owner python3 - <<PYTHON >"$WORK/order.log" 2>&1 &
import json, socket
s = socket.socket(socket.AF_UNIX)
s.connect('$HOME_DIR/run/control.sock')
ask = {'v': 1, 'cmd': 'upgrade', 'args': {'release': 'http://u:pass-in-the-url@127.0.0.1:$(head -n 1 "$WORK/server.log")/x.tar.gz'}}
s.sendall(json.dumps(ask).encode() + b'\n')
print(s.makefile().read())
PYTHON
order=$!
own_pid $order
fetching() {
    find "$HOME_DIR/run" "$HOME_DIR/releases" -maxdepth 2 -newer "$WORK/server.log" -type f -size +50k | grep . >/dev/null
}
wait_until 10 fetching
echo pass-in-the-url >"$OTHER_DIR/secret"
on_command_lines "the password of the URL" secret
attack "read what is being fetched" bash -c "find '$HOME_DIR' /tmp -type f -size +50k -readable ! -path '*-*.tar.gz' ! -path '$OTHER_DIR/*' 2>/dev/null | grep ."
wait $order || true
grep -q pass-in-the-url "$WORK/relsup.log" "$HOME_DIR"/log/history.jsonl && fail "the password of the URL is in a log"
wait_until 30 serves 0.2.0

# ------------------------------------------------------------------ what relsup and the VM leave
others=$(find "$HOME_DIR" -mindepth 1 ! -type l -perm /077 ! -path "$HOME_DIR/releases/*" -printf '%M %P\n')
assert_eq '' "$others" "modes in the home"
others=$(find "$HOME_DIR/releases" ! -type l -perm /7022 -printf '%M %P\n')
assert_eq '' "$others" "modes in releases"
vm=$(owner_relsup pid)
kill -USR1 "$vm"
dump=$(find "$HOME_DIR/log" -name '*.dump*')
dumped() { [ -n "$(find "$HOME_DIR/log" -name '*.dump*' -size +10k)" ]; }
wait_until 20 dumped
dump=$(find "$HOME_DIR/log" -name '*.dump*' -size +10k | head -n 1)
attack "read a crash dump" head -c 10 "$dump"
wait_until 30 serves 0.2.0

owner_relsup stop >/dev/null 2>&1 || fail stop
wait_until 10 gone "$supervisor"

# ------------------------------------------------------------------ a release that is started by its own launcher
# Its RELEASE_TMP is a folder that the other made first, with all in it that he could wish for.
mkdir -m 755 "$WORK/srv/shop"
tar -C "$WORK/srv/shop" -xzf "$one"
chown -R $OWNER_UID:$OWNER_UID "$WORK/srv/shop"
shop() {
    as_owner env RELEASE_TMP=/tmp/shop "$WORK/srv/shop/bin/shop" "$@"
}
as_other bash -c 'mkdir -m 777 /tmp/shop && mkdir -m 777 /tmp/shop/pipe /tmp/shop/log'
for verb in start daemon; do
    shop $verb >"$WORK/out" 2>&1 </dev/null && fail "$verb in a folder of another user: $(cat "$WORK/out")"
    assert_match '/tmp/shop' "$(cat "$WORK/out")" "$verb"
done
attack "be given the pipes of a daemon" bash -c 'find /tmp/shop -type p | grep .'
attack "be given files that a VM reads" bash -c 'find /tmp/shop -type f | grep .'
# A contact file that he planted must not be believed.
as_other bash -c 'echo "{\"v\": 1}" >/tmp/shop/shop.contact.json; chmod 644 /tmp/shop/shop.contact.json'
shop rpc '1.' >"$WORK/out" 2>&1 && fail "rpc"
assert_match "another user|belongs to" "$(cat "$WORK/out")" "the contact of another user"
attacks_end
