%% SPDX-License-Identifier: Apache-2.0
%% Only in the new versions.
-module(hx_new).
-export([here/0]).

here() -> true.
