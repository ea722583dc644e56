%% SPDX-License-Identifier: Apache-2.0
%% The state is the number itself.
-module(shop_counter).
-behaviour(gen_server).
-export([start_link/0, next/0, value/0]).
-export([init/1, handle_call/3, handle_cast/2, code_change/3]).

start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

next() ->
    gen_server:call(?MODULE, next).

value() ->
    gen_server:call(?MODULE, value).

init([]) ->
    {ok, 0}.

handle_call(next, _From, N) ->
    {reply, N + 1, N + 1};
handle_call(value, _From, N) ->
    {reply, N, N}.

handle_cast(_Message, N) ->
    {noreply, N}.

%% Back from 0.2.0, which keeps a map.
code_change(_From, #{count := N}, _Extra) ->
    {ok, N};
code_change(_From, N, _Extra) ->
    {ok, N}.
