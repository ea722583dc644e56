%% SPDX-License-Identifier: Apache-2.0
-module(ledger_sup).
-behaviour(application).
-behaviour(supervisor).
-export([start/2, stop/1, init/1]).

start(_Type, _Args) ->
    {ok, Sup} = supervisor:start_link({local, ?MODULE}, ?MODULE, []),
    ok = gen_event:add_handler(ledger_feed, ledger_tap, []),
    {ok, Sup}.

stop(_State) ->
    ok.

init([]) ->
    Feed = #{id => ledger_feed, start => {gen_event, start_link, [{local, ledger_feed}]}, modules => dynamic},
    {ok, {#{}, [Feed | [worker(Module) || Module <- ledger_names:workers()]]}}.

worker(Module) ->
    #{id => Module, start => {Module, start_link, []}, shutdown => 7000}.
