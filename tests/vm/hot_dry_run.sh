#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A dry run changes nothing, and no release that a VM was changed through is removed while it runs: the next hot upgrade
# and each rollback find what they need. A folder of the code path that has vanished fails neither a hot upgrade nor its
# way back.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

versioned_app
releases=("$(release 0.1.0)")
for version in 0.2.0 0.3.0 0.4.0 0.5.0 0.6.0; do
    same 0.1.0 $version
    sed -i "s/0\.1\.0/$version/" "$SOURCES/$version"/hx/{hx_code.erl,vsn}
    releases+=("$(release $version)")
done

listing() {
    find "$RELSUP_HOME/releases" "$RELSUP_HOME/current" -mindepth 1 -printf '%P %y %l %i %T@\n' -o -type l -printf '%l %T@\n' | sort
}

mkdir -p "$RELSUP_HOME"
echo '{"keep": 1}' >"$RELSUP_HOME/relsup.json"
start_home "${releases[0]}"
pid=$(relsup pid)
for i in 1 2 3; do
    assert_exit 0 hot "${releases[i]}"
done
before=$(listing)

# which the automatic mode would do by a swap
mkdir "${releases[4]}/lib/hx-0.5.0/priv"
echo new >"${releases[4]}/lib/hx-0.5.0/priv/asset"
assert_exit 0 relsup upgrade --auto --dry-run "${releases[4]}"
assert_match 'would be replaced by 0\.5\.0 by a swap: files in priv of hx change, and it has no config_change/3' "$(cat "$WORK/out")"
assert_eq "$before" "$(listing)" "after a dry run by a swap"
rm -r "${releases[4]}/lib/hx-0.5.0/priv"
assert_exit 0 relsup upgrade --auto --dry-run "${releases[4]}"
assert_match 'can be changed to 0\.5\.0 in place' "$(cat "$WORK/out")"
assert_exit 0 hot --dry-run "${releases[4]}"
assert_exit 0 relsup rollback --dry-run --hot
assert_match 'hx 0\.4\.0 -> 0\.3\.0' "$(cat "$WORK/err")" "what it says before it acts"
assert_exit 0 relsup rollback --dry-run --auto 0.1.0
assert_eq "$before" "$(listing)" "after dry runs"

# a fourth one, a path of which has vanished since; and one that fails
ask 'begin true = code:add_pathz(filename:absname("/tmp")), D = "'"$WORK"'/vanishes", ok = file:make_dir(D),
    true = code:add_pathz(D), ok = file:del_dir(D) end' >/dev/null
assert_exit 0 hot "${releases[4]}"
assert_eq '"0.5.0"' "$(ask 'hx_code:version()')"
[ -d "$RELSUP_HOME/releases/0.1.0" ] || fail "the release that the VM booted is gone"
step=$(grep -ao 'relsup_hot_step_[0-9a-f]\{8\}' "$RELPACK_BIN/relsup" | sort -u)
printf -- '-module(%s).\n-export([at/1]).\nat(started) -> error(planned);\nat(_) -> ok.\n' "$step" >"$WORK/$step.erl"
erlc -W0 -o "$WORK" "$WORK/$step.erl"
ask "begin code:purge($step), code:delete($step), code:purge($step), code:load_abs(\"$WORK/$step\") end" >/dev/null
assert_exit 3 hot "${releases[5]}"
assert_match 'planned' "$(cat "$WORK/err")"
ask "begin code:purge($step), code:delete($step), code:purge($step) end" >/dev/null
assert_eq '"0.5.0"' "$(ask 'hx_code:version()')"

# each rollback goes one further back, in place
for version in 0.4.0 0.3.0 0.2.0 0.1.0; do
    assert_exit 0 relsup rollback
    assert_match "hx 0\\.[0-9]\\.0 -> $version" "$(cat "$WORK/err")"
    assert_eq "\"$version\"" "$(ask 'hx_code:version()')"
done
assert_eq "$pid" "$(relsup pid)" "it is the same VM"

# when it is gone its releases may go, but for the one that a process still has its folder in
(cd "$RELSUP_HOME/releases/0.3.0" && exec sleep 600) &
own_pid $!
assert_exit 0 relsup upgrade "${releases[5]}"
assert_eq "0.1.0 0.3.0 0.6.0" "$(cd "$RELSUP_HOME/releases" && echo *)" "what is left"
end_home
