#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A release in a home: started as a peer it takes everything from its supervisor, and current/bin/<name> reaches the
# active one.
# shellcheck disable=SC2016 # the expressions are not the shell's
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/fake_release.sh"

home=$WORK/home
fake_release shop erlang "$home/releases/0.1.0"
printf -- '-sname mine -setcookie MINE\n' >"$home/releases/0.1.0/releases/0.1.0/vm.args"
ln -s releases/0.1.0 "$home/current"
mkdir -p "$home/run/peer-3"
mkdir -p "$home/secret/erlang"
chmod 700 "$home/secret"
printf HOMECOOKIE >"$home/secret/cookie"
chmod 400 "$home/secret/cookie"
ln -s ../cookie "$home/secret/erlang/.erlang.cookie"
shop=$home/current/bin/shop

# --- as a supervisor starts it
port=$(free_port)
start_bg peer env RELEASE_NODE=shop_green@localhost RELEASE_DISTRIBUTION=sname RELEASE_COOKIE=decoy \
    RELEASE_TMP="$home/run/peer-3" XDG_CONFIG_HOME="$home/secret" RELSUP_HOME="$home" RELSUP_GENERATION=3 \
    ERL_AFLAGS="-setcookie -home x -start_epmd false -erl_epmd_port $port -kernel inet_dist_use_interface {127,0,0,1}" \
    "$shop" start
cat >"$home/run/active.json" <<END
{"format": 1, "node": "shop_green@localhost", "port": $port, "cookie_file": "$home/secret/cookie", "pid": $BG_PID,
 "pid_start": 0, "root": "$home/releases/0.1.0", "name": "shop", "version": "0.1.0", "generation": 3, "elixir": false}
END

# --- reached by the home the release lies in, without any environment, and by RELSUP_HOME
wait_until 15 "$shop" ping
assert_eq "'shop_green@localhost'" "'$("$shop" rpc --print 'node()')'"
assert_eq "$BG_PID" "$("$shop" pid)"
assert_eq "$BG_PID" "$(cd / && RELSUP_HOME=$home RELEASE_ROOT=/nowhere "$RELPACK_BIN/relctl" pid)"
assert_eq HOMECOOKIE "$("$shop" rpc 'io:format("~s~n", [erlang:get_cookie()])')"
[ ! -e "$home/run/peer-3/secret" ] || fail "a peer made a cookie of its own"
if tr '\0' '\n' <"/proc/$BG_PID/cmdline" | grep -E 'MINE|HOMECOOKIE|decoy'; then
    fail "a cookie is on the command line"
fi

# --- what would look like a crash to the supervisor is left to it
for command in stop restart; do
    assert_exit 2 "$shop" $command
    assert_match "use 'relsup $command'" "$(cat "$WORK/err")"
done
assert_eq pong "$("$shop" ping)"

# --- the active one is gone: one line
stop_bg "$BG_PID"
assert_exit 1 "$shop" rpc 1
assert_match "shop is not running: its process $BG_PID has ended" "$(cat "$WORK/err")"
