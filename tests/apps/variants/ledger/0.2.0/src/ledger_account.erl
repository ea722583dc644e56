%% SPDX-License-Identifier: Apache-2.0
%% The state is a list of amounts and how many changes it went through.
-module(ledger_account).
-behaviour(gen_server).
-export([start_link/0, add/1, total/0]).
-export([init/1, handle_call/3, handle_cast/2, code_change/3]).

start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

add(Amount) ->
    gen_server:call(?MODULE, {add, Amount}).

total() ->
    gen_server:call(?MODULE, total).

init([]) ->
    {ok, {[], 0}}.

handle_call({add, Amount}, _From, {Amounts, Changes}) ->
    {reply, ok, {[Amount | Amounts], Changes}};
handle_call(total, _From, {Amounts, _} = State) ->
    {reply, ledger_tax:taxed(ledger_sum:sum(Amounts)), State}.

handle_cast(_Message, State) ->
    {noreply, State}.

code_change({down, _Version}, {Amounts, _Changes}, _Extra) ->
    {ok, Amounts};
code_change(_From, Amounts, _Extra) ->
    {ok, {Amounts, 1}}.
