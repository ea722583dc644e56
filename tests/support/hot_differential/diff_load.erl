%% SPDX-License-Identifier: Apache-2.0
%% Clients from outside: to each port two connections after another, until the file Stop is there. Stop.ready is there
%% when the first of each is over. Prints how many were answered and how many were not, and the longest wait in
%% milliseconds.
-module(diff_load).

-export([main/1]).

main([Stop | Ports]) ->
    Self = self(),
    [ask(list_to_integer(P)) || P <- Ports],
    ok = file:write_file(Stop ++ ".ready", ""),
    Clients = [spawn_link(fun() -> Self ! {self(), client(list_to_integer(P), Stop, {0, 0, 0})} end)
               || P <- Ports, _ <- [1, 2]],
    Counts = [receive {C, Count} -> Count end || C <- Clients],
    io:format("~b ~b ~b~n", [lists:sum([A || {A, _, _} <- Counts]), lists:sum([L || {_, L, _} <- Counts]),
                             lists:max([0 | [W || {_, _, W} <- Counts]])]).

client(Port, Stop, {Answered, Lost, Longest}) ->
    case filelib:is_file(Stop) of
        true -> {Answered, Lost, Longest};
        false ->
            Began = erlang:monotonic_time(millisecond),
            Good = ask(Port),
            Waited = erlang:monotonic_time(millisecond) - Began,
            timer:sleep(2),
            client(Port, Stop, {Answered + Good, Lost + 1 - Good, max(Longest, Waited)})
    end.

ask(Port) ->
    case gen_tcp:connect({127, 0, 0, 1}, Port, [{active, false}], 10000) of
        {ok, S} ->
            Got = gen_tcp:recv(S, 0, 20000),
            gen_tcp:close(S),
            case Got of {ok, _} -> 1; _ -> 0 end;
        _ -> 0
    end.
