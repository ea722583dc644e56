%% SPDX-License-Identifier: Apache-2.0
%% A gen_server whose state knows which code made it. ?v: 1 old, 2 good, 3 raises in one process,
%% 4 hangs in one process.
-module(hx_server).
-vsn(?v).
-behaviour(gen_server).
-export([start_link/1, all/0, count/1, busy/2]).
-export([init/1, handle_call/3, handle_cast/2, code_change/3]).

start_link(N) -> gen_server:start_link(?MODULE, N, []).

all() -> [P || {_, P, _, _} <- supervisor:which_children(hx_pool)].

%% How many of them run this code with a state of that form?
count(Form) ->
    length([P || P <- all(), {?v, State} <- [gen_server:call(P, get)], element(1, State) =:= Form]).

busy(P, Ms) -> gen_server:cast(P, {busy, Ms}).

init(N) -> {ok, {one, N, binary:copy(<<"x">>, 1000)}}.

handle_call(get, _, State) -> {reply, {?v, State}, State};
handle_call({ask, Other}, _, State) -> {reply, gen_server:call(Other, get), State}.

handle_cast({busy, Ms}, State) ->
    timer:sleep(Ms),
    {noreply, State}.

-if(?v =:= 1).
code_change(_, State, _) -> {ok, State}.
-else.
code_change(1, {one, N, Blob}, []) ->
    change(N),
    {ok, {two, N, Blob}}.

-if(?v =:= 3).
change(777) -> error(bad_luck);
change(_) -> ok.
-elif(?v =:= 4).
change(7) ->
    register(hx_changing, self()),
    timer:sleep(60000);
change(_) -> ok.
-else.
change(_) -> ok.
-endif.
-endif.
