%% SPDX-License-Identifier: Apache-2.0
%% The application: one supervisor of as many servers as the benchmark asks for.
-module(hot_app).
-behaviour(application).
-behaviour(supervisor).

-export([start/2, stop/1, init/1]).

start(_, _) ->
    supervisor:start_link({local, hot_sup}, ?MODULE, []).

stop(_) ->
    ok.

init([]) ->
    {ok, {#{strategy => simple_one_for_one},
          [#{id => hot_server, start => {hot_server, start_link, []}, restart => temporary,
             shutdown => brutal_kill, modules => [hot_server]}]}}.
