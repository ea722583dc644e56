%% SPDX-License-Identifier: Apache-2.0
%% Starts the servers, and processes that call them all the time: each asks a random server, waits for
%% the answer however long that takes, and keeps the longest wait.
-module(hot_load).

-export([start/3, without_callers/1, stop/0]).

-define(WARM_CALLS, 5000).

-record(seen, {calls = 0, failed = 0, longest = 0}).

%% Prints what the callers saw before anything happens, when each has made enough calls.
start(ServerN, Bytes, CallerN) ->
    Servers = list_to_tuple([start_server(Bytes) || _ <- lists:seq(1, ServerN)]),
    Self = self(),
    Callers = [spawn(fun() -> caller(Self, Servers) end) || _ <- lists:seq(1, CallerN)],
    Longest = lists:max([receive {warm, Caller, L} -> L end || Caller <- Callers]),
    persistent_term:put(?MODULE, {Servers, Bytes, Callers}),
    io:format("{\"os_pid\": ~s, \"longest_us\": ~b}~n", [os:getpid(), micro(Longest)]).

start_server(Bytes) ->
    {ok, Server} = supervisor:start_child(hot_sup, [Bytes]),
    Server.

caller(Starter, Servers) ->
    Seen = calls(?WARM_CALLS, Servers, #seen{}),
    Starter ! {warm, self(), Seen#seen.longest},
    call_on(Servers, Seen#seen{longest = 0}).

calls(0, _, Seen) -> Seen;
calls(N, Servers, Seen) -> calls(N - 1, Servers, call(Servers, Seen)).

call_on(Servers, Seen) ->
    receive
        {stop, Stopper} -> Stopper ! {stopped, self(), Seen};
        {hold, Holder} ->
            Holder ! {held, self()},
            receive go -> call_on(Servers, Seen) end
    after 0 ->
            call_on(Servers, call(Servers, Seen))
    end.

call(Servers, Seen = #seen{calls = Calls, failed = Failed, longest = Longest}) ->
    Server = element(rand:uniform(tuple_size(Servers)), Servers),
    Began = erlang:monotonic_time(),
    try gen_server:call(Server, ask, infinity) of
        ok ->
            Waited = erlang:monotonic_time() - Began,
            Seen#seen{calls = Calls + 1, longest = max(Longest, Waited)}
    catch
        exit:_ -> Seen#seen{failed = Failed + 1}
    end.

%% As while everybody is suspended: the callers wait.
without_callers(Fun) ->
    {_, _, Callers} = persistent_term:get(?MODULE),
    [Caller ! {hold, self()} || Caller <- Callers],
    [receive {held, Caller} -> ok end || Caller <- Callers],
    Result = Fun(),
    [Caller ! go || Caller <- Callers],
    Result.

%% Ends the callers and looks at every server: `lost` servers are gone, `wrong` ones are not of version 2
%% or have not all of their data, and `forgotten` calls were answered but are in no state.
stop() ->
    {Servers, Bytes, Callers} = persistent_term:get(?MODULE),
    [Caller ! {stop, self()} || Caller <- Callers],
    Seen = [receive {stopped, Caller, S} -> S end || Caller <- Callers],
    Told = [tell(Server) || Server <- tuple_to_list(Servers)],
    Calls = lists:sum([S#seen.calls || S <- Seen]),
    io:format("{\"longest_us\": ~b, \"calls\": ~b, \"failed\": ~b, \"lost\": ~b, \"wrong\": ~b, "
              "\"forgotten\": ~b}~n",
              [micro(lists:max([S#seen.longest || S <- Seen])), Calls,
               lists:sum([S#seen.failed || S <- Seen]),
               length([lost || lost <- Told]),
               length([T || T = {Vsn, _, Len} <- Told, {Vsn, Len} =/= {2, Bytes div 16}]),
               Calls - lists:sum([Asked || {_, Asked, _} <- Told])]).

tell(Server) ->
    try gen_server:call(Server, tell, infinity)
    catch exit:_ -> lost
    end.

micro(Native) ->
    erlang:convert_time_unit(Native, native, microsecond).
