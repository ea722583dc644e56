#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Starts this release and works with it. 'rpc', 'stop' and their like are on a short way to relctl:
# until the exec there is no other process, so keep forks out of what runs before the case.
set -e

relpack_self=$0
while [ -h "$relpack_self" ]; do
  relpack_link=$(readlink "$relpack_self")
  case $relpack_link in
    /*) relpack_self=$relpack_link ;;
    *) relpack_self=${relpack_self%/*}/$relpack_link ;;
  esac
done
case $relpack_self in
  */*) ;;
  *) relpack_self=$(command -v "$relpack_self") ;;
esac

# The real folder: 'current' may point elsewhere a moment later.
relpack_started_in=$PWD
CDPATH='' cd -P "${relpack_self%/*}/.." 2>/dev/null
RELEASE_ROOT=$PWD
cd "$relpack_started_in" 2>/dev/null || :
RELEASE_NAME=${RELEASE_NAME:-${relpack_self##*/}}
if [ -z "$RELEASE_VSN" ]; then
  read -r _ RELEASE_VSN _ <"$RELEASE_ROOT/releases/start_erl.data" || [ -n "$RELEASE_VSN" ]
fi
RELEASE_COMMAND=${1:-}
RELEASE_PROG=${RELEASE_PROG:-${0##*/}}
export RELEASE_ROOT RELEASE_NAME RELEASE_VSN RELEASE_COMMAND RELEASE_PROG

REL_VSN_DIR=$RELEASE_ROOT/releases/$RELEASE_VSN
if [ -f "$REL_VSN_DIR/env.sh" ]; then
  # shellcheck source=/dev/null
  . "$REL_VSN_DIR/env.sh"
fi

RELEASE_MODE=${RELEASE_MODE:-embedded}
RELEASE_TMP=${RELEASE_TMP:-$RELEASE_ROOT/tmp}
RELEASE_VM_ARGS=${RELEASE_VM_ARGS:-$REL_VSN_DIR/vm.args}
RELEASE_REMOTE_VM_ARGS=${RELEASE_REMOTE_VM_ARGS:-$REL_VSN_DIR/remote.vm.args}
RELEASE_SYS_CONFIG=${RELEASE_SYS_CONFIG:-$REL_VSN_DIR/sys}
RELEASE_BOOT_SCRIPT=${RELEASE_BOOT_SCRIPT:-start}
RELEASE_BOOT_SCRIPT_CLEAN=${RELEASE_BOOT_SCRIPT_CLEAN:-start_clean}
export RELEASE_MODE RELEASE_TMP RELEASE_VM_ARGS RELEASE_REMOTE_VM_ARGS RELEASE_SYS_CONFIG
export RELEASE_BOOT_SCRIPT RELEASE_BOOT_SCRIPT_CLEAN
relpack_ctl=$RELEASE_ROOT/bin/relctl

usage () {
  echo "Usage: $RELEASE_PROG COMMAND [ARGS]

The known commands are:

    start          Starts the system
    start_iex      Starts the system with a shell attached
    daemon         Starts the system as a daemon, returns when it runs
    daemon_iex     Starts the system as a daemon with a shell attached
    eval EXPR      Executes the given expression on a new, non-booted system
    rpc EXPR       Executes the given expression on the running system
                   (--print prints its value too, --timeout S, --json)
    remote         Connects to the running system via a remote shell
    restart        Restarts the running system inside its process
    stop           Stops the running system and waits until it is gone
    pid            Prints the operating system PID of the running system
    ping           Prints pong when the running system answers
    version        Prints the release name and version to be booted
    status         Runs the status hooks of the release; without one as ping
" >&2
}

# A script of the release is read into this shell, as relx has it, so that it can set variables; and as there it may end
# with a command that fails. (dash forgets in a sourced file that it stands before a '||'.) It has our standard input: the
# list of hooks is read from another descriptor.
source_script () {
  relpack_script=$1
  shift
  set +e
  # shellcheck source=/dev/null
  . "$RELEASE_ROOT/$relpack_script"
  relpack_script_status=$?
  set -e
  return $relpack_script_status
}

# Each line of the hooks is: when, what, argument.
run_hooks () {
  [ -f "$REL_VSN_DIR/hooks" ] || return 0
  relpack_hook=$1
  while read -r relpack_when relpack_what relpack_arg <&3; do
    [ "$relpack_when" = "$relpack_hook" ] || continue
    relpack_ran_hook=yes
    case $relpack_what in
      custom) source_script "$relpack_arg" || : ;;
      pid) "$relpack_ctl" pid --root "$RELEASE_ROOT" >"$relpack_arg" ;;
      wait_for_vm_start) "$relpack_ctl" await --root "$RELEASE_ROOT" ;;
      wait_for_process)
        "$relpack_ctl" rpc --root "$RELEASE_ROOT" "F = fun F(0) -> exit(timeout);
          F(N) -> case whereis($relpack_arg) of undefined -> timer:sleep(100), F(N - 1); _ -> ok end end, F(300)."
        ;;
    esac
  done 3<"$REL_VSN_DIR/hooks"
}

has_hook () {
  [ -f "$REL_VSN_DIR/hooks" ] || return 1
  while read -r relpack_when relpack_what relpack_arg <&3; do
    [ "$relpack_when" != "$1" ] || return 0
  done 3<"$REL_VSN_DIR/hooks"
  return 1
}

# The hooks behind the start run beside the VM, which takes the place of this shell. They are no child of it, and give
# up when it has not booted in a minute.
run_post_start () {
  [ -z "$RELSUP_GENERATION" ] || return 0 # a candidate may never serve
  has_hook post_start || return 0
  ( (
    "$relpack_ctl" await --root "$RELEASE_ROOT" >/dev/null && run_hooks post_start
  ) & )
}

stop_with_hooks () {
  run_hooks pre_stop
  relpack_status=0
  "$relpack_ctl" stop --root "$RELEASE_ROOT" "$@" || relpack_status=$?
  run_hooks post_stop
  exit $relpack_status
}

# A command of the release's own, or none.
run_command () {
  [ -f "$REL_VSN_DIR/hooks" ] || return 0
  while read -r relpack_when relpack_what relpack_arg <&3; do
    [ "$relpack_when,$relpack_what" = "command,$RELEASE_COMMAND" ] || continue
    source_script "$relpack_arg" "$@" || exit $?
    exit
  done 3<"$REL_VSN_DIR/hooks"
}

# Where a VM can work: it lists its working directory, and says so at length if it may not.
enter_working_dir () {
  if [ ! -r . ] || [ ! -x . ]; then
    cd "$RELEASE_ROOT"
  fi
}

has_elixir () {
  for relpack_elixir_dir in "$RELEASE_ROOT"/lib/elixir-*; do
    [ -d "$relpack_elixir_dir" ] && return
  done
  return 1
}

# As the iex script of that Elixir has it.
iex_user () {
  case ${relpack_elixir_dir##*/elixir-} in
    1.[0-9].* | 1.1[0-4].*) echo Elixir.IEx.CLI ;;
    *) echo elixir ;;
  esac
}

# Replaces this shell by the VM, with the same process id.
exec_vm () {
  read -r relpack_erts_vsn _ <"$RELEASE_ROOT/releases/start_erl.data" || [ -n "$relpack_erts_vsn" ]
  BINDIR=$RELEASE_ROOT/erts-$relpack_erts_vsn/bin
  # What OpenSSL loads by name, where its libraries travel along.
  if [ -z "$OPENSSL_MODULES" ] && [ -d "${BINDIR%/bin}/lib/ossl-modules" ]; then
    OPENSSL_MODULES=${BINDIR%/bin}/lib/ossl-modules
    export OPENSSL_MODULES
  fi
  if [ ! -x "$BINDIR/erlexec" ]; then
    exec erl "$@"
  fi
  ROOTDIR=${ERL_ROOTDIR:-$RELEASE_ROOT}
  EMU=beam
  PROGNAME=erl
  export BINDIR ROOTDIR EMU PROGNAME
  exec "$BINDIR/erlexec" "$@"
}

# Cookie, port, contact and private copies of the files; a peer of relsup has got all but the last.
prepare () {
  if [ -n "$RELSUP_GENERATION" ] || [ "$1" = eval ]; then
    relpack_prepared=$("$relpack_ctl" prepare --root "$RELEASE_ROOT" --pid $$) || exit $?
  else
    relpack_prepared=$("$relpack_ctl" prepare --root "$RELEASE_ROOT" --pid $$ --node) || exit $?
  fi
  eval "$relpack_prepared"
  export RELEASE_VM_ARGS RELEASE_SYS_CONFIG RELEASE_NODE
  # Where all is read-only, the application finds a place for its own temporary files, too.
  if [ -z "$TMPDIR" ] && [ ! -w /tmp ]; then
    TMPDIR=$RELEASE_TMP
    export TMPDIR
  fi
}

# Starts the VM with the flags that name it in front of the given ones. A peer of relsup gets cookie,
# port and interface by ERL_AFLAGS.
exec_node () {
  [ -n "$RELEASE_NODE" ] || exec_vm "$@"
  case $RELEASE_DISTRIBUTION,$RELEASE_NODE in
    none,*) exec_vm "$@" ;;
    name,* | *@*.*) relpack_name_flag=-name ;;
    *) relpack_name_flag=-sname ;;
  esac
  if [ -n "$RELSUP_GENERATION" ]; then
    exec_vm "$relpack_name_flag" "$RELEASE_NODE" "$@"
  fi
  XDG_CONFIG_HOME=$RELEASE_TMP/secret
  export XDG_CONFIG_HOME
  set -- "$relpack_name_flag" "$RELEASE_NODE" -setcookie -home x "$@"
  if [ -n "$RELEASE_DIST_PORT" ]; then
    set -- -start_epmd false -erl_epmd_port "$RELEASE_DIST_PORT" \
      -kernel inet_dist_use_interface '{127,0,0,1}' "$@"
  fi
  exec_vm "$@"
}

# start_vm shell|plain
start_vm () {
  relpack_kind=$1
  enter_working_dir
  run_hooks pre_start
  prepare start
  run_post_start
  if has_elixir; then
    set -- -noshell
    if [ -t 1 ] && [ -t 2 ] && [ -z "$NO_COLOR" ]; then
      set -- "$@" -elixir ansi_enabled true
    fi
    if [ "$relpack_kind" = shell ]; then
      set -- "$@" -user "$(iex_user)" -extra --no-halt +iex
    else
      set -- "$@" -s elixir start_cli -extra --no-halt
    fi
  elif [ "$relpack_kind" = shell ]; then
    set --
  else
    set -- -noshell -noinput +Bd
  fi
  [ -z "$RELEASE_VM_ARGS" ] || set -- -args_file "$RELEASE_VM_ARGS" "$@"
  # ELIXIR_ERL_OPTIONS is a list of flags.
  # shellcheck disable=SC2086
  exec_node -mode "$RELEASE_MODE" -boot "$REL_VSN_DIR/$RELEASE_BOOT_SCRIPT" \
    -boot_var RELEASE_LIB "$RELEASE_ROOT/lib" -config "$RELEASE_SYS_CONFIG" \
    $ELIXIR_ERL_OPTIONS "$@"
}

# run_erl gives what it is told to 'sh -c', in our environment: that is where the paths are.
start_daemon () {
  if [ "$RELCTL_DAEMON" = yes ]; then
    unset RELCTL_DAEMON RELCTL_SELF
    start_vm "$1"
  fi
  enter_working_dir
  read -r relpack_erts_vsn _ <"$RELEASE_ROOT/releases/start_erl.data" || [ -n "$relpack_erts_vsn" ]
  relpack_run_erl=$RELEASE_ROOT/erts-$relpack_erts_vsn/bin/run_erl
  [ -x "$relpack_run_erl" ] || relpack_run_erl=run_erl
  "$relpack_ctl" prepare --root "$RELEASE_ROOT" --folders || exit $?
  if "$relpack_ctl" ping --root "$RELEASE_ROOT" >/dev/null 2>&1; then
    echo "$RELEASE_PROG: $RELEASE_NAME runs already" >&2
    exit 2
  fi
  RELCTL_DAEMON=yes RELCTL_SELF=$RELEASE_ROOT/bin/${relpack_self##*/} \
    "$relpack_run_erl" -daemon "$RELEASE_TMP/pipe/" "$RELEASE_TMP/log/" \
    "exec \"\$RELCTL_SELF\" $RELEASE_COMMAND"
  "$relpack_ctl" await --root "$RELEASE_ROOT" || {
    relpack_status=$?
    echo "$RELEASE_PROG: see $RELEASE_TMP/log" >&2
    exit $relpack_status
  }
}

# The expression is the VM's last argument; what is behind it is for the expression.
relpack_erlang_eval='
  io:setopts(standard_io, [{encoding, unicode}]),
  [Expr | _] = init:get_plain_arguments(),
  Fail = fun(Format, Args) ->
    io:format(standard_error, Format, Args), erlang:halt(1) end,
  Parse = fun(Tokens) ->
    Whole = case Tokens =/= [] andalso lists:last(Tokens) of
      {dot, _} -> Tokens; _ -> Tokens ++ [{dot, 1}] end,
    case erl_parse:parse_exprs(Whole) of
      {ok, Exprs} -> Exprs;
      {error, {_, Mod, Why}} -> Fail("** ~ts~n", [Mod:format_error(Why)]) end end,
  case erl_scan:string(Expr) of
    {ok, Tokens, _} ->
      Exprs = Parse(Tokens),
      try erl_eval:exprs(Exprs, erl_eval:new_bindings()) of _ -> erlang:halt(0)
      catch Class:Reason:Stack ->
        Fail("** ~ts~n", [erl_error:format_exception(Class, Reason, Stack, #{stack_trim_fun =>
          fun(M, _, _) -> M =:= erl_eval orelse M =:= init end})]) end;
    {error, {_, Mod, Why}, _} -> Fail("** ~ts~n", [Mod:format_error(Why)])
  end.'

eval_in_new_vm () {
  if [ -z "$1" ]; then
    echo "$RELEASE_PROG: eval expects an expression as argument" >&2
    exit 2
  fi
  enter_working_dir
  prepare eval
  ERL_CRASH_DUMP_SECONDS=${ERL_CRASH_DUMP_SECONDS:-0}
  export ERL_CRASH_DUMP_SECONDS
  relpack_expr=$1
  shift
  [ "$1" = -- ] || [ $# -eq 0 ] || set -- -- "$@"
  if has_elixir; then
    set -- -noshell -s elixir start_cli -extra --eval "$relpack_expr" "$@"
  else
    set -- -noshell -noinput +Bd -eval "$relpack_erlang_eval" -extra "$relpack_expr" "$@"
  fi
  [ -z "$RELEASE_VM_ARGS" ] || set -- -args_file "$RELEASE_VM_ARGS" "$@"
  # shellcheck disable=SC2086
  exec_vm -boot "$REL_VSN_DIR/$RELEASE_BOOT_SCRIPT_CLEAN" \
    -boot_var RELEASE_LIB "$RELEASE_ROOT/lib" -config "$RELEASE_SYS_CONFIG" \
    $ELIXIR_ERL_OPTIONS "$@"
}

[ $# -eq 0 ] || shift
case $RELEASE_COMMAND in
  stop)
    if has_hook pre_stop || has_hook post_stop; then
      stop_with_hooks "$@"
    fi
    exec "$relpack_ctl" stop --root "$RELEASE_ROOT" "$@"
    ;;
  status)
    relpack_ran_hook=no
    run_hooks status
    [ $relpack_ran_hook = yes ] || exec "$relpack_ctl" ping --root "$RELEASE_ROOT" "$@"
    ;;
  rpc | restart | pid | ping | remote)
    exec "$relpack_ctl" "$RELEASE_COMMAND" --root "$RELEASE_ROOT" "$@"
    ;;
  remote_console)
    exec "$relpack_ctl" remote --root "$RELEASE_ROOT" "$@"
    ;;
  start | foreground)
    start_vm plain
    ;;
  start_iex | console)
    start_vm shell
    ;;
  daemon)
    start_daemon plain
    ;;
  daemon_iex)
    start_daemon shell
    ;;
  eval)
    eval_in_new_vm "$@"
    ;;
  version)
    echo "$RELEASE_NAME $RELEASE_VSN"
    ;;
  help | --help | -h)
    usage
    ;;
  *)
    [ -z "$RELEASE_COMMAND" ] || run_command "$@"
    usage
    [ -z "$RELEASE_COMMAND" ] || echo "$RELEASE_PROG: unknown command '$RELEASE_COMMAND'" >&2
    exit 2
    ;;
esac
