#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# relpack inspect and diff on what relpack, mix and relx made.
. "$(dirname "$0")/../support/lib.sh"

shop=$(build_release shop 0.1.0 relpack)
shop2=$(build_release shop 0.2.0 relpack)
shop_relx=$(build_release shop 0.1.0 relx)
notes_mix=$(build_release notes 0.1.0 mix)
notes=$(build_release notes 0.1.0 relpack)
cd "$WORK" || exit 1

field() { # FILE EXPRESSION on `d`
    python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"
}

# All three kinds, and a folder, on a page and as JSON.
assert_exit 0 relpack inspect "$shop"
assert_match 'shop 0.1.0, made by relpack' "$(cat out)"
assert_match 'manifest +matches the release, [0-9]+ files' "$(cat out)"
assert_match 'lib/crypto-[0-9.]+/priv/lib/crypto.so' "$(cat out)"
assert_match 'needs glibc +2\.[0-9]+' "$(cat out)"
[ "$(wc -l <out)" -le 30 ] || fail "the page is long"
assert_exit 0 relpack inspect "$shop_relx" --json
assert_eq "relx 0.1.0 None" "$(field out '"{made_by} {version} {manifest}".format(**d)')"
assert_exit 0 relpack inspect "$notes_mix" --json
assert_eq "mix True 1" "$(field out '"{} {} {}".format(d["made_by"], d["runtime_exs"], len([a for a in d["applications"] if a["name"] == "notes"]))')"
assert_match 'crypto.so|sqlite' "$(field out 'd["native"]')"
mkdir t && tar -C t -xzf "$shop"
assert_exit 0 relpack inspect t
printf 'x' >>t/releases/0.1.0/env.sh
assert_exit 0 relpack inspect t
assert_match 'manifest +differs: releases/0.1.0/env.sh' "$(cat out)"
# No value of the configuration is shown.
sed -i 's/{port,[^}]*}/{port,1},{secret_key,"hunter2"}/' t/releases/0.1.0/sys.config
grep -q hunter2 t/releases/0.1.0/sys.config || fail "the configuration is not as expected"
assert_exit 0 relpack inspect t
assert_match 'secret_key' "$(cat out)"
grep -q hunter2 out && fail "a value is shown"

# Two versions
assert_exit 0 relpack diff "$shop" "$shop2"
assert_match 'shop  0.1.0 -> 0.2.0' "$(cat out)"
assert_match '~ shop_counter \(shop\)' "$(cat out)"
assert_match 'hot +yes' "$(cat out)"
assert_match '1\. change shop_counter \(shop\): its processes are held, and change their states' "$(cat out)"
assert_exit 0 relpack diff "$shop" "$shop2" --json
assert_eq "['shop_counter', 'shop_http'] True True" \
    "$(field out 'str([m["name"] for m in d["modules"]]) + " {} {}".format(d["hot"]["possible"], d["swap"]["possible"])')"
assert_exit 0 relpack diff "$shop" "$shop2" --markdown
assert_match '### shop 0.1.0 -> 0.2.0' "$(cat out)"
assert_exit 1 relpack diff "$shop" "$shop2" --exit-code
assert_exit 0 relpack diff "$shop" "$shop" --exit-code
assert_match 'no difference' "$(cat out)"

# The same version by another tool: not one module of the application is another.
assert_exit 0 relpack diff "$notes_mix" "$notes" --json
assert_eq "[]" "$(field out '[m["name"] for m in d["modules"] if m["application"] == "notes"]')"

# Configuration by key, without values; white space and order of text do not count.
rm -rf t && mkdir -p t u && tar -C t -xzf "$shop" && tar -C u -xzf "$shop"
sed -i 's/{port,/{ port , /' u/releases/0.1.0/sys.config
assert_exit 0 relpack diff t u --json
assert_eq "[]" "$(field out 'd["configuration"]')"
sed -i 's/{ port , [^}]*}/{port,1},{token,"hunter2"}/' u/releases/0.1.0/sys.config
printf '+P 12345\n-setcookie hunter2\n' >>u/releases/0.1.0/vm.args
assert_exit 0 relpack diff t u
assert_match '\~ shop: port' "$(cat out)"
assert_match '\+ shop: token' "$(cat out)"
assert_match '\+P  12345' "$(cat out)"
assert_match '\+ -setcookie' "$(cat out)"
grep -q hunter2 out && fail "a value is shown"

# What starts the release, beside its settings, and what is no term yet: a template that differs is a difference.
printf '# more\n' >>u/releases/0.1.0/env.sh
assert_exit 0 relpack diff t u
assert_match '~ env.sh' "$(cat out)"
assert_match 'env.sh is read at boot only' "$(cat out)"
rm -rf v w && cp -a t v && cp -a t w
# shellcheck disable=SC2016  # a variable of the template
printf '[{shop,[{port,${PORT}}]}].\n' >v/releases/0.1.0/sys.config
# shellcheck disable=SC2016
printf '[{shop,[{port,${OTHER}}]}].\n' >w/releases/0.1.0/sys.config
assert_exit 1 relpack diff --exit-code v w
assert_match '~ sys.config' "$(cat out)"
assert_exit 0 relpack diff --exit-code v v
printf '[{shop,[{port}]}].\n' | tee v/releases/0.1.0/sys.config >w/releases/0.1.0/sys.config
assert_exit 0 relpack diff --exit-code v w

# A name that is no UTF-8 or would move the cursor is told all the same, and moves nothing.
: >v/lib/shop-0.1.0/$'a\xff\e[31m<b'
assert_exit 0 relpack diff v w --json
assert_eq '1 1' "$(field out '"{} {}".format(len(d["files"]), d["files"][0]["name"].count("<b"))')"
assert_exit 0 relpack diff v w --markdown
# shellcheck disable=SC2016  # marks of Markdown
assert_match 'removed `lib/shop/a\\xff\\x1b\[31m<b`' "$(cat out)"
assert_exit 0 relpack inspect v
assert_match 'manifest +differs: ' "$(cat out)"
grep -q $'\e' out && fail "an escape sequence is shown"

# An application file of the same version
sed -i 's/{env,\[/{env,[{added,1},/' w/lib/shop-0.1.0/ebin/shop.app
assert_exit 0 relpack diff t w
assert_match '~ shop +in its .app file: env' "$(cat out)"

# Why not
mv u/lib/crypto-* u/lib/crypto-9.9.9
sed -i 's/{crypto,"[^"]*"/{crypto,"9.9.9"/' u/releases/0.1.0/*.rel
echo >>u/lib/crypto-9.9.9/priv/lib/crypto.so
assert_exit 0 relpack diff t u
assert_match 'hot +no' "$(cat out)"
assert_match 'native code changes: lib/crypto/priv/lib/crypto.so' "$(cat out)"
assert_exit 0 relpack diff "$shop" "$notes"
assert_match 'swap +no' "$(cat out)"
assert_match 'two applications' "$(cat out)"

# Bad input
head -c 100000 "$shop" >short.tar.gz
echo text >no.tar.gz
tar -czf other.tar.gz out
for file in nothing.tar.gz short.tar.gz no.tar.gz other.tar.gz /dev/null; do
    assert_exit 2 relpack inspect "$file"
    assert_eq 1 "$(grep -c '^relpack: ' err)" "lines of the error for $file"
    assert_exit 2 relpack diff "$shop" "$file"
done
