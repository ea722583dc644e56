#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the launcher makes of files and environment: vm.args with names, runtime configuration, a read-only tree,
# another user, an unreadable working directory, names and distribution from outside.
# shellcheck disable=SC2016 # the expressions are not the shell's
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/fake_release.sh"

fake_release shop erlang "$WORK/erl"
export RELEASE_TMP=$WORK/tmp
shop=$WORK/erl/bin/shop
vsn_dir=$WORK/erl/releases/0.1.0

start() {
    assert_exit 0 "$@" "$shop" daemon
    own_pid "$("$@" "$shop" pid)"
}

# --- vm.args of a rebar3 project: its name and cookie are taken out and used, the rest stays
cat >"$vsn_dir/vm.args" <<'END'
# a comment with -sname in it
-sname other -setcookie FROMVMARGS +P 50000
-setcookie   SECOND
-env MARK "a"
END
start
assert_eq "other@localhost" "$("$shop" rpc --print 'node()' | tr -d "'")"
assert_eq 65536 "$("$shop" rpc --print 'erlang:system_info(process_limit)')" "+P of the same line"
assert_eq '"a"' "$("$shop" rpc --print 'os:getenv("MARK")')"
assert_eq FROMVMARGS "$(cat "$RELEASE_TMP/secret/cookie")"
! tr '\0' ' ' <"/proc/$("$shop" pid)/cmdline" | grep FROMVMARGS >/dev/null || fail "the cookie of vm.args is on the command line"
assert_exit 0 "$shop" eval 'ok'
assert_exit 0 "$shop" stop
: >"$vsn_dir/vm.args"

# --- the operator's cookie and node name go before
rm -r "$RELEASE_TMP"
start env RELEASE_COOKIE=OPERATOR RELEASE_NODE=blue
assert_eq OPERATOR "$(cat "$RELEASE_TMP/secret/cookie")"
assert_eq 'blue@localhost' "$(RELEASE_NODE=blue "$shop" rpc --print 'node()')"
start env RELEASE_COOKIE=OPERATOR RELEASE_NODE=green
assert_exit 0 env RELEASE_NODE=green "$shop" stop
assert_exit 0 env RELEASE_NODE=blue "$shop" stop

# --- a sys.config that providers write into at boot is a private copy, and copies of the dead are removed
printf '%%%% RUNTIME_CONFIG=true\n[{kernel, [{mark, 7}]}].\n' >"$vsn_dir/sys.config"
start
pid=$("$shop" pid)
copy=$RELEASE_TMP/shop-$pid.runtime/sys.config
assert_eq 600 "$(stat -c %a "$copy")"
assert_eq '{ok,7}' "$("$shop" rpc --print 'application:get_env(kernel, mark)')"
assert_exit 0 "$shop" eval '{ok, 7} = application:get_env(kernel, mark)'
[ -f "$copy" ] || fail "eval removed the configuration of the running node"
assert_exit 0 "$shop" restart
assert_exit 0 "$shop" stop
assert_exit 0 "$shop" eval ok
[ ! -e "${copy%/*}" ] || fail "the configuration of a dead node stays"

# --- what is copied still names the files beside the original, and only where a name is meant
mkdir "$vsn_dir/more"
echo '[{kernel, [{one, 1}, {mark, 9}]}].' >"$vsn_dir/one.config"
echo '[{kernel, [{two, 2}]}].' >"$vsn_dir/more/two.config"
echo '[{kernel, [{far, 3}]}].' >"$WORK/far.config"
named() { # sys.config | sys.config.src  what is in front  the mark
    printf '%s[{kernel, [{mark, 7}, {text, "one"}, {chars, [$", $\", $[]}, {atom, %s}]}, %% "one.config" ]\n' "$2" "'a\"['" >"$vsn_dir/$1"
    printf ' "one.config", "more/two", "%s", {stdlib, [{files, ["one.config"]}]}, {kernel, [{mark, %s}]}].\n' "$WORK/far.config" "$3" >>"$vsn_dir/$1"
    assert_exit 0 env MARK=8 "$shop" eval '{1, 2, 3, 8, "one"} = list_to_tuple([element(2, application:get_env(kernel, K))
        || K <- [one, two, far, mark, text]])'
}
named sys.config $'%% RUNTIME_CONFIG=true\n' 8
rm "$vsn_dir/sys.config"
named sys.config.src '' '${MARK}'
rm "$vsn_dir/sys.config.src"
printf '%%%% RUNTIME_CONFIG=true\n[{kernel, [{mark, 7}]}].\n' >"$vsn_dir/sys.config"

# --- no distribution at all: start and stop work, rpc says why not
start_bg none env RELEASE_DISTRIBUTION=none "$shop" start
assert_exit 0 "$RELPACK_BIN/relctl" await --root "$WORK/erl" --contact "$RELEASE_TMP/shop.contact.json"
assert_exit 1 "$shop" rpc 1
assert_match 'runs without distribution' "$(cat "$WORK/err")"
assert_exit 0 "$shop" stop
gone "$BG_PID" || fail "stop returned while the VM still ran"

# --- from a working directory that cannot be read, as another user, of a read-only tree
if [ "$(id -u)" != 0 ]; then
    skip "the rest needs root, to become another user"
fi
chmod -R a+rX,a-w "$WORK/erl"
chmod 711 "$WORK"
mkdir -m 700 "$WORK/locked"
mkdir -m 755 "$WORK/of_nobody"
chown nobody "$WORK/of_nobody"
as_nobody() {
    (cd "$WORK/locked" && exec setpriv --reuid nobody --clear-groups \
        env RELEASE_TMP="$WORK/of_nobody/tmp" HOME=/nonexistent "$@")
}
assert_exit 0 as_nobody "$shop" eval 'io:format("fine~n")'
assert_eq fine "$(cat "$WORK/out")"
assert_eq '' "$(cat "$WORK/err")" "stderr of eval"
assert_exit 0 as_nobody "$shop" daemon
own_pid "$(as_nobody "$shop" pid)"
assert_eq 2 "$(as_nobody "$shop" rpc --print '1 + 1')"
assert_exit 0 as_nobody "$shop" stop
assert_exit 1 as_nobody env RELEASE_TMP="$WORK/erl/tmp" "$shop" start
assert_match "RELEASE_TMP is $WORK/erl/tmp" "$(cat "$WORK/err")"
assert_exit 2 env RELEASE_TMP="$WORK/of_nobody/tmp" "$shop" start
assert_match 'belongs to another user' "$(cat "$WORK/err")"
