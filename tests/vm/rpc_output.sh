#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# rpc in an Erlang and in an Elixir release: output, value, exceptions, deadline, and what it leaves behind.
# shellcheck disable=SC2016 # the expressions are not the shell's
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/fake_release.sh"

fake_release shop erlang "$WORK/erl"
fake_release notes elixir "$WORK/ex"
export RELEASE_TMP=$WORK/tmp
quiet_true() {
    [ "$("$@")" = true ]
}

shop=$WORK/erl/bin/shop notes=$WORK/ex/bin/notes

"$shop" daemon && own_pid "$("$shop" pid)"
"$notes" daemon && own_pid "$("$notes" pid)"

# --- what is printed comes back, on the descriptor it was printed to
assert_exit 0 "$shop" rpc 'io:format("héllo ~ts~n", [[9786]]), io:format(standard_error, "oops~n", []), 1.'
assert_eq 'héllo ☺' "$(cat "$WORK/out")" "stdout of Erlang"
assert_eq oops "$(cat "$WORK/err")" "stderr of Erlang"
assert_exit 0 "$notes" rpc 'IO.puts("héllo ☺"); IO.puts(:stderr, "oops"); 1'
assert_eq 'héllo ☺' "$(cat "$WORK/out")" "stdout of Elixir"
assert_eq oops "$(cat "$WORK/err")" "stderr of Elixir"
assert_exit 0 "$notes" rpc 'Task.await(Task.async(fn -> IO.puts("task"); IO.puts(:stderr, "of task") end))'
assert_eq task "$(cat "$WORK/out")" "stdout of a child"
assert_eq 'of task' "$(cat "$WORK/err")" "stderr of a child"

# --- the value only when it is asked for, whole
assert_exit 0 "$shop" rpc '1 + 1'
assert_eq '' "$(cat "$WORK/out")"
assert_exit 0 "$shop" rpc --print '{a, "é", <<"b">>}'
assert_eq '{a,"é",<<"b">>}' "$(cat "$WORK/out")"
assert_exit 0 "$notes" rpc --print 'Enum.to_list(1..200) |> length |> then(&{&1, "é"})'
assert_eq '{200, "é"}' "$(cat "$WORK/out")"
assert_exit 0 "$notes" rpc --print 'Enum.to_list(1..200)'
assert_match '199, 200\]$' "$(cat "$WORK/out")" "a long list"
assert_exit 0 "$notes" rpc --json 'IO.puts("out"); IO.puts(:stderr, "err"); :value'
assert_eq '{"stderr":"err\n","stdout":"out\n","value":":value"}' "$(cat "$WORK/out")"

# --- exceptions: whole on stderr, exit 1, nothing on stdout
for expr in '1/0' 'exit(boom)' 'throw(boom)' 'no_such:fn()' 'foo(' '' 'exit(self(), kill)'; do
    assert_exit 1 "$shop" rpc "$expr"
    assert_eq '' "$(cat "$WORK/out")" "stdout of $expr"
    assert_match '^\*\* ' "$(cat "$WORK/err")" "stderr of $expr"
done
for expr in 'raise "boom"' 'exit(:boom)' 'throw(:boom)' 'NoSuch.fun()' 'foo('; do
    assert_exit 1 "$notes" rpc "$expr"
    assert_eq '' "$(cat "$WORK/out")" "stdout of $expr"
    assert_match '^\*\* \(' "$(cat "$WORK/err")" "stderr of $expr"
done
assert_exit 1 "$notes" rpc --json 'IO.puts("before"); raise "boom"'
assert_match '"stdout":"before\\n","value":null' "$(cat "$WORK/out")"
assert_match '"code":"remote"' "$(cat "$WORK/err")"
assert_exit 2 "$shop" rpc
assert_exit 2 "$shop" rpc 1 --timeout soon

# --- the io protocol
assert_exit 0 "$shop" rpc --print '{io:columns(), io:get_line("> "), io:read("> "), io:getopts() =/= []}'
assert_eq '{{error,enotsup},eof,eof,true}' "$(cat "$WORK/out")"
assert_exit 0 "$shop" rpc 'io:put_chars([<<"a">>, $b, [99]]), io:fwrite("~s", [[233]]), io:nl()'
assert_eq 'abcé' "$(cat "$WORK/out")"

# --- much output, whole and in order
assert_exit 0 "$shop" rpc '[io:format("~p~n", [N]) || N <- lists:seq(1, 20000)], ok'
seq 20000 | cmp - "$WORK/out" || fail "20,000 lines came back changed"
assert_exit 0 "$shop" rpc 'io:put_chars(binary:copy(<<"0123456789abcdef">>, 1048576))'
assert_eq $((16 << 20)) "$(stat -c %s "$WORK/out")" "16 MiB in one piece"

# --- the deadline: the evaluating process is killed over there
assert_exit 1 "$shop" rpc 'register(sleeper, self()), timer:sleep(60000)' --timeout 300ms
assert_match 'did not end within' "$(cat "$WORK/err")"
wait_until 5 quiet_true "$shop" rpc --print 'whereis(sleeper) =:= undefined'

# --- a client that goes takes its evaluation with it
"$shop" rpc 'register(sleeper, self()), timer:sleep(60000)' >/dev/null 2>&1 &
client=$!
wait_until 5 quiet_true "$shop" rpc --print 'is_pid(whereis(sleeper))'
kill "$client"
wait_until 5 quiet_true "$shop" rpc --print 'whereis(sleeper) =:= undefined'
# ... and so does one whose reader is gone
timeout 20 "$shop" rpc 'register(sleeper, self()), (fun F() -> io:format("y~n"), F() end)()' 2>/dev/null | head -n 1 >/dev/null || true
wait_until 5 quiet_true "$shop" rpc --print 'whereis(sleeper) =:= undefined'

# --- a process left behind prints to `user`, and is alive
assert_exit 0 "$shop" rpc 'spawn(fun() -> register(left, self()), timer:sleep(60000) end), ok'
wait_until 5 quiet_true "$shop" rpc --print \
    'process_info(whereis(left), group_leader) =:= {group_leader, whereis(user)}'

# --- no trace and no process stays
wait_until 5 quiet_true "$shop" rpc --print \
    'self() =/= ok andalso [P || P <- processes(), element(2, erlang:trace_info(P, flags)) =/= [], P =/= self()] =:= []'
