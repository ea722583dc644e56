#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every row of every program's command table: help, a hint for a typo, exit codes, --json errors.
set -euo pipefail
bin=$RELPACK_BUILD/bin
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export TERM=dumb

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# expect STATUS COMMAND...: runs it, keeps its output in $tmp/out and $tmp/err.
expect() {
  local want=$1 got=0
  shift
  timeout 20 "$@" >"$tmp/out" 2>"$tmp/err" </dev/null || got=$?
  [ "$got" = "$want" ] || fail "'$*' exited $got, not $want: $(cat "$tmp/err")"
}

for program in relpack relsup relctl; do
  expect 0 "$bin/$program" --help
  grep -q '^Exit status: 0 done' "$tmp/out" || fail "$program --help does not tell the exit status"
  verbs=$(sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' "$tmp/out")
  [ -n "$verbs" ] || fail "$program lists no commands"
  expect 0 "$bin/$program" --version
  grep -q "^$program [0-9]" "$tmp/out" || fail "$program --version: $(cat "$tmp/out")"
  expect 2 "$bin/$program"
  expect 2 "$bin/$program" frobnicate
  [ "$(wc -l <"$tmp/err")" = 1 ] || fail "$program frobnicate says more than one line"
  for verb in $verbs; do
    expect 0 "$bin/$program" "$verb" --help
    grep -q "^Usage: $program $verb" "$tmp/out" || fail "$program $verb --help has no usage"
    grep -q -- --json "$tmp/out" || fail "$program $verb --help does not list --json"
    expect 2 "$bin/$program" "$verb" --no-such-option
    grep -q "unknown option '--no-such-option'" "$tmp/err" || fail "$program $verb: $(cat "$tmp/err")"
  done
  # a letter too many in the first verb is met by a hint
  first=${verbs%%$'\n'*}
  expect 2 "$bin/$program" "${first}x"
  grep -q "did you mean '$first'" "$tmp/err" || fail "no hint for ${first}x: $(cat "$tmp/err")"
done

expect 2 "$bin/relpack" build --json "$tmp/no-such-folder"
[ ! -s "$tmp/out" ] || fail "an error wrote a result"
python3 - "$tmp/err" <<'PY'
import json, sys
last = [json.loads(l) for l in open(sys.argv[1])][-1]
assert last["type"] == "error" and last["exit"] == 2, last
PY
echo "every command of every program answers"
