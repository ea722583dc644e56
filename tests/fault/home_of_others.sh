#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A home that another user owns or can write: relsup must not run what it names, and no client of it believes what it
# says. Everything is planted by a second user of this host and met by root and by the owner.
. "$RELPACK_SOURCE/tests/support/lib.sh"
. "$RELPACK_SOURCE/tests/support/users.sh"
need_users "$@"

# the cache of the tests is their user's alone
tarball=$WORK/shop.tar.gz
cp "$(build_release shop 0.1.0)" "$tarball"
chmod 644 "$tarball"
HOOK=$WORK/hook-ran
REFUSALS=0

# refused PATTERN COMMAND...: exit 2 and one line that matches, and no hook ran
refused() {
    local pattern=$1

    shift
    assert_exit 2 "$@"
    assert_match "$pattern" "$(cat "$WORK/err")"
    assert_eq 1 "$(wc -l <"$WORK/err")" "lines of: $(cat "$WORK/err")"
    [ ! -e "$HOOK" ] || fail "the hook ran"
    REFUSALS=$((REFUSALS + 1))
}

plant_hook() {
    printf '{"before_boot": [{"run": ["touch", "%s"]}]}\n' "$HOOK" >"$1"
}

# 1. a whole home of the other, with a hook, met by root
plant_hook "$OTHER_DIR/relsup.json"
chown $OTHER_UID:$OTHER_UID "$OTHER_DIR/relsup.json"
refused "belongs to $OTHER" relsup run "$tarball" --home "$OTHER_DIR"

# 2. an own home below a folder of the other's
refused "$OTHER_DIR belongs to $OTHER.*chown root" relsup run "$tarball" --home "$OTHER_DIR/below"
[ ! -e "$OTHER_DIR/below" ] || fail "a refused home was made"

# 3. below a folder that all can write, and one that a group can
mkdir -m 0777 "$WORK/open"
refused "$WORK/open can be written by .*'chmod go-w $WORK/open'" relsup run "$tarball" --home "$WORK/open/home"
chmod 0770 "$WORK/open"
refused "can be written by its group" relsup run "$tarball" --home "$WORK/open/home"
rmdir "$WORK/open"

# 4. a sticky one is as good as /tmp, but not a link in it that the other made
mkdir -m 1777 "$WORK/sticky"
mkdir -m 0700 "$WORK/target"
as_other ln -s "$WORK/target" "$WORK/sticky/link"
refused "$WORK/sticky/link belongs to $OTHER" relsup run "$tarball" --home "$WORK/sticky/link"
refused "$WORK/sticky/link belongs to $OTHER" relsup run "$tarball" --home "$WORK/sticky/link/below"

# 5. an own home with one thing in it that is not ours alone
own=$WORK/own
for what in relsup.json run secret log releases; do
    rm -rf "$own"
    mkdir -m 0700 "$own"
    case $what in
    relsup.json) plant_hook "$own/$what" ;;
    *) mkdir -m 0700 "$own/$what" ;;
    esac
    chown $OTHER_UID "$own/$what"
    refused "$own/$what belongs to $OTHER.*'chown root $own/$what'" relsup run "$tarball" --home "$own"
    chown 0 "$own/$what"
    chmod 0722 "$own/$what"
    refused "$own/$what can be written by its group and by all: 'chmod go-r?w $own/$what'" \
        relsup run "$tarball" --home "$own"
done
rm -rf "$own"
mkdir -m 0700 "$own" "$own/secret"
echo x >"$own/secret/cookie"
chmod 0640 "$own/secret/cookie"
refused "$own/secret/cookie can be read by its group" relsup run "$tarball" --home "$own"
ln -s "releases/x" "$own/current"
chmod 0400 "$own/secret/cookie"
chown -h $OTHER_UID "$own/current"
refused "$own/current belongs to $OTHER" relsup run "$tarball" --home "$own"

# 6. too long for its control socket: nothing is made, inside or outside of it
long=$WORK/$(printf 'n%.0s' $(seq $((91 - ${#WORK}))))
refused "longer than 90 bytes" relsup run "$tarball" --home "$long"
[ ! -e "$long" ] || fail "a refused home was made"

# 7. a server of the other's: neither its control socket nor its contact is believed by root or by the owner
cat >"$WORK/server.py" <<'P'
import json, os, socket, sys
home = sys.argv[1]
os.makedirs(home + "/run", exist_ok=True)
json.dump({"v": 1, "node": "x@localhost", "port": 1, "cookie_file": "/etc/shadow", "pid": os.getpid(), "pid_start": 0,
           "root": home, "name": "shop", "version": "1", "generation": 1, "elixir": False}, open(home + "/run/active.json", "w"))
s = socket.socket(socket.AF_UNIX)
s.bind(home + "/run/control.sock")
os.chmod(home + "/run/control.sock", 0o777)
s.listen(5)
while True:
    c, _ = s.accept()
    open(home + "/asked", "w").write("x")
    c.sendall(b'{"v":1,"type":"result","result":{"state":"running"}}\n')
    c.close()
P
chmod 755 "$OTHER_DIR"
start_bg server setpriv --reuid $OTHER_UID --regid $OTHER_UID --clear-groups /usr/bin/python3 "$WORK/server.py" "$OTHER_DIR/trap"
wait_until 5 test -S "$OTHER_DIR/trap/run/control.sock"
for verb in status stop pid "rpc ok" "eval ok" logs history releases; do
    # shellcheck disable=SC2086
    refused "belongs to $OTHER .*run this as $OTHER" relsup $verb --home "$OTHER_DIR/trap"
    # shellcheck disable=SC2086
    assert_exit 2 as_owner relsup $verb --home "$OTHER_DIR/trap"
    assert_match "belongs to $OTHER .*not to $OWNER" "$(cat "$WORK/err")"
done
[ ! -e "$OTHER_DIR/trap/asked" ] || fail "a client spoke to the server of another user"

# 8. and what is fine: an own home in a sticky folder, by the owner, found by him
chmod 1777 "$WORK/sticky"
start_bg relsup as_owner env PORT="$(free_port)" relsup run "$tarball" --home "$WORK/sticky/home"
wait_until 30 as_owner relsup status --home "$WORK/sticky/home"
attack "stop a home of another user" relsup stop --home "$WORK/sticky/home"
attack "read its cookie" sh -c "cat $WORK/sticky/home/secret/*"
as_owner relsup stop --home "$WORK/sticky/home" --quiet
wait_until 15 gone "$BG_PID"
attacks_end
echo "$REFUSALS refusals of homes that others own or can write, no hook ran"
