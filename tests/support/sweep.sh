# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# For tests that end or fail relsup at each of its state-changing calls in turn (tests/support/fault.c), and look
# what became of the promises. Source it behind lib.sh, need_ns and hot.sh.
#
#   sweep_releases           builds the folders $ONE and $TWO (0.1.0, 0.2.0: good), $SICK (0.3.0: answers, never proved)
#   sweep_home RELEASE       starts it in $RELSUP_HOME with the library in it, and the client that asks all the while
#   sweep WHAT HOW WHO COMMAND...    one point after the other: HOW and WHO as faultctl has them. The command is run
#                            anew for each; {} in it is the release that does not serve, or $SWEEP_TO where that is
#                            set, and {v} its version. An upgrade finds it gone from the home, but for --hot, whose VM
#                            may have come from it
#   sweep_first_boot HOW WHO         the same for the first `relsup run RELEASE` of a home, a new one each time
#   sweep_stop HOW                   the same for `relsup stop`
#   sweep_end                stops it, prints the counts, fails when one promise was broken
#
#   FAULT_ALL=1 takes every call; otherwise $FAULT_POINTS of them (default 5), spread evenly, with few of those that come
#   in crowds: the files of a release, temporary files, what is said to a node or a client. FAULT_AT="CALL:N..." takes these: the
#   N-th of that call, which another thread cannot move.
#
# The promises, after the next `relsup run` (or, where relsup was not ended, at once):
#   serves    `current` runs, and it is the new release if it was before the end, and one who was told 0 finds it so
#   orphan    one VM runs out of the home; nothing else that it started
#   unproved  nobody was answered by a release that is not up yet or was never proved
#   half      each folder in releases/ is whole by its manifest, nothing under a hidden name is left
#   leftover  no temporary file in the home; run/ and secret/ have nothing of a peer that is gone
#   works     status and history work
#   lie       exit 0: the new one serves. 1, 2: nothing is different. 3: the old one serves, what came in is gone.
#             4: the new one serves, but could not be written down as the one that boots next, and that is said
FAULT=$WORK/fault.state
declare -A COUNTS=()
BROKEN=()
SUPERVISOR='' STOPS='' MAY_END=''

[ -f "$RELPACK_BUILD/support/libfault.so" ] || skip "libfault.so is not built"
if ldd "$RELPACK_BIN/relsup" | grep 'lib[at]san' >/dev/null; then
    skip "the sanitizer's runtime must be the first library"
fi

sweep_release() { # VERSION STATUS
    app "$1" sw "$1" '{mod, {sw_app, []}}'
    module "$1" sw/sw_app <<'ERL'
-behaviour(application).
-behaviour(supervisor).
-export([start/2, stop/1, init/1, start_acceptors/0]).
start(_, _) ->
    {ok, Sup} = supervisor:start_link(?MODULE, []),
    timer:sleep(200),
    persistent_term:put(up, up),
    {ok, Sup}.
stop(_) -> ok.
init([]) ->
    {ok, {#{}, [#{id => acceptors, start => {?MODULE, start_acceptors, []}},
                #{id => sw_answer, start => {sw_answer, start_link, []}}]}}.
start_acceptors() ->
    Parent = self(),
    Pid = proc_lib:spawn_link(fun() ->
        {ok, L} = gen_tcp:listen(list_to_integer(os:getenv("PORT")),
                                 [binary, inet, {ip, {127, 0, 0, 1}}, {active, false}, {reuseaddr, true}]),
        [spawn_link(fun() -> accept(L) end) || _ <- [1, 2]],
        Parent ! {self(), ok},
        receive after infinity -> ok end
    end),
    receive {Pid, ok} -> {ok, Pid} end.
accept(L) ->
    {ok, S} = gen_tcp:accept(L),
    spawn(fun() -> receive go -> serve(S) end end) ! begin P = self(), {P, S}, go end,
    accept(L).
serve(S) ->
    _ = gen_tcp:recv(S, 0, 5000),
    gen_tcp:send(S, sw_answer:text(persistent_term:get(up, 'not up'))),
    gen_tcp:close(S).
ERL
    module "$1" sw/sw_answer <<ERL
-behaviour(gen_server).
-export([start_link/0, text/1, init/1, handle_call/3, handle_cast/2, code_change/3]).
start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).
init([]) -> {ok, 0}.
handle_call(_, _, N) -> {reply, N, N + 1}.
handle_cast(_, N) -> {noreply, N}.
code_change(_, N, _) -> {ok, N}.
text(Up) ->
    Body = io_lib:format("sw $1 ~s", [Up]),
    ["HTTP/1.0 $2\\r\\ncontent-length: ", integer_to_list(iolist_size(Body)), "\\r\\n\\r\\n", Body].
ERL
    release "$1"
}

sweep_releases() {
    PORT=$(free_port)
    export PORT SICK
    ONE=$(sweep_release 0.1.0 '200 OK')
    TWO=$(sweep_release 0.2.0 '200 OK')
    SICK=$(sweep_release 0.3.0 '500 Sick')
}

# Asks again and again; a line for each answer that differs from the one before.
ask_all_the_while() {
    exec python3 - "$PORT" "$WORK/answers" <<'PYTHON'
import socket, sys, time
last, out = None, open(sys.argv[2], "a", buffering=1)
while True:
    said = "nobody"
    try:
        with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5) as s:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            said = s.makefile("rb").read().split(b"\r\n\r\n")[-1].decode() or "nothing"
    except OSError:
        pass
    if said != last:
        print(said, file=out)
    last = said
    time.sleep(0.004)
PYTHON
}

run_it() { # NAME [RELEASE]
    start_bg "$1" env LD_PRELOAD="$RELPACK_BUILD/support/libfault.so" FAULT_FILE="$FAULT" \
        relsup run "${@:2}" --home "$RELSUP_HOME" --boot 20s
    SUPERVISOR=$BG_PID
}

settings() {
    install -d -m 700 "$RELSUP_HOME"
    cat >"$RELSUP_HOME/relsup.json" <<JSON
{"health": [{"type": "http", "path": "/", "port": $PORT, "interval_s": 0.1, "failures": 2, "timeout_s": 1}],
 "shutdown_s": 5, "drain_s": 2}
JSON
}

sweep_home() {
    settings
    faultctl "$FAULT" new
    run_it relsup "$1"
    wait_until 40 running
    start_bg asker ask_all_the_while
    wait_until 10 test -s "$WORK/answers"
}

current() {
    local link

    link=$(readlink "$RELSUP_HOME/current" 2>/dev/null) || true
    echo "${link##*/}"
}

# What an order that changed nothing leaves as it was.
tree() {
    current
    (cd "$RELSUP_HOME" && find releases -path 'releases/.*' -prune -o -printf '%p %y %m %s %l\n' | sort)
}

broken() { # KIND TEXT
    COUNTS[$1]=$((${COUNTS[$1]:-0} + 1))
    BROKEN+=("$1")
    echo "BROKEN $1: $2 ($POINT)"
}

count_up() {
    COUNTS[$1]=$((${COUNTS[$1]:-0} + 1))
}

# The pids of what runs out of the home, but for the supervisor and what relsup makes of itself.
home_processes() {
    local pid pids

    mapfile -t pids < <(grep -lazE "^(RELSUP_HOME=|RELEASE_ROOT=)?$RELSUP_HOME(/|\$)" /proc/[0-9]*/environ \
        /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3 | sort -un)
    for pid in "${pids[@]}"; do
        [ "$(basename "$(readlink "/proc/$pid/exe" 2>/dev/null)")" = beam.smp ] && echo "$pid"
    done
    return 0
}

# So that the next point is judged by itself.
end_orphans() {
    local pid

    for pid in $(home_processes); do
        [ "$pid" = "$(active_pid)" ] || kill -KILL "$pid"
    done
}

# By the supervisor; `relsup pid` reads it from a file.
active_pid() {
    relsup status --json 2>/dev/null | python3 -c 'import json, sys; print(json.load(sys.stdin).get("pid", ""))'
}

pid_found() {
    [ "$(relsup pid 2>/dev/null)" = "$(active_pid)" ]
}

one_vm() {
    [ "$(home_processes)" = "$(active_pid)" ]
}

answered() {
    [ "$(curl -s --max-time 2 "http://127.0.0.1:$PORT/")" = "sw $1 up" ]
}

check_serves() { # VERSION
    answered "$1" || broken serves "$1 should serve, $(curl -s --max-time 2 "http://127.0.0.1:$PORT/") does"
    if ! poll 3 one_vm; then
        broken orphan "VMs $(home_processes | tr '\n' ' ')beside $(active_pid)"
        end_orphans
    fi
    [ "$(current)" = "$1" ] || broken serves "current is $(current), not $1"
    relsup status >/dev/null 2>&1 || broken works status
    poll 8 pid_found || broken works "pid: $(relsup pid 2>&1)"
    relsup history >/dev/null 2>&1 || broken works history
}

check_answers() {
    local said

    # where nobody served, the one that `current` names may be seen before it is up
    said=$(grep -E 'not up|0\.3\.0' "$WORK/answers" | grep -vx "sw ${BOOTED:-none} not up" | sort -u | tr '\n' ',') || true
    [ -z "$said" ] || broken unproved "${said%,}"
    : >"$WORK/answers"
}

temporary_files() {
    (cd "$RELSUP_HOME" && find . -path './releases/?*/*' -prune -o \( -name '.*.tmp' -o -name '.*.next' -o \
        -path './releases/.*' -o -name fetched \) -print | tr '\n' ' ')
}

no_temporary_files() {
    [ -z "$(temporary_files)" ]
}

check_files() {
    local one generation left

    for one in "$RELSUP_HOME"/releases/*/; do
        relpack verify "$one" >/dev/null 2>&1 || broken half "$one"
    done
    # whoever runs now has one for as long as it replaces a file
    # what could not be removed goes with the next order, which is looked at in its turn
    [[ $POINT == *" fail "*" at unlinkat:"* ]] || poll 10 no_temporary_files || broken leftover "$(temporary_files)"
    generation=$(relsup status --json | python3 -c 'import json, sys; print(json.load(sys.stdin).get("generation", ""))')
    left=$(cd "$RELSUP_HOME" && find run secret -regextype posix-extended -regex '.*[^0-9]([0-9]+)(\..*)?' |
        grep -vE "[^0-9]$generation(\..*)?\$" | tr '\n' ' ') || true
    [ -z "$left" ] || broken leftover "$left of generations before $generation"
}

# Which calls to try, by the log of a dry run on stdin.
choose_points() {
    if [ -n "${FAULT_AT:-}" ]; then
        tr ' ' '\n' <<<"$FAULT_AT"
        return
    fi
    python3 -c '
import sys
seen, many, few = {}, [], {"releases": [], "talk": [], "temporary": []}
for line in sys.stdin:
    n, _, call, about = (line.rstrip("\n").split(" ", 3) + [""])[:4]
    seen[call] = seen.get(call, 0) + 1
    point = (int(n), f"{call}:{seen[call]}")
    if "/releases/" in about: few["releases"].append(point)
    elif call.startswith("write") and not about.startswith("/"): few["talk"].append(point)
    elif ".tmp" in about: few["temporary"].append(point)
    else: many.append(point)
def spread(v, n):
    return v if len(v) <= n else [v[(2 * i + 1) * len(v) // (2 * n)] for i in range(n)]
want = int(sys.argv[1])
each = max(1, want // 8) if want else sys.maxsize
chosen = [n for v in few.values() for n in spread(v, each)]
for _, point in sorted(chosen + spread(many, max(1, want - len(chosen)) if want else sys.maxsize)):
    print(point)
' "$([ "${FAULT_ALL:-0}" = 1 ] && echo 0 || echo "${FAULT_POINTS:-5}")"
}

other_release() {
    if [ -n "${SWEEP_TO:-}" ]; then echo "$SWEEP_TO"
    elif [ "$(current)" = 0.1.0 ]; then echo "$TWO"
    else echo "$ONE"; fi
}

version_of() {
    case $1 in "$ONE") echo 0.1.0 ;; "$TWO") echo 0.2.0 ;; *) echo 0.3.0 ;; esac
}

CODE=
give_order() {
    local to

    to=$(other_release)
    CODE=0
    set -- "${@//\{\}/$to}"
    timeout 60 "${@//\{v\}/$(version_of "$to")}" >"$WORK/order.out" 2>"$WORK/order.err" </dev/null || CODE=$?
}

sweep() {
    local what=$1 how=$2 who=$3 points point

    shift 3
    POINT="$what, dry run" MAY_END=
    before_order "$@"
    faultctl "$FAULT" arm 0 kill "$who"
    give_order "$@"
    faultctl "$FAULT" disarm
    faultctl "$FAULT" log >"$WORK/calls"
    after_order
    case $how,$who in kill*,run | kill*,any) MAY_END=yes ;; esac
    mapfile -t points < <(choose_points <"$WORK/calls")
    echo "$what, $how $who: $(wc -l <"$WORK/calls") calls, ${#points[@]} tried"
    for point in "${points[@]}"; do
        before_order "$@"
        faultctl "$FAULT" arm "$point" "$how" "$who"
        give_order "$@"
        faultctl "$FAULT" disarm
        POINT="$what, $how $who at $point $(faultctl "$FAULT" log | sed -n "${point#*:}p" | cut -d' ' -f4-)"
        count_up tried
        [ "$(faultctl "$FAULT" hit)" != 0 ] || count_up "not reached"
        after_order
    done
}

# The home is at rest, the release of an upgrade is not in it.
before_order() {
    OLD=$(current)
    NEW=$(version_of "$(other_release)")
    if [ "$2" = upgrade ] && [ "$3" != --hot ]; then
        rm -rf "${RELSUP_HOME:?}/releases/$NEW"
    fi
    TREE=$(tree)
}

# Where relsup stands, or the next one once it was ended.
after_order() {
    local at_end BOOTED=

    if gone "$SUPERVISOR"; then
        wait "$SUPERVISOR" 2>/dev/null || true
        at_end=$(current)
        if [ -n "$STOPS" ]; then
            [ "$CODE" != 0 ] || [ -z "$(home_processes)" ] || broken orphan "behind a stop that exited 0"
        else
            [ "$CODE" != 0 ] || [ "$at_end" = "$NEW" ] || broken lie "exit 0, but current is $at_end"
        fi
        count_up ended
        [ -n "$MAY_END$STOPS" ] || broken works "relsup ended: $(tail -n 1 "$WORK"/{again,relsup}.log | tail -n 1)"
        BOOTED=$at_end
        run_it again
        if ! poll 40 running; then
            broken serves "it does not run again: $(tail -n 1 "$WORK/again.log")"
            exit 1
        fi
        check_serves "$at_end"
    else
        poll 10 running || broken works "it is $(relsup status 2>&1 | tr '\n' ' ')"
        check_exit
    fi
    check_answers
    check_files
}

check_exit() {
    case $CODE in
    0) check_serves "$NEW" ;;
    1 | 2)
        check_serves "$OLD"
        [ "$TREE" = "$(tree)" ] || broken lie "exit $CODE: $(diff <(echo "$TREE") <(tree) | grep '^[<>]' | head -n 3 | tr '\n' ' ')"
        ;;
    3)
        check_serves "$OLD"
        [ "$TREE" = "$(tree)" ] || broken lie "exit 3: $(diff <(echo "$TREE") <(tree) | grep '^[<>]' | head -n 3 | tr '\n' ' ')"
        ;;
    4)
        count_up "manual action"
        grep -q 'runs, but a restart would boot another release' "$WORK/order.err" ||
            broken lie "exit $CODE: $(tail -n 1 "$WORK/order.err")"
        answered "$NEW" || broken serves "$NEW should serve"
        relsup restart >/dev/null 2>&1 || broken works restart
        check_serves "$(current)"
        ;;
    *)
        broken lie "exit $CODE: $(tail -n 1 "$WORK/order.err")"
        check_serves "$(current)"
        ;;
    esac
}

new_home() {
    if [ -n "$SUPERVISOR" ]; then
        relsup stop >/dev/null 2>&1 || true
        wait_until 10 gone "$SUPERVISOR"
        end_orphans
        rm -rf "$RELSUP_HOME"
    fi
    settings
}

sweep_first_boot() {
    local how=$1 who=$2 points point

    new_home
    faultctl "$FAULT" new
    faultctl "$FAULT" arm 0 kill "$who"
    run_it relsup "$ONE"
    wait_until 40 running
    faultctl "$FAULT" disarm
    faultctl "$FAULT" log >"$WORK/calls"
    mapfile -t points < <(choose_points <"$WORK/calls")
    echo "first boot, $how $who: $(wc -l <"$WORK/calls") calls, ${#points[@]} tried"
    for point in "${points[@]}"; do
        new_home
        faultctl "$FAULT" arm "$point" "$how" "$who"
        run_it relsup "$ONE"
        wait_until 40 runs_or_ended
        faultctl "$FAULT" disarm
        POINT="first boot, $how $who at $point $(faultctl "$FAULT" log | sed -n "${point#*:}p" | cut -d' ' -f4-)"
        count_up tried
        [ "$(faultctl "$FAULT" hit)" != 0 ] || count_up "not reached"
        if gone "$SUPERVISOR"; then
            wait "$SUPERVISOR" 2>/dev/null || true
            count_up ended
            run_it again "$ONE"
        fi
        if ! poll 40 running; then
            broken serves "it does not run: $(tail -n 1 "$WORK"/{again,relsup}.log | tail -n 1)"
            exit 1
        fi
        check_serves 0.1.0
        check_files
    done
}

sweep_stop() {
    STOPS=yes
    sweep stop "$1" run relsup stop
    STOPS=
}

runs_or_ended() {
    gone "$SUPERVISOR" || running
}

sweep_end() {
    local kind

    POINT=end CODE=0
    relsup stop >"$WORK/out" 2>"$WORK/err" || broken works "stop: $(cat "$WORK/err")"
    poll 10 gone "$SUPERVISOR" || broken works "it goes on behind stop"
    [ -z "$(home_processes)" ] || broken orphan "behind stop: $(home_processes | tr '\n' ' ')"
    for kind in tried ended 'not reached' 'manual action' serves orphan unproved half leftover works lie; do
        echo "$kind: ${COUNTS[$kind]:-0}"
    done
    [ ${#BROKEN[@]} = 0 ] || fail "${#BROKEN[@]} promises were broken"
}
