# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# For tests of hot upgrades: releases made of a few lines of Erlang, started in homes. Source it after lib.sh.
#
#   module VERSION APP/NAME <<E   a module of that application in that version, on stdin; "-module" is added
#   app VERSION APP VSN [KEYS]    its .app file, with further KEYS ("{mod, {m, []}}, ...")
#   supervised_app VERSION VSN    an application hx whose top supervisor is hx_sup, which the test writes
#   appup VERSION APP <<E         its .appup file, on stdin
#   same FROM VERSION             VERSION begins as a copy of FROM
#   release VERSION [APP...]      builds it, the applications permanent; prints its folder
#   start_home DIR                runs it in $RELSUP_HOME, waits until it serves
#   ask EXPR                      the value of an Erlang expression in the active peer
#   hot DIR [OPTION...]           relsup upgrade --hot
#   all_run                       prints which processes are suspended or keep an old state: nothing
export RELSUP_HOME=$WORK/home
SOURCES=$WORK/src

module() {
    mkdir -p "$SOURCES/$1/$2"
    { echo "-module(${2#*/})."; cat; } >"$SOURCES/$1/${2%/*}/${2#*/}.erl"
    rmdir "$SOURCES/$1/$2"
}

# An application hx 0.1.0 of which nothing matters but that its version can be asked and be replaced by sed.
versioned_app() {
    app 0.1.0 hx 0.1.0
    module 0.1.0 hx/hx_code <<'ERL'
-export([version/0]).
version() -> "0.1.0".
ERL
}

supervised_app() {
    app "$1" hx "$2" '{mod, {hx_app, []}}'
    module "$1" hx/hx_app <<'ERL'
-behaviour(application).
-export([start/2, stop/1]).
start(_, _) -> hx_sup:start_link().
stop(_) -> ok.
ERL
}

app() {
    mkdir -p "$SOURCES/$1/$2"
    echo "$3" >"$SOURCES/$1/$2/vsn"
    echo "${4:-}" >"$SOURCES/$1/$2/keys"
}

appup() {
    cat >"$SOURCES/$1/$2/$2.appup"
}

same() {
    cp -R "$SOURCES/$1" "$SOURCES/$2"
}

compile_app() { # VERSION APP
    local dir=$SOURCES/$1/$2 vsn keys ebin modules

    vsn=$(cat "$dir/vsn") keys=$(cat "$dir/keys")
    ebin=$WORK/lib-$1/$2-$vsn/ebin
    mkdir -p "$ebin"
    (cd "$dir" && erlc -W0 -o "$ebin" ./*.erl) || fail "compile $2 $1"
    modules=$(cd "$ebin" && printf "'%s'," ./*.beam | sed "s|\./||g; s|\.beam||g; s|,$||")
    cat >"$ebin/$2.app" <<A
{application, $2, [{description, "$2"}, {vsn, "$vsn"}, {modules, [$modules]}, {registered, []}${keys:+, $keys}
    $([[ $keys == *"{applications"* ]] || echo ", {applications, [kernel, stdlib]}")]}.
A
    [ ! -f "$dir/$2.appup" ] || cp "$dir/$2.appup" "$ebin"
}

release() {
    local version=$1 dir=$WORK/build-$1 apps=("${@:2}") one

    [ ${#apps[@]} -gt 0 ] || mapfile -t apps < <(cd "$SOURCES/$version" && printf '%s\n' */ | tr -d /)
    mkdir -p "$dir"
    for one in "${apps[@]}"; do
        compile_app "$version" "$one"
    done
    python3 - "$version" "$WORK/lib-$version" "${apps[@]}" >"$dir/relpack.json" <<'PYTHON'
import json, os, sys
version, lib, *apps = sys.argv[1:]
keys = {"name": "hx", "version": version, "applications": apps, "lib_dirs": [lib], "strip_beams": False}
if os.path.exists(os.path.join(os.path.dirname(lib), "src", version, "config")):
    keys["sys_config"] = os.path.join(os.path.dirname(lib), "src", version, "config")
json.dump(keys, sys.stdout)
PYTHON
    (cd "$dir" && relpack build --no-erts --no-compile --output "$WORK/release-$version" >"$WORK/build.log" 2>&1) ||
        fail "build $version: $(cat "$WORK/build.log")"
    echo "$WORK/release-$version/hx"
}

start_home() {
    start_bg relsup relsup run "$1" --home "$RELSUP_HOME"
    HOME_PID=$BG_PID
    wait_until 40 running
}

end_home() {
    relsup stop >"$WORK/out" 2>"$WORK/err" || fail "stop: $(cat "$WORK/err")"
    wait_until 10 gone "$HOME_PID"
    rm -rf "$RELSUP_HOME"
}

ask() {
    relsup rpc --print "$1"
}

hot() {
    relsup upgrade --hot "$@"
}

all_run() {
    assert_eq "[]" "$(ask "[P || P <- processes(), {_, D} <- [process_info(P, dictionary)],
        process_info(P, current_function) =:= {current_function, {sys, suspend_loop_hib, 6}}
        orelse lists:any(fun({K, _}) -> lists:prefix(\"\$relsup_\", lists:flatten(io_lib:format(\"~p\", [K])))
                         end, [{element(1, {K}), V} || {K, V} <- D, is_atom(K)])]")" "who is left suspended"
}

# The value of a key of what a command printed with --json.
field() {
    python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2], {"d": d}))' "$WORK/out" "$1"
}
