#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# The same releases, with appups that hold every kind of instruction in random orders, by relsup upgrade --hot and by OTP's
# release_handler, up and down, under load: the same steps in the same order, the same end, and no more connections lost
# (tests/support/hot_differential).
#   RELPACK_SEED=N   that one alone
#   WORLDS=N         so many random ones (without it: two that are always the same)
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

command -v erlc >/dev/null || skip "no Erlang here"
sasl=$(erl -noshell -eval 'io:put_chars(code:lib_dir(sasl)), halt().' 2>/dev/null)/ebin
[ -f "$sasl/release_handler_1.beam" ] || skip "no sasl here"
mkdir -p "$WORK/ebin"
erlc -o "$WORK/ebin" "$RELPACK_SOURCE"/tests/support/hot_differential/*.erl || fail "compile the generator"
ours_lost=0 theirs_lost=0 done_n=0

look_app() {
    mkdir -p "$W/look/look-1/ebin"
    cp "$WORK"/ebin/diff_look*.beam "$W/look/look-1/ebin"
    echo '{application, look, [{description, "eyes"}, {vsn, "1"}, {modules, [diff_look, diff_look_sup]}, {registered, []},
        {applications, [kernel, stdlib]}, {mod, {diff_look, []}}]}.' >"$W/look/look-1/ebin/look.app"
}

built() { # VERSION
    local apps

    apps=$(cd "$W/$1/lib" && printf '"%s",' * | sed "s/-$1//g")
    echo "{\"name\": \"hx\", \"version\": \"0.$1.0\", \"strip_beams\": false, \"lib_dirs\": [\"lib\", \"../look\"],
        \"applications\": [${apps}\"look\"]}" >"$W/$1/relpack.json"
    (cd "$W/$1" && relpack build --no-erts --no-compile --output output >"$WORK/build.log" 2>&1) ||
        fail "build $1: $(cat "$WORK/build.log")"
}

in_home() { # NAME COMMAND...
    RELSUP_HOME=$WORK/$1 "${@:2}"
}

tell() { # NAME EXPR
    local got

    got=$(in_home "$1" ask "$2" 2>&1) || fail "seed $seed, $1: $2: $got"
    [ "$got" = ok ] || fail "seed $seed, $1: $2: $got"
}

boot() { # NAME
    start_bg "$1" relsup run "$W/1/output/hx" --home "$WORK/$1"
    pids[$1]=$BG_PID
    wait_until 40 in_home "$1" running
}

# The load of clients while the command runs, as COUNTS: answered, lost, longest wait.
under_load() { # NAME COMMAND...
    local ports load got=0

    rm -f "$WORK/stop" "$WORK/stop.ready"
    ports=$(in_home "$1" ask 'diff_look:ports()') || fail "seed $seed, $1: ports"
    ports=$(tr -d '[]' <<<"$ports" | tr ',' ' ')
    # shellcheck disable=SC2086
    start_bg load erl -noinput -noshell -pa "$WORK/ebin" -eval \
        'diff_load:main(init:get_plain_arguments()), halt().' -extra "$WORK/stop" $ports
    load=$BG_PID
    wait_until 40 test -f "$WORK/stop.ready"
    (in_home "$@") >"$WORK/command.out" 2>&1 || got=$?
    [ $got = 0 ] || fail "seed $seed, $1: exit $got: $(cat "$WORK/command.out")"
    touch "$WORK/stop"
    wait_until 40 gone "$load"
    COUNTS=$(grep -E '^[0-9]+ [0-9]+ [0-9]+$' "$WORK/load.log" | tail -1)
}

install() { # WHICH VERSION
    tell theirs "diff_look:install(\"$W/relup\", $1, \"$W/$2/output/hx/lib\", \"$sasl\")"
}

both() { # WAY WHICH VERSION OUR-COMMAND...
    local ours theirs name

    under_load ours "${@:4}"
    read -ra ours <<<"$COUNTS"
    under_load theirs install "$2" "$3"
    read -ra theirs <<<"$COUNTS"
    for name in ours theirs; do
        tell "$name" "diff_look:state(\"$W/$name.$1\")"
    done
    diff -U0 "$W/theirs.$1" "$W/ours.$1" >"$WORK/diff.log" || fail "seed $seed, $1: not what release_handler does"
    printf '%6s %-4s %8s %6s %6s   %8s %6s %6s   %5s\n' "$seed" "$1" "${ours[@]}" "${theirs[@]}" "$(grep -c '^{step' "$W/ours.$1")"
    ours_lost=$((ours_lost + ours[1]))
    theirs_lost=$((theirs_lost + theirs[1]))
}

world() {
    local name

    seed=$1
    W=$WORK/world
    rm -rf "$W"
    look_app
    timeout 120 erl -noshell -pa "$WORK/ebin" -eval "diff_world:main([\"$W\", \"$seed\"]), halt()." \
        >"$WORK/generate.log" 2>&1 || fail "seed $seed: generate: $(cat "$WORK/generate.log")"
    built 1
    built 2
    declare -gA pids=()
    boot ours
    boot theirs
    both up 2 2 hot "$W/2/output/hx"
    both down 3 1 relsup rollback --hot
    in_home ours all_run
    for name in ours theirs; do
        in_home "$name" relsup stop >"$WORK/out" 2>&1 || fail "seed $seed: stop: $(cat "$WORK/out")"
        wait_until 20 gone "${pids[$name]}"
        rm -rf "${WORK:?}/$name"
    done
    done_n=$((done_n + 1))
}

printf '%6s %-4s %8s %6s %6s   %8s %6s %6s   %5s\n' seed way "ours: ok" lost ms "rh: ok" lost ms steps
if [ -n "${RELPACK_SEED:-}" ]; then
    world "$RELPACK_SEED"
else
    for ((n = 1; n <= ${WORLDS:-2}; n++)); do
        world "$((${WORLDS:-0} ? RANDOM * 32768 + RANDOM : n))"
    done
fi
echo "$done_n worlds up and down: $ours_lost connections lost, release_handler $theirs_lost"
# An acceptor that its appup ends between the accept and the hand-over takes that connection along, with both: by chance.
[ "$ours_lost" -le $((theirs_lost + done_n)) ] || fail "more is lost than by release_handler"
