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

# Keys
cd "$WORK" || exit 1
assert_exit 0 relpack keygen first
assert_exit 0 relpack keygen second
assert_eq 600 "$(stat -c %a first.key)" "mode of the secret key"
assert_exit 2 relpack keygen first
assert_match 'never overwritten' "$(cat err)"
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
fresh && touch t/lib/more && tamper 'lib/more is in the release and not'
fresh && chmod 755 t/lib/one-1/priv/noise && tamper 'has the mode 0755, the manifest says 0644'
fresh && rm t/releases/1/relpack.json && tamper 'has no manifest'
fresh && sed -i 's/"format":1/"format":2/' t/releases/1/relpack.json && tamper 'knows format 1'
fresh && sed -i 's/"format":1/"format":1,"x":1/' t/releases/1/relpack.json && tamper 'relpack.json'
fresh && sed -i 's/"size":40000/"size":-1/' t/releases/1/relpack.json && tamper 'its size is negative'
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
