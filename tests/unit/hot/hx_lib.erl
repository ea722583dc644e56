%% SPDX-License-Identifier: Apache-2.0
%% No behaviour: functions, and a loop for a process that cannot be changed.
-module(hx_lib).
-vsn(?v).
-export([version/0, loop/0, closure/0]).

version() -> ?v.

loop() -> receive stop -> ok; _ -> loop() end.

closure() -> fun() -> ?v end.
