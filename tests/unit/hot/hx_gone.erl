%% SPDX-License-Identifier: Apache-2.0
%% Only in the old version.
-module(hx_gone).
-export([here/0]).

here() -> true.
