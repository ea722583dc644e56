%% SPDX-License-Identifier: Apache-2.0
%% Version 1: the state is a tuple.
-module(hot_server).
-behaviour(gen_server).

-export([start_link/1, init/1, handle_call/3, handle_cast/2]).

start_link(Bytes) ->
    gen_server:start_link(?MODULE, Bytes, []).

%% Two words for each element of the list.
init(Bytes) ->
    {ok, {one, 0, lists:seq(1, Bytes div 16)}}.

handle_call(ask, _, {one, Asked, Data}) ->
    {reply, ok, {one, Asked + 1, Data}};
handle_call(tell, _, State = {one, Asked, Data}) ->
    {reply, {1, Asked, length(Data)}, State}.

handle_cast(_, State) ->
    {noreply, State}.
