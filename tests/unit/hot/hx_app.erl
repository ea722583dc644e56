%% SPDX-License-Identifier: Apache-2.0
-module(hx_app).
-vsn(?v).
-behaviour(application).
-export([start/2, stop/1, config_change/3]).

start(_, _) -> hx_sup:start_link().
stop(_) -> ok.

config_change(Changed, New, Removed) ->
    persistent_term:put(hx_config, {?v, lists:sort(Changed), lists:sort(New), Removed}),
    ok.
