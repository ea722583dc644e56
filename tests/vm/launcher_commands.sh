#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The launcher's commands on an Erlang and an Elixir release: from any place, as a daemon, by another user.
# shellcheck disable=SC2016 # the expressions are not the shell's
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/fake_release.sh"

fake_release shop erlang "$WORK/a home/erl"
fake_release notes elixir "$WORK/a home/ex"
export RELEASE_TMP=$WORK/tmp
shop="$WORK/a home/erl/bin/shop" notes="$WORK/a home/ex/bin/notes"

# in_shell LAUNCHER PROMPT INPUT OUTPUT: a remote shell on a pseudo-terminal
in_shell() {
    rm -f "$WORK/keys" "$WORK/shell"
    mkfifo "$WORK/keys"
    exec 5<>"$WORK/keys"
    script -qefc "'$1' remote" "$WORK/shell" <&5 >/dev/null 2>&1 &
    own_pid $!
    wait_until 10 grep -q "$2" "$WORK/shell"
    echo "$3" >&5
    wait_until 10 grep -q "^$4" "$WORK/shell"
    stop_bg "${OWN_PIDS[-1]}"
    exec 5>&-
}

# --- without a VM
assert_exit 0 "$shop" version
assert_eq 'shop 0.1.0' "$(cat "$WORK/out")"
for command in ping pid stop restart 'rpc 1'; do
    # shellcheck disable=SC2086
    assert_exit 1 "$shop" $command
    assert_eq 1 "$(wc -l <"$WORK/err")" "lines of '$command' without a node"
    assert_match 'shop is not running' "$(cat "$WORK/err")" "$command"
done
assert_exit 2 "$shop" stort
assert_match "unknown command 'stort'" "$(cat "$WORK/err")"
assert_match 'Usage: shop COMMAND' "$(cat "$WORK/err")"
assert_exit 2 "$shop"
assert_exit 2 env RELEASE_DISTRIBUTION=bogus "$shop" start
assert_match "RELEASE_DISTRIBUTION is 'bogus'" "$(cat "$WORK/err")"

# --- from any place: links to the file and to the folder, relative, by PATH
ln -s "$shop" "$WORK/link"
ln -s "../$(basename "$WORK")/link" "$WORK/link2"
ln -s "$WORK/a home/erl" "$WORK/current"
for call in "$WORK/link" "$WORK/link2" "$WORK/current/bin/shop"; do
    assert_eq 'shop 0.1.0' "$("$call" version)" "$call"
done
assert_eq 'shop 0.1.0' "$(cd "$WORK/current/bin" && ./shop version)"
assert_eq 'shop 0.1.0' "$(cd / && PATH="$WORK/current/bin:$PATH" shop version)"

# --- eval
assert_exit 0 "$shop" eval 'io:format("~ts ~p~n", ["héllo ☺", tl(init:get_plain_arguments())])' a 'b c'
assert_eq 'héllo ☺ ["--","a","b c"]' "$(cat "$WORK/out")"
assert_exit 0 "$notes" eval 'IO.inspect({"héllo ☺", System.argv()})' -- a 'b c'
assert_eq '{"héllo ☺", ["a", "b c"]}' "$(cat "$WORK/out")"
for expr in 'foo:bar()' 'foo(' 'exit(x)'; do
    (cd "$WORK" && assert_exit 1 "$shop" eval "$expr") || exit 1
    assert_match '^\*\* ' "$(cat "$WORK/err")" "stderr of $expr"
done
assert_exit 1 "$notes" eval 'raise "boom"'
assert_match 'RuntimeError\) boom' "$(cat "$WORK/err")"
assert_exit 7 "$notes" eval 'System.halt(7)'
assert_exit 2 "$shop" eval
[ ! -e "$WORK/erl_crash.dump" ] || fail "eval left a crash dump"

# --- start in the foreground: the launcher becomes the VM
start_bg shop "$shop" start
pid=$BG_PID
wait_until 15 "$shop" ping
assert_exit 0 "$shop" pid
assert_eq "$pid" "$(cat "$WORK/out")" "the VM has the launcher's pid"
assert_eq pong "$("$shop" ping)"
assert_exit 2 "$shop" start
assert_match "runs already as process $pid" "$(cat "$WORK/err")"
assert_exit 2 "$shop" daemon
assert_match 'runs already' "$(cat "$WORK/err")"

# --- a shell needs a terminal; with one it is in the node
assert_exit 2 "$shop" remote </dev/null
in_shell "$shop" '(shop@localhost)1>' 'io:format("at ~s~n", [os:getpid()]).' "at $pid"
assert_eq true "$("$shop" rpc --print 'erlang:is_process_alive(whereis(init))')" "the node after the shell"

# --- restart: the same process, another life
"$shop" rpc 'application:set_env(kernel, relpack_mark, 1)'
assert_exit 0 "$shop" restart
assert_eq undefined "$("$shop" rpc --print 'application:get_env(kernel, relpack_mark)')"
assert_eq "$pid" "$("$shop" pid)"

# --- stop returns when it is gone
assert_exit 0 "$shop" stop
gone "$pid" || fail "stop returned while the VM still ran"

# --- stop && start, again and again, as a daemon with a shell
for _ in 1 2 3 4 5; do
    assert_exit 0 "$notes" daemon
    pid=$("$notes" pid)
    own_pid "$pid"
    assert_exit 0 "$notes" stop
    gone "$pid" || fail "stop returned while the VM still ran"
done
assert_exit 0 "$notes" daemon_iex
own_pid "$("$notes" pid)"
in_shell "$notes" 'iex(notes@localhost)1>' 'IO.puts("at " <> System.pid())' "at $("$notes" pid)"
assert_exit 0 "$notes" stop

# --- a daemon that does not boot is told, soon
assert_exit 1 env ERL_FLAGS='-s no_such_module' "$shop" daemon
assert_match 'see .*/log' "$(cat "$WORK/err")"
