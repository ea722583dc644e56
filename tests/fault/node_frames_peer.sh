#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# A release whose node answers with broken frames, in the hands of a supervisor: as the candidate that is probed, as the
# peer that soaks, hands state over and is hot-upgraded. Whatever becomes of each order, the supervisor lives through it.
. "$(dirname "$0")/../support/lib.sh"

ORDERS=${FRAMES_ORDERS:-8}

# The tree of a release whose launcher is no VM but our node; the manifest would tell.
liar() { # VERSION KIND SEED
    local dir=$WORK/liar-$1

    mkdir "$dir"
    tar -C "$dir" -xzf "$(build_release shop 0.1.0 relpack)"
    rm -f "$dir"/releases/*/relpack.json
    [ "$1" = 0.1.0 ] || mv "$dir/releases/0.1.0" "$dir/releases/$1"
    sed -i "s/0\.1\.0/$1/" "$dir/releases/start_erl.data" "$dir/releases/$1/shop.rel"
    cat >"$dir/bin/shop" <<EOF
#!/bin/sh
set -- \$ERL_AFLAGS
while [ "\$1" != -erl_epmd_port ]; do shift; done
exec python3 "$RELPACK_SOURCE/tests/support/fake_node.py" $2 "\$2" "\$RELEASE_NODE" \\
    "\$XDG_CONFIG_HOME/erlang/.erlang.cookie" $3
EOF
    chmod 755 "$dir/bin/shop"
    tar -C "$dir" -czf "$WORK/liar-$1.tar.gz" .
    rm -rf "$dir"
}
liar 0.1.0 honest 1
liar 0.2.0 mutate 1000
liar 0.3.0 mutate 5000

export RELSUP_HOME=$WORK/home
mkdir -m 700 "$RELSUP_HOME"
cat >"$RELSUP_HOME/relsup.json" <<'EOF'
{"ports": [], "boot_s": 4, "shutdown_s": 2, "drain_s": 1, "soak_s": 2, "keep": 5,
 "before_cutover": {"call": "shop:state", "timeout_s": 1}, "after_cutover": {"call": "shop:take", "timeout_s": 1},
 "health": [{"type": "rpc", "expr": "ok", "interval_s": 0.05, "timeout_s": 1, "failures": 1000}]}
EOF
start_bg relsup relsup run "$WORK/liar-0.1.0.tar.gz" --home "$RELSUP_HOME"
supervisor=$BG_PID
wait_until 30 running

declare -A seen=()
for ((i = 0; i < ORDERS; i++)); do
    how=()
    [ $((i % 4)) != 3 ] || how=(--hot)
    status=0
    relsup upgrade "$WORK/liar-0.$((2 + i % 2)).0.tar.gz" "${how[@]}" >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
    [ "$status" -le 4 ] || fail "upgrade ended with $status: $(cat "$WORK/err")"
    gone "$supervisor" && fail "the supervisor ended: $(cat "$WORK/err")"
    [ "$status" = 0 ] || [ -s "$WORK/err" ] || fail "an upgrade failed without a word"
    seen[$status]=$((${seen[$status]:-0} + 1))
    tail -n 1 "$WORK/err"
    wait_until 30 running
done
for status in "${!seen[@]}"; do
    echo "exit $status: ${seen[$status]}"
done | sort
connections=$(cat "$RELSUP_HOME"/log/peer-*.log | grep -c '^bytes')
echo "$connections connections of a supervisor to nodes of broken frames, and it lives"
[ "$connections" -ge $((ORDERS * 5)) ] || fail "only $connections connections"
assert_exit 0 relsup stop
