%% SPDX-License-Identifier: Apache-2.0
%% The state is a map: the number, and since when this server counts.
-module(shop_counter).
-behaviour(gen_server).
-export([start_link/0, next/0, value/0, since/0]).
-export([init/1, handle_call/3, handle_cast/2, code_change/3]).

start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

next() ->
    gen_server:call(?MODULE, next).

value() ->
    gen_server:call(?MODULE, value).

since() ->
    gen_server:call(?MODULE, since).

init([]) ->
    {ok, from(0)}.

handle_call(next, _From, #{count := N} = State) ->
    {reply, N + 1, State#{count := N + 1}};
handle_call(value, _From, #{count := N} = State) ->
    {reply, N, State};
handle_call(since, _From, #{since := Since} = State) ->
    {reply, Since, State}.

handle_cast(_Message, State) ->
    {noreply, State}.

%% From 0.1.0, which keeps the bare number; and back to it.
code_change({down, _Version}, #{count := N}, _Extra) ->
    {ok, N};
code_change(_From, N, _Extra) when is_integer(N) ->
    {ok, from(N)};
code_change(_From, State, _Extra) ->
    {ok, State}.

from(N) ->
    #{count => N, since => erlang:system_time(second)}.
