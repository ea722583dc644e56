# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# For tests of swaps: homes of the application depot (tests/apps/depot), whose releases differ in their
# configuration. Source it after lib.sh and need_ns.
#
#   depot VERSION CONFIG        prints a folder with that release and `{depot, [CONFIG]}` as its configuration
#   start_depot RELEASE         under relsup in $RELSUP_HOME, waits until it serves
#   get PATH [PORT]             GET http://127.0.0.1:PORT/PATH (default: the first of $PORTS)
#   state                       prints what `relsup status` has under "state"
#   in_state NAME               true when that is NAME
#   answers_of FILE TEXT        how many of load's answers begin with TEXT;  failed_of FILE  how many requests failed
# Nobody else is in the namespace; and outside of the range that the kernel takes ports from.
PORTS=20080,20081
export PORTS RELSUP_HOME=$WORK/home

depot() {
    local dir=$WORK/depot-$1-$RANDOM

    mkdir "$dir"
    tar -C "$dir" -xzf "$(build_release depot "$1" relpack)"
    chmod -R u+w "$dir"
    echo "[{kernel, [{logger_level, notice}]}, {depot, [${2:-}]}]." >"$dir/releases/$1/sys.config"
    echo "$dir"
}

start_depot() {
    start_bg relsup relsup run "$1" --home "$RELSUP_HOME"
    supervisor=$BG_PID
    wait_until 40 running
}

get() {
    curl -sS -f --max-time 10 "http://127.0.0.1:${2:-${PORTS%,*}}/$1"
}

field() {
    python3 -c 'import json, sys; print(json.load(sys.stdin).get(sys.argv[1], ""))' "$1"
}

state() {
    relsup status --json | field state
}

in_state() {
    [ "$(state)" = "$1" ]
}

answers_of() {
    python3 - "$1" "$2" <<'PYTHON'
import json, sys
load = json.load(open(sys.argv[1]))
print(sum(n for line, n in load["answers"].items() if line.startswith(sys.argv[2])))
PYTHON
}

failed_of() {
    field failed <"$1"
}

end_depot() {
    assert_exit 0 relsup stop
    wait_until 20 gone "$supervisor"
}
