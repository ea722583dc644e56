%% SPDX-License-Identifier: Apache-2.0
%% A gen_statem that changes its callback mode, which only code_change makes it read again.
-module(hx_statem).
-vsn(?v).
-behaviour(gen_statem).
-export([start_link/0, init/1, callback_mode/0, code_change/4]).

-if(?v =:= 1).
-export([idle/3]).
-else.
-export([handle_event/4]).
-endif.

start_link() -> gen_statem:start_link({local, ?MODULE}, ?MODULE, [], []).

init([]) -> {ok, idle, 40}.

-if(?v =:= 1).
callback_mode() -> state_functions.
idle({call, From}, get, Data) -> {keep_state, Data + 1, {reply, From, {1, Data}}}.
%% The way back calls it, too, with the old state.
code_change(_, State, Data, _) -> {ok, State, Data}.
-else.
callback_mode() -> handle_event_function.
handle_event({call, From}, get, idle, {new, Data}) ->
    {keep_state, {new, Data + 1}, {reply, From, {2, Data}}}.
code_change(1, State, Data, []) -> {ok, State, {new, Data}}.
-endif.
