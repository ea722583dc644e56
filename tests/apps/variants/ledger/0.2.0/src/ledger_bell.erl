%% SPDX-License-Identifier: Apache-2.0
%% A special process of sys(3).
-module(ledger_bell).
-export([start_link/0, init/1]).
-export([system_continue/3, system_terminate/4, system_code_change/4, system_get_state/1]).

start_link() ->
    proc_lib:start_link(?MODULE, init, [self()]).

init(Parent) ->
    register(?MODULE, self()),
    proc_lib:init_ack(Parent, {ok, self()}),
    loop(Parent, {changed, rings}).

loop(Parent, State) ->
    receive
        {system, From, Request} ->
            sys:handle_system_msg(Request, From, Parent, ?MODULE, [], State);
        {version, From} ->
            From ! {bell, 2},
            ?MODULE:system_continue(Parent, [], State)
    end.

system_continue(Parent, _Debug, State) ->
    loop(Parent, State).

system_terminate(Reason, _Parent, _Debug, _State) ->
    exit(Reason).

system_get_state(State) ->
    {ok, State}.

system_code_change({changed, State}, _Module, {down, _Version}, _Extra) ->
    {ok, State};
system_code_change(State, _Module, _From, _Extra) ->
    {ok, {changed, State}}.
