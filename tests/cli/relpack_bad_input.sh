#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is wrong with a project or with where its release shall go is one clear line, exit 2, and nothing is left
# behind; a disk that runs full is exit 1.
. "$(dirname "$0")/../support/lib.sh"

# app DIR NAME [APPLICATIONS]: an application without code
app() {
    mkdir -p "$1/$2/ebin"
    cat >"$1/$2/ebin/$2.app" <<EOF
{application, $2, [{description, "$2"}, {vsn, "1.0"}, {modules, []}, {registered, []},
    {applications, [kernel, stdlib${3:+, $3}]}]}.
EOF
}

# project NAME [JSON]: an application and its relpack.json, in $P
project() {
    local json='{"name": "one", "version": "1.0", "lib_dirs": ["lib"]}'

    P=$WORK/$1
    rm -rf "$P"
    mkdir -p "$P"
    app "$P/lib" one
    echo "${2:-$json}" >"$P/relpack.json"
}

# refused PATTERN [STATUS] -- ARGS...: of the project $P; everything in it is as it was
refused() {
    local pattern=$1 status=2 before

    shift
    [ "$1" = -- ] || { status=$1 && shift; }
    shift
    before=$(find "$P" | sort)
    assert_exit "$status" timeout 60 relpack build "$P" --quiet "$@"
    assert_eq 1 "$(wc -l <"$WORK/err")" "lines of $(cat "$WORK/err")"
    assert_match "^relpack: .*$pattern" "$(cat "$WORK/err")"
    assert_eq "" "$(cat "$WORK/out")" "stdout"
    assert_eq "$before" "$(find "$P" | sort)" "what lies in the project"
}

project good
assert_exit 0 relpack build "$P" --tar --quiet
assert_eq "$P/out/one-1.0.tar.gz" "$(tail -n 1 "$WORK/out")"

P=$WORK/nothing
mkdir "$P"
refused "no project in .*nothing" --
P=$WORK/good
assert_exit 2 relpack build "$WORK/nowhere"
assert_match "there is no folder" "$(cat "$WORK/err")"

project missing '{"name": "one", "version": "1.0", "applications": ["two"], "lib_dirs": ["lib"]}'
refused "two" -- --tar
project missing_dep
app "$P/lib" one three
refused "three" -- --tar
project cycle
app "$P/lib" one two
app "$P/lib" two one
refused "in a circle: " -- --tar

project broken_app
echo '{application, one, [{vsn, "1.0"},,]}.' >"$P/lib/one/ebin/one.app"
refused "one.app:1:" -- --tar
project other_name
sed -i 's/application, one/application, two/' "$P/lib/one/ebin/one.app"
refused "one.app" --
project broken_beam
echo 'not a BEAM file' >"$P/lib/one/ebin/one.beam"
refused "one.beam" -- --tar

project broken_json '{"name": "one", '
refused "relpack.json:[12]:" --
project unknown_key '{"name": "one",
 "vresion": "1.0"}'
refused "relpack.json:2: unknown key 'vresion'" --
project wrong_type '{"name": "one", "version": "1.0",
 "include_erts": "yes"}'
refused "relpack.json:2: include_erts must be" --
project twice '{"name": "one", "version": "1.0",
 "name": "two"}'
refused "relpack.json:2:.*duplicate" --
project no_name '{"version": "1.0"}'
refused "name is missing" --
project evil_name '{"name": "../one", "version": "1.0", "lib_dirs": ["lib"], "applications": ["one"]}'
refused "name '../one'" -- --tar
project evil_version '{"name": "one", "version": "../1", "lib_dirs": ["lib"]}'
refused "version '../1'" -- --tar
project evil_overlay '{"name": "one", "version": "1.0", "lib_dirs": ["lib"],
 "overlay": [{"mkdir": "a/../../b"}]}'
refused "leaves the release" -- --tar
project file_as_folder '{"name": "one", "version": "1.0", "lib_dirs": ["lib"],
 "overlay": [{"copy": ["relpack.json", "bin"]}]}'
refused "because bin is no folder" -- --tar
project bad_config '{"name": "one", "version": "1.0", "lib_dirs": ["lib"], "sys_config": "sys.config"}'
echo '[{kernel, ]}].' >"$P/sys.config"
refused "sys.config:1:" -- --tar
project bad_option
refused "neither gz nor zst" -- --format bz2

project rebar
rm "$P/relpack.json"
printf '{relx, [\n  {release, {one "1.0"}, [one]}\n]}.\n' >"$P/rebar.config"
refused "rebar.config:2:" --
echo '{erl_opts, []}.' >"$P/rebar.config"
refused "no \{relx" --
echo '{relx, [{release, {one, "1.0"}, [one]}, {sys_config, "no.config"}]}.' >"$P/rebar.config"
refused "there is no file" --
echo '{relx, [{release, {one, "1.0"}, [one]}]}.' >"$P/rebar.config"
refused "not compiled" -- --no-compile

# The output folder.
project output
touch "$P/file"
refused "cannot write to the output folder" -- --tar --output "$P/file"
mkdir -p "$P/full/one"
touch "$P/full/one/mine"
refused "is there and is no release" -- --output "$P/full"

ro_and_full() {
    mount -t tmpfs -o ro tmpfs "$WORK/ro" && mount -t tmpfs -o size=1m tmpfs "$WORK/small" || exit 77
    for output in ro ro/deeper; do
        refused "cannot write to the output folder" -- --tar --output "$WORK/$output"
    done
    refused "No space left" 1 -- --tar --output "$WORK/small"
    assert_eq "" "$(ls -A "$WORK/small")" "what is left on the full disk"
    refused "No space left" 1 -- --tar --format zst --output "$WORK/small"
    refused "No space left" 1 -- --output "$WORK/small"
    assert_eq "" "$(ls -A "$WORK/small")" "what is left on the full disk"
}
mkdir "$WORK/ro" "$WORK/small"
export -f ro_and_full refused assert_exit assert_eq assert_match fail
export P WORK
flags=(--mount)
[ "$(id -u)" = 0 ] || flags+=(--user --map-root-user)
if unshare "${flags[@]}" true 2>/dev/null; then
    unshare "${flags[@]}" bash -c 'set -euo pipefail; ro_and_full'
else
    echo "no right to mount: the full disk was not tried"
fi
