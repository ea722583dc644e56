%% SPDX-License-Identifier: Apache-2.0
%% A release that cannot start.
-module(shop_app).
-behaviour(application).
-export([start/2, stop/1]).

start(_Type, _Args) ->
    error(the_shelves_are_empty).

stop(_State) ->
    ok.
