%% SPDX-License-Identifier: Apache-2.0
%% Has no code_change/3.
-module(ledger_clock).
-behaviour(gen_server).
-export([start_link/0]).
-export([init/1, handle_call/3, handle_cast/2]).

start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

init([]) ->
    {ok, 0}.

handle_call(which, _From, N) ->
    {reply, {N, "0.2.0"}, N + 1}.

handle_cast(_Message, N) ->
    {noreply, N}.
