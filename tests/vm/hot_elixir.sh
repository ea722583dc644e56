#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every kind of process that an Elixir application has keeps its pid and takes its state over, up and down, several
# times in a row; and what a hot upgrade leaves to the swap.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"
. "$(dirname "$0")/../support/hot_elixir.sh"

# What is asked, and the answers of the two versions when it is asked for the %n-th time.
table() {
    cat <<'T'
Application.spec(:orchard, :vsn)|'0.1.0'|'0.2.0'
Orchard.Tree.grow()|%n|{%n, "tree 1"}
Orchard.Bee.fly(:maya)|{:slowly, %n}|{:fast, %n}
Orchard.Bee.fly(:willi)|{:slowly, %n}|{:fast, %n}
Orchard.Gate.push()|{:%gate, %n}|{:%gate, :times, %n}
Orchard.Fence.paint(%n)|{%m, %n, %n}|{%m, %n, :coats, %n}
Orchard.Lock.turn()|{:by_function, %n}|{:by_event, %n}
Orchard.Reader.read()|[%n, %n]|[read: %n, read: %n]
Orchard.Counter.partitions()|[%n, %n, %n]|[count: %n, count: %n, count: %n]
Orchard.Counter.count({:via, Registry, {Orchard.Names, "gate"}})|%n|{:count, %n}
Orchard.Counter.count(Orchard.Shed.Counter)|%n|{:count, %n}
Orchard.Basket.look()|{:fruits, [:fig, :apple]}|{:counted, 2, [:fig, :apple]}
Orchard.Picker.look()|{1, :picker}|{2, :picker}
Orchard.Stray.look()|{1, :stray}|{2, :stray}
Orchard.Hum.look(:drone)|{1, :drone}|{2, :drone}
GenServer.call(:lobby, :look)|{1, :room}|{2, :room}
GenServer.call(:page, :look)|{1, :view}|{2, :view}
Orchard.Socket.look()|{1, :socket}|{2, :socket}
Orchard.Yard.children()|[:kept, Orchard.Tree, :old]|[:last, :kept, Orchard.Tree, :first]
:sys.get_state(Orchard.Hives).max_children|1|2
length(DynamicSupervisor.which_children(Orchard.Swarm))|4|4
Enum.sort(Application.get_all_env(:orchard))|[gone: true, %runtime, rows: 1, taste: "mine"]|[added: true, %runtime, rows: 2, taste: "mine"]
T
}

asked=0
answers_as() { # 1 or 2
    local expr one two want n gates=(closed opened)

    n=$((asked += 1))
    while IFS='|' read -r expr one two; do
        want=$([ "$1" = 1 ] && echo "$one" || echo "$two")
        want=${want//%gate/${gates[n % 2]}} want=${want//%runtime/owner: \"of the environment\"}
        want=${want//%m/$((n - 1))} want=${want//%n/$n}
        is "$want" "${expr//%n/$n}"
    done < <(table)
    nobody_is_held
}

two=$(build_release orchard 0.2.0)
three=$(build_release orchard 0.3.0 relpack third)
start_orchard 0.1.0
do_there 'Orchard.Basket.put(:fig)'
answers_as 1
remember_processes

assert_exit 0 relpack diff "$(build_release orchard 0.1.0)" "$two"
assert_match 'Elixir.Orchard.Application changes: a hot upgrade does not run its start/2 again' "$(cat "$WORK/out")"

# the plan: nothing happens; what an --auto upgrade would do, and why
assert_exit 0 hot "$two" --dry-run
for line in 'orchard 0.1.0 -> 0.2.0' '1 gen_server of Elixir.Orchard.Tree' '2 gen_server of Elixir.Orchard.Bee' \
    '5 gen_server of Elixir.Orchard.Counter' '1 gen_server of Elixir.Orchard.Basket' '1 gen_statem of Elixir.Orchard.Gate' \
    '1 gen_statem of Elixir.Orchard.Fence' '1 gen_statem of Elixir.Orchard.Lock' '1 gen_event of Elixir.Orchard.Reader' \
    '1 gen_server of Elixir.Orchard.Picker' '1 gen_server of Elixir.Orchard.Stray' '1 gen_server of Elixir.Orchard.Drone' \
    '1 gen_server of Elixir.Orchard.Room' '1 gen_server of Elixir.Orchard.View' '1 gen_server of Elixir.Orchard.Socket' \
    'process Elixir.Orchard.Yard takes over the children' 'process Elixir.Orchard.Hives takes over the children' \
    'process Elixir.Orchard.Shed keeps its children: its init/1 makes a named table' \
    'orchard: added new \(told to config_change/3\)' 'orchard: gone removed' 'orchard: rows changed' \
    'Elixir.Orchard.Application: start/2 is not run again' 'orchard 0.1.0 can be changed to 0.2.0 in place'; do
    assert_match "$line" "$(cat "$WORK/out")"
done
[[ ! $(cat "$WORK/out") =~ (taste|PartitionSupervisor|Registry|Swarm|Errands) ]] || fail "${BASH_REMATCH[1]} is in the plan"
assert_exit 0 relsup upgrade --auto --dry-run "$two"
assert_match 'would be replaced by 0.2.0 by a swap: Elixir.Orchard.Application changed, and children that its start/2 lists' \
    "$(cat "$WORK/out")"
answers_as 1

# one does not take its old state over: all of them have theirs
assert_exit 3 hot "$(build_release orchard 0.4.0 relpack torn)"
assert_match "code_change of process Elixir.Orchard.Tree .* failed: .'Elixir.RuntimeError',<<\"this tree is torn\">>" "$(cat "$WORK/err")"
answers_as 1
no_process_is_lost

# up, while a short task runs: it ends as it began
do_there 'spawn(fn -> task = Task.Supervisor.async(Orchard.Errands, Orchard.Errand, :short, [])
    :persistent_term.put(:errand, Task.await(task, 20000)) end)'
assert_exit 0 hot "$two"
assert_match 'Elixir.Orchard.Application: start/2 is not run again' "$(cat "$WORK/out")" "what it says when it is done"
is 1 ':persistent_term.get(:errand)'
answers_as 2
no_process_is_lost
is "{[rows: 2], [added: true], [:gone]}" ':persistent_term.get(Orchard.Config)'
is "{:ok, :max_children}" '{Orchard.Hives.start_bee(:kassandra), Orchard.Hives.start_bee(:thekla)}'
is "nil" 'Process.whereis(Orchard.Late)'

# down
assert_exit 0 relsup rollback --hot
assert_match 'changed in place from 0.2.0' "$(cat "$WORK/out")"
answers_as 1
no_process_is_lost
is "{{:slowly, 1}, :max_children}" '{Orchard.Bee.fly(:kassandra), Orchard.Hives.start_bee(:thekla)}'
assert_match 'in place +0.1.0 > 0.2.0 > 0.1.0' "$(relsup status)"

# a task without an end lives in code that changes
do_there 'Task.Supervisor.start_child(Orchard.Errands, Orchard.Errand, :long, []) |> elem(1) |> Process.register(:long)'
assert_exit 1 hot "$two" --old-code refuse --wait 200ms
assert_match 'process long .plain process of Elixir.Orchard.Errand:long/0, in Elixir.Orchard.Errand:long/0. does not leave' "$(cat "$WORK/err")"
answers_as 1
do_there 'send(:long, :stop)'

# A function in a child specification is of the code that is purged with the second upgrade from there: the supervisor
# could not start that child any more.
do_there 'Orchard.Basket.spare()'
assert_exit 0 hot "$two"
assert_exit 2 relsup rollback --hot
assert_match '1 closure of Elixir.Orchard.Basket from before the last upgrade is still kept by process' "$(cat "$WORK/err")"
do_there 'DynamicSupervisor.terminate_child(Orchard.Swarm, Process.whereis(:spare))'
answers_as 2

# two in a row, and both back
assert_exit 0 hot "$three"
is "{:forest, $((asked + 1)), \"tree 2\"}" 'Orchard.Tree.grow()'
assert_exit 0 relsup rollback --hot
is "{$((asked + 2)), {:down, \"tree 2\"}}" 'Orchard.Tree.grow()'
assert_exit 0 relsup rollback --hot 0.1.0
is $((asked + 3)) 'Orchard.Tree.grow()'
no_process_is_lost
nobody_is_held
assert_match 'in place +0.1.0 > 0.2.0 > 0.1.0 > 0.2.0 > 0.3.0 > 0.2.0 > 0.1.0' "$(relsup status)"

# a swap after that, started from the files; and a hot upgrade after the swap
assert_exit 0 relsup upgrade --auto "$two"
assert_match 'by a swap, because Elixir.Orchard.Application changed' "$(cat "$WORK/err")"
is '{1, :init}' 'Orchard.Tree.grow()'
is '{:fast, 1}' 'Orchard.Bee.fly(Orchard.Late)'
assert_exit 0 hot "$three"
is '{:forest, 2, "tree 2"}' 'Orchard.Tree.grow()'
assert_match 'in place +0.2.0 > 0.3.0' "$(relsup status)"
end_home
