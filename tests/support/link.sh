# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A slow and lossy link to a namespace of clients. Source it after lib.sh and need_ns.
#
#   start_link DELAY-MS LOSS    one way and in percent; we are 10.77.0.1 then, the clients 10.77.0.2
#   far COMMAND...              runs there
start_link() {
    [ -c /dev/net/tun ] || skip "no /dev/net/tun"
    start_bg far unshare --net sleep 3600
    FAR=$BG_PID
    wait_until 5 other_namespace
    start_bg link link --peer "$FAR" --delay-ms "$1" --loss "$2" --seed 7
    wait_until 5 grep -q ready "$WORK/link.log"
    ip addr add 10.77.0.1/24 dev near
    ip link set near up
    far ip addr add 10.77.0.2/24 dev far
    far ip link set far up
    far ip link set lo up
}

other_namespace() {
    [ "$(readlink "/proc/$FAR/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

far() {
    nsenter --target "$FAR" --net "$@"
}
