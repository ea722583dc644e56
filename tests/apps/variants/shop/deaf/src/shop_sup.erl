%% SPDX-License-Identifier: Apache-2.0
%% A release that starts and never listens.
-module(shop_sup).
-behaviour(supervisor).
-export([start_link/1, init/1]).

start_link(Port) ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, Port).

init(_Port) ->
    Counter = #{id => shop_counter, start => {shop_counter, start_link, []}},
    {ok, {#{strategy => one_for_one, intensity => 3, period => 5}, [Counter]}}.
