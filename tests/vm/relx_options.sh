#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a relx section may ask for: sys.config.src and vm.args.src filled in at boot, hooks and commands of its own, overlays,
# several releases of which one extends another.
. "$(dirname "$0")/../support/lib.sh"

P=$WORK/two
mkdir -p "$P/src" "$P/config" "$P/scripts"
cd "$P" || exit 1
cat >rebar.config <<'ERL'
{erl_opts, [deterministic]}.
{relx, [
    {release, {two, "1.0"}, [two, {runtime_tools, load}, {inets, transient}]},
    {release, {more, "2.0", {extend, two}}, [tools], [{include_erts, false}]},
    {sys_config_src, "config/sys.config.src"}, {vm_args_src, "config/vm.args.src"},
    {overlay_vars, [{place, "etc"}]},
    {overlay, [{mkdir, "var"}, {copy, "scripts", "bin/hooks"}, {template, "config/t", "{{place}}/t"},
               {link, "config/t", "etc/linked"}, {chmod, 8#755, "etc/t"}]},
    {extended_start_script_hooks, [
        {pre_start, [{custom, "hooks/pre_start"}]},
        {post_start, [{pid, "/tmp/relpack-no-such-folder/pid"}, wait_for_vm_start, {wait_for_process, two_proc}, {custom, "hooks/post_start"}]},
        {pre_stop, [{custom, "hooks/pre_stop"}]}, {post_stop, [{custom, "hooks/post_stop"}]}, {status, [{custom, "hooks/status"}]}]},
    {extended_start_script_extensions, [{greet, "hooks/greet"}]}]}.
ERL
sed -i "s|/tmp/relpack-no-such-folder|$WORK|" rebar.config
cat >src/two.app.src <<'ERL'
{application, two, [{description, "two"}, {vsn, "0.3"}, {registered, []}, {mod, {two, []}}, {applications, [kernel, stdlib, xmerl]}]}.
ERL
cat >src/two.erl <<'ERL'
-module(two).
-export([start/2, stop/1]).
start(_, _) -> {ok, spawn_link(fun() -> register(two_proc, self()), receive stop -> ok end end)}.
stop(_) -> ok.
ERL
printf -- '-module(two_extra).\n-export([f/0]).\nf() -> ok.\n' >src/two_extra.erl
# relx#953: braces in a default, a default in a default
cat >config/sys.config.src <<'ERL'
[{two, [{list, ${LIST:-{1,2,3}}}, {nested, "${NO:-${ALSO:-deep}}"}, {secret, "${SECRET}"}, {literal, "$ {x}"}]}].
ERL
# shellcheck disable=SC2016
printf '%s\n' '+P ${PROCESSES:-40000}' '-env FROM_ARGS ${SECRET}' >config/vm.args.src
echo 'place {{place}} of {{release_name}}' >config/t
for hook in pre_start post_start pre_stop post_stop status; do
    echo "echo $hook \$RELEASE_NAME \$RELEASE_VSN \$RELEASE_COMMAND >>\$LOG" >"scripts/$hook"
done
# shellcheck disable=SC2016
echo 'false; [ -z "$SECRET" ] || { SECRET=${SECRET}-prepared; export SECRET; }' >>scripts/pre_start
# shellcheck disable=SC2016
echo 'read -r WORD; echo "hello $1, $WORD, from $RELEASE_ROOT"; exit 7' >scripts/greet

assert_exit 0 relpack build
T=$P/_build/relpack/two
assert_eq "place etc of two" "$(cat "$T/etc/t")" "a template"
assert_eq 755 "$(stat -c %a "$T/etc/t")" "chmod"
assert_eq 'place {{place}} of {{release_name}}' "$(cat "$T/etc/linked")" "a link is what it pointed at"
[ -d "$T/var" ] || fail "mkdir"
[ ! -e "$T/releases/1.0/sys.config" ] || fail "there is a sys.config beside its source"
assert_match 'runtime_tools,"[^"]*",load' "$(tr -d ' \n' <"$T/releases/1.0/two.rel")"

# The boot: without the variable that has no default it does not happen.
export LOG=$WORK/hooks RELEASE_TMP=$WORK/tmp
assert_exit 2 "$T/bin/two" start
assert_match 'vm.args.src:2: \$\{SECRET: the variable is not set' "$(cat "$WORK/err")"
: >"$LOG"
start_bg two env SECRET=hidden "$T/bin/two" start
wait_until 30 grep -q post_start "$LOG"
assert_eq "$("$T/bin/two" pid)" "$(cat "$WORK/pid")" "the pid file"
assert_eq "$BG_PID" "$(cat "$WORK/pid")" "the VM took the place of the launcher"
assert_exit 0 "$T/bin/two" rpc 'io:format("~0p ~0p", [[application:get_env(two, K) || K <- [list, nested, secret, literal]], {os:getenv("FROM_ARGS"), erlang:system_info(process_limit) >= 40000}]).'
assert_eq '[{ok,{1,2,3}},{ok,"deep"},{ok,"hidden-prepared"},{ok,"$ {x}"}] {"hidden-prepared",true}' "$(cat "$WORK/out")" "settings"
[ -z "$(find "$RELEASE_TMP" -type f -perm /077)" ] || fail "others can read $(find "$RELEASE_TMP" -type f -perm /077)"
assert_exit 7 "$T/bin/two" greet you <<<'on stdin'
assert_eq "hello you, on stdin, from $T" "$(cat "$WORK/out")" "a command of its own"
sed -i 's/exit 7/(exit 5)/' "$T/bin/hooks/greet"
assert_exit 5 "$T/bin/two" greet you </dev/null
assert_exit 0 "$T/bin/two" status
assert_exit 0 "$T/bin/two" stop
assert_eq "pre_start two 1.0 start
post_start two 1.0 start
status two 1.0 status
pre_stop two 1.0 stop
post_stop two 1.0 stop" "$(cat "$LOG")" "the hooks, in their order"
assert_exit 2 "$T/bin/two" nonsense

# The other release has what the first has, and its own options.
assert_exit 0 relpack build --release more --no-compile
M=$P/_build/relpack/more
[ -z "$(find "$M" -maxdepth 1 -name 'erts-*')" ] || fail "there is an ERTS"
assert_match 'runtime_tools.*tools' "$(tr -d ' \n' <"$M/releases/2.0/more.rel")"
assert_exit 2 relpack build --release third --no-compile
assert_match 'there is no release third, but two, more' "$(cat "$WORK/err")"

# Left out, kept and brought along, by relpack.json over rebar.config; the version from a command
cat >relpack.json <<'JSON'
{"exclude_apps": ["xmerl", "runtime_tools"], "exclude_modules": ["two_extra"], "include_src": true, "strip_beams": {"keep": ["Dbgi"]},
 "applications": ["two"], "overlay": [{"link": ["../var", "etc/var"]}, {"mkdir": "var"}, {"copy": ["scripts/greet", "run"]}, {"chmod": ["0755", "run"]}],
 "commands": {"run": "run"}, "hooks": {}}
JSON
cp rebar.config "$WORK/rebar.config"
cat >rebar.config <<'ERL'
{erl_opts, [deterministic]}.
{relx, [{release, {two, {cmd, "echo 1.$((1 + 1))"}}, [two, runtime_tools]}, {debug_info, keep}]}.
ERL
assert_exit 0 relpack build --no-compile
assert_eq 1.2 "$(cut -d ' ' -f 2 "$T/releases/start_erl.data")" "version from a command"
erl -noshell -eval '
    {ok, [{application, two, Keys}]} = file:consult("'"$T"'/lib/two-0.3/ebin/two.app"),
    {applications, [kernel, stdlib]} = lists:keyfind(applications, 1, Keys), {modules, [two]} = lists:keyfind(modules, 1, Keys),
    {ok, _, Chunks} = beam_lib:all_chunks("'"$T"'/lib/two-0.3/ebin/two.beam"), true = lists:keymember("Dbgi", 1, Chunks),
    {ok, [{release, _, _, Apps}]} = file:consult("'"$T"'/releases/1.2/two.rel"), [kernel, stdlib, two] = [element(1, A) || A <- Apps],
    halt().' || fail "what is left out or kept"
[ ! -e "$T/lib/two-0.3/ebin/two_extra.beam" ] || fail "an excluded module is there"
[ -f "$T/lib/two-0.3/src/two.erl" ] || fail "no sources"
assert_eq ../var "$(readlink "$T/etc/var")" "a link in the release"
assert_eq 755 "$(stat -c %a "$T/run")" "chmod"
start_bg two "$T/bin/two" start
wait_until 30 "$T/bin/two" ping
assert_exit 7 "$T/bin/two" run there <<<'again'
assert_exit 0 "$T/bin/two" stop
rm relpack.json
cp "$WORK/rebar.config" rebar.config

# Wrong ones
wrong() { # SED PATTERN
    cp rebar.config "$WORK/kept"
    sed -i "$1" rebar.config
    assert_exit 2 relpack build --no-compile --output "$WORK/none"
    assert_match "$2" "$(cat "$WORK/err")"
    [ ! -e "$WORK/none" ] || fail "something was written"
    cp "$WORK/kept" rebar.config
}
wrong 's|hooks/greet|hooks/nothing|' 'there is no bin/hooks/nothing in the release'
wrong 's|{pid,|{pidd,|' 'rebar.config:[0-9]+: relx: a hook is'
wrong 's|8#755, "etc/t"|8#755, "etc/none"|' 'there is no etc/none'
wrong 's|config/sys.config.src|config/none.src|' 'there is no file'

