#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# relpack appup and relup: what cannot be upgraded so is one clear line, exit 2, and nothing is written; what a person
# wrote stays.
. "$(dirname "$0")/../support/lib.sh"

# release VERSION ANSWER: the tree of a release of one module that gives that answer
release() {
    local p=$WORK/project-$1

    mkdir -p "$p/lib/one/ebin"
    printf -- '-module(one).\n-export([f/0]).\nf() -> %s.\n' "$2" >"$p/one.erl"
    erlc +deterministic -o "$p/lib/one/ebin" "$p/one.erl"
    cat >"$p/lib/one/ebin/one.app" <<ERL
{application, one, [{description, ""}, {vsn, "$1"}, {modules, [one]}, {registered, []}, {applications, [kernel, stdlib]}]}.
ERL
    echo '{"name": "one", "version": "'"$1"'", "lib_dirs": ["lib"], "applications": ["one", "sasl"]}' >"$p/relpack.json"
    relpack build "$p" --quiet --output "$WORK/$1" >/dev/null
}

release 1.0 here
release 2.0 there
cd "$WORK" || exit 1
O=1.0/one N=2.0/one
ebin=lib/one-2.0/ebin

# variant NAME: a copy of the later release to spoil, in $V
variant() {
    V=$WORK/v-$1
    rm -rf "$V"
    cp -a "$N" "$V"
}

# refused PATTERN COMMAND...: exit 2, one line, and $V is as it was
refused() {
    local pattern=$1 before

    shift
    before=$(find "$V" "$O" -type f -exec sha256sum {} + | sort)
    assert_exit 2 timeout 60 relpack "$@" --quiet
    assert_eq 1 "$(wc -l <err)" "lines of $(cat err)"
    assert_match "^relpack: .*$pattern" "$(cat err)"
    assert_eq "" "$(cat out)" "stdout"
    assert_eq "$before" "$(find "$V" "$O" -type f -exec sha256sum {} + | sort)" "what lies in the release"
    [ -z "$(find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'relpack.*' -newer "$WORK/begin" 2>/dev/null)" ] ||
        fail "a temporary folder is left"
}
export TMPDIR=$WORK/tmp
mkdir "$TMPDIR"
touch "$WORK/begin"

variant good
assert_exit 0 relpack relup "$O" "$V"
assert_match "releases/2.0/relup$" "$(tail -n 1 out)"
assert_match "manifest of .* does not know" "$(cat err)"
assert_exit 0 relpack appup "$O" "$V"
[ -f "$V/$ebin/one.appup" ] || fail "no appup"

# Not two releases, or not two of one application
variant input
refused "nowhere" appup nowhere "$V"
refused "is no release" appup "$WORK/project-1.0" "$V"
refused "both releases have version 2.0" relup "$V" "$N"
sed -i 's/{"one","2.0"}/{"other","2.0"}/' "$V/releases/2.0/one.rel" && mv "$V/bin/one" "$V/bin/other"
refused "one and other are two applications" relup "$O" "$V"
variant no_rel
rm "$V"/releases/*.rel "$V"/releases/2.0/*.rel
refused "holds no .rel file" relup "$O" "$V"
variant broken_rel
echo '{release,' >"$V/releases/2.0/one.rel"
refused "one.rel:" relup "$O" "$V"
variant broken_app
echo '{application, one' >"$V/$ebin/one.app"
refused "one.app:" appup "$O" "$V"

# sasl
variant no_sasl
sed -i '/{sasl,/d; s/{one,"2.0",permanent},/{one,"2.0",permanent}]}./' "$V/releases/2.0/one.rel"
grep -q sasl "$V/releases/2.0/one.rel" && fail "sasl is still there"
refused "has no sasl, .* add it to the applications" relup "$O" "$V"
assert_exit 0 relpack appup "$O" "$V" --dry-run
variant idle_sasl
sed -i 's/{sasl,\("[^"]*"\),permanent}/{sasl,\1,load}/' "$V/releases/2.0/one.rel"
refused "has sasl as load" relup "$O" "$V"

# The same version with other modules: for an upgrade that is the same application.
variant same
mv "$V/lib/one-2.0" "$V/lib/one-1.0"
sed -i 's/2\.0/1.0/' "$V/lib/one-1.0/ebin/one.app"
sed -i 's/{one,"2.0",/{one,"1.0",/' "$V/releases/2.0/one.rel"
assert_exit 0 relpack appup "$O" "$V"
assert_match 'application one has version 1.0 in both, and other modules \(one\): give it a new version' "$(cat err)"
assert_match 'no application changes its version' "$(cat out)"
refused "application one has version 1.0 in both" relup "$O" "$V"

# What a person wrote
variant broken_appup
echo '{"2.0", [{"1.0", []}]}.' >"$V/$ebin/one.appup"
refused 'one.appup: must begin with \{"version"' appup "$O" "$V"
echo '{"1.5", [{"1.0", []}], [{"1.0", []}]}.' >"$V/$ebin/one.appup"
refused "one.appup is for version 1.5, and the application has 2.0" relup "$O" "$V"
assert_exit 0 relpack appup "$O" "$V" --force
variant other_entry
printf '%s\n' '{"2.0", [{<<"0\\.[0-9]+">>, [restart_new_emulator]}], [{"0.9", []}]}.' >"$V/$ebin/one.appup"
assert_exit 0 relpack appup "$O" "$V"
assert_eq '{"2.0",[{"1.0",[{load_module,one}]},{<<"0\\.[0-9]+">>,[restart_new_emulator]}],[{"1.0",[{load_module,one}]},{"0.9",[]}]}.' \
    "$(grep -v '^%%' "$V/$ebin/one.appup" | tr -d ' \n')" "entries for other versions"
variant pattern
printf '%s\n' '{"2.0", [{<<"1(?:\\.[0-9]+)*">>, [{apply, {one, f, []}}]}], []}.' >"$V/$ebin/one.appup"
cp "$V/$ebin/one.appup" kept
assert_exit 0 relpack appup "$O" "$V"
assert_match 'its own appup is kept' "$(cat out)"
assert_match 'its appup has no way down to 1.0' "$(cat err)"
cmp kept "$V/$ebin/one.appup" || fail "it was overwritten"
refused "systools makes no relup: No release upgrade script entry for one-2.0 to one-1.0" relup "$O" "$V"
variant bad_instruction
echo '{"2.0", [{"1.0", [{nonsense, one}]}], [{"1.0", []}]}.' >"$V/$ebin/one.appup"
refused "systools makes no relup: .*nonsense" relup "$O" "$V"

# The VM: none, another ERTS, one that hangs, one that is no program
variant no_erts
mv "$V"/erts-* "$WORK/erts-away"
mkdir "$WORK/bin" && ln -s "$(command -v relpack)" "$WORK/bin/relpack"
assert_exit 2 env PATH="$WORK/bin" relpack relup "$O" "$V" --output up
assert_match 'has no ERTS of its own: erl is needed here and not installed' "$(cat err)"
[ ! -e up ] || fail "something was written"
assert_exit 0 relpack relup "$O" "$V" --output up
assert_match 'has no ERTS: release_handler looks for its files in the Erlang of the host' "$(cat err)"
variant other_erts
mv "$V"/erts-* "$V/erts-99.0"
sed -i 's/{erts,"[^"]*"}/{erts,"99.0"}/' "$V"/releases/2.0/one.rel
assert_exit 0 relpack relup "$O" "$V"
assert_match 'ERTS changes from [0-9.]+ to 99.0: the VM restarts in the middle' "$(cat err)"
grep -q restart_new_emulator "$V/releases/2.0/relup" || fail "no restart in $(cat "$V/releases/2.0/relup")"
variant hangs
printf '#!/bin/sh\nexec sleep 60\n' >"$V"/erts-*/bin/erlexec
assert_exit 1 timeout 30 relpack relup "$O" "$V" --timeout 300ms
assert_match '^relpack: the VM of .*took longer than' "$(tail -n 1 err)"
printf '#!/bin/sh\necho broken; exit 3\n' >"$V"/erts-*/bin/erlexec
assert_exit 1 relpack relup "$O" "$V"
assert_match '^relpack: the VM of .*failed with exit status 3' "$(tail -n 1 err)"
assert_eq "" "$(ls "$TMPDIR")" "temporary files"

# Two ways into one relup; where nothing can be written
variant merged
echo '{"2.0", [{"0.5", [], [point_of_no_return]}], [{"0.5", [], [point_of_no_return]}]}.' >"$V/releases/2.0/relup"
assert_exit 0 relpack relup "$O" "$V" --json
assert_eq "['0.5', '1.0']" "$(erl -noshell -eval '{ok, [{_, Up, Down}]} = file:consult("'"$V"'/releases/2.0/relup"),
    [io:format("~p", [lists:sort([list_to_atom(element(1, E)) || E <- Up])]) || length(Up) =:= length(Down)], halt().' | sed "s/,/, /")"
echo nonsense >"$V/releases/2.0/relup"
refused "relup:" relup "$O" "$V"
variant output
touch "$WORK/file"
refused "the output folder" appup "$O" "$V" --output "$WORK/file/below"
refused "the output folder" relup "$O" "$V" --output "$WORK/file/below"
refused "is no time" relup "$O" "$V" --timeout soon
