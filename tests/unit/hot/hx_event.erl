%% SPDX-License-Identifier: Apache-2.0
-module(hx_event).
-vsn(?v).
-behaviour(gen_event).
-export([start_link/0, init/1, handle_event/2, handle_call/2, code_change/3]).

start_link() ->
    {ok, P} = gen_event:start_link({local, hx_events}),
    ok = gen_event:add_handler(P, ?MODULE, a),
    ok = gen_event:add_handler(P, {?MODULE, second}, b),
    {ok, P}.

init(Arg) -> {ok, {one, Arg}}.
handle_event(_, State) -> {ok, State}.
handle_call(get, State) -> {ok, {?v, State}, State}.

-if(?v =:= 1).
code_change(_, State, _) -> {ok, State}.
-else.
code_change(1, {one, Arg}, []) -> {ok, {two, Arg}}.
-endif.
