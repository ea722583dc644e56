%% SPDX-License-Identifier: Apache-2.0
%% The state is a list of amounts.
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
    {ok, []}.

handle_call({add, Amount}, _From, Amounts) ->
    {reply, ok, [Amount | Amounts]};
handle_call(total, _From, Amounts) ->
    {reply, ledger_sum:sum(Amounts), Amounts}.

handle_cast(_Message, Amounts) ->
    {noreply, Amounts}.

code_change(_From, Amounts, _Extra) ->
    {ok, Amounts}.
