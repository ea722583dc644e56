%% SPDX-License-Identifier: Apache-2.0
-module(diff_look_sup).
-behaviour(supervisor).

-export([init/1]).

init([]) -> {ok, {#{}, []}}.
