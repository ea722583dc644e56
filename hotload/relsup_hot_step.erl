%% SPDX-License-Identifier: Apache-2.0
%% Where the worker of a hot upgrade is. It does nothing here: tests put another module of this name
%% into the node, which fails, kills or hangs the worker at the step they want.
-module(relsup_hot_step).

-export([at/1]).

at(_Step) ->
    ok.
