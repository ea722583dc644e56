%% SPDX-License-Identifier: Apache-2.0
%% The same in every version: a supervisor that starts servers of a changed module.
-module(hx_pool).
-behaviour(supervisor).
-export([start_link/0, init/1, fill/1]).

start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).

init([]) ->
    {ok, {#{strategy => simple_one_for_one},
          [#{id => server, start => {hx_server, start_link, []}, restart => temporary}]}}.

fill(N) -> [{ok, _} = supervisor:start_child(?MODULE, [I]) || I <- lists:seq(1, N)], N.
