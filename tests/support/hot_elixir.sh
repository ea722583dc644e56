# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# For tests of hot upgrades of Elixir releases: tests/apps/orchard in a home. Source it after lib.sh and hot.sh.
#
#   start_orchard VERSION    in $RELSUP_HOME, with what config/runtime.exs reads, until it serves
#   is WANT EXPR             what an Elixir expression says in the active peer
#   do_there EXPR            evaluates it there
#   nobody_is_held           no process is suspended or keeps an old state
#   remember_processes       for:
#   no_process_is_lost       each of them still runs
start_orchard() {
    mkdir -p "$RELSUP_HOME"
    cat >"$RELSUP_HOME/relsup.json" <<'JSON'
{"hot_callbacks": {"Elixir.Orchard.Stray": "Elixir.Orchard.Stray", "Elixir.Orchard.Hum": "Elixir.Orchard.Drone"}}
JSON
    export TASTE=mine
    start_home "$(build_release orchard "$1")"
}

is() {
    assert_eq "$1" "$(ask "$2")" "$2"
}

do_there() {
    ask "$1" >"$WORK/out"
}

nobody_is_held() {
    is "[]" 'for p <- Process.list(), info = Process.info(p, [:dictionary, :current_function]),
        info[:current_function] == {:sys, :suspend_loop_hib, 6} or
            Enum.any?(info[:dictionary], fn {key, _} -> inspect(key) =~ "relsup_old" end), do: {p, info}'
}

# All of the application but the child that the newer release has no more.
remember_processes() {
    do_there ':persistent_term.put(:remembered, for(p <- Process.list(),
        :application.get_application(p) == {:ok, :orchard},
        {:old, p, :worker, [Agent]} not in Supervisor.which_children(Orchard.Yard), do: p))'
    is true 'length(:persistent_term.get(:remembered)) > 30'
}

no_process_is_lost() {
    is "[]" 'for p <- :persistent_term.get(:remembered), not Process.alive?(p), do: p'
}
