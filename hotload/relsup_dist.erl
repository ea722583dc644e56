%% SPDX-License-Identifier: Apache-2.0
%% The way from one peer of a home to the other one (docs/face.md). A peer runs without epmd, and
%% OTP's erl_epmd takes its own port for that of every name, so it would dial itself. net_kernel
%% keeps a list of what it listens with, and asks each in turn whether it sets up the connection to
%% a node: this one says so of the other peer alone, does as inet_tcp_dist does, and connects to
%% another port. Nothing is connected until the application asks for it.
-module(relsup_dist).
-export([introduce/3, forget/1]).
%% What net_kernel calls of whom it listens with.
-export([select/1, setup/5, close/1, setopts/2, getopts/2]).
%% What inet_tcp_dist calls of its transport.
-export([family/0, connect/3, send/2, send/3, recv/3]).

-define(REPLACE_MS, 2000).

%% From now on that node is found at that port, and has that cookie in common with this one.
-spec introduce(node(), atom(), inet:port_number()) -> ok | no_way.
introduce(Node, Cookie, Port) ->
    true = erlang:set_cookie(Node, Cookie),
    replace({Node, Port}).

%% It is gone: neither the cookie nor the port leads anywhere any more.
-spec forget(node()) -> ok | no_way.
forget(Node) ->
    true = erlang:set_cookie(Node, erlang:get_cookie()),
    replace({Node, gone}).

replace(Place) ->
    State = sys:replace_state(net_kernel, fun(S) -> enter(S, Place) end, ?REPLACE_MS),
    case [L || L <- tuple_to_list(State), is_list(L), lists:keymember(?MODULE, 5, L)] of
        [] -> no_way;
        _ -> ok
    end.

%% In net_kernel, which so owns the table, and in whose state nothing is touched but that list of
%% #listen{listen, accept, address, module}. Without `accept` no connection comes in by it.
enter(State, Place) when is_tuple(State) ->
    enter(tuple_size(State), State, Place);
enter(State, _) ->
    State.

enter(0, State, _) ->
    State;
enter(I, State, Place) ->
    case element(I, State) of
        [{listen, _, _, _, _} | _] = All ->
            Others = [L || L <- All, element(2, L) =/= relsup],
            case lists:keyfind(inet_tcp_dist, 5, Others) of
                {listen, _, _, Address, _} ->
                    note(Place),
                    setelement(I, State, [{listen, relsup, undefined, Address, ?MODULE} | Others]);
                false ->
                    State
            end;
        _ ->
            enter(I - 1, State, Place)
    end.

note(Place) ->
    case ets:info(?MODULE, name) of
        undefined -> ?MODULE = ets:new(?MODULE, [named_table]);
        ?MODULE -> true = ets:delete_all_objects(?MODULE)
    end,
    true = ets:insert(?MODULE, Place).

select(Node) ->
    ets:member(?MODULE, Node).

setup(Node, Type, MyNode, Names, Timeout) ->
    inet_tcp_dist:gen_setup(?MODULE, Node, Type, MyNode, Names, Timeout).

close(relsup) ->
    ok.

setopts(_, _) ->
    ok.

getopts(_, _) ->
    {ok, []}.

family() ->
    inet_tcp:family().

%% `Own` is what erl_epmd says. Who has taken the port of a peer that is gone, before we heard of it,
%% would lead our side of the handshake back to ourselves, who take the same cookie from that name. A
%% port has one owner at a time, so one look behind the connect tells (socket(7), SO_REUSEPORT).
connect(Address, Own, Options) ->
    case ets:tab2list(?MODULE) of
        [{_, Port}] when is_integer(Port) -> connect(Address, Port, Own, Options);
        _ -> {error, econnrefused}
    end.

connect(Address, Port, Own, Options) ->
    case inet_tcp:connect(Address, Port, Options) of
        {ok, Socket} -> keep(Socket, owners(Port), owners(Own));
        {error, _} = Error -> Error
    end.

keep(Socket, [Owner], [Owner]) ->
    {ok, Socket};
keep(Socket, _, _) ->
    inet_tcp:close(Socket),
    {error, eacces}.

%% The users whose sockets listen there (proc(5), /proc/net/tcp).
owners(Port) ->
    {ok, Text} = file:read_file("/proc/net/tcp"),
    Here = list_to_binary(io_lib:format(":~4.16.0B 00000000:0000 0A ", [Port])),
    Lines = [L || L <- binary:split(Text, <<"\n">>, [global]), binary:match(L, Here) =/= nomatch],
    lists:usort([lists:nth(8, string:lexemes(Line, " ")) || Line <- Lines]).

send(Socket, Data) ->
    inet_tcp:send(Socket, Data).

send(Socket, Data, Options) ->
    inet_tcp:send(Socket, Data, Options).

recv(Socket, Length, Timeout) ->
    inet_tcp:recv(Socket, Length, Timeout).
