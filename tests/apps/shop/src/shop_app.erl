%% SPDX-License-Identifier: Apache-2.0
-module(shop_app).
-behaviour(application).
-export([start/2, stop/1]).

start(_Type, _Args) ->
    shop_sup:start_link(port()).

stop(_State) ->
    ok.

port() ->
    case os:getenv("PORT") of
        false -> application:get_env(shop, port, 8080);
        Text -> list_to_integer(Text)
    end.
