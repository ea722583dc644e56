%% SPDX-License-Identifier: Apache-2.0
%% Version 2: the state is a map, made of that of version 1.
-module(hot_server).
-behaviour(gen_server).

-export([start_link/1, init/1, handle_call/3, handle_cast/2, code_change/3]).

start_link(Bytes) ->
    gen_server:start_link(?MODULE, Bytes, []).

init(Bytes) ->
    {ok, #{asked => 0, data => lists:seq(1, Bytes div 16)}}.

handle_call(ask, _, State = #{asked := Asked}) ->
    {reply, ok, State#{asked := Asked + 1}};
handle_call(tell, _, State = #{asked := Asked, data := Data}) ->
    {reply, {2, Asked, length(Data)}, State}.

handle_cast(_, State) ->
    {noreply, State}.

code_change(_, {one, Asked, Data}, _) ->
    {ok, #{asked => Asked, data => Data}}.
