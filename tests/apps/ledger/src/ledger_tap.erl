%% SPDX-License-Identifier: Apache-2.0
-module(ledger_tap).
-behaviour(gen_event).
-export([init/1, handle_event/2, handle_call/2, code_change/3]).

init([]) ->
    {ok, taps}.

handle_event(_Event, State) ->
    {ok, State}.

handle_call(_Request, State) ->
    {ok, State, State}.

code_change({down, _Version}, {changed, State}, _Extra) ->
    {ok, State};
code_change(_From, State, _Extra) ->
    {ok, State}.
