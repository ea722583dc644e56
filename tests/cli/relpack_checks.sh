#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What relpack build looks for before it packs: each check finds what it is for, with the file or module and what to
# do; says nothing of a clean project; is left out when allowed; refuses the release when it is an error or --strict.
. "$(dirname "$0")/../support/lib.sh"

# module APP NAME TEXT...: compiled into the application's ebin
module() {
    local app=$1 name=$2 file

    shift 2
    file=$WORK/$(tr -d "'" <<<"$name").erl
    printf -- '-module(%s).\n' "$name" >"$file"
    printf '%s\n' "$@" >>"$file"
    mkdir -p "$P/lib/$app/ebin"
    erlc +debug_info -o "$P/lib/$app/ebin" "$file" >/dev/null || fail "cannot compile $name"
}

# app NAME MODULES [APPLICATIONS] [MORE]
app() {
    mkdir -p "$P/lib/$1/ebin"
    cat >"$P/lib/$1/ebin/$1.app" <<APP
{application, $1, [{description, "$1"}, {vsn, "1.0"}, {modules, [$2]}, {registered, []},
    {applications, [kernel, stdlib${3:+, $3}]}${4:+, $4}]}.
APP
}

# project NAME [MORE JSON]: one clean application with a module
project() {
    P=$WORK/$1
    rm -rf "$P"
    mkdir -p "$P/lib/shop/priv"
    app shop shop
    module shop shop '-export([f/0]).' 'f() -> erlang:system_time() + lists:sum([1]).'
    echo "{\"name\": \"shop\", \"version\": \"1.0\", \"lib_dirs\": [\"lib\"]${2:+, $2}}" >"$P/relpack.json"
}

build() {
    assert_exit 0 timeout 60 relpack build "$P" --tar "$@"
    assert_eq "$P/out/shop-1.0.tar.gz" "$(cat "$WORK/out")" "stdout"
}

clean() {
    build "$@"
    assert_eq "" "$(cat "$WORK/err")" "what is said of a clean project"
}

# finds CODE PATTERN [ARGS...]: one warning; none when it is allowed, by the command line and by relpack.json; exit 2
# and no archive with --strict
finds() {
    local code=$1 pattern=$2

    shift 2
    build "$@"
    assert_eq 1 "$(wc -l <"$WORK/err")" "lines of $(cat "$WORK/err")"
    assert_match "^warning: \[$code\] .*$pattern" "$(cat "$WORK/err")"
    clean --allow "$code" "$@"
    build --allow "$code:nobody" "$@"
    assert_match "^warning: \[$code\]" "$(cat "$WORK/err")" "allowed for another application"
    clean --allow writable --allow "glibc,$code" "$@"
    clean --allow all "$@"
    cp "$P/relpack.json" "$WORK/json"
    sed -i "s/}\$/, \"allow\": [\"$code\"]}/" "$P/relpack.json"
    clean "$@"
    cp "$WORK/json" "$P/relpack.json"
    rm -r "$P/out"
    assert_exit 2 timeout 60 relpack build "$P" --tar --strict --quiet "$@"
    assert_match "^relpack: \[$code\] .*$pattern" "$(cat "$WORK/err")"
    [ ! -e "$P/out" ] || fail "--strict left $(find "$P/out")"
}

# refuses CODE PATTERN [ARGS...]: an error, unless it is allowed
refuses() {
    local code=$1 pattern=$2

    shift 2
    rm -rf "$P/out"
    assert_exit 2 timeout 60 relpack build "$P" --tar "$@"
    assert_eq 1 "$(wc -l <"$WORK/err")" "lines of $(cat "$WORK/err")"
    assert_match "^relpack: \[$code\] .*$pattern" "$(cat "$WORK/err")"
    [ ! -e "$P/out" ] || fail "left: $(find "$P/out")"
    clean --allow "$code" "$@"
}

project clean
clean
clean --strict

# Modules and .app files.
project unlisted
module shop shop_extra '-export([f/0]).' 'f() -> ok.'
finds unlisted_module 'shop.app does not list the module shop_extra'
project missing
app shop 'shop, shop_gone'
refuses missing_module 'shop.app lists the module shop_gone, but there is no .*shop_gone.beam'
project duplicate '"applications": ["shop", "cart"]'
app cart ''
module cart shop '-export([f/0]).' 'f() -> ok.'
assert_exit 2 timeout 60 relpack build "$P" --tar --quiet --allow unlisted_module
assert_match '\[duplicate_module\] the module shop is in (shop and in cart|cart and in shop)' "$(cat "$WORK/err")"
clean --allow unlisted_module,duplicate_module

# Calls.
project undefined
module shop shop '-export([f/0]).' 'f() -> cart:total(), cart:empty(), other:f(), ssl:start().'
clean --allow undefined:shop
build
assert_eq 3 "$(wc -l <"$WORK/err")" "$(cat "$WORK/err")"
assert_match '\[undefined\] shop calls cart \(in shop\), which no application of the release has' "$(cat "$WORK/err")"
module shop shop '-export([f/0]).' 'f() -> ssl:start(), eunit:test(x), rebar_api:info(), ct:log("").'
finds undefined 'shop calls ssl \(in shop\), whose application ssl is not in the release'
module shop shop '-export([f/0]).' 'f() -> cart:total().'
finds undefined 'shop calls cart'
module shop shop '-export([f/0]).' '-ignore_xref([{cart, total, 0}]).' 'f() -> cart:total(), (get(x)):y().'
clean
module shop shop '-export([f/0]).' "f() -> 'Elixir.Mix':env()."
finds undefined 'shop calls Mix \(in shop\), which is there while building only'
# What the caller does without by its own word.
module shop shop '-export([f/0]).' 'f() -> cart_items:total().'
app shop shop cart '{optional_applications, [cart]}'
clean
# A protocol of Elixir asks implementations that are not there; a task of mix runs under mix.
app shop "shop, 'Elixir.Shop.Show', 'Elixir.Mix.Tasks.Shop'" cart '{optional_applications, [cart]}'
module shop "'Elixir.Shop.Show'" "-export(['__protocol__'/1, f/0])." "'__protocol__'(_) -> ok." \
    "f() -> 'Elixir.Shop.Show.List':g()."
module shop "'Elixir.Mix.Tasks.Shop'" '-export([run/1]).' "run(_) -> 'Elixir.Mix.Task':run(<<\"x\">>)."
clean
project function
module shop shop '-export([f/0]).' 'f() -> lists:sum([1]), lists:no_such(1).'
finds undefined_function 'shop calls lists:no_such/1 \(in shop\), which the stdlib'
module shop shop '-export([f/0]).' '-ignore_xref([{lists, no_such, 1}]).' 'f() -> lists:no_such(1).'
clean
project started '"applications": ["shop", "cart"]'
app cart cart '' '{mod, {cart, []}}'
module cart cart '-export([start/2, f/0]).' 'start(_, _) -> {ok, self()}.' 'f() -> ok.'
module shop shop '-export([f/0]).' 'f() -> cart:f().'
finds not_started 'shop calls cart \(cart in shop\), but shop.app names it neither'
app middle '' cart
app shop shop middle
clean
app shop shop
app cart cart
clean

# Secrets: where they stand is told, what they are is not.
project secret '"sys_config": "sys.config"'
cat >"$P/sys.config" <<'CONFIG'
[{shop, [{db, [{password, "hunter2hunter2"}]},
         {'Elixir.Shop.Endpoint', [{secret_key_base, <<"kSGVsbG8gd29ybGQhIGhlbGxvIHdvcmxkIQ">>}]},
         {aws, #{id => <<"AKIAIOSFODNN7EXAMPLE">>}},
         {url, "ecto://shop:hunter2hunter2@db/shop"},
         {pem, "-----BEGIN RSA PRIVATE KEY-----\nhunter2hunter2\n"}]}].
CONFIG
build
assert_eq 5 "$(wc -l <"$WORK/err")" "$(cat "$WORK/err")"
for where in shop.db.password shop.Shop.Endpoint.secret_key_base shop.aws.id shop.url shop.pem; do
    assert_match "\[secret\] sys.config: $where looks like" "$(cat "$WORK/err")"
done
! grep -q 'hunter2\|kSGV\|AKIA' "$WORK/err" || fail "a secret is shown: $(cat "$WORK/err")"
assert_exit 0 timeout 60 relpack build "$P" --tar --json
! grep -q 'hunter2\|kSGV\|AKIA' "$WORK/err" "$WORK/out" || fail "a secret is shown by --json"
echo '[{shop, [{password, "x1"}]}].' >"$P/sys.config"
finds secret 'shop.password looks like a secret'
cat >"$P/sys.config" <<'CONFIG'
[{shop, [{password, "${DB_PASSWORD}"}, {token, ""}, {api_key, "changeme"}, {secret, {system, "SECRET"}},
         {password_file, "/run/secrets/db"}, {tokens, 5}, {token, true}, {keys, ["a"]}, {private_key, "xxxx"},
         {url, "https://example.com/a:b@c"}, {url, "ecto://shop:${PW}@db/shop"}]}].
CONFIG
clean
# Variables are filled in on the host, what stands beside them is here.
project src_secret '"sys_config": "sys.config.src"'
cat >"$P/sys.config.src" <<'CONFIG'
%% it's "here" ${
[{shop, [{port, ${PORT:-${OTHER:-80}}}, {password, "${PW}"}, {'it''s', $"}, {other, [{token, "abcdef"}]},
         {say, "\"${X}\" {"}]}].
CONFIG
sed -i "s/'it''s'/'its'/" "$P/sys.config.src"
finds secret 'sys.config: shop.other.token looks like a secret'
project env_secret
app shop shop '' '{env, [{client_secret, "0123456789"}]}'
finds secret 'shop.app: client_secret looks like a secret'
# What a dependency ships is known to everybody.
mkdir -p "$P/src" "$P/_build/prod"
cp -R "$P/lib" "$P/_build/prod"
echo '{relx, [{release, {shop, "1.0"}, [shop]}]}.' >"$P/rebar.config"
rm -r "$P/relpack.json" "${P:?}/lib"
assert_exit 0 timeout 60 relpack build "$P" --no-compile
assert_eq "" "$(cat "$WORK/err")" "what is said of a dependency"
touch "$P/src/shop.app.src"
assert_exit 0 timeout 60 relpack build "$P" --no-compile
assert_match 'shop.app: client_secret looks like a secret' "$(cat "$WORK/err")"

# A Phoenix endpoint: its behaviour is what makes it one.
project phoenix '"sys_config": "sys.config", "vm_args": "vm.args"'
app shop "'Elixir.Shop.Endpoint', shop"
module shop "'Elixir.Shop.Endpoint'" "-behaviour('Elixir.Phoenix.Endpoint')." '-export([f/0]).' 'f() -> ok.'
echo "[{shop, [{'Elixir.Shop.Endpoint', [{http, [{port, 4000}]}]}]}]." >"$P/sys.config"
: >"$P/vm.args"
finds phoenix_server 'endpoint Shop.Endpoint to serve; set server: true'
echo "[{shop, [{'Elixir.Shop.Endpoint', [{server, true}]}]}]." >"$P/sys.config"
clean
echo "[{phoenix, [{serve_endpoints, true}]}]." >"$P/sys.config"
clean

# Native code. The version that is asked for is a name in the file; so is the machine, a number.
project native
printf 'int puts(const char *);\nint f(void) { return puts("x"); }\n' >"$WORK/nif.c"
cc -shared -fPIC -o "$P/lib/shop/priv/nif.so" "$WORK/nif.c"
clean
python3 - "$P/lib/shop/priv/nif.so" <<'PY'
import re, sys
data = open(sys.argv[1], "rb").read()
new = re.sub(rb"GLIBC_2\.[0-9.]+\0", lambda m: b"GLIBC_2.99".ljust(len(m.group()), b"\0"), data)
assert new != data
open(sys.argv[1], "wb").write(new)
PY
finds glibc 'priv/nif.so needs glibc 2.99, but the VM only [0-9.]+'
cc -shared -fPIC -o "$P/lib/shop/priv/nif.so" "$WORK/nif.c"
build --target-glibc 2.1
assert_match '\[glibc\] .*newer than --target-glibc 2.1' "$(cat "$WORK/err")"
assert_match 'beam.smp' "$(cat "$WORK/err")"
clean --target-glibc 9.9
assert_exit 2 relpack build "$P" --target-glibc new
printf '\xb7' | dd of="$P/lib/shop/priv/nif.so" bs=1 seek=18 conv=notrunc status=none
case $(uname -m) in
x86_64) refuses machine 'priv/nif.so is for aarch64 \(64 bits\), but the VM is for x86_64' ;;
esac

# Files.
project writable
chmod 666 "$P/lib/shop/ebin/shop.beam"
finds writable 'every user here can write .*shop.beam'
chmod 644 "$P/lib/shop/ebin/shop.beam"
chmod 777 "$P/lib/shop/priv"
echo x >"$P/lib/shop/priv/x"
echo y >"$P/lib/shop/priv/y"
finds writable 'every user here can write .*/priv, so'
chmod 1777 "$P/lib/shop/priv"
clean
project build_path
printf 'root = "%s/lib"\n' "$P" >"$P/lib/shop/priv/settings"
finds build_path 'priv/settings holds a path below '
printf 'root = "/home%s/lib %sx/lib"\n' "$P" "$P" >"$P/lib/shop/priv/settings"
clean
cc -shared -fPIC -Wl,-rpath,"$P/lib" -o "$P/lib/shop/priv/settings" "$WORK/nif.c"
finds build_path 'has the run path .*/build_path/lib, which no other host has'
rm "$P/lib/shop/priv/settings"
HOME=/app/me clean
echo 'see /app/me/.cache' >"$P/lib/shop/priv/settings"
HOME=/app/me finds build_path 'holds a path below /app/me'
# Right below the root only what looks like a project's folder counts.
HOME=/app clean
echo 'see /app/_build/prod' >"$P/lib/shop/priv/settings"
HOME=/app finds build_path 'holds a path below /app'

# Many of one kind: one line for an application, ten lines in all, everything in the result of --json.
project lines '"sys_config": "sys.config"'
echo "[{shop, [$(for i in $(seq 1 15); do printf '{x%d, [{password, "p"}]}, ' "$i"; done) x]}]." >"$P/sys.config"
build
assert_eq 11 "$(wc -l <"$WORK/err")"
assert_match '\[secret\] and 5 more, see --json' "$(tail -n 1 "$WORK/err")"
project many
calls=$(for i in $(seq 1 15); do printf 'nowhere%d:f(), ' "$i"; done)
module shop shop '-export([f/0]).' "f() -> $calls ok."
build
assert_eq 1 "$(wc -l <"$WORK/err")"
assert_match 'shop calls nowhere1 .* \(and 14 more of shop, see --json\)' "$(cat "$WORK/err")"
assert_exit 0 timeout 60 relpack build "$P" --tar --json
python3 - "$WORK/out" "$WORK/err" <<'PY'
import json, sys
result = json.load(open(sys.argv[1]))
found = result["findings"]
assert len(found) == 15, found
assert all(f["code"] == "undefined" and f["app"] == "shop" and f["file"] == "lib/shop-1.0/ebin/shop.beam" and f["text"] for f in found), found
logs = [json.loads(line) for line in open(sys.argv[2])]
assert sum(l["type"] == "log" and l["level"] == "warning" for l in logs) == 15, logs
PY
assert_exit 2 timeout 60 relpack build "$P" --tar --strict --quiet
assert_match '\(and 14 more\)' "$(cat "$WORK/err")"

# Unknown codes.
assert_exit 2 relpack build "$P" --allow nonsense
assert_match "there is no check 'nonsense'; there are duplicate_module, .* and all" "$(cat "$WORK/err")"
project bad_allow '"allow": ["secret", "nonsense"]'
assert_exit 2 relpack build "$P"
assert_match "relpack.json:1: allow: there is no check 'nonsense'" "$(cat "$WORK/err")"
project bad_type '"allow": "secret"'
assert_exit 2 relpack build "$P"
assert_match "relpack.json:1: allow must be a list of checks" "$(cat "$WORK/err")"
