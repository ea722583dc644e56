%% SPDX-License-Identifier: Apache-2.0
-module(ledger_gate).
-behaviour(gen_statem).
-export([start_link/0]).
-export([init/1, callback_mode/0, handle_event/4, code_change/4]).

start_link() ->
    gen_statem:start_link({local, ?MODULE}, ?MODULE, [], []).

callback_mode() ->
    handle_event_function.

init([]) ->
    {ok, open, {changed, data}}.

handle_event({call, From}, Event, _State, Data) ->
    {next_state, Event, Data, {reply, From, ok}}.

code_change({down, _Version}, State, {changed, Data}, _Extra) ->
    {ok, State, Data};
code_change(_From, State, Data, _Extra) ->
    {ok, State, {changed, Data}}.
