#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Assets: what lies in priv changes, and no code. Who has read it at its start hears of it by config_change/3, up, down and
# after a failure; of an application that cannot hear it is told, and --auto swaps.
. "$(dirname "$0")/../support/lib.sh"
. "$(dirname "$0")/../support/hot.sh"

assets() { # VERSION APP TEXT
    local dir
    dir=$WORK/lib-$1/$2-$(cat "$SOURCES/$1/$2/vsn")/priv/static

    mkdir -p "$dir/deep"
    echo "$3" >"$dir/deep/manifest"
    echo "$3" >"$dir/app-$3.css"
}

caching() { # APP: its page names the asset that it has read of, and who told it
    app 0.1.0 "$1" 1 "{mod, {$1, []}}, {applications, [kernel, stdlib${2:+, $2}]}"
    module 0.1.0 "$1/$1" <<E
-behaviour(application).
-export([start/2, stop/1, init/1, config_change/3, page/0, here/0]).
start(_, _) -> read(), supervisor:start_link({local, $1_sup}, ?MODULE, []).
stop(_) -> ok.
init([]) -> {ok, {#{}, []}}.
config_change(Changed, New, Removed) ->
    persistent_term:put(told, persistent_term:get(told, []) ++ [{$1, Changed, New, Removed}]),
    read().
read() ->
    {ok, Text} = file:read_file(filename:join(code:priv_dir($1), "static/deep/manifest")),
    persistent_term:put({$1, page}, string:trim(binary_to_list(Text))).
page() -> persistent_term:get({$1, page}).
here() -> filelib:is_regular(filename:join([code:priv_dir($1), "static", "app-" ++ page() ++ ".css"])).
E
}

caching shop
caching admin shop
app 0.1.0 deaf 1 '{mod, {deaf, []}}'
module 0.1.0 deaf/deaf <<'E'
-behaviour(application).
-export([start/2, stop/1, init/1]).
start(_, _) -> supervisor:start_link(?MODULE, []).
stop(_) -> ok.
init([]) -> {ok, {#{}, []}}.
E
# 0.2.0: the assets of shop. 0.3.0: those of admin too, and shop has another version. 0.4.0: those of deaf, one is gone.
for version in 0.2.0 0.3.0 0.4.0; do
    same 0.1.0 $version
done
echo 2 >"$SOURCES/0.3.0/shop/vsn"
assets 0.2.0 shop new; assets 0.2.0 admin old
assets 0.3.0 shop new; assets 0.3.0 admin newer
assets 0.1.0 shop old; assets 0.1.0 admin old; assets 0.1.0 deaf old
assets 0.2.0 deaf old; assets 0.3.0 deaf old
assets 0.4.0 shop new; assets 0.4.0 admin old; assets 0.4.0 deaf old
rm "$WORK/lib-0.4.0/deaf-1/priv/static/app-old.css"
for version in 0.1.0 0.2.0 0.3.0 0.4.0; do
    declare "release_${version//./_}=$(release $version admin deaf shop)"
done

pages() { # SHOP ADMIN
    assert_eq "{\"$1\",true,\"$2\",true}" "$(ask '{shop:page(), shop:here(), admin:page(), admin:here()}')" "the pages name what is there"
}

told() {
    assert_eq "$1" "$(ask 'begin T = persistent_term:get(told, []), persistent_term:erase(told), T end')" "who was told"
}

assert_exit 0 relpack diff "$release_0_1_0" "$release_0_2_0"
assert_match 'files in priv of shop change: a hot upgrade tells it by config_change/3' "$(cat "$WORK/out")"
assert_exit 0 relpack diff "$release_0_2_0" "$release_0_4_0"
assert_match 'files in priv of deaf change, and it has no config_change/3' "$(cat "$WORK/out")"

start_home "$release_0_1_0"
pages old old
assert_exit 0 hot --dry-run "$release_0_2_0"
assert_match 'shop 1: same version, other files in priv \(told to config_change/3\)' "$(cat "$WORK/out")"
[[ ! $(cat "$WORK/out") =~ (admin|deaf|harm) ]] || fail "${BASH_REMATCH[1]} is in the plan"
told '[]'
assert_exit 0 relsup upgrade --auto "$release_0_2_0"
assert_match 'changed in place' "$(cat "$WORK/out")"
pages new old
told '[{shop,[],[],[]}]'

# in the order in which they start, also for another version alone
assert_exit 0 hot "$release_0_3_0"
pages new newer
told '[{shop,[],[],[]},{admin,[],[],[]}]'

# a failure: they hear of what was there before
mkdir -p "$RELSUP_HOME"
echo '{"health": [{"type": "rpc", "expr": "shop:page() =:= \"old\"", "interval_s": 0.1, "failures": 1}]}' >"$RELSUP_HOME/relsup.json"
assert_exit 3 relsup rollback --hot 0.2.0
pages new newer
told '[{shop,[],[],[]},{admin,[],[],[]},{shop,[],[],[]},{admin,[],[],[]}]'
rm "$RELSUP_HOME/relsup.json"

# back, in place
assert_exit 0 relsup rollback --hot 0.1.0
pages old old
told '[{shop,[],[],[]},{admin,[],[],[]}]'

# nobody hears
pid=$(relsup pid)
assert_exit 0 hot --dry-run "$release_0_4_0"
assert_match 'deaf 1: same version, other files in priv \(nobody listens' "$(cat "$WORK/out")"
assert_match 'files in priv of deaf change, and it has no config_change/3 to hear of it' "$(cat "$WORK/out")"
assert_exit 0 hot "$release_0_4_0"
assert_eq "$pid" "$(relsup pid)"
assert_exit 0 relsup rollback --hot
assert_exit 0 relsup upgrade --auto "$release_0_4_0"
assert_match 'by a swap, because files in priv of deaf change' "$(cat "$WORK/err")"
pages new old
end_home
