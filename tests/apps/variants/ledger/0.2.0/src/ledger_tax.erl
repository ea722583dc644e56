%% SPDX-License-Identifier: Apache-2.0
-module(ledger_tax).
-export([taxed/1]).

taxed(Amount) ->
    2 * Amount.
