#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# Random worlds of applications, and random next versions of them (tests/support/hot_property): each is upgraded to
# in place, and must then be what a fresh start of the new release is; gone back from, and be what it was; upgraded
# to again, and go on like the fresh one. What must fail leaves everything as it was.
#   RELPACK_SEED=N   repeats the world of that seed alone
#   WORLDS=N         so many random ones (without it: four that are always the same), PAIRS=N of so many upgrades
#                    each (3)
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

command -v erlc >/dev/null || skip "no Erlang here"
worlds=${WORLDS:-4} pairs=${PAIRS:-3}
mkdir -p "$WORK/ebin"
erlc -o "$WORK/ebin" "$RELPACK_SOURCE"/tests/support/hot_property/*.erl || fail "compile the generator"

generate() { # SEED
    W=$WORK/world
    rm -rf "$W"
    mkdir -p "$W/look/look-1/ebin"
    cp "$WORK/ebin/hot_look.beam" "$W/look/look-1/ebin"
    echo '{application, look, [{description, "eyes"}, {vsn, "1"}, {modules, [hot_look]}, {registered, []},
        {applications, [kernel, stdlib]}]}.' >"$W/look/look-1/ebin/look.app"
    timeout 120 erl -noshell -pa "$WORK/ebin" -eval "hot_release:main([\"$W\", \"$1\", \"$pairs\"]), halt()." \
        >"$WORK/generate.log" 2>&1 || fail "generate: $(cat "$WORK/generate.log")"
}

built() { # VERSION
    [ -d "$W/$1/output" ] ||
        (cd "$W/$1" && relpack build --no-erts --no-compile --output output >"$WORK/build.log" 2>&1) ||
        fail "build $1: $(cat "$WORK/build.log")"
    echo "$W/$1/output/hx"
}

look() { # EXPR
    ask "hot_look:$1" >"$WORK/out" 2>"$WORK/err" || fail "$pair: $1: $(cat "$WORK/out" "$WORK/err")"
    [ "$(cat "$WORK/out")" = "${2:-ok}" ] || fail "$pair: $1: $(cat "$WORK/out" "$WORK/err")"
}

# What runs, into FILE; and that it is what OTHER says.
describe() { # FILE [OTHER]
    look "describe(\"$W/$1\")"
    [ $# = 1 ] || same_lines "$2" "$1"
}

same_lines() {
    diff -U0 "$W/$1" "$W/$2" >"$WORK/diff.log" || fail "$pair: $2 is not $1"
}

changes() { # EXITS COMMAND...
    local got=0

    [ -z "$noise" ] || look "noise(\"$noise\")"
    "${@:2}" >"$WORK/out" 2>"$WORK/err" || got=$?
    [[ $got =~ ^($1)$ ]] || fail "$pair: exit $got, not $1: ${*:2}: $(cat "$WORK/out" "$WORK/err")"
    [ "$got" = 0 ] || sed "s/^/    /" "$WORK/err"
    [ -z "$noise" ] || look "quiet()" "[]"
}

# The new release on its own, with what the processes are to have: how it looks, and how after some use.
fresh() { # RELEASE N
    ERL_AFLAGS="-noinput -run hot_look fresh $W/$2.equal $W/fresh $W/fresh_used" \
        RELEASE_MODE=$mode timeout 60 "$1/bin/hx" start >"$WORK/fresh.log" 2>&1 ||
        fail "$pair: the new release on its own"
}

upgrade() { # N FROM TO [NOTE...]
    local to=$3 note bad='' parked='' held='' struct='' back=0 noise=''

    for note in "${@:4}"; do
        case $note in
        bad=*) bad=${note#*=} ;;
        parked=*) parked=${note#*=} ;;
        held=*) held=${note#*=} ;;
        struct=*) struct=${note#*=} ;;
        no_way_back) back=3 ;;
        noise) noise=$W/$1.fill ;;
        esac
    done
    to=$(built "$3")
    fresh "$to" "$1"
    look "fill(\"$W/$1.fill\")"
    describe before
    [ -z "$bad" ] || fails "$bad"
    [ -z "$struct" ] || has_struct "$struct" "$to"
    [ -z "$parked" ] || is_in_the_way "$parked" "$to"
    changes 0 hot "$to" --dry-run
    look "mark()"
    changes 0 hot "$to"
    describe up fresh
    look "told()" "[]"
    go_back "$held" "$back" "$to"
    look "poke()"
    describe used fresh_used
}

fails() { # VERSION:WHAT:EXITS
    local version what exits

    IFS=: read -r version what exits <<<"$1"
    echo "  $what"
    changes "$exits" hot "$(built "$version")"
    describe after before
}

has_struct() { # MODULE RELEASE
    local listed

    echo "  a server has a struct of $1"
    for listed in true false; do
        look "hold_struct($1, $listed)"
        changes 2 hot "$2"
        look "drop()"
    done
    describe after before
}

is_in_the_way() { # MODULE RELEASE
    echo "  a process loops in $1"
    look "park($1)"
    changes 1 hot "$2" --old-code refuse --wait 200ms
    describe after before
    [ "$back" = 0 ] || { look "unpark()" && return; }
    changes 0 hot "$2" --wait 200ms
    describe kept fresh
    # an appup may say that whoever is there is ended
    changes "0|1" relsup rollback --hot --wait 200ms
    if [ "$(ask 'hot_look:unpark()')" = ok ]; then
        describe kept_up fresh
        changes 0 relsup rollback --hot
    fi
    describe after before
}

go_back() { # HELD EXIT RELEASE
    if [ -n "$1" ]; then
        echo "  somebody keeps a closure of $1"
        changes 0 relsup rollback --hot
        look "hold($1)"
        changes 0 hot "$3"
        changes 2 relsup rollback --hot
        describe after up
        look "drop()"
    fi
    changes "$2" relsup rollback --hot
    [ "$2" = 0 ] || { echo "  no way back" && describe after up && return; }
    describe back before
    changes 0 hot "$3"
    describe again up
}

# What is upgraded to is what boots.
booted() { # N
    local pid

    pid=$(relsup pid)
    kill -KILL "$pid"
    wait_until 40 another_serves "$pid"
    look "fill(\"$W/$1.equal\")"
    describe booted fresh
}

another_serves() {
    relsup status --json >"$WORK/out" && [ "$(field 'd["state"] == "running" and d["pid"] != '"$1")" = True ]
}

world() { # SEED
    local line pair

    pair="seed $1"
    generate "$1"
    mode=$(cat "$W/mode")
    echo "seed $1 ($mode)"
    mkdir -p "$RELSUP_HOME"
    echo '{"health": [{"type": "rpc", "expr": "hot_look:healthy()"}], "env": {"RELEASE_MODE": "'"$mode"'"}}' \
        >"$RELSUP_HOME/relsup.json"
    start_home "$(built 0.1.0)"
    while read -ra line; do
        echo " ${line[*]}"
        pair="seed $1, upgrade ${line[0]}"
        upgrade "${line[@]}"
        done_n=$((done_n + 1))
    done <"$W/steps"
    booted "$pairs"
    end_home
}

done_n=0
# a supervisor that listens; a struct that somebody has; an application that an appup adds, with embedded code
fixed=(1 17 42 20035)
if [ -n "${RELPACK_SEED:-}" ]; then
    world "$RELPACK_SEED"
else
    for ((n = 1; n <= worlds; n++)); do
        world "$((${WORLDS:-0} ? RANDOM * 32768 + RANDOM : fixed[n - 1]))"
    done
fi
echo "$done_n pairs"
