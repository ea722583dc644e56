#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A node that completes the handshake and then answers with broken frames: relctl and relsup get an error each time, in
# time, and none of them ends by a signal. As a peer of a supervisor it is refused or served, and the supervisor lives.
. "$(dirname "$0")/../support/lib.sh"

TIMES=${FRAMES_TIMES:-170}
echo -n chocolate >"$WORK/cookie"
chmod 400 "$WORK/cookie"

# contact FILE PID PORT
contact() {
    printf '{"format": 1, "node": "shop@localhost", "port": %s, "cookie_file": "%s", "pid": %s, "pid_start": 0,
        "root": "%s", "name": "shop", "version": "0.1.0", "generation": 0, "elixir": false}\n' \
        "$3" "$WORK/cookie" "$2" "$WORK" >"$1"
    chmod 600 "$1"
}

# fake_node NAME KIND [SEED]: leaves its contact in $WORK/NAME.json
fake_node() {
    start_bg "$1" python3 "$RELPACK_SOURCE/tests/support/fake_node.py" "$2" 0 shop@localhost "$WORK/cookie" "${3:-1}"
    wait_until 10 grep -q '^port' "$WORK/$1.log"
    contact "$WORK/$1.json" "$BG_PID" "$(sed -n 's/^port //p' "$WORK/$1.log")"
}

# --- what it does when it is honest, so that what follows is known to get so far
fake_node honest honest
for verb in 'ping' 'pid' 'rpc ok'; do
    # shellcheck disable=SC2086 # two words
    assert_exit 0 relctl $verb --contact "$WORK/honest.json" --timeout 5s
done

# --- and broken: "status=COUNT" of all, by program
fake_node liar mutate "${FRAMES_SEED:-1}"
home=$WORK/home
mkdir -m 700 "$home" "$home/run"
cp "$WORK/liar.json" "$home/run/active.json"
verbs=('ping' 'pid' 'rpc ok' 'rpc --print ok' 'rpc --json ok' 'restart' 'stop')
declare -A seen=()
for ((i = 0; i < TIMES; i++)); do
    if ((i % 3)); then
        # shellcheck disable=SC2206
        command=(relctl ${verbs[i % ${#verbs[@]}]} --contact "$WORK/liar.json")
    else
        # shellcheck disable=SC2206
        command=(relsup ${verbs[2 + i % 3]} --home "$home")
    fi
    status=0
    "${command[@]}" --timeout 700ms >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
    [ "$status" -le 4 ] || fail "${command[*]} ended with $status: $(cat "$WORK/err")"
    # Each failure says something, in one line beside the output of an expression.
    [ "$status" = 0 ] || [ -s "$WORK/err" ] || fail "${command[*]} failed without a word"
    seen[${command[0]} $status]=$((${seen[${command[0]} $status]:-0} + 1))
done
connections=$(grep -c '^bytes' "$WORK/liar.log")
[ "$connections" -ge $((TIMES * 9 / 10)) ] || fail "only $connections of $TIMES reached the node"
for key in "${!seen[@]}"; do
    echo "$key: ${seen[$key]}"
done | sort
echo "$connections connections to a node of broken frames, 0 ended by a signal"
