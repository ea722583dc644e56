#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a hot upgrade refuses, each with its reason and before anything is touched; and what --auto makes of it.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

supervised_app 0.1.0 1
module 0.1.0 hx/hx_sup <<'ERL'
-behaviour(supervisor).
-export([start_link/0, init/1]).
start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
init([]) -> {ok, {#{}, [#{id => srv, start => {hx_srv, start_link, []}}]}}.
ERL
server() { # VERSION N
    module "$1" hx/hx_srv <<ERL
-behaviour(gen_server).
-export([start_link/0, init/1, handle_call/3, handle_cast/2, version/0, closure/1, loop/0]).
start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).
init([]) -> {ok, $2}.
handle_call(get, _, S) -> {reply, {$2, S}, S}.
handle_cast(_, S) -> {noreply, S}.
version() -> $2.
closure(X) -> fun() -> {$2, X} end.
loop() -> receive stop -> ok end.
ERL
}
server 0.1.0 1
same 0.1.0 0.2.0
app 0.2.0 hx 2 '{mod, {hx_app, []}}'
server 0.2.0 2
same 0.2.0 0.3.0
app 0.3.0 hx 3 '{mod, {hx_app, []}}'
server 0.3.0 3
one=$(release 0.1.0) two=$(release 0.2.0) three=$(release 0.3.0)
start_home "$one"
generation() {
    relsup status --json >"$WORK/out"
    field 'd["generation"]'
}

refused() { # RELEASE REASON
    assert_exit 2 hot "$1"
    assert_match "$2" "$(cat "$WORK/err")"
    assert_exit 2 hot "$1" --dry-run
    assert_match "$2" "$(cat "$WORK/err")"
    assert_exit 0 relsup upgrade --auto --dry-run "$1"
    assert_match 'would be replaced by .* by a swap: ' "$(cat "$WORK/out")"
    assert_match "$2" "$(cat "$WORK/out")"
    assert_eq '{1,1}' "$(ask 'gen_server:call(hx_srv, get)')"
    all_run
}

# A copy of the second release with something wrong in it.
bad() { # NAME
    cp -R "$two" "$WORK/$1"
    sed -i "s/0\.2\.0/$1/" "$WORK/$1/releases/start_erl.data" "$WORK/$1"/releases/0.2.0/*.rel
    mv "$WORK/$1/releases/0.2.0" "$WORK/$1/releases/$1"
    echo "$WORK/$1"
}

# other ERTS
erts=$(bad 0.2.1)
sed -i 's/{erts, *"[0-9.]*"}/{erts,"9.9"}/' "$erts"/releases/0.2.1/*.rel
sed -i 's/^[^ ]*/9.9/' "$erts/releases/start_erl.data"
refused "$erts" 'the new release has ERTS 9.9, [0-9.]* runs: use --swap'

# a release of another application
other=$(bad 0.2.2)
sed -i 's/"hx"/"hy"/' "$other"/releases/0.2.2/*.rel
mv "$other/bin/hx" "$other/bin/hy"
assert_exit 2 hot "$other"
assert_match 'hy' "$(cat "$WORK/err")"

# what cannot change in a running node
kernel=$(bad 0.2.3)
sed -i 's/{stdlib, *"[^"]*"/{stdlib,"9.9"/' "$kernel"/releases/0.2.3/*.rel
refused "$kernel" 'stdlib changes, and cannot in a running node: use --swap'

# code in memory that is no file: no way back
module patched hx/hx_srv <<'ERL'
-behaviour(gen_server).
-export([start_link/0, init/1, handle_call/3, handle_cast/2, version/0]).
start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).
init([]) -> {ok, 1}.
handle_call(get, _, S) -> {reply, {1, S}, S}.
handle_cast(_, S) -> {noreply, S}.
version() -> patched.
ERL
mkdir "$WORK/patched"
erlc -W0 -o "$WORK/patched" "$SOURCES/patched/hx/hx_srv.erl"
ask "begin {ok, Bin} = file:read_file(\"$WORK/patched/hx_srv.beam\"), code:load_binary(hx_srv, \"nowhere\", Bin) end" >"$WORK/out"
refused "$two" 'module hx_srv in memory is not that of .*, so there would be no way back'
ask 'begin code:purge(hx_srv), code:load_file(hx_srv), code:purge(hx_srv) end' >"$WORK/out"

# a module that goes while somebody runs it
gone=$(bad 0.2.4)
rm "$gone/lib/hx-2/ebin/hx_srv.beam"
sed -i "s/'*hx_srv'*,*//" "$gone/lib/hx-2/ebin/hx.app"
refused "$gone" 'process hx_srv runs module hx_srv, which the new release does not have'

# a module with on_load
loads=$(bad 0.2.5)
cat >"$WORK/hx_srv.erl" <<'ERL'
-module(hx_srv).
-on_load(load/0).
-export([version/0]).
load() -> ok.
version() -> 2.
ERL
erlc -W0 -o "$loads/lib/hx-2/ebin" "$WORK/hx_srv.erl"
refused "$loads" 'module hx_srv has an on_load function'

# a module with native functions
cat >"$WORK/nif.c" <<'C'
#include <erl_nif.h>
static ERL_NIF_TERM version(ErlNifEnv *env, int n, const ERL_NIF_TERM a[])
{
    (void)n, (void)a;
    return enif_make_int(env, 7);
}
static ErlNifFunc functions[] = {{"version", 0, version, 0}};
ERL_NIF_INIT(hx_srv, functions, NULL, NULL, NULL, NULL)
C
root=$(ask 'io:put_chars(code:root_dir())' | sed 's/ok$//')
cc -shared -fPIC -I "$root/usr/include" -o "$WORK/nif.so" "$WORK/nif.c"
mkdir "$WORK/nif"
sed "s/^version() -> 1\./version() -> erlang:nif_error(none).\nload() -> erlang:load_nif(\"${WORK//\//\\/}\/nif\", 0)./; s/version\/0,/version\/0, load\/0,/" \
    "$SOURCES/0.1.0/hx/hx_srv.erl" >"$WORK/nif/hx_srv.erl"
native=$(bad 0.2.7)
erlc -W0 -o "$WORK/nif" "$WORK/nif/hx_srv.erl"
ask "begin code:add_patha(\"$WORK/nif\"), code:load_file(hx_srv), code:purge(hx_srv), hx_srv:load() end" >"$WORK/out"
assert_eq 7 "$(ask 'hx_srv:version()')"
assert_exit 2 hot "$native"
assert_match 'module hx_srv has native functions .NIFs.' "$(cat "$WORK/err")"
ask "begin code:del_path(\"$WORK/nif\"), code:load_file(hx_srv), code:purge(hx_srv) end" >"$WORK/out"
assert_eq '{1,1}' "$(ask 'gen_server:call(hx_srv, get)')"

# its library alone changes
library=$(bad 0.2.8)
mkdir -p "$library/lib/hx-2/priv" "$RELSUP_HOME/releases/0.1.0/lib/hx-1/priv"
cp "$WORK/nif.so" "$library/lib/hx-2/priv/x.so"
cp "$WORK/nif.so" "$RELSUP_HOME/releases/0.1.0/lib/hx-1/priv/x.so"
echo more >>"$library/lib/hx-2/priv/x.so"
refused "$library" 'native code of application hx changes .priv/x.so.'
rm -r "$RELSUP_HOME/releases/0.1.0/lib/hx-1/priv"

# An application file that is none
odd=$(bad 0.2.6)
echo '{application, hx' >"$odd/lib/hx-2/ebin/hx.app"
assert_exit 2 hot "$odd"

# old code that is still used: by a process, by a closure that somebody keeps
ask 'begin ets:new(keep, [named_table, public, {heir, whereis(hx_sup), x}]), persistent_term:put(fun_of_one, hx_srv:closure(x)), ok end' >"$WORK/out"
assert_exit 0 hot "$two"
assert_eq '{2,1}' "$(ask 'gen_server:call(hx_srv, get)')"
assert_exit 2 hot "$three"
assert_match '1 closure of hx_srv from before the last upgrade is still kept' "$(cat "$WORK/err")"
assert_eq '{{2,1},{1,x}}' "$(ask '{gen_server:call(hx_srv, get), (persistent_term:get(fun_of_one))()}')"
ask 'begin persistent_term:erase(fun_of_one), [garbage_collect(P) || P <- processes()], ok end' >"$WORK/out"
assert_exit 0 hot "$three"
assert_eq '{3,1}' "$(ask 'gen_server:call(hx_srv, get)')"

# --auto swaps where it must, and says why
ask 'begin register(plain, spawn(hx_srv, loop, [])), ok end' >"$WORK/out"
assert_eq 1 "$(generation)"
assert_exit 0 relsup upgrade --auto --wait 200ms "$two" --json
assert_eq 'False True' "$(field 'str(d["hot"]) + " " + str("would not leave the old code of hx_srv" in d["why_not_hot"])')"
assert_eq 2 "$(generation)"
assert_exit 0 relsup upgrade --auto "$three" --json
assert_eq True "$(field 'd["hot"]')"
assert_eq 2 "$(generation)"
assert_exit 2 relsup upgrade --hot --auto "$two"
assert_exit 2 relsup upgrade --dry-run "$two"
end_home
