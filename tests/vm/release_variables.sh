#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The variables RELEASE_* mean what they mean in a release of mix: to env.sh, to the application, and given from outside.
. "$(dirname "$0")/../support/lib.sh"

mkdir "$WORK/mix" "$WORK/ours"
tar -C "$WORK/mix" -xzf "$(build_release notes 0.1.0 mix)"
tar -C "$WORK/ours" -xzf "$(build_release notes 0.1.0 relpack)"
export DATABASE_PATH=$WORK/notes.db PORT=0

# What env.sh sees and what the VM sees, one variable a line, ROOT for the folder of the release.
variables() { # TREE [NAME=VALUE...]
    local root=$WORK/$1

    shift
    cp "$root/releases/0.1.0/env.sh" "$WORK/env.sh"
    echo "env | grep ^RELEASE_ | sed 's/^/env.sh /' >$WORK/seen" >>"$root/releases/0.1.0/env.sh"
    env "$@" "$root/bin/notes" eval 'for {k, v} <- System.get_env(), String.starts_with?(k, "RELEASE_"), do: IO.puts("vm #{k}=#{v}")' \
        >"$WORK/out" 2>"$WORK/err" || fail "eval: $(cat "$WORK/err")"
    cp "$WORK/env.sh" "$root/releases/0.1.0/env.sh"
    cat "$WORK/seen" "$WORK/out" | sed "s|$root|ROOT|g" | sort
}

# A cookie is made by the node's own start, the node and its distribution are named there (docs/mix.md). With providers
# the VM reads a copy of sys.config, whose name is relpack's own matter.
compare() { # NAME=VALUE...
    local tree

    for tree in mix ours; do
        variables $tree "$@" | grep -vE 'RELEASE_(COOKIE|NODE|DISTRIBUTION)=|^vm RELEASE_SYS_CONFIG=' >"$WORK/$tree.variables"
    done
    diff "$WORK/mix.variables" "$WORK/ours.variables" || fail "variables differ with $*"
}
compare A=B
mkdir "$WORK/tmp"
cp "$WORK/ours/releases/0.1.0/vm.args" "$WORK/my.args"
compare RELEASE_TMP="$WORK/tmp" RELEASE_MODE=interactive RELEASE_PROG=other RELEASE_VM_ARGS="$WORK/my.args" \
    RELEASE_BOOT_SCRIPT_CLEAN=start_clean RELEASE_REMOTE_VM_ARGS="$WORK/my.args"

# RELEASE_NODE, RELEASE_COOKIE and ELIXIR_ERL_OPTIONS of a release that is started
start_bg notes env RELEASE_NODE=given RELEASE_COOKIE=oatmeal ELIXIR_ERL_OPTIONS='+P 300000' RELEASE_TMP="$WORK/tmp" "$WORK/ours/bin/notes" start
export RELEASE_NODE=given RELEASE_TMP=$WORK/tmp
wait_until 30 "$WORK/ours/bin/notes" rpc 'true = List.keymember?(Application.started_applications(), :notes, 0)'
assert_exit 0 "$WORK/ours/bin/notes" rpc 'IO.inspect({Node.self() |> to_string() |> String.split("@") |> hd(), Node.get_cookie(),
    :erlang.system_info(:process_limit) >= 300_000, System.get_env("RELEASE_COMMAND")})'
assert_eq '{"given", :oatmeal, true, "start"}' "$(cat "$WORK/out")" "what was given"
if grep -ls oatmeal /proc/[0-9]*/cmdline; then
    fail "the cookie is on a command line"
fi
assert_exit 0 "$WORK/ours/bin/notes" stop

# The launcher's own variables have names that nobody else uses (OTP's and those it documents aside): one that is in the
# environment already would reach the application with the launcher's value.
taken=$({
    sed '/^ *#/d' "$WORK/ours/bin/notes" "$WORK/ours"/erts-*/bin/erl | grep -oE '(^|[ ;(])[A-Za-z_]+=' | tr -d ' ;(='
    grep -ohE 'read -r .*<' "$WORK/ours/bin/notes" | grep -oE '[A-Za-z_]+'
} | grep -vE '^(relpack_.*|RELEASE_.*|RELCTL_.*|BINDIR|ROOTDIR|EMU|PROGNAME|CDPATH|TMPDIR|XDG_CONFIG_HOME|OPENSSL_MODULES|REL_VSN_DIR|ERL_.*|_|read|r|F)$' | sort -u) || true
assert_eq "" "$taken" "names of the launcher's variables"
names=(SELF LINK KIND STATUS HOOK WHEN WHAT ARG EXPR SCRIPT PREPARED ERTS_VSN)
ask=$(printf '"%s",' "${names[@]}")
ask="IO.inspect(Enum.reject([${ask%,}], &System.get_env(&1) == \"mine\"), label: \"taken\")"
unset RELEASE_NODE
assert_exit 0 env "${names[@]/%/=mine}" "$WORK/ours/bin/notes" eval "$ask"
assert_eq 'taken: []' "$(cat "$WORK/out")" "eval"
start_bg notes env "${names[@]/%/=mine}" "$WORK/ours/bin/notes" start
wait_until 30 "$WORK/ours/bin/notes" rpc 'true = List.keymember?(Application.started_applications(), :notes, 0)'
assert_exit 0 "$WORK/ours/bin/notes" rpc "$ask"
assert_eq 'taken: []' "$(cat "$WORK/out")" "start"
assert_exit 0 "$WORK/ours/bin/notes" stop
wait_until 20 gone "$BG_PID"
assert_exit 0 env "${names[@]/%/=mine}" "$WORK/ours/bin/notes" daemon
assert_exit 0 "$WORK/ours/bin/notes" rpc "$ask; IO.inspect(for {\"RELCTL\" <> _ = name, _} <- System.get_env(), do: name)"
assert_eq 'taken: [] []' "$(paste -sd ' ' "$WORK/out")" "daemon"
assert_exit 0 "$WORK/ours/bin/notes" stop
