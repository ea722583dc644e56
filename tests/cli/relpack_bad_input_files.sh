#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Files that cannot be packed as they are: one clear line, exit 2, nothing left behind. What can be packed comes out
# byte by byte, whatever it is called.
. "$(dirname "$0")/../support/lib.sh"

app() {
    mkdir -p "$P/lib/$1/ebin" "$P/lib/$1/priv"
    cat >"$P/lib/$1/ebin/$1.app" <<APP
{application, $1, [{description, "$1"}, {vsn, "1.0"}, {modules, [${2:-}]}, {registered, []},
    {applications, [kernel, stdlib]}]}.
APP
}

# project NAME [MORE JSON]
project() {
    P=$WORK/$1
    rm -rf "$P"
    app one
    PRIV=$P/lib/one/priv
    echo "{\"name\": \"one\", \"version\": \"1.0\", \"lib_dirs\": [\"lib\"]${2:+, $2}}" >"$P/relpack.json"
}

# refused PATTERN [ARGS...]: as a tarball and as a folder
refused() {
    local pattern=$1 before how

    shift
    for how in --tar --quiet; do
        before=$(find "$P" | sort)
        assert_exit 2 timeout 60 relpack build "$P" --quiet $how "$@"
        assert_eq 1 "$(wc -l <"$WORK/err")" "lines of $(cat -v "$WORK/err")"
        assert_match "^relpack: .*$pattern" "$(cat "$WORK/err")"
        ! grep -q $'[\001-\011\013-\037\177]' "$WORK/err" || fail "a control character: $(cat -v "$WORK/err")"
        assert_eq "" "$(cat "$WORK/out")" "stdout"
        assert_eq "$before" "$(find "$P" | sort)" "what lies in the project"
    done
}

# BEAM files: cut, not one, missing, twice.
project beams
app one one
printf -- '-module(one).\n-export([f/0]).\nf() -> ok.\n' >"$WORK/one.erl"
erlc +debug_info -o "$WORK" "$WORK/one.erl"
refused 'one.app lists the module one, but there is no .*one.beam'
for strip in true false; do
    for damage in cut text empty gzip; do
        project "beam_$damage" "\"strip_beams\": $strip"
        app one one
        case $damage in
        cut) head -c 300 "$WORK/one.beam" >"$P/lib/one/ebin/one.beam" ;;
        text) echo 'not a BEAM file' >"$P/lib/one/ebin/one.beam" ;;
        empty) : >"$P/lib/one/ebin/one.beam" ;;
        gzip) gzip -c "$WORK/one.beam" | head -c 200 >"$P/lib/one/ebin/one.beam" ;;
        esac
        refused 'one.beam'
    done
done
project twice '"applications": ["one", "two"]'
app one m
app two m
refused 'applications (one and two|two and one) both contain m'

# Links.
project dangling
ln -s nowhere "$PRIV/link"
refused 'priv/link is a link to nowhere, which is not there'
rm "$PRIV/link"
ln -s link "$PRIV/link"
refused 'priv/link is a link to link'
project leaves
echo secret >"$WORK/outside"
ln -s "$WORK/outside" "$PRIV/link"
refused 'priv/link is a link to .*/outside, outside of the project'
rm "$PRIV/link"
ln -s ../../../../outside "$PRIV/link"
refused 'priv/link is a link to ../../../../outside, outside of the project'
rm "$PRIV/link"
ln -s / "$PRIV/link"
refused 'priv/link is a link to /, outside of the project'
# Inside the project a link is good: kept in priv, else replaced by what it points at.
project inside
echo data >"$PRIV/data"
echo built >"$P/built"
mkdir "$PRIV/sub"
ln -s data "$PRIV/kept"
ln -s ../data "$PRIV/sub/kept"
ln -s ../../../built "$PRIV/copied"
ln -s "$PRIV/data" "$PRIV/absolute"
ln -s ../priv/data "$PRIV/round"
ln -s sub/../data "$PRIV/there_and_back"
assert_exit 0 timeout 60 relpack build "$P"
T=$P/out/one/lib/one-1.0/priv
assert_eq "data ../data" "$(readlink "$T/kept") $(readlink "$T/sub/kept")"
for copy in copied absolute round there_and_back; do
    if [ ! -f "$T/$copy" ] || [ -L "$T/$copy" ]; then
        fail "$copy is no copy"
    fi
done
assert_eq built "$(cat "$T/copied")"
assert_exit 0 timeout 60 relpack build "$P" --tar
assert_exit 0 timeout 60 relpack verify "$P/out/one-1.0.tar.gz"

# What is no file.
project fifo
mkfifo "$PRIV/pipe"
refused 'priv/pipe is no file, folder or link'

# What the user may not read. Root may read everything, so another user builds then.
project unreadable
echo x >"$PRIV/locked"
chmod 000 "$PRIV/locked"
as_other() {
    if [ "$(id -u)" = 0 ]; then
        chmod 755 "$WORK"
        find "$P" -type d -perm /0111 -exec chmod 1777 {} +
        setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
    else
        "$@"
    fi
}
refused_as_other() {
    assert_exit 2 as_other timeout 60 "$RELPACK_BIN/relpack" build "$P" --quiet --tar --allow writable
    assert_eq 1 "$(wc -l <"$WORK/err")" "lines of $(cat -v "$WORK/err")"
    assert_match "^relpack: .*$1.*: Permission denied" "$(cat "$WORK/err")"
    [ ! -e "$P/out" ] || fail "left: $(find "$P/out")"
}
if as_other test -x "$RELPACK_BIN/relpack"; then
    refused_as_other 'priv/locked'
    rm -f "$PRIV/locked"
    mkdir "$PRIV/folder"
    chmod 000 "$PRIV/folder"
    refused_as_other 'priv/folder'
    chmod 755 "$PRIV/folder"
else
    echo "another user cannot run relpack here: unreadable files were not tried"
fi

# Names: they go in and come out, or are refused; a terminal never sees their controls.
project names
long=$(printf 'x%.0s' {1..255})
mkdir -p "$PRIV/$long"
for name in $'new\nline' $'esc\033[2J' ' blank ' '-dash' 'quote"\backslash' 'ünïcode' '*?[' "$long/$long"; do
    echo "$name" >"$PRIV/$name"
done
: >"$PRIV/.hidden"
assert_exit 0 timeout 60 relpack build "$P"
diff -r "$PRIV" "$P/out/one/lib/one-1.0/priv" || fail "the folder differs"
for format in gz zst; do
    rm -rf "$WORK/unpacked"
    mkdir "$WORK/unpacked"
    assert_exit 0 timeout 60 relpack build "$P" --tar --format $format
    tar -C "$WORK/unpacked" -xf "$P/out/one-1.0.tar.$format"
    diff -r "$PRIV" "$WORK/unpacked/lib/one-1.0/priv" || fail "the $format tarball differs"
    assert_exit 0 timeout 60 relpack verify "$P/out/one-1.0.tar.$format"
done
erl -noinput -eval 'ok = erl_tar:extract("'"$P"'/out/one-1.0.tar.gz", [compressed, {cwd, "'"$WORK"'/by_erl_tar"}]), halt().' ||
    fail "erl_tar cannot unpack it"
cmp "$PRIV/$long/$long" "$WORK/by_erl_tar/lib/one-1.0/priv/$long/$long"
# What tells of a release writes names as they are harmless, a native one and a changed one too.
project evil_names
printf 'int f(void) { return 1; }\n' >"$WORK/nif.c"
cc -shared -fPIC -o "$PRIV/"$'evil\033[31m\n.so' "$WORK/nif.c"
assert_exit 0 timeout 60 relpack build "$P" --tar
cp "$P/out/one-1.0.tar.gz" "$WORK/before.tar.gz"
printf 'int f(void) { return 2; }\n' >"$WORK/nif.c"
cc -shared -fPIC -o "$PRIV/"$'evil\033[31m\n.so' "$WORK/nif.c"
assert_exit 0 timeout 60 relpack build "$P" --tar
assert_exit 0 timeout 60 relpack inspect "$P/out/one-1.0.tar.gz"
assert_match 'priv/evil\\x1b\[31m\\n.so' "$(cat "$WORK/out")"
for format in "" --markdown; do
    assert_exit 0 timeout 60 relpack diff "$WORK/before.tar.gz" "$P/out/one-1.0.tar.gz" $format
    assert_match 'priv/evil\\x1b\[31m\\n.so' "$(cat "$WORK/out")"
    ! grep -q $'\033' "$WORK/out" || fail "an escape sequence"
done

project latin1
echo x >"$PRIV/"$'caf\xe9'
refused 'priv/caf\\xe9 is no UTF-8'
# The project's own folder may be called as it likes; JSON has only text.
project $'caf\xe9 \n'
assert_exit 0 timeout 60 relpack build "$P" --tar
assert_eq "$P/out/one-1.0.tar.gz" "$(cat "$WORK/out")"
assert_exit 0 timeout 60 relpack build "$P" --tar --json
assert_match 'caf\\\\xe9 \\\\n/out/one-1.0.tar.gz' "$(cat "$WORK/out")"
project evil_link
ln -s $'\033]0;evil\007\nrelpack: fine' "$PRIV/link"
refused 'link to \\x1b\]0;evil\\x07\\nrelpack: fine, which is not there'
# Too deep for the system, for a host, and for a person.
project deep
(
    cd "$PRIV" || exit
    for _ in {1..30}; do
        mkdir "$long"
        cd "$long" || exit
    done
    touch file
)
refused '(look at|read the folder) .*: File name too long'
project long_path
mkdir -p "$PRIV/$long/$long/$long/$long/$long/$long/$long/$long"
refused 'has a path of [0-9]+ bytes, more than 2048'
project nested
mkdir -p "$PRIV/$(printf 'd/%.0s' {1..120})"
refused 'nested too deeply'

# The output.
project output
refused 'the output folder .* is the project itself' --output "$P"
refused 'is the project itself' --output "$P/../output/."
cd "$P" || exit
refused 'is the project itself' --output .
cd "$WORK" || exit
for inside in lib/one/priv lib/one/priv/deeper lib/one/ebin/x; do
    refused 'lies in .*, which is packed' --output "$P/$inside"
done
project overlay '"overlay": [{"copy": ["site", "site"]}]'
mkdir "$P/site"
refused 'lies in .*/site, which is packed' --output "$P/site/out"
project folder
mkdir -p "$P/out/one-1.0.tar.gz" "$P/out/one/mine"
assert_exit 2 timeout 60 relpack build "$P" --tar --quiet
assert_match 'one-1.0.tar.gz is a folder' "$(cat "$WORK/err")"
assert_exit 2 timeout 60 relpack build "$P" --quiet
assert_match 'is there and is no release' "$(cat "$WORK/err")"
assert_eq "one
one-1.0.tar.gz" "$(ls -A "$P/out")"
project made
mkdir "$PRIV/x"
full() {
    mount -t tmpfs -o size=1m tmpfs "$WORK/small" || exit 77
    assert_exit 1 timeout 60 relpack build "$P" --tar --quiet --output "$WORK/small/a/b/c"
    assert_match 'No space left' "$(cat "$WORK/err")"
    assert_eq "" "$(ls -A "$WORK/small")" "what is left on the full disk"
}
mkdir "$WORK/small"
export -f full assert_exit assert_eq assert_match fail
export P WORK
flags=(--mount)
[ "$(id -u)" = 0 ] || flags+=(--user --map-root-user)
if unshare "${flags[@]}" true 2>/dev/null; then
    unshare "${flags[@]}" bash -c 'set -euo pipefail; full'
else
    echo "no right to mount: the full disk was not tried"
fi
