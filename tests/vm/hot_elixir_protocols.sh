#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Consolidated protocols change as one set with the rest, up, down and for the next boot: who calls one all the time sees
# the old implementation or the new one, and never a protocol that has none.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"
. "$(dirname "$0")/../support/hot_elixir.sh"

peel='for fruit <- [7, struct(Orchard.Apple), :fig, "grape"], do: Orchard.Peel.peel(fruit)'
pear='{Orchard.Peel.peel(struct(Orchard.Pear)), to_string(struct(Orchard.Pear))}'
# Where the code comes from, and which folders of consolidated protocols are in the code path.
files='{for(m <- [Orchard.Peel, String.Chars], do: :code.which(m) |> Path.split() |> Enum.take(-3) |> Path.join()),
    for(path <- :code.get_path(), "consolidated" <- [Path.basename(path)], do: path |> Path.split() |> Enum.at(-2))}'
consolidated='for m <- [Orchard.Peel, String.Chars, Enumerable, Inspect], do: Protocol.consolidated?(m)'

at() { # VERSION
    is "[true, true, true, true]" "$consolidated"
    is "{[\"$1/consolidated/Elixir.Orchard.Peel.beam\", \"$1/consolidated/Elixir.String.Chars.beam\"], [\"$1\"]}" "$files"
    case $1 in
    0.1.0)
        is '[{1, 7}, {1, 0}, {:atom, :fig}, :unknown]' "$peel"
        is '{Orchard.Peel.Any, false, false}' '{Orchard.Peel.impl_for(struct(Range)), Code.ensure_loaded?(Orchard.Pear),
            Code.ensure_loaded?(String.Chars.Orchard.Pear)}'
        ;;
    0.2.0)
        is '[{2, 7}, {2, 0}, :unknown, :unknown]' "$peel"
        is '{{:juice, 5}, "a pear with 5 ml"}' "$pear"
        is '{Orchard.Peel.Orchard.Pear, false}' '{Orchard.Peel.impl_for(struct(Orchard.Pear)),
            Code.ensure_loaded?(Orchard.Peel.Atom)}'
        ;;
    esac
}

# Calls the protocol without a pause, and keeps what it was answered.
start_peeling() {
    do_there 'spawn(fn ->
        Process.register(self(), :peeler)
        peel = fn peel, seen ->
            seen = MapSet.put(seen, try do {Orchard.Peel.peel(7), to_string(7)} rescue e -> e end)
            receive do {:tell, to} -> send(to, {:seen, Enum.sort(seen)}) after 0 -> peel.(peel, seen) end
        end
        peel.(peel, MapSet.new())
    end)'
}

peeled() {
    ask '(send(:peeler, {:tell, self()}); receive do {:seen, all} -> all after 5000 -> :nothing end)'
}

two=$(build_release orchard 0.2.0)
start_orchard 0.1.0
at 0.1.0

assert_exit 0 hot "$two" --dry-run
for line in 'changed Elixir.Orchard.Peel \(consolidated protocol\)' \
    'changed Elixir.String.Chars \(consolidated protocol\)' 'added Elixir.Orchard.Peel.Orchard.Pear' \
    'removed Elixir.Orchard.Peel.Atom'; do
    assert_match "$line" "$(cat "$WORK/out")"
done
at 0.1.0

start_peeling
assert_exit 0 hot "$two"
assert_eq '[{{1, 7}, "7"}, {{2, 7}, "7"}]' "$(peeled)" "what a caller saw on the way up"
at 0.2.0

start_peeling
assert_exit 0 relsup rollback --hot
assert_eq '[{{1, 7}, "7"}, {{2, 7}, "7"}]' "$(peeled)" "what a caller saw on the way down"
at 0.1.0

# all or nothing: another module of the set fails
torn=$(build_release orchard 0.4.0 relpack torn)
assert_exit 3 hot "$torn"
assert_match "code_change of process Elixir.Orchard.Tree .* failed: .'Elixir.RuntimeError',<<\"this tree is torn\">>" "$(cat "$WORK/err")"
at 0.1.0

# the VM boots what it was changed to
assert_exit 0 hot "$two"
at 0.2.0
pid=$(relsup pid)
another_serves() {
    relsup status --json >"$WORK/out" && [ "$(field 'd["state"] == "running" and d["pid"] != '"$pid")" = True ]
}
kill -KILL "$pid"
wait_until 40 another_serves
at 0.2.0
is '{"mine", 2}' '{Application.get_env(:orchard, :taste), Application.get_env(:orchard, :rows)}'

# and back from there, where nothing was hot yet
assert_exit 0 relsup rollback --hot
at 0.1.0
nobody_is_held
end_home
