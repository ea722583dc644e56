%% SPDX-License-Identifier: Apache-2.0
%% As much of HTTP/1.1 as the tests speak: GET with keep-alive, one process a connection. It owns
%% the listening sockets; each has two acceptors.
-module(depot_http).
-behaviour(gen_server).
-export([start_link/0, reopen/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% Closes every listening socket and opens it again, as a server does that changes its settings.
reopen() ->
    gen_server:call(?MODULE, reopen).

init([]) ->
    process_flag(trap_exit, true),
    case application:get_env(depot, listen_after, 0) of
        0 -> {ok, {open(), udp(), []}};
        Ms -> erlang:send_after(Ms, self(), open), {ok, {[], udp(), []}}
    end.

handle_call(reopen, _From, {Sockets, Udp, Talks}) ->
    [gen_tcp:close(S) || S <- Sockets],
    {reply, ok, {open(), Udp, Talks}};
handle_call({talks, Socket}, _From, {Sockets, Udp, Talks}) ->
    {reply, ok, {Sockets, Udp, [Socket | Talks]}}.

handle_cast(_Message, State) -> {noreply, State}.
handle_info(open, {[], Udp, Talks}) -> {noreply, {open(), Udp, Talks}};
handle_info(_Message, State) -> {noreply, State}.

%% It says goodbye to whom it talks with, as a server of WebSockets does.
terminate(_Reason, {_, _, Talks}) ->
    [gen_tcp:send(S, "goodbye\n") || S <- Talks],
    ok.

open() ->
    Specs = application:get_env(depot, listen, [{inet, 1, 1}]),
    [listen(Family, port(N), Sockets) || {Family, N, Sockets} <- Specs, _ <- lists:seq(1, Sockets)].

port(0) ->
    0;
port(N) ->
    list_to_integer(lists:nth(N, string:lexemes(os:getenv("PORTS", "8080"), ","))).

udp() ->
    case application:get_env(depot, udp) of
        {ok, N} ->
            {ok, Socket} = gen_udp:open(port(N), [{ip, {127, 0, 0, 1}}]),
            Socket;
        undefined ->
            undefined
    end.

%% Several on one port share it (SO_REUSEPORT), as servers with many acceptors do.
listen(Family, Port, Sockets) ->
    Share = [{raw, 1, 15, <<1:32/native>>} || Sockets > 1],
    {ok, Socket} = gen_tcp:listen(Port, [binary, {active, false}, {packet, http_bin},
                                         {reuseaddr, true}, {nodelay, true}, {backlog, 128}
                                         | Share ++ address(Family)]),
    Mode = application:get_env(depot, mode, ok),
    Mode =:= deaf orelse [spawn(fun() -> accept(Socket, Mode) end) || _ <- [1, 2]],
    Socket.

address(inet) -> [inet, {ip, {127, 0, 0, 1}}];
address(any) -> [inet];
address(inet6) -> [inet6, {ip, {0, 0, 0, 0, 0, 0, 0, 1}}];
address(dual) -> [inet6, {ipv6_v6only, false}].

accept(Listener, Mode) ->
    case gen_tcp:accept(Listener) of
        {ok, Socket} ->
            Pid = spawn(fun() -> receive go -> serve(Socket, Mode) end end),
            ok = gen_tcp:controlling_process(Socket, Pid),
            Pid ! go,
            accept(Listener, Mode);
        {error, closed} ->
            ok;
        {error, _} ->
            accept(Listener, Mode)
    end.

serve(Socket, mute) ->
    {error, _} = recv_forever(Socket),
    gen_tcp:close(Socket);
serve(Socket, Mode) ->
    case request(Socket) of
        {ok, Path, Keep} ->
            crash(Mode, Socket),
            answer(Path, Socket, Mode, Keep),
            Keep andalso serve(Socket, Mode),
            gen_tcp:close(Socket);
        _ ->
            gen_tcp:close(Socket)
    end.

recv_forever(Socket) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, _} -> recv_forever(Socket);
        Error -> Error
    end.

%% An ordinary request: a preview comes from elsewhere.
crash({crash, Ms}, Socket) ->
    case inet:peername(Socket) of
        {ok, {{127, 0, 0, 1}, _}} -> timer:apply_after(Ms, erlang, halt, [137, [{flush, false}]]);
        _ -> ok
    end;
crash(_, _) ->
    ok.

request(Socket) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, {http_request, 'GET', {abs_path, Path}, _}} -> headers(Socket, Path, true);
        _ -> error
    end.

headers(Socket, Path, Keep) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, http_eoh} -> {ok, Path, Keep};
        {ok, {http_header, _, 'Connection', _, <<"close">>}} -> headers(Socket, Path, false);
        {ok, {http_header, _, _, _, _}} -> headers(Socket, Path, Keep);
        _ -> error
    end.

answer(_, Socket, sick, Keep) ->
    respond(Socket, "500 Internal Server Error", version(), Keep);
answer(<<"/slow/", Ms/binary>>, Socket, _, Keep) ->
    timer:sleep(binary_to_integer(Ms)),
    respond(Socket, "200 OK", version(), Keep);
answer(<<"/stream">>, Socket, _, _) ->
    ok = gen_tcp:send(Socket, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n"),
    inet:setopts(Socket, [{packet, raw}]),
    stream(Socket);
answer(<<"/talk">>, Socket, _, _) ->
    ok = gen_tcp:send(Socket, "HTTP/1.1 101 Switching Protocols\r\nupgrade: talk\r\n\r\n"),
    inet:setopts(Socket, [{packet, raw}]),
    ok = gen_server:call(?MODULE, {talks, Socket}),
    {error, _} = recv_forever(Socket);
answer(<<"/count">>, Socket, _, Keep) ->
    respond(Socket, "200 OK", integer_to_list(depot_state:next()), Keep);
answer(<<"/pid">>, Socket, _, Keep) ->
    respond(Socket, "200 OK", os:getpid(), Keep);
answer(_, Socket, _, Keep) ->
    respond(Socket, "200 OK", version(), Keep).

%% A line every 100 ms until the client, or whoever seems to be it, ends.
stream(Socket) ->
    case gen_tcp:recv(Socket, 0, 100) of
        {error, timeout} ->
            ok = gen_tcp:send(Socket, [version(), $\n]),
            stream(Socket);
        _ ->
            ok
    end.

respond(Socket, Status, Line, Keep) ->
    Connection = case Keep of true -> "keep-alive"; false -> "close" end,
    gen_tcp:send(Socket, ["HTTP/1.1 ", Status, "\r\ncontent-type: text/plain\r\nconnection: ",
                          Connection, "\r\ncontent-length: ",
                          integer_to_list(length(Line) + 1), "\r\n\r\n", Line, $\n]).

version() ->
    "depot 0.1.0".
