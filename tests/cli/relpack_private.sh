#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What belongs to whoever builds and to nobody else is found before it is packed: keys, passwords, overlays from
# elsewhere; and nothing else is taken for it.
. "$(dirname "$0")/../support/lib.sh"

# project NAME [MORE JSON]: an application without modules
project() {
    P=$WORK/$1
    mkdir -p "$P/lib/shop/ebin" "$P/lib/shop/priv"
    echo '{application, shop, [{description, "x"}, {vsn, "1.0"}, {modules, []}, {registered, []},
        {applications, [kernel, stdlib]}]}.' >"$P/lib/shop/ebin/shop.app"
    echo "{\"name\": \"shop\", \"version\": \"1.0\", \"lib_dirs\": [\"lib\"]${2:+, $2}}" >"$P/relpack.json"
}

# finds WANTED [OPTIONS...]: the findings, "code file" a line, sorted
finds() {
    local want=$1

    shift
    assert_exit 0 timeout 60 relpack build "$P" --tar --json "$@"
    assert_eq "$want" "$(python3 - "$WORK/out" <<'PYTHON'
import json, sys
found = json.load(open(sys.argv[1]))["findings"]
print("\n".join(sorted(f["code"] + " " + (f.get("file") or "-").replace("lib/shop-1.0/priv/", "") for f in found)))
PYTHON
    )"
}

block() {
    printf -- '-----BEGIN %s-----\n%s\n-----END %s-----\n' "$1" "$(head -c 90 /dev/zero | base64 -w 64)" "$1"
}

# Keys, of every kind of block; a mention of the mark is none, and public ones are not.
project files
cd "$P/lib/shop/priv" || fail "no project"
block "PRIVATE KEY" >pkcs8
{
    echo "some text"
    block "RSA PRIVATE KEY"
} >rsa
block "EC PRIVATE KEY" >ec
block "ENCRYPTED PRIVATE KEY" >encrypted
block "OPENSSH PRIVATE KEY" >openssh
printf -- '-----BEGIN RSA PRIVATE KEY-----\r\nProc-Type: 4,ENCRYPTED\r\n' >old
relpack keygen "$WORK/signing" >"$WORK/out" 2>&1 || fail "keygen: $(cat "$WORK/out")"
cp "$(grep -l 'PRIVATE KEY' "$WORK"/signing*)" signing
chmod 644 signing
block "PUBLIC KEY" >public
block CERTIFICATE >certificate
printf -- '-----BEGIN PRIVATE KEY-----' >mark1
printf -- '-----BEGIN PRIVATE KEY-----\n' >mark2
printf 'a "-----BEGIN PRIVATE KEY-----\\n" b' >mark3
printf -- '-----BEGIN ' >mark4
printf -- '-----BEGIN PRIVATE KEY-----\n-----BEGIN ' >mark5

# Private by name.
touch .env .env.prod .netrc .pgpass id_rsa id_ed25519
echo '//registry.invalid/:_authToken=x' >.npmrc
mkdir -p harmless/.github web/.git/objects
touch web/.git/HEAD web/.git/objects/x
touch .env.example id_rsa.pub id_map environment.env .gitignore harmless/.github/x web/x.git
echo 'save-exact=true' >harmless/.npmrc
cd "$WORK" || fail "no folder"
finds "private_file .env
private_file .env.prod
private_file .netrc
private_file .npmrc
private_file .pgpass
private_file id_ed25519
private_file id_rsa
private_file web/.git/HEAD
private_key ec
private_key encrypted
private_key old
private_key openssh
private_key pkcs8
private_key rsa
private_key signing"
finds "" --allow private_key,private_file:shop
assert_exit 2 timeout 60 relpack build "$P" --tar --strict --allow private_file
assert_match 'priv/ec holds a private key' "$(cat "$WORK/err")"

# Passwords in env.sh and vm.args; what the host fills in is none.
project lines '"env_sh": "env.sh", "vm_args": "vm.args"'
cat >"$P/env.sh" <<'SH'
export DB_PASSWORD=hunter2
API_TOKEN="abc"
  export SECRET='sesame'
export DATABASE_URL=ecto://shop:pw@db/shop
# PASSWORD=x
export OTHER_PASSWORD=$(cat /run/password)
OTHER_PASSWORD="${OTHER_PASSWORD:-}"
OTHER_PASSWORD=
TOKEN=changeme
PASSWORD_FILE=/run/x
test "$TOKEN" = abc
SH
printf '%s\n' '-env LANG C' '-env DB_PASSWORD hunter2' >"$P/vm.args"
finds "secret releases/1.0/env.sh
secret releases/1.0/env.sh
secret releases/1.0/env.sh
secret releases/1.0/env.sh
secret releases/1.0/vm.args"

# Overlays from elsewhere; what is no file is refused.
mkdir "$WORK/elsewhere"
echo x >"$WORK/elsewhere/file"
project overlays '"overlay": [{"copy": ["../elsewhere/file", "etc/file"]}, {"copy": ["site", "site"]}]'
mkdir "$P/site"
echo x >"$P/site/one"
ln -s one "$P/site/beside"
ln -s "$WORK/elsewhere/file" "$P/site/two"
finds "outside -
outside site/two"
finds "" --allow outside
mkfifo "$P/site/pipe"
assert_exit 2 timeout 60 relpack build "$P" --tar
assert_match 'site/pipe is no file, folder or link' "$(cat "$WORK/err")"
project device '"overlay": [{"copy": ["/dev/null", "etc/file"]}]'
assert_exit 2 timeout 60 relpack build "$P" --tar
assert_match 'overlay: /dev/null is no file, folder or link' "$(cat "$WORK/err")"
mkfifo "$WORK/pipe"
project template '"overlay": [{"template": ["../pipe", "etc/file"]}]'
assert_exit 2 timeout 60 relpack build "$P" --tar
assert_match 'overlay: .*pipe is no file, folder or link' "$(cat "$WORK/err")"
