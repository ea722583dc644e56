# SPDX-License-Identifier: Apache-2.0
"""Tables of bench/hot.  report.py ROWS SERVERS BYTES: that case;  report.py ROWS: the cost per process."""
import json
import statistics
import sys

NAMES = {
    "relsup": "relsup upgrade --hot",
    "bare": "    its messages alone, no upgrade",
    "release_handler": "(a) release_handler, with an appup",
    "in_turn": "(b) sys: all suspended, changed, resumed in turn",
    "one_by_one": "    sys: each server by itself, the code first",
    "beam_deploy": "(c) as BeamDeploy 0.1.0 does it",
}
TARGETS = {"release_handler": 3, "in_turn": 3, "beam_deploy": 10}  # at 10,000 servers of 1 KB
FLOOR = 1.3  # our longest wait, in times of what the messages alone take
HARMS = {
    "failed": "calls failed",
    "lost": "servers died",
    "wrong": "servers have the wrong state",
    "forgotten": "answered calls are in no state",
}


def size(count):
    for unit, factor in (("MB", 1 << 20), ("KB", 1 << 10)):
        if count >= factor:
            return f"{count / factor:g} {unit}"
    return f"{count} B"


def figures(rows, get):
    """In ms: the median, and the worst in brackets."""
    values = [get(row) / 1000 for row in rows]
    return f"{statistics.median(values):8.1f} ({max(values):.1f})"


def pause(row):
    return row["upgrade"]["pause_us"]


def wait(row):
    return row["after"]["longest_us"]


def median(rows, get):
    return statistics.median(get(row) for row in rows)


def ratio(way, rows, ours, target):
    if not ours or way == "relsup":
        return ""
    if way == "bare":
        return f"{median(ours, wait) / median(rows, pause):6.2f}x of it is our longest wait (target at most {FLOOR}x)"
    times = f"{median(rows, wait) / median(ours, wait):6.1f}x"
    return times + (f" (target {TARGETS[way]}x)" if target and way in TARGETS else "")


def harm(rows):
    worst = {key: max(abs(row["after"][key]) for row in rows) for key in HARMS}
    return ", ".join(f"{worst[key]:,} {text}" for key, text in HARMS.items() if worst[key])


def table(rows, servers, byte_n):
    by_way = {way: [row for row in rows if row["way"] == way] for way in NAMES}
    by_way = {way: found for way, found in by_way.items() if found}
    round_n = max(len(found) for found in by_way.values())
    print(f"\n{servers:,} servers, each with {size(byte_n)} of state; ms, median of {round_n} (worst)")
    print(f"{'':<50} {'whole':>18} {'suspended':>18} {'longest wait':>18}   against relsup")
    for way, found in by_way.items():
        print(
            f"{NAMES[way]:<50} {figures(found, lambda row: row['whole_us']):>18} {figures(found, pause):>18}"
            f" {figures(found, wait):>18}   {ratio(way, found, by_way.get('relsup'), (servers, byte_n) == (10000, 1024)):<20}"
            f" {harm(found) if way != 'bare' else ''}".rstrip()
        )
    print(f"{'nobody upgrades':<50} {'':>18} {'':>18} {figures(rows, lambda row: row['before']['longest_us']):>18}")
    # What is bare changes nothing. Servers that are called before they have their turn die of it: that is what this way is worth.
    return not any(harm(found) for way, found in by_way.items() if way not in ("bare", "one_by_one"))


def cost(rows):
    """What a process costs at 100,000 against 10,000."""
    ours = [row for row in rows if row["way"] == "relsup" and row["bytes"] == 1024]
    many, few = ([row for row in ours if row["servers"] == n] for n in (100000, 10000))
    if many and few:
        for name, get in (("suspended", pause), ("longest wait", wait)):
            a, b = median(few, get) / 10000, median(many, get) / 100000
            print(f"relsup, {name} per process: {a:.2f} us at 10,000, {b:.2f} us at 100,000: {b / a:.2f}x (target at most 1.6x)")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    if len(sys.argv) == 2:
        cost(rows)
        return
    servers, byte_n = int(sys.argv[2]), int(sys.argv[3])
    if not table([row for row in rows if (row["servers"], row["bytes"]) == (servers, byte_n)], servers, byte_n):
        sys.exit("an upgrade did not do what it should")


main()
