#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the script tests share. Source it first: `. "$RELPACK_SOURCE/tests/support/lib.sh"`, or by the path beside
# the script when a test is run by hand (then the debug preset's folder is taken).
#
#   $WORK              an empty folder of this test, removed at the end unless the test failed and KEEP=1
#   fail TEXT          ends the test as failed
#   skip TEXT          ends it as skipped, with the reason
#   assert_eq WANT GOT [WHAT]        assert_match PATTERN TEXT [WHAT]   (a bash extended regular expression)
#   assert_exit CODE COMMAND...      leaves the outputs in $WORK/out and $WORK/err
#   wait_until SECONDS COMMAND...    polls until the command succeeds; fails after the deadline
#   start_bg NAME COMMAND...         in the background, output in $WORK/NAME.log, its pid in $BG_PID; ended at exit
#   own_pid PID                      a process that somebody else started for this test; ended at exit
#   stop_bg PID                      SIGTERM, then waits for it
#   free_port                        prints a loopback port that nobody listens on
#   running            true when the supervisor of $RELSUP_HOME has nothing under way and its application runs
#   has_cgroups        true where relsup can give each child a cgroup of its own
#   http PATH [curl options]         GET http://127.0.0.1:$PORT/PATH
#   app_copy APP VERSION DIR [VARIANT]        a test application's sources in a new folder
#   build_release APP VERSION [relpack|mix|relx] [VARIANT]    prints the path of its tarball (built once, cached)
#   need_ns            goes on in a network namespace of its own, where the kernel never moves a waiting connection
#                      to another listener (net.ipv4.tcp_migrate_req=0), so that a lost one is seen as lost
set -euo pipefail

RELPACK_SOURCE=${RELPACK_SOURCE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
RELPACK_BUILD=${RELPACK_BUILD:-$RELPACK_SOURCE/build/debug}
RELPACK_BIN=$RELPACK_BUILD/bin
export RELPACK_SOURCE RELPACK_BUILD
export PATH="$RELPACK_BIN:$RELPACK_BUILD/support:$PATH"
# Not that of the user who runs the tests.
export RELPACK_CACHE=$RELPACK_BUILD/tests-cache/segments
export NO_COLOR=1 LC_ALL=C.UTF-8
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
# The operator's own settings must not reach a test.
unset RELSUP_HOME RELSUP_GENERATION PORT DATABASE_PATH ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS MIX_ENV

WORK=$(mktemp -d "${TMPDIR:-/tmp}/relpack-test.XXXXXX")
OWN_PIDS=()

on_exit() {
    local status=$?

    trap - EXIT
    end_processes
    if [ $status -ne 0 ] && [ $status -ne 77 ]; then
        show_logs
        if [ "${KEEP:-0}" = 1 ]; then
            echo "kept: $WORK" >&2
            exit $status
        fi
    fi
    chmod -R u+w "$WORK" 2>/dev/null || true
    rm -rf "$WORK"
    exit $status
}
trap on_exit EXIT
trap 'exit 130' INT TERM

# Ends what this test started and what those started: the tree is read before anything is ended, because an orphan
# of a killed parent could not be found any more.
end_processes() {
    local pid all=()

    for pid in "${OWN_PIDS[@]}"; do
        mapfile -t -O ${#all[@]} all < <(process_tree "$pid")
    done
    mapfile -t -O ${#all[@]} all < <(processes_out_of_work)
    [ ${#all[@]} -gt 0 ] || return 0
    kill -TERM "${all[@]}" 2>/dev/null || true
    poll 3 all_gone "${all[@]}" && return 0
    kill -KILL "${all[@]}" 2>/dev/null || true
    poll 3 all_gone "${all[@]}" || echo "processes ${all[*]} did not end" >&2
}

process_tree() {
    local child

    kill -0 "$1" 2>/dev/null || return 0
    echo "$1"
    for child in $(ps -o pid= --ppid "$1" 2>/dev/null); do
        process_tree "$child"
    done
}

# Those whose program lies in $WORK: daemons that left the tree, such as the epmd of a release.
processes_out_of_work() {
    local exe

    for exe in /proc/[0-9]*/exe; do
        case $(readlink "$exe" 2>/dev/null) in
        "$WORK"/*) basename "${exe%/exe}" ;;
        esac
    done
}

# A zombie is gone as far as we are concerned.
gone() {
    local state

    state=$(ps -o stat= -p "$1" 2>/dev/null) || return 0
    [ "${state#Z}" != "$state" ]
}

all_gone() {
    local pid

    for pid in "$@"; do
        gone "$pid" || return 1
    done
}

show_logs() {
    local file

    for file in "$WORK"/*.log "$WORK"/out "$WORK"/err; do
        [ -s "$file" ] || continue
        echo "--- $(basename "$file")" >&2
        tail -n 40 "$file" >&2
    done
}

fail() {
    local at=() depth

    for ((depth = 1; depth < ${#BASH_LINENO[@]}; depth++)); do
        at+=("$(basename "${BASH_SOURCE[depth]}"):${BASH_LINENO[depth - 1]}")
    done
    echo "FAILED: $*  (${at[*]})" >&2
    exit 1
}

skip() {
    echo "skipped: $*"
    exit 77
}

assert_eq() {
    [ "$1" = "$2" ] || fail "${3:+$3: }wanted '$1', got '$2'"
}

assert_match() {
    [[ "$2" =~ $1 ]] || fail "${3:+$3: }wanted a match of '$1', got '$2'"
}

assert_exit() {
    local want=$1 got=0

    shift
    "$@" >"$WORK/out" 2>"$WORK/err" || got=$?
    [ "$got" = "$want" ] || fail "wanted exit $want, got $got: $*"
}

# True within SECONDS, or false; the last try is made at the deadline.
poll() {
    local deadline=$((${EPOCHREALTIME/./} + $1 * 1000000))

    shift
    until "$@" >/dev/null 2>&1; do
        [ "${EPOCHREALTIME/./}" -lt "$deadline" ] || return 1
        sleep 0.05
    done
}

wait_until() {
    poll "$@" || fail "not within $1 s: ${*:2}"
}

start_bg() {
    local log="$WORK/$1.log"

    shift
    "$@" >"$log" 2>&1 </dev/null &
    BG_PID=$!
    OWN_PIDS+=("$BG_PID")
}

own_pid() {
    OWN_PIDS+=("$1")
}

stop_bg() {
    kill -TERM "$1" 2>/dev/null || true
    wait_until "${2:-15}" gone "$1"
    wait "$1" 2>/dev/null || true
}

free_port() {
    python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

running() {
    [ "$(relsup status --json 2>/dev/null | python3 -c 'import json, sys; print(json.load(sys.stdin)["state"])')" = running ]
}

has_cgroups() {
    relsup doctor --json | python3 -c 'import json, sys
sys.exit(not [f for f in json.load(sys.stdin)["findings"] if f["subject"] == "cgroup" and f["well"]])'
}

http() {
    local path=$1

    shift
    curl -sS -f --max-time 5 "$@" "http://127.0.0.1:$PORT/$path"
}

# The base tree is version 0.1.0. A later version is the base with the files of variants/APP/0.2.0 laid over it and
# the number replaced; a VARIANT is one more folder laid over that.
app_copy() {
    local app=$1 version=$2 dir=$3 variant=${4:-} apps=$RELPACK_SOURCE/tests/apps

    mkdir -p "$dir"
    cp -R "$apps/$app/." "$dir"
    find "$dir" -type f -exec sed -i "s/0\.1\.0/$version/g" {} +
    if [ "$version" != 0.1.0 ] && [ -d "$apps/variants/$app/0.2.0" ]; then
        cp -R "$apps/variants/$app/0.2.0/." "$dir"
    fi
    if [ -n "$variant" ]; then
        cp -R "$apps/variants/$app/$variant/." "$dir" || fail "$app has no variant $variant"
    fi
}

# One build serves all tests: the key is a hash of what it is made from. A lock lets one test build while the others
# wait; the rename puts only whole tarballs into the cache.
build_release() {
    local app=$1 version=$2 tool=${3:-relpack} variant=${4:-}
    local cache=$RELPACK_BUILD/tests-cache key made

    mkdir -p "$cache"
    key=$(release_key "$app" "$version" "$tool" "$variant")
    made=$cache/$app-$version-$tool-${variant:-plain}-$key.tar.gz
    (
        flock -w 300 9 || fail "no lock on $cache"
        [ -f "$made" ] && exit 0
        app_copy "$app" "$version" "$WORK/build-$key" "$variant"
        "release_by_$tool" "$app" "$version" "$WORK/build-$key" "$WORK/build-$key.tar.gz" \
            >"$WORK/build-$key.log" 2>&1 || {
            cat "$WORK/build-$key.log" >&2
            exit 1
        }
        cp "$WORK/build-$key.tar.gz" "$made.new.$$"
        rm -f "$cache/$app-$version-$tool-${variant:-plain}-"*.tar.gz
        mv "$made.new.$$" "$made"
        rm -rf "$WORK/build-$key" "$WORK/build-$key.tar.gz"
    ) 9>"$cache/lock" || fail "building $app $version by $tool"
    echo "$made"
}

release_key() {
    local app=$1

    {
        echo "$@"
        cd "$RELPACK_SOURCE/tests/apps"
        find "$app" "variants/$app" -type f -print0 2>/dev/null | sort -z | xargs -0 sha256sum
        if [ "$3" = relpack ]; then
            sha256sum <"$RELPACK_BIN/relpack"
            sha256sum <"$RELPACK_BIN/relctl"
            find "$RELPACK_SOURCE/templates" -type f -print0 | sort -z | xargs -0 sha256sum
        fi
    } | sha256sum | cut -c1-12
}

release_by_relpack() {
    mkdir "$3.output" &&
        relpack build "$3" --tar --output "$3.output" &&
        mv "$3.output/$1-$2.tar.gz" "$4"
}

release_by_mix() {
    cd "$3" &&
        MIX_ENV=prod mix release --quiet --path "$3.output" &&
        tar -C "$3.output" -czf "$4" .
}

release_by_relx() {
    cd "$3" &&
        rebar3 tar &&
        mv "_build/default/rel/$1/$1-$2.tar.gz" "$4"
}

need_ns() {
    if [ "${RELPACK_IN_NS:-}" = 1 ]; then
        ip link set lo up
        sysctl -qw net.ipv4.tcp_migrate_req=0 2>/dev/null || true
        return 0
    fi
    command -v unshare >/dev/null || skip "unshare is not installed"
    local flags=(--net)

    [ "$(id -u)" = 0 ] || flags+=(--user --map-root-user)
    unshare "${flags[@]}" true 2>/dev/null || skip "no right to make a network namespace"
    end_processes
    rm -rf "$WORK"
    RELPACK_IN_NS=1 exec unshare "${flags[@]}" bash "$0" "$@"
}
