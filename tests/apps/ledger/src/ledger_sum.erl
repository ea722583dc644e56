%% SPDX-License-Identifier: Apache-2.0
-module(ledger_sum).
-export([sum/1, title/0]).

sum(List) ->
    lists:sum(List).

title() ->
    ledger_names:name(total).
