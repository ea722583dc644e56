#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# relpack init and build on plain ebin folders: the tree, the tarball, both byte-identical the second time.
. "$(dirname "$0")/../support/lib.sh"

P=$WORK/one
mkdir -p "$P/lib/one/ebin" "$P/lib/one/priv" "$P/config" "$P/etc"
cat >"$P/lib/one/ebin/one.app" <<EOF
{application, one, [{description, "one"}, {vsn, "1.5"}, {modules, [one]}, {registered, []},
    {applications, [kernel, stdlib, sasl]}]}.
EOF
printf -- '-module(one).\n-export([f/0]).\nf() -> ok.\n' >"$WORK/one.erl"
erlc +debug_info -o "$P/lib/one/ebin" "$WORK/one.erl"
echo data >"$P/lib/one/priv/data"
ln -s data "$P/lib/one/priv/link"
echo '[{sasl, [{sasl_error_logger, false}]}].' >"$P/config/sys.config"
printf '%s\n' '+P 5000' '-setcookie secret123' >"$P/config/vm.args"
echo 'v={{release_version}} {not} {{one}' >"$P/etc/app.conf.in"

assert_exit 0 relpack init "$P"
assert_match '"name": "one"' "$(cat "$P/relpack.json")"
assert_match '"sys_config": "config/sys.config"' "$(cat "$P/relpack.json")"
assert_exit 2 relpack init "$P"
assert_match 'there already' "$(cat "$WORK/err")"
python3 - "$P/relpack.json" <<'PY'
import json, sys
doc = json.load(open(sys.argv[1]))
doc["overlay"] = [{"mkdir": "var"}, {"template": ["etc/app.conf.in", "etc/{{release_name}}.conf"]}]
doc["applications"].append({"tools": "load"})
json.dump(doc, open(sys.argv[1], "w"))
PY
assert_exit 2 relpack build "$P"
assert_match 'is no known variable' "$(cat "$WORK/err")"
echo 'v={{release_version}} {not}' >"$P/etc/app.conf.in"

assert_exit 0 relpack build "$P"
T=$P/out/one
assert_eq "$T" "$(tail -n 1 "$WORK/out")"
assert_match 'setcookie is left out' "$(cat "$WORK/err")"
for file in bin/one bin/relctl releases/1.5/start.boot releases/1.5/start_clean.boot lib/one-1.5/ebin/one.beam \
    releases/1.5/start.script releases/1.5/one.rel releases/1.5/env.sh releases/1.5/remote.vm.args; do
    [ -f "$T/$file" ] || fail "no $file"
done
[ -d "$T/var" ] || fail "no var"
assert_eq data "$(cat "$T/lib/one-1.5/priv/link")"
assert_eq 'v=1.5 {not}' "$(cat "$T/etc/one.conf")"
assert_eq '+P 5000' "$(cat "$T/releases/1.5/vm.args")"
if grep -rq secret123 "$T"; then
    fail "the cookie is in the release"
fi
assert_match '^[0-9.]+ 1.5$' "$(cat "$T/releases/start_erl.data")"
assert_match '\{tools,"[0-9.]+",load\}' "$(cat "$T/releases/1.5/one.rel")"
for tool in erlc dialyzer typer ct_run yielding_c_fun start erl.src; do
    [ -z "$(find "$T"/erts-*/bin -name $tool)" ] || fail "$tool is in the release"
done
assert_eq "one 1.5" "$("$T/bin/one" version)"
if grep -aq debug_info "$T/lib/one-1.5/ebin/one.beam"; then
    fail "the beam is not stripped"
fi

# The same again, over the old one; and the tarball holds the same.
cp -a "$T" "$WORK/first"
assert_exit 0 relpack build "$P"
diff -r "$WORK/first" "$T" || fail "the second tree differs"
assert_eq one "$(ls -A "$P/out")" "nothing beside it"
assert_exit 0 relpack build "$P" --tar --json
python3 - "$WORK/out" <<'PY'
import json, os, sys
result = json.load(open(sys.argv[1]))
assert result["name"] == "one" and result["version"] == "1.5" and result["kind"] == "plain", result
assert result["bytes"] == os.path.getsize(result["path"]), result
PY
mv "$P/out/one-1.5.tar.gz" "$WORK/first.tar.gz"
touch "$P/lib/one/ebin/one.beam"
assert_exit 0 env TZ=UTC-5 relpack build "$P" --tar
cmp "$WORK/first.tar.gz" "$P/out/one-1.5.tar.gz" || fail "the second tarball differs"
mkdir "$WORK/unpacked"
tar -C "$WORK/unpacked" -xzf "$WORK/first.tar.gz"
diff -r "$WORK/unpacked" "$T" || fail "the tarball is not the tree"
python3 - "$WORK/first.tar.gz" <<'PY'
import sys, tarfile
names = []
for m in tarfile.open(sys.argv[1]):
    assert m.uid == m.gid == m.mtime == 0 and m.uname == m.gname == "", m.name
    assert m.issym() or m.mode in (0o644, 0o755), m.name
    names.append(m.name)
assert names == sorted(names) and len(names) == len(set(names))
PY
assert_exit 0 env SOURCE_DATE_EPOCH=1700000000 relpack build "$P" --tar
assert_match 1700000000 "$(python3 -c 'import sys, tarfile; print({m.mtime for m in tarfile.open(sys.argv[1])})' \
    "$P/out/one-1.5.tar.gz")"
assert_exit 2 env SOURCE_DATE_EPOCH=today relpack build "$P" --tar

assert_exit 0 relpack build "$P" --tar --format zst --output "$WORK/o"
assert_eq "$WORK/o/one-1.5.tar.zst" "$(cat "$WORK/out")"
assert_exit 0 relpack build "$P" --no-erts --output "$WORK/o"
assert_eq one-1.5 "$(ls "$WORK/o/one/lib")"
[ -z "$(find "$WORK/o/one" -maxdepth 1 -name 'erts*')" ] || fail "--no-erts packed ERTS"
assert_eq "3" "$("$WORK/o/one/bin/one" eval 'io:format("~p~n", [1 + 2])')"
