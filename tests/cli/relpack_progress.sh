#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is seen of a build: on a terminal each step, how far it is and how long it took, in one line that fits; nothing of
# it when piped or --quiet; events as JSON lines on stderr with --json.
. "$(dirname "$0")/../support/lib.sh"

command -v script >/dev/null || skip "script is not installed"

P=$WORK/one
mkdir -p "$P/_build/prod/lib/one/ebin" "$P/_build/prod/lib/one/priv" "$WORK/bin"
cat >"$P/_build/prod/lib/one/ebin/one.app" <<'APP'
{application, one, [{description, "one"}, {vsn, "1.0"}, {modules, []}, {registered, []},
    {applications, [kernel, stdlib]}]}.
APP
head -c 40M /dev/urandom >"$P/_build/prod/lib/one/priv/noise"
echo '{relx, [{release, {one, "1.0"}, [one]}]}.' >"$P/rebar.config"
# A compiler that takes a second and prints what could confuse a terminal.
cat >"$WORK/bin/rebar3" <<'REBAR'
#!/bin/bash
echo "===> Compiling one"
sleep 1.2
printf 'evil \033[2J line of %0300d\n' 7
sleep 0.2
REBAR
chmod +x "$WORK/bin/rebar3"
export PATH=$WORK/bin:$PATH

on_terminal() {
    NO_COLOR=${2:-} TERM=${3:-xterm} timeout 60 script -qec "stty cols 60; relpack build $P --tar $1" /dev/null </dev/null >"$WORK/tty" ||
        fail "the build on a terminal failed: $(cat -v "$WORK/tty")"
}

on_terminal ""
text=$(cat -v "$WORK/tty")
assert_match '\.\.  .{0,9}compile' "$text"
assert_match '===> Compiling one' "$text"
assert_match 'compile      1 s  ' "$text" "the time of a step that goes on"
assert_match 'evil \\x1b\[2J line' "$text" "another program's line, escaped"
assert_match 'pack          [ 0-9][0-9] %  ' "$text" "how far"
for step in compile resolve read check pack; do
    assert_match "ok .{0,5} $step +[^^]*[0-9]+ ms\^M" "$text"
done
assert_match "resolve +3 applications  [0-9]+ ms" "$text"
assert_match "$P/_build/relpack/one-1.0.tar.gz\^M\$" "$text" "the last line"
# No drawn line is wider than the terminal, or it could not be redrawn.
python3 - "$WORK/tty" <<'PY'
import re, sys
for line in re.split(r"\r\n|\r", open(sys.argv[1], newline="").read()):
    shown = re.sub(r"\033\[[0-9;]*[mK]", "", line)
    if shown.lstrip().startswith(".."):
        assert len(shown) < 60, (len(shown), shown)
    assert "\033" not in shown, shown
PY

on_terminal "" 1
! grep -q $'\033\[[0-9;]*m' "$WORK/tty" || fail "colour in spite of NO_COLOR"
on_terminal --quiet
assert_eq "$P/_build/relpack/one-1.0.tar.gz" "$(tr -d '\r' <"$WORK/tty")" "--quiet on a terminal"
on_terminal "" "" dumb
! grep -q $'\033' "$WORK/tty" || fail "an escape sequence on a dumb terminal"

assert_exit 0 timeout 60 relpack build "$P" --tar
assert_eq "" "$(cat "$WORK/err")" "stderr when piped"
assert_eq "$P/_build/relpack/one-1.0.tar.gz" "$(cat "$WORK/out")" "stdout when piped"

assert_exit 0 timeout 60 relpack build "$P" --tar --json
python3 - "$WORK/out" "$WORK/err" <<'PY'
import json, sys
result, = [json.loads(line) for line in open(sys.argv[1])]
assert result["path"].endswith("one-1.0.tar.gz") and result["findings"] == [], result
events = [json.loads(line) for line in open(sys.argv[2])]
assert all(e["type"] == "progress" for e in events), events
done = [e["step"] for e in events if e["state"] == "done"]
assert done == ["compile", "resolve", "read", "check", "pack"], done
assert all(e["took_ms"] >= 0 for e in events if e["state"] == "done")
assert any(e.get("detail") == "===> Compiling one" for e in events)
far = [e["done"] / e["total"] for e in events if "total" in e]
assert far == sorted(far) and far[-1] == 1, far
PY
# What fails says so, in each face.
echo 'exit 3' >>"$WORK/bin/rebar3"
assert_exit 1 timeout 60 relpack build "$P" --tar
assert_match 'relpack: rebar3 failed with exit status 3' "$(tail -n 1 "$WORK/err")"
TERM=xterm script -qec "relpack build $P --tar" /dev/null </dev/null >"$WORK/tty" && fail "it went well"
assert_match 'fail .{0,5} compile' "$(cat -v "$WORK/tty")"
assert_exit 1 timeout 60 relpack build "$P" --tar --json
assert_match '"state":"failed","step":"compile"' "$(cat "$WORK/err")"
