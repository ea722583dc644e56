#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# relpack keygen, sign and verify: what they accept, and that a changed byte anywhere in an archive is found.
. "$(dirname "$0")/../support/lib.sh"

P=$WORK/one
mkdir -p "$P/lib/one/ebin" "$P/lib/one/priv/empty"
cat >"$P/lib/one/ebin/one.app" <<EOF
{application, one, [{description, "one"}, {vsn, "1"}, {modules, [one]}, {registered, []}, {applications, [kernel, stdlib]}]}.
EOF
printf -- '-module(one).\n-export([f/0]).\nf() -> ok.\n' >"$WORK/one.erl"
erlc -o "$P/lib/one/ebin" "$WORK/one.erl"
head -c 40000 /dev/urandom >"$P/lib/one/priv/noise"
echo '{"name": "one", "version": "1", "include_erts": false, "lib_dirs": ["lib"]}' >"$P/relpack.json"
for format in gz zst; do
    assert_exit 0 relpack build "$P" --tar --format "$format"
    assert_exit 0 relpack verify "$P/out/one-1.tar.$format"
    assert_match '^one 1: [0-9]+ files as in the manifest, not signed$' "$(cat "$WORK/out")"
done
assert_exit 0 relpack build "$P"
assert_exit 0 relpack verify "$P/out/one"
assert_match ', not signed$' "$(cat "$WORK/out")"

# Keys
cd "$WORK" || exit 1
assert_exit 0 relpack keygen first
assert_exit 0 relpack keygen second
assert_eq 600 "$(stat -c %a first.key)" "mode of the secret key"
assert_exit 2 relpack keygen first
assert_match 'never overwritten' "$(cat err)"
touch half.pub
assert_exit 2 relpack keygen half
assert_eq "" "$(ls half.key 2>/dev/null)" "half a pair"
assert_exit 2 relpack keygen ""
assert_exit 0 relpack sign "$P/out/one-1.tar.gz" --key first.key --output signed.tar.gz
assert_exit 0 relpack verify signed.tar.gz --key first.pub
assert_match 'signed by [0-9a-f]{16}$' "$(cat out)"
assert_exit 0 relpack sign "$P/out/one-1.tar.zst" --key first.key
assert_exit 0 relpack verify "$P/out/one-1.tar.zst" --key first.pub
# Signed again by another key, in place, the signature is replaced; the archive is still what relpack writes.
cp signed.tar.gz again.tar.gz
assert_exit 0 relpack sign again.tar.gz --key second.key
assert_exit 0 relpack verify again.tar.gz --key second.pub --json
assert_match '"whole": ?true' "$(cat out)"
assert_eq 1 "$(tar -tzf again.tar.gz | grep -c relpack.sig)" "signatures"
# The documents say how to do without relpack.
tar -xzf signed.tar.gz releases/1/relpack.json releases/1/relpack.sig
{ printf 'relpack manifest 1\n' && cat releases/1/relpack.json; } >message
sed -n '2s/.* //p' releases/1/relpack.sig | base64 -d >raw
openssl pkeyutl -verify -pubin -inkey first.pub -rawin -in message -sigfile raw >out || fail "openssl: $(cat out)"

refused() { # PATTERN COMMAND...
    local pattern=$1

    shift
    assert_exit 2 "$@"
    assert_match "$pattern" "$(cat "$WORK/err")"
    assert_eq 1 "$(grep -c '^relpack: ' "$WORK/err")" "lines of the error"
}
refused 'is not signed' relpack verify "$P/out/one-1.tar.gz" --key first.pub
refused 'signed by the key [0-9a-f]+, not by' relpack verify signed.tar.gz --key second.pub
refused 'is a secret key' relpack verify signed.tar.gz --key first.key
refused 'holds no public' relpack verify signed.tar.gz --key one.erl
refused 'holds no secret' relpack sign signed.tar.gz --key <(cat first.pub)
refused 'No such file' relpack verify signed.tar.gz --key nothing.pub
refused 'No such file' relpack sign signed.tar.gz --key nothing.key
chmod 644 second.key
refused 'chmod 600' relpack sign signed.tar.gz --key second.key
refused '--key' relpack sign signed.tar.gz
chmod 600 second.key
refused 'Is a directory' relpack sign signed.tar.gz --key "$P"
refused 'only a tarball' relpack sign "$P/out/one" --key first.key
mkdir folder && mkfifo fifo
refused 'it is no file' relpack sign signed.tar.gz --key first.key --output folder
refused 'it is no file' relpack sign signed.tar.gz --key first.key --output fifo
gzip -dc signed.tar.gz >plain.tar
refused 'neither by gzip nor by zstd' relpack sign plain.tar --key first.key
cp signed.tar.gz mine.tar.gz && chmod 600 mine.tar.gz
assert_exit 0 relpack sign mine.tar.gz --key first.key
assert_eq 600 "$(stat -c %a mine.tar.gz)" "mode of a tarball that was signed"

# Signed while it is built
refused 'others can read' relpack build "$P" --tar --key first.pub --output "$WORK/built"
[ ! -e built ] || fail "built in spite of the key"
assert_exit 0 relpack build "$P" --tar --key first.key --output "$WORK/built"
assert_exit 0 relpack verify built/one-1.tar.gz --key first.pub
cp -R "$P" overlaid && rm -rf overlaid/out && touch overlaid/stray
echo '{"name": "one", "version": "1", "include_erts": false, "lib_dirs": ["lib"], "overlay": [{"copy": ["stray", "releases/1/relpack.sig"]}]}' >overlaid/relpack.json
refused 'leave them out of the overlay' relpack build overlaid
cmp built/one-1.tar.gz signed.tar.gz || fail "signed while it was built it is another file than signed later"

# What lies in a folder against its manifest
tamper() { # PATTERN: the folder t was changed
    refused "$1" relpack verify t
    tar --sort=name -C t -czf t.tar.gz .
    refused "$1" relpack verify t.tar.gz
    refused "$1" relpack sign t.tar.gz --key first.key
    rm -rf t
}
fresh() { cp -R "$P/out/one" t; }
fresh && echo >>t/lib/one-1/priv/noise && tamper 'lib/one-1/priv/noise has [0-9]+ bytes'
fresh && printf x | dd of=t/lib/one-1/priv/noise conv=notrunc status=none && tamper 'lib/one-1/priv/noise is not what'
fresh && rm t/lib/one-1/priv/noise && tamper 'lib/one-1/priv/noise is in the manifest and not'
fresh && rmdir t/lib/one-1/priv/empty && tamper 'lib/one-1/priv/empty is in the manifest and not'
fresh && mkdir t/releases/2 && touch t/releases/2/relpack.json && tamper 'releases/2/relpack.json is in the release and not'
fresh && touch t/lib/more && tamper 'lib/more is in the release and not'
fresh && chmod 755 t/lib/one-1/priv/noise && tamper 'has the mode 0755, the manifest says 0644'
fresh && rm t/releases/1/relpack.json && tamper 'has no manifest'
fresh && sed -i 's/"format":1/"format":2/' t/releases/1/relpack.json && tamper 'knows format 1'
fresh && sed -i 's/"format":1/"format":1,"x":1/' t/releases/1/relpack.json && tamper 'relpack.json'
fresh && sed -i 's/"size":40000/"size":-1/' t/releases/1/relpack.json && tamper 'its size is negative'
lie() { # PATTERN SED
    fresh && sed -i "$2" t/releases/1/relpack.json && tamper "$1"
}
lie 'four octal digits' 's/"mode":"0644"/"mode":" 644"/'
lie 'nif and on_load are true' 's/"module":"one"/"nif":false,&/'
lie 'list of strings' 's/"module":"one"/"needed":[1],&/'
lie 'start type' 's/"start":"permanent"/"start":"perhaps"/'
lie 'its kind is' 's/"kind":"plain"/"kind":"plane"/'
lie 'is not the module' 's/"module":"one"/"module":"two"/'
lie 'must be sorted' 's/"path":"bin\/one"/"path":"zzz"/'
lie 'duplicate' 's/"format":1/&,&/'
fresh && truncate -s 100 t/releases/1/relpack.json && tamper 'relpack.json'
# A manifest that lies consistently is whole, but not what was signed.
mkdir t && tar -C t -xzf signed.tar.gz
sed -i 's/"dirty":false,//; s/"made_by":"relpack /"made_by":"Relpack /' t/releases/1/relpack.json
refused 'not one of its manifest' relpack verify t --key first.pub
rm -rf t && mkdir t && tar -C t -xzf signed.tar.gz && truncate -s 60 t/releases/1/relpack.sig
refused 'signature is damaged' relpack verify t --key first.pub
rm -rf t

# Repacked by other tools it is the same release, and verify says that it is not the same file.
mkdir t && tar -C t -xzf signed.tar.gz && tar -C t -czf other.tar.gz . && rm -rf t
assert_exit 0 relpack verify other.tar.gz --key first.pub
assert_match 'not byte for byte' "$(cat out)"
# Also where tar found two names of one file.
cp -R "$P" linked && cp "$P/out/one/lib/one-1/ebin/one.beam" linked/lib/one/priv/one.beam
assert_exit 0 relpack build linked
cp -R linked/out/one t && ln -f t/lib/one-1/ebin/one.beam t/lib/one-1/priv/one.beam
tar -C t -czf links.tar.gz .
assert_match ' link to ' "$(tar -tvzf links.tar.gz)"
assert_exit 0 relpack verify links.tar.gz
rm -rf t

# A changed byte anywhere.
cat >flip.py <<'PYTHON'
import random, subprocess, sys
data = open(sys.argv[1], "rb").read()
random.seed(7)
places = list(range(0, 52)) + list(range(len(data) - 48, len(data))) + random.sample(range(len(data)), 40)
for at in places:
    for bits in (0x01, 0x80):
        changed = bytearray(data)
        changed[at] ^= bits
        with open("flipped", "wb") as f:
            f.write(changed)
        done = subprocess.run(["relpack", "verify", "flipped", "--quiet"], capture_output=True, text=True)
        if done.returncode != 2 or done.stderr.count("\n") != 1:
            sys.exit(f"byte {at} changed by {bits:#x}: exit {done.returncode}: {done.stderr}")
print(len(places))
PYTHON
python3 flip.py signed.tar.gz || fail "a changed byte was not found"
python3 flip.py "$P/out/one-1.tar.zst" || fail "a changed byte was not found"

# Nothing is left behind by all of this.
assert_eq "" "$(find "$WORK" "$P" -name '.*.tmp' -o -name '*.tmp')" "temporary files"

# What it was built from, where git knows that.
source_of() {
    tar -xzOf "$P/out/one-1.tar.gz" releases/1/relpack.json |
        python3 -c 'import json, sys; s = json.load(sys.stdin)["source"]; print(s["kind"], s.get("revision"), s.get("dirty"))'
}
printf 'out\n' >"$P/.gitignore"
git -C "$P" init -q
git -C "$P" add -A
git -C "$P" -c user.name=t -c user.email=t@example.org commit -qm one
assert_exit 0 relpack build "$P" --tar
assert_eq "plain $(git -C "$P" rev-parse HEAD) False" "$(source_of)" "a clean tree"
echo >>"$P/lib/one/ebin/one.app"
assert_exit 0 relpack build "$P" --tar
assert_eq "plain $(git -C "$P" rev-parse HEAD) True" "$(source_of)" "a changed tree"
