#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# relsup as root, its application as another user: boot, probes, steps, rpc, swap, hot upgrade, crash dump; nothing of
# root is left in the peer; what its user may ask of relsup, and what not; port 80 by one capability.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/users.sh"
need_ns "$@"
need_users "$@"

PORT=8080
RELSUP_HOME=$WORK/home
export PORT RELSUP_HOME
one=$(build_release shop 0.1.0 relpack)
two=$(build_release shop 0.2.0 relpack)
three=$(build_release shop 0.3.0 relpack)
cp "$one" "$two" "$three" "$WORK"
chmod 644 "$WORK"/*.tar.gz
one=$WORK/${one##*/} two=$WORK/${two##*/} three=$WORK/${three##*/}

answers() {
    [ "$(http version)" = "$1" ]
}

settings() { # USER [MORE]
    cat >"$RELSUP_HOME/relsup.json" <<JSON
{ "user": "$1",${2:-}
  "before_boot": [{"run": ["/bin/sh", "-c", "id -u >$OWNER_DIR/step; grep -h CapEff /proc/self/status >>$OWNER_DIR/step"]}],
  "health": [{"type": "exec", "command": ["/bin/sh", "-c", "id -u >$OWNER_DIR/probe"]}] }
JSON
}

of_peer() { # FIELD
    awk -v field="$1:" '$1 == field { print $2 }' "/proc/$(relsup pid)/status"
}

mkdir -m 700 "$RELSUP_HOME"
settings "$OWNER"
start_bg relsup relsup run "$one" --home "$RELSUP_HOME"
supervisor=$BG_PID
wait_until 60 answers "shop 0.1.0"
wait_until 10 running

# --- nothing of root is left
assert_eq "$OWNER_UID" "$(of_peer Uid)" "user"
assert_eq "$OWNER_UID" "$(of_peer Gid)" "group"
assert_eq "0000000000000000" "$(of_peer CapEff)" "capabilities"
assert_eq "0000000000000000" "$(of_peer CapBnd)" "capabilities that could come back"
assert_eq 1 "$(of_peer NoNewPrivs)" "no_new_privs"
assert_eq "\"$OWNER_UID:$OWNER:$OWNER_DIR\"" "$(relsup rpc --print \
    'string:trim(os:cmd("id -u")) ++ ":" ++ os:getenv("USER") ++ ":" ++ os:getenv("HOME").')"
assert_eq 0 "$(stat -c %u "$RELSUP_HOME")" "owner of the home"
for path in . run secret log releases releases/0.1.0 current/bin/shop relsup.json run/journal.json; do
    if as_owner test -w "$RELSUP_HOME/$path"; then
        fail "the user of the peer may write $path"
    fi
done
assert_eq "600 $OWNER_UID" "$(stat -c '%a %u' "$RELSUP_HOME/log/peer-1.dump")" "the dump"
assert_eq "400 $OWNER_UID" "$(stat -c '%a %u' "$RELSUP_HOME/secret/peer-1/cookie")" "the cookie"
if as_other cat "$RELSUP_HOME/secret/peer-1/cookie" 2>/dev/null; then
    fail "another user reads the cookie"
fi

# --- a swap, and a change in place
assert_exit 0 relsup upgrade "$two"
answers "shop 0.2.0" || fail "the new one does not answer"
assert_eq "$OWNER_UID" "$(of_peer Uid)" "user of the new one"
assert_eq "$OWNER_UID CapEff: 0000000000000000" "$(tr -s '\t\n' ' ' <"$OWNER_DIR/step" | sed 's/ $//')" "the step"
assert_eq "$OWNER_UID" "$(cat "$OWNER_DIR/probe")" "the probe"
[ ! -e "$RELSUP_HOME/secret/peer-1" ] || fail "the cookie of a peer that is gone lies there"
assert_exit 0 relsup upgrade --hot "$one"
answers "shop 0.1.0" || fail "the code is not changed"

# --- what its user may ask, from inside and from outside
assert_match '<<"state">> => <<"running">>' "$(relsup rpc --print 'relsup:status().')"
assert_exit 0 relsup rpc "ok = relsup:upgrade(\"$two\")."
wait_until 30 answers "shop 0.2.0"
wait_until 30 running
assert_exit 0 as_owner relsup status --home "$RELSUP_HOME"
assert_exit 2 as_owner relsup stop --home "$RELSUP_HOME"
assert_match "may ask for the status and an upgrade, not for 'stop'" "$(cat "$WORK/err")"
cp "$three" "$WORK/private.tar.gz"
chmod 600 "$WORK/private.tar.gz"
assert_exit 2 as_owner relsup upgrade "$WORK/private.tar.gz" --home "$RELSUP_HOME"
assert_match 'Permission denied' "$(cat "$WORK/err")"
if as_other relsup status --home "$RELSUP_HOME" >/dev/null 2>&1; then
    fail "any user may ask"
fi

# --- it dumps where it may
generation=$(relsup status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["generation"])')
kill -USR1 "$(relsup pid)"
dumped() {
    [ -s "$RELSUP_HOME/log/peer-$generation.dump" ]
}
wait_until 30 dumped
wait_until 30 answers "shop 0.2.0"
wait_until 30 running

# --- two users cannot share a port
settings "$OTHER"
assert_exit 2 relsup upgrade "$three"
assert_match "runs as user $OWNER_UID and the new one would as $OTHER_UID" "$(cat "$WORK/err")"
answers "shop 0.2.0" || fail "the old one does not serve"
settings nobody-there
assert_exit 2 relsup upgrade "$three"
assert_match "'nobody-there', but this host has no such user" "$(cat "$WORK/err")"
settings "$OWNER"
assert_exit 0 relsup stop
wait_until 10 gone "$supervisor"

# --- one capability is enough for port 80
PORT=80
settings "$OWNER" ' "capabilities": ["net_bind_service"],'
start_bg low relsup run --home "$RELSUP_HOME"
wait_until 60 answers "shop 0.2.0"
wait_until 10 running
assert_eq "0000000000000400" "$(of_peer CapEff)" "capabilities"
assert_exit 0 relsup upgrade "$three"
answers "shop 0.3.0" || fail "port 80 is not taken over"
assert_exit 0 relsup stop
