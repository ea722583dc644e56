#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow
# An application without a listener whose start fails, at once, later, or just after it began, is never said to run: not
# by relsup run, an upgrade, a restart, a rollback, after a crash, nor by the launcher.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

app 0.1.0 hx 0.1.0 '{mod, {hx, []}}'
module 0.1.0 hx/hx <<'E'
-behaviour(application).
-export([start/2, stop/1, init/1, child/1]).
start(_, _) ->
    {ok, Text} = file:read_file(os:getenv("HX_MODES") ++ "/0.1.0"),
    case binary_to_atom(string:trim(Text)) of
        at_once -> {error, planned};
        late -> timer:sleep(300), {error, planned};
        dies -> {ok, spawn(fun() -> timer:sleep(100), exit(planned) end)};
        Other -> supervisor:start_link(?MODULE, Other)
    end.
stop(_) -> ok.
init(Mode) ->
    {ok, {#{intensity => 3, period => 5}, [#{id => one, start => {?MODULE, child, [Mode]}}]}}.
child(good) -> {ok, spawn_link(fun() -> timer:sleep(infinity) end)};
child(loops) -> {ok, spawn_link(fun() -> timer:sleep(150), exit(planned) end)};
child(deep) -> supervisor:start_link(?MODULE, loops).
E
same 0.1.0 0.2.0
echo 0.2.0 >"$SOURCES/0.2.0/hx/vsn"
sed -i 's/0\.1\.0/0.2.0/' "$SOURCES/0.2.0/hx/hx.erl"
one=$(release 0.1.0) two=$(release 0.2.0)
export HX_MODES=$WORK/modes
mkdir "$HX_MODES"
modes() { # of 0.1.0 and 0.2.0
    echo "$1" >"$HX_MODES/0.1.0"
    echo "$2" >"$HX_MODES/0.2.0"
}

# READY=1 is heard by whoever stands in for the service manager.
python3 - "$WORK/notify" "$WORK/said" <<'PYTHON' &
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    with open(sys.argv[2], "ab") as f:
        f.write(s.recv(4096) + b"\n")
PYTHON
own_pid $!
wait_until 10 test -S "$WORK/notify"

still_serves() { # VERSION GENERATION
    assert_eq "releases/$1" "$(readlink "$RELSUP_HOME/current")"
    assert_eq "\"$1\"" "$(ask 'element(2, application:get_key(hx, vsn))')"
    assert_eq "$2" "$(relsup pid)" "the same process"
}

for mode in at_once late dies loops deep; do
    # the first start of all
    modes $mode $mode
    assert_exit 1 env NOTIFY_SOCKET="$WORK/notify" relsup run "$one" --home "$WORK/first-$mode"
    ! grep -a READY=1 "$WORK/said" || fail "$mode: READY=1 was said"

    # the launcher
    code=0
    RELEASE_TMP=$WORK/tmp-$mode "$one/bin/hx" daemon >"$WORK/out" 2>"$WORK/err" || code=$?
    assert_eq 1 $code "$mode: what the launcher's daemon says"
done

modes good good
start_home "$one"
pid=$(relsup pid)
for mode in at_once late dies loops deep; do
    modes $mode $mode
    assert_exit 3 relsup upgrade "$two"
    still_serves 0.1.0 "$pid"
done
modes deep good
assert_exit 3 relsup restart
still_serves 0.1.0 "$pid"
modes good good
assert_exit 0 relsup upgrade "$two"
pid=$(relsup pid)
modes dies good
assert_exit 3 relsup rollback
modes loops good
assert_exit 3 relsup rollback
still_serves 0.2.0 "$pid"

# after a crash nobody serves, and that is said, until it starts
recovers() { # it tried so often in vain
    [ "$(grep -c 'does not come back: it .* before it was ready' "$WORK/relsup.log")" -ge "$1" ]
}
modes good dies
kill -KILL "$pid"
wait_until 30 recovers 2
! grep 'recover boot: done' "$WORK/relsup.log" || fail "it was said to run after a crash"
modes good good
wait_until 40 running
end_home

# what served before is booted where the newest one does not start
modes good good
start_home "$one"
assert_exit 0 relsup upgrade "$two"
relsup stop >/dev/null
wait_until 10 gone "$HOME_PID"
modes good deep
start_bg relsup relsup run --home "$RELSUP_HOME"
HOME_PID=$BG_PID
wait_until 60 running
assert_match '0.2.0 DOES NOT BOOT: .*; 0.1.0, which served before, is booted instead' "$(cat "$WORK/relsup.log")"
still_serves 0.1.0 "$(relsup pid)"
end_home
