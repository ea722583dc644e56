#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# relpack appup: of an application with a process of every kind, the derived appup is the one a person would write, and
# OTP follows it up and down, and so does relsup: processes stay, their states are converted.
. "$(dirname "$0")/../support/lib.sh"

old=$(build_release ledger 0.1.0 relpack first)
new=$(build_release ledger 0.2.0 relpack)
mkdir "$WORK/old" "$WORK/new"
tar -C "$WORK/old" -xzf "$old"
tar -C "$WORK/new" -xzf "$new"
cd "$WORK" || exit 1
appup=$WORK/new/lib/ledger-0.2.0/ebin/ledger.appup

# What is derived. A circle (names, sum) is left as it is: systools takes it as one.
assert_exit 0 relpack appup "$old" "$new" --dry-run
assert_match 'ledger_sup takes its new child specifications' "$(cat err)"
cp out terms
cat >want <<'ERL'
Changed = [{load_module, ledger_names, [ledger_sum]},
    {load_module, ledger_sum, [ledger_names]},
    {update, ledger_account, {advanced, []}},
    {update, ledger_bell, {advanced, []}},
    {update, ledger_clock, soft},
    {update, ledger_gate, {advanced, []}},
    {update, ledger_sup, supervisor},
    {update, ledger_tap, {advanced, []}}],
{"0.2.0",
 [{"0.1.0", [{add_module, ledger_tax} | Changed] ++ [{delete_module, ledger_gone}]}],
 [{"0.1.0", [{add_module, ledger_gone} | lists:reverse(Changed)] ++ [{delete_module, ledger_tax}]}]}.
ERL
same_as_wanted() { # FILE
    erl -noshell -eval '{ok, Want} = file:script("want"), {ok, [Got]} = file:consult("'"$1"'"),
        Want =:= Got orelse begin io:format("~p~n", [Got]), halt(1) end, halt().' || fail "$1 holds something else"
}
same_as_wanted terms
[ ! -e "$appup" ] || fail "a dry run wrote $appup"

# Where it goes: beside a tarball into the working directory, in a folder into the ebin; the same bytes each time.
assert_exit 0 relpack appup "$old" "$new" --output here/below
assert_match "here/below/ledger.appup" "$(cat out)"
(mkdir plain && cd plain && relpack appup "$old" "$new" --quiet >/dev/null)
assert_exit 0 relpack appup old new --json
assert_eq "ledger derived $appup" "$(python3 -c 'import json, os
[a] = json.load(open("out"))["appups"]
print(a["application"], a["origin"], os.path.abspath(a["file"]))')"
same_as_wanted "$appup"
cmp here/below/ledger.appup "$appup" || fail "the bytes differ"
cmp plain/ledger.appup "$appup" || fail "the bytes differ"

# It is kept now.
echo '%% mine' >>"$appup"
assert_exit 0 relpack appup old new
assert_match 'its own appup is kept' "$(cat out)"
grep -q '%% mine' "$appup" || fail "the appup was overwritten"
assert_exit 0 relpack appup old new --force
if grep -q '%% mine' "$appup"; then fail "--force did nothing"; fi

# OTP follows it.
node=$WORK/old/bin/ledger
ask() {
    timeout 60 "${rpc[@]}" --print "$1"
}
rpc=("$node" rpc)
states() {
    ask '{[sys:get_state(P) || P <- [ledger_account, ledger_gate, ledger_bell, ledger_feed]],
        gen_server:call(ledger_clock, which), ledger_account:total(), maps:get(shutdown, element(2, supervisor:get_childspec(ledger_sup, ledger_gate))),
        [erlang:module_loaded(M) || M <- [ledger_gone, ledger_tax]]}.' | tr -d ' \n'
}
pids() {
    ask '[whereis(P) || P <- [ledger_sup, ledger_account, ledger_gate, ledger_clock, ledger_bell, ledger_feed]].'
}
start_bg ledger "$node" start
wait_until 30 "$node" ping
assert_eq ok "$(ask 'ledger_account:add(20), ledger_account:add(1).')"
first='{[[1,20],{open,data},rings,[{ledger_tap,false,taps}]],"0.1.0",21,1000,[true,false]}'
second='{[{[1,20],1},{open,{changed,data}},{changed,rings},[{ledger_tap,false,{changed,taps}}]],{N,"0.2.0"},44,7000,[false,true]}'
assert_eq "$first" "$(states)" "before"
before=$(pids)
assert_match '^\{ok, ?\[' "$(ask "release_handler:upgrade_app(ledger, \"$WORK/new/lib/ledger-0.2.0\").")"
assert_eq "${second/N/1}" "$(states)" "after the way up"
assert_eq "$before" "$(pids)" "the processes"
assert_match '^\{ok, ?\[' "$(ask "release_handler:downgrade_app(ledger, \"0.1.0\", \"$WORK/old/lib/ledger-0.1.0\").")"
assert_eq "$first" "$(states)" "after the way down"
assert_eq "$before" "$(pids)" "the processes"
assert_exit 0 "$node" stop

# So does relsup.
rm new/releases/0.2.0/relpack.json # it does not know the appup
(cd new && tar -czf ../ledger-0.2.0.tar.gz -- *)
export RELSUP_HOME=$WORK/home
start_bg relsup relsup run "$old" --home "$RELSUP_HOME"
wait_until 40 running
rpc=(relsup rpc)
assert_eq ok "$(ask 'ledger_account:add(20), ledger_account:add(1).')"
before=$(pids)
assert_exit 0 relsup upgrade --hot ledger-0.2.0.tar.gz --dry-run
assert_match 'ledger: its appup is followed' "$(cat out)"
assert_exit 0 relsup upgrade --hot ledger-0.2.0.tar.gz
assert_eq "${second/N/0}" "$(states)" "after the way up by relsup"
assert_exit 0 relsup rollback
assert_eq "$first" "$(states)" "after the way down by relsup"
assert_eq "$before" "$(pids)" "the processes"
assert_exit 0 relsup stop
