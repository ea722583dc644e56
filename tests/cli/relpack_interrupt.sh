#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A build that is interrupted half way: no archive, no temporary file, no child is left, and the shell sees the signal.
. "$(dirname "$0")/../support/lib.sh"

P=$WORK/one
mkdir -p "$P/lib/one/ebin" "$P/lib/one/priv" "$WORK/bin"
cat >"$P/lib/one/ebin/one.app" <<'APP'
{application, one, [{description, "one"}, {vsn, "1.0"}, {modules, []}, {registered, []},
    {applications, [kernel, stdlib]}]}.
APP
echo '{"name": "one", "version": "1.0", "lib_dirs": ["lib"]}' >"$P/relpack.json"
for part in 1 2 3 4 5 6 7 8 9; do
    head -c 40M /dev/urandom >"$P/lib/one/priv/noise$part"
done

# exec lets $BG_PID be relpack itself; a shell's background job ignores SIGINT, which is what relpack then does too
start() {
    start_bg build python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' relpack build "$P" "$@"
}

has_temporary() {
    [ -n "$(find "$P/out" -mindepth 1 -name '.*' 2>/dev/null)" ]
}

# ended_by SIGNAL: the exit status that a shell makes of it, within the time that a child is given
ended_by() {
    local status=0

    wait_until 15 gone "$BG_PID"
    wait "$BG_PID" || status=$?
    assert_eq $((128 + $1)) "$status" "exit status"
    assert_match "relpack: .*interrupted" "$(cat "$WORK/build.log")"
    assert_eq 1 "$(wc -l <"$WORK/build.log")" "lines of $(cat "$WORK/build.log")"
}

for signal in 2 15 1; do
    for how in --tar --quiet; do
        rm -rf "$P/out"
        start $how
        wait_until 20 has_temporary
        kill -$signal "$BG_PID"
        ended_by $signal
        assert_eq "" "$(find "$P/out" -mindepth 1 2>/dev/null)" "left in the output folder"
    done
done
# Signing writes the archive anew.
assert_exit 0 relpack keygen "$WORK/k"
assert_exit 0 relpack build "$P" --tar
sum=$(sha256sum <"$P/out/one-1.0.tar.gz")
start_bg build relpack sign "$P/out/one-1.0.tar.gz" --key "$WORK/k.key"
wait_until 20 has_temporary
kill -TERM "$BG_PID"
ended_by 15
assert_eq "$sum" "$(sha256sum <"$P/out/one-1.0.tar.gz")" "the archive"
assert_eq one-1.0.tar.gz "$(ls -A "$P/out")"
# An older archive stays as it is.
mkdir -p "$P/out"
echo old >"$P/out/one-1.0.tar.gz"
start --tar
wait_until 20 has_temporary
kill -INT "$BG_PID"
ended_by 2
assert_eq old "$(cat "$P/out/one-1.0.tar.gz")"
assert_eq one-1.0.tar.gz "$(ls -A "$P/out")"

# Killed outright it can clean up nothing; a later build does, but touches nothing that is not its own or may be in use.
rm -rf "$P/out"
start --tar
wait_until 20 has_temporary
kill -KILL "$BG_PID"
wait "$BG_PID" || true
left=$(find "$P/out" -mindepth 1)
assert_match "^$P/out/\.one-1\.0\.tar\.gz\.[0-9a-f]{16}\.tmp\$" "$left"
rm -rf "$P"/lib/one/priv/noise*
mkdir -p "$P/out/.one.new-abc123/bin" "$P/out/.one.backup" "$P/out/.one.new-abc12"
touch "$P/out/.one-2.0.tar.gz.0123456789abcdef.tmp" "$P/out/.one-1.0.tar.gz.0123456789abcde.tmp"
assert_exit 0 relpack build "$P" --tar
[ -f "$left" ] || fail "a file that may be in use is gone"
find "$P/out" -exec touch -d '2 hours ago' {} +
assert_exit 0 relpack build "$P" --tar
assert_exit 0 relpack build "$P"
assert_eq ".one-1.0.tar.gz.0123456789abcde.tmp .one-2.0.tar.gz.0123456789abcdef.tmp .one.backup .one.new-abc12 one one-1.0.tar.gz" \
    "$(find "$P/out" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | xargs)"

# While another program compiles: it and its own child end, also when they do not want to.
rm "$P/relpack.json"
echo '{relx, [{release, {one, "1.0"}, [one]}]}.' >"$P/rebar.config"
cat >"$WORK/bin/rebar3" <<'REBAR'
#!/bin/bash
[ "$STUBBORN" = no ] || trap '' TERM
sleep 300 &
echo $! >"$PIDS.child"
echo $$ >"$PIDS"
wait
sleep 300
REBAR
chmod +x "$WORK/bin/rebar3"
export PIDS=$WORK/pids STUBBORN
for STUBBORN in no yes; do
    rm -f "$PIDS"
    PATH=$WORK/bin:$PATH start --tar
    wait_until 10 test -s "$PIDS"
    kill -TERM "$BG_PID"
    ended_by 15
    gone "$(cat "$PIDS")" || fail "rebar3 runs on"
    gone "$(cat "$PIDS.child")" || fail "the child of rebar3 runs on"
done
