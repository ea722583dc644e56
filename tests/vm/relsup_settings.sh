#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Settings are read at each order and on SIGHUP: a wrong file refuses the order and changes nothing, a key that is
# added to a running home counts at once, and what a release brings counts for that release.
. "$RELPACK_SOURCE/tests/support/lib.sh"

export RELSUP_HOME=$WORK/home
PORT=$(free_port)
export PORT
first=$(build_release shop 0.1.0)
second=$(build_release shop 0.2.0)

supervisor() {
    relsup status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["supervisor_pid"])'
}

# shipping TARBALL NAME SETTINGS: the same release with a relsup.json of its own
shipping() {
    mkdir "$WORK/$2"
    tar -C "$WORK/$2" -xzf "$1"
    rm -f "$WORK/$2/releases/"*/relpack.json # its manifest, which knows nothing of that file
    printf '%s\n' "$3" >"$WORK/$2/relsup.json"
    tar -C "$WORK/$2" -czf "$WORK/$2.tar.gz" .
}

version() {
    relsup status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["version"])'
}

nothing_changed() {
    assert_eq 0.1.0 "$(version)"
    assert_eq "0.1.0" "$(ls "$RELSUP_HOME/releases")" releases
    running || fail "it does not run any more"
}

# 1. what a release must not bring is found before anything happens, on first use and later
marker=$WORK/marker
for key in '"key": "k.pub"' '"user": "root"' '"capabilities": []' '"env_file": "x"'; do
    shipping "$first" bad "{\"before_boot\": [{\"run\": [\"touch\", \"$marker\"]}],
 $key}"
    assert_exit 2 relsup run "$WORK/bad.tar.gz"
    assert_match "relsup.json:2: ${key%%:*}|relsup.json:2: [a-z_]+ cannot come with a release" "$(cat "$WORK/err")"
    [ -z "$(ls "$RELSUP_HOME/releases")" ] || fail "the release stays"
    [ ! -e "$marker" ] || fail "its hook ran"
    rm -rf "$WORK/bad"
done

# 2. the first boot is by the settings that the release brings
shipping "$first" one '{"env": {"SHIPPED": "one"}, "keep": 7}'
start_bg relsup relsup run "$WORK/one.tar.gz"
wait_until 30 running
shipped() {
    tr '\0' '\n' <"/proc/$(relsup pid)/environ" | sed -n 's/^SHIPPED=//p'
}
assert_eq one "$(shipped)" "first boot"

# 3. so is the upgrade to another, before_boot included, and the rollback to the first one
shipping "$second" two "{\"env\": {\"SHIPPED\": \"two\"}, \"keep\": 7,
 \"before_boot\": [{\"run\": [\"touch\", \"$marker\"]}]}"
relsup upgrade "$WORK/two.tar.gz" --quiet
assert_eq two "$(shipped)" upgrade
[ -e "$marker" ] || fail "before_boot of the new release was not run"
relsup rollback --quiet
assert_eq one "$(shipped)" rollback
assert_eq 0.1.0 "$(version)"

# 4. an upgrade that fails leaves the settings of the one that runs
rm "$marker"
shipping "$second" three '{"env": {"SHIPPED": "three"}, "before_boot": [{"run": ["false"]}]}'
assert_exit 1 relsup upgrade "$WORK/three.tar.gz" --quiet
relsup restart --quiet
assert_eq one "$(shipped)" "restart after a refused upgrade"
[ ! -e "$marker" ] || fail "a hook of another release was run"
rm -rf "$RELSUP_HOME/releases/"0.2.0*

# 5. a wrong file of the home refuses each order, with its line, and SIGHUP keeps what is in force
printf '{\n "soak_s": -5\n}\n' >"$RELSUP_HOME/relsup.json"
for order in "upgrade $second" restart "rollback 0.1.0"; do
    # shellcheck disable=SC2086
    assert_exit 2 relsup $order
    assert_match "$RELSUP_HOME/relsup.json:2: soak_s must be" "$(cat "$WORK/err")" "$order"
done
nothing_changed
kill -HUP "$(supervisor)"
wait_until 5 grep -q "settings stay as they were: .*relsup.json:2: soak_s" "$WORK/relsup.log"
nothing_changed
printf '{"env": {"SHIPPED": "home"}}\n' >"$RELSUP_HOME/relsup.json"
chmod 666 "$RELSUP_HOME/relsup.json"
assert_exit 2 relsup restart
assert_match "can be written by its group and by all: 'chmod go-w" "$(cat "$WORK/err")"
chmod 600 "$RELSUP_HOME/relsup.json"
kill -HUP "$(supervisor)"
wait_until 5 grep -q "settings are read anew" "$WORK/relsup.log"
relsup restart --quiet
assert_eq home "$(shipped)" "the home's file stands over that of the release"

# 6. a crash is not made worse by a file that is wrong by then
printf '{' >"$RELSUP_HOME/relsup.json"
before=$(relsup pid)
kill -KILL "$before"
again() {
    local now

    now=$(relsup pid) && [ "$now" != "$before" ] && running
}
wait_until 20 again
assert_eq home "$(shipped)" "after a crash"

# 7. a key that is added to the running home counts for the very next upgrade
relpack keygen "$WORK/ours" >/dev/null
printf '{"key": "%s"}\n' "$WORK/ours.pub" >"$RELSUP_HOME/relsup.json"
assert_exit 2 relsup upgrade "$second"
assert_match "sign" "$(cat "$WORK/err")"
nothing_changed
