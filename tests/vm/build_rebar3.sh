#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A rebar3 project: built, started, asked, stopped; its version from git; its profile prod; bytes that do not change.
. "$(dirname "$0")/../support/lib.sh"

app_copy shop 0.1.0 "$WORK/shop"
assert_exit 0 relpack build "$WORK/shop" --tar
T=$WORK/shop/_build/relpack/shop-0.1.0.tar.gz
assert_eq "$T" "$(tail -n 1 "$WORK/out")"
mv "$T" "$WORK/first.tar.gz"
assert_exit 0 relpack build "$WORK/shop" --tar --no-compile
cmp "$WORK/first.tar.gz" "$T" || fail "the second tarball differs"

# systools' own reader takes it.
erl -noshell -eval '{ok, Names} = erl_tar:table("'"$T"'", [compressed]),
    true = lists:member("releases/0.1.0/start.boot", Names),
    ok = erl_tar:extract("'"$T"'", [compressed, {cwd, "'"$WORK/by_erl_tar"'"}]), halt().'

R=$WORK/r
mkdir "$R"
tar -C "$R" -xzf "$T"
diff -r "$R" "$WORK/by_erl_tar" || fail "erl_tar unpacks something else"
assert_match 'greeting = good morning' "$(cat "$R/etc/shop.conf")"
assert_match 'version = 0.1.0' "$(cat "$R/etc/shop.conf")"
[[ -d "$R/var" && -f "$R/site/index.html" ]] || fail "the overlay is not there"
PORT=$(free_port)
export PORT
start_bg shop "$R/bin/shop" start
wait_until 20 http version
assert_eq "shop 0.1.0" "$(http version)"
assert_eq 1 "$(http count)"
assert_eq hello "$(timeout 20 "$R/bin/shop" rpc 'io:format("hello~n")')"
assert_match sasl "$(timeout 20 "$R/bin/shop" rpc --print 'application:which_applications()')"
timeout 20 "$R/bin/shop" stop
wait_until 1 gone "$BG_PID"

# Elsewhere than where it was made, and with a tree instead of a tarball.
mv "$R" "$WORK/moved"
assert_eq "42" "$("$WORK/moved/bin/shop" eval 'io:format("~p~n", [6 * 7])')"
assert_exit 0 relpack build "$WORK/shop" --no-compile --output "$WORK/tree"
rm -rf "$WORK/moved/tmp"
diff -r "$WORK/moved" "$WORK/tree/shop" || fail "tree and tarball differ"

# The profile prod is laid over, relpack.json over that; the version comes from git.
app_copy shop 0.1.0 "$WORK/elsewhere"
cd "$WORK/elsewhere" || exit
assert_exit 0 relpack build
rm -rf _build/relpack
echo _build >.gitignore
git init -q . && git add -A && git -c user.name=t -c user.email=t@t commit -qm one && git tag v3.1.0
echo '{profiles, [{prod, [{relx, [{overlay, [{mkdir, "prod"}]}]}]}]}.' >>rebar.config
sed -i 's/{shop, "0.1.0"}/{shop, git}/' rebar.config
echo '{"overlay": [{"mkdir": "mine"}], "strip_beams": false}' >relpack.json
assert_exit 0 relpack build --no-compile --json
[[ -d _build/relpack/shop/mine && ! -d _build/relpack/shop/prod ]] || fail "relpack.json does not come last"
assert_match '"version": ?"3.1.0"' "$(cat "$WORK/out")"
rm relpack.json
git -c user.name=t -c user.email=t@t commit -qam two
assert_exit 0 relpack build --no-compile --json
[[ -d _build/relpack/shop/prod && ! -d _build/relpack/shop/var ]] || fail "the profile prod is not laid over"
assert_match '"version": ?"3.1.0\+build.1.ref[0-9a-f]+"' "$(cat "$WORK/out")"

# What does not compile: the compiler's words, then one line, exit 1.
echo 'broken' >>src/shop_sup.erl
touch -d '+5 seconds' src/shop_sup.erl # rebar3 compares whole seconds
assert_exit 1 relpack build
assert_match 'shop_sup.erl' "$(cat "$WORK/err")"
assert_match 'relpack: rebar3 failed with exit status' "$(tail -n 1 "$WORK/err")"
