#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Plain ebin folders with a relpack.json: started, asked, stopped; and a release that uses the host's own ERTS.
. "$(dirname "$0")/../support/lib.sh"

app_copy shop 0.1.0 "$WORK/src"
mkdir -p "$WORK/p/vendor/a/lib/shop/ebin" "$WORK/p/config"
erlc -o "$WORK/p/vendor/a/lib/shop/ebin" "$WORK/src"/src/*.erl
python3 - "$WORK/src/src/shop.app.src" "$WORK/p/vendor/a/lib/shop/ebin/shop.app" <<'PY'
import sys
text = open(sys.argv[1]).read()
modules = "{modules, [shop_app, shop_counter, shop_http, shop_sup]}"
open(sys.argv[2], "w").write(text.replace("{mod,", modules + ",\n    {mod,"))
PY
cp "$WORK/src/config/sys.config" "$WORK/p/config/"
cat >"$WORK/p/relpack.json" <<EOF
{"name": "shop", "version": {"app": "shop"}, "applications": ["shop", {"runtime_tools": "load"}],
 "lib_dirs": ["vendor/*/lib"], "sys_config": "config/sys.config", "erts_dir": null}
EOF

ask() { # LAUNCHER
    PORT=$(free_port)
    export PORT
    start_bg shop "$1" start
    wait_until 20 http version
    assert_eq "shop 0.1.0" "$(http version)"
    assert_eq hello "$(timeout 20 "$1" rpc 'io:format("hello~n")')"
    timeout 20 "$1" stop
    wait_until 1 gone "$BG_PID"
}

cd "$WORK/p" || exit
assert_exit 0 relpack build --tar
mkdir "$WORK/r"
tar -C "$WORK/r" -xzf out/shop-0.1.0.tar.gz
ask "$WORK/r/bin/shop"

assert_exit 0 relpack build --no-erts --output "$WORK/o"
# mochiweb is no part of OTP; Debian has put it among its applications, in a folder without a version.
assert_match '^mochiweb-[0-9.]+ shop-0.1.0 $' "$(find "$WORK/o/shop/lib" -mindepth 1 -maxdepth 1 -printf '%f\n' |
    grep -v syntax | sort | tr '\n' ' ')"
ask "$WORK/o/shop/bin/shop"

# Another Erlang than the one in PATH.
root=$(erl -noshell -eval 'io:put_chars(code:root_dir()), halt().')
mkdir "$WORK/otp"
cp -R "$root"/{bin,lib,releases,erts-*} "$WORK/otp/" 2>/dev/null || true
sed -i "s|\"erts_dir\": null|\"erts_dir\": \"$WORK/otp\"|" relpack.json
assert_exit 0 env PATH="$RELPACK_BIN:/bin-without-erl" "$RELPACK_BIN/relpack" build --output "$WORK/o2"
ask "$WORK/o2/shop/bin/shop"
sed -i "s|\"erts_dir\": \"$WORK/otp\"|\"erts_dir\": \"$WORK/p\"|" relpack.json
assert_exit 2 relpack build
assert_match 'holds no Erlang' "$(cat "$WORK/err")"
