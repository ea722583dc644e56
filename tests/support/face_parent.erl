%% SPDX-License-Identifier: Apache-2.0
%% A supervisor that says what it is told to: answers one request on HOME/run/control.sock.
-module(face_parent).
-export([start/2, asked/0]).

%% Says each of Answers and hangs up; a number is a pause in milliseconds.
start(Home, Answers) ->
    Path = filename:join([Home, "run", "control.sock"]),
    ok = filelib:ensure_dir(Path),
    _ = file:delete(Path),
    {ok, Listen} = gen_tcp:listen(0, [local, {ip, {local, Path}}, binary, {active, false},
                                      {packet, line}]),
    {Pid, _} = spawn_monitor(fun() ->
        receive go -> ok end,
        {ok, Socket} = gen_tcp:accept(Listen, 10000),
        {ok, Line} = gen_tcp:recv(Socket, 0, 10000),
        persistent_term:put(?MODULE, Line),
        [if is_integer(A) -> timer:sleep(A); true -> ok = gen_tcp:send(Socket, A) end
         || A <- Answers]
    end),
    ok = gen_tcp:controlling_process(Listen, Pid),
    Pid ! go,
    true = os:putenv("RELSUP_HOME", Home),
    ok.

%% The last request, as it came.
asked() ->
    persistent_term:get(?MODULE).
