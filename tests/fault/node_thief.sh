#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Another user of this host listens where a node should, and passes on what he gets to the real one, so that the handshake
# is answered rightly. Neither relctl nor relsup says a word to him, and nothing of theirs runs in the node through him.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/users.sh"
need_users "$@"
. "$(dirname "$0")/../support/fake_release.sh"

REFUSALS=0
MINE=$OWNER_DIR/tmp
CONTACT=$MINE/shop.contact.json

fake_release shop erlang "$WORK/erl"
chmod -R go+rX "$WORK/erl"
export RELEASE_TMP=$MINE
as_owner "$WORK/erl/bin/shop" daemon
pid=$(as_owner "$WORK/erl/bin/shop" pid)
own_pid "$pid"
port=$(sed -n 's/.*"port": \([0-9]*\).*/\1/p' "$CONTACT")

# listens NAME USER KIND ARGS...: leaves his port in $TAKEN and pid in $THIEF
listens() {
    local name=$1 as=as_$2

    shift 2
    start_bg "$name" "$as" python3 "$WORK/fake_node.py" "$@"
    wait_until 10 grep -q '^port' "$WORK/$name.log"
    TAKEN=$(sed -n 's/^port //p' "$WORK/$name.log")
}
install -m 755 "$RELPACK_SOURCE/tests/support/fake_node.py" "$WORK/fake_node.py"

# leads_to FILE PORT [PID]: the node's contact, with another port
leads_to() {
    sed "s/\"port\": [0-9]*/\"port\": $2/" "$CONTACT" >"$OWNER_DIR/c.json"
    [ -z "${3:-}" ] || sed -i "s/\"pid\": [0-9]*/\"pid\": $3/; s/\"pid_start\": [0-9]*/\"pid_start\": 0/" "$OWNER_DIR/c.json"
    install -m 600 -o "$OWNER_UID" -g "$OWNER_UID" "$OWNER_DIR/c.json" "$1"
}

# refused NAME PATTERN COMMAND...: exit 1 with that line; who listens as NAME has heard nothing
refused() {
    local name=$1 pattern=$2 before

    shift 2
    before=$(visits "$name")
    assert_exit 1 "$@"
    assert_match "$pattern" "$(cat "$WORK/err")"
    assert_eq 1 "$(wc -l <"$WORK/err")" "lines: $(cat "$WORK/err")"
    heard_nothing "$name" "$before"
    REFUSALS=$((REFUSALS + 1))
}

visits() {
    grep -c '^bytes' "$WORK/$1.log" || true
}

more_visits() {
    [ "$(visits "$1")" -gt "$2" ]
}

# heard_nothing NAME VISITS: since so many of them
heard_nothing() {
    wait_until 5 more_visits "$1" "$2"
    assert_eq 'bytes 0' "$(grep '^bytes' "$WORK/$1.log" | tail -n +$(($2 + 1)) | sort -u)" "what $1 heard"
}

relctl=$WORK/erl/bin/relctl
mark() {
    echo "file:write_file(\"$OWNER_DIR/ran\", \"\")"
}
home=$OWNER_DIR/home
as_owner mkdir -m 700 home home/run home/secret home/secret/erlang

# --- the way of the attack is real: who may be there passes the order on, and it runs
listens friend owner relay 0 "$port"
friend=$BG_PID
leads_to "$OWNER_DIR/friend.json" "$TAKEN" "$(pgrep -f "fake_node.py relay 0 $port" -u "$OWNER_UID" | head -1)"
assert_exit 0 as_owner "$relctl" rpc --contact "$OWNER_DIR/friend.json" "$(mark)"
[ -e "$OWNER_DIR/ran" ] || fail "the relay does not pass anything on"
rm "$OWNER_DIR/ran"

# --- a program of the same user that is not the node's process
leads_to "$OWNER_DIR/same.json" "$TAKEN"
refused friend "what listens on port $TAKEN is not node shop@localhost: it belongs to user $OWNER \(process" \
    as_owner "$relctl" ping --contact "$OWNER_DIR/same.json"
stop_bg "$friend"

# --- another user, beside the node: each verb of relctl, relsup for its home, as the owner and as root
listens thief other relay 0 "$port"
leads_to "$OWNER_DIR/thief.json" "$TAKEN"
leads_to "$home/run/active.json" "$TAKEN"
stolen="what listens on port $TAKEN is not node shop@localhost: it belongs to user $OTHER"
for verb in ping pid rpc stop restart; do
    words=("$verb" --contact "$OWNER_DIR/thief.json")
    [ $verb != rpc ] || words+=("$(mark)")
    refused thief "$stolen" as_owner "$relctl" "${words[@]}"
    # root sees which process it is, too
    refused thief "$stolen \(process [0-9]+\)" "$relctl" "${words[@]}"
done
refused thief "$stolen" as_owner relsup rpc "$(mark)" --home "$home"
refused thief "$stolen" as_owner relsup pid --home "$home"
[ ! -e "$OWNER_DIR/ran" ] || fail "an order came through"

# --- the shell, which gets the cookie by a file, is not started either
before=$(visits thief)
as_owner script -qefc "'$relctl' remote --contact '$OWNER_DIR/thief.json'" "$OWNER_DIR/shell" </dev/null >/dev/null 2>&1 || true
assert_match "$stolen" "$(cat "$OWNER_DIR/shell")"
heard_nothing thief "$before"

# --- after the node: its process has ended, and he has its own port
kill -KILL "$pid"
wait_until 10 gone "$pid"
listens heir other relay "$port" 1
assert_exit 1 as_owner "$relctl" ping --contact "$CONTACT"
assert_match "its process $pid has ended" "$(cat "$WORK/err")"
assert_eq 0 "$(visits heir)" "visits to the heir"

# --- before the node: the process is there, has not listened yet, and he was faster
# shellcheck disable=SC2016 # the inner shell's
start_bg booting as_owner sh -c 'echo $$ && exec sleep 60'
wait_until 10 test -s "$WORK/booting.log"
leads_to "$OWNER_DIR/early.json" "$port" "$(cat "$WORK/booting.log")"
refused heir "what listens on port $port is not node shop@localhost: it belongs to user $OTHER" \
    as_owner "$relctl" ping --contact "$OWNER_DIR/early.json"

echo "$REFUSALS refused before a word was said, 0 let in"
