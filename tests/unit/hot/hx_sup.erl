%% SPDX-License-Identifier: Apache-2.0
%% ?v: 5 adds a child, 6 becomes simple_one_for_one.
-module(hx_sup).
-vsn(?v).
-behaviour(supervisor).
-export([start_link/0, init/1]).

start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).

-if(?v =:= 6).
init([]) -> {ok, {#{strategy => simple_one_for_one}, [child(hx_statem)]}}.
-else.
init([]) ->
    {ok, {#{strategy => one_for_one, intensity => ?v},
          [child(hx_statem), child(hx_event) | pool() ++ more()]}}.
pool() -> [#{id => pool, start => {hx_pool, start_link, []}, type => supervisor}].
-if(?v =:= 5).
more() -> [#{id => more, start => {hx_event, start_link, []}}].
-else.
more() -> [].
-endif.
-endif.

child(M) -> #{id => M, start => {M, start_link, []}}.
