%% SPDX-License-Identifier: Apache-2.0
%% A number that goes from one peer to the next.
-module(depot_state).
-behaviour(gen_server).
-export([start_link/0, next/0, value/0, export/0, import/1, refuse/1, loiter/0]).
-export([init/1, handle_call/3, handle_cast/2]).

start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

next() -> gen_server:call(?MODULE, next).
value() -> gen_server:call(?MODULE, value).
export() -> {count, value()}.
import({count, N}) -> gen_server:call(?MODULE, {set, N}).
refuse(_) -> {error, it_is_full}.
loiter() -> timer:sleep(60000).

init([]) -> {ok, 0}.

handle_call(next, _From, N) -> {reply, N + 1, N + 1};
handle_call(value, _From, N) -> {reply, N, N};
handle_call({set, N}, _From, _) -> {reply, ok, N}.

handle_cast(_Message, N) -> {noreply, N}.
