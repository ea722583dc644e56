%% SPDX-License-Identifier: Apache-2.0
%% The listeners of the node before and after: an upgrade that leaves a port without anybody who accepts,
%% or with a second listener beside the one that is accepted from, loses connections although every process
%% is well. A supervisor whose init/1 opens the listener does that, because a change of its code runs init/1
%% once more.
%%
%% A listener is {Socket, Address, Owner}; the Socket is a port, or that of socket(3).
-module(relsup_hot_listen).

-export([look/0, check/1, extra/1, close_extra/1, opens/2]).

-import(relsup_hot_text, [text/2, fail/2, name/1]).
-import(relsup_hot_sys, [left/1, now_ms/0]).

-define(ACCEPT_MS, 2000).
-define(LOOK_MS, 20).

%% #{Socket => #{address, owner, child}}; child: {Supervisor, Id} of the owner or of who it runs below, the
%% nearest one.
look() ->
    maps:map(fun(_, L = #{owner := Owner}) -> L#{child => child(Owner)} end, open()).

open() ->
    Ports = [{P, Owner} || P <- erlang:ports(), is_inet(P), {connected, Owner} <- [erlang:port_info(P, connected)]],
    Sockets = try [{S, Owner} || S <- socket:which_sockets(tcp), #{owner := Owner} <- [socket:info(S)]]
              catch _:_ -> []
              end,
    maps:from_list([{S, #{address => Address, owner => Owner}}
                    || {S, Owner} <- Ports ++ Sockets, listens(S), {ok, Address} <- [address(S)]]).

is_inet(P) ->
    erlang:port_info(P, name) =:= {name, "tcp_inet"}.

listens(P) when is_port(P) ->
    lists:member(listen, status(P));
listens(S) ->
    socket:getopt(S, {socket, acceptconn}) =:= {ok, true}.

accepts(P) when is_port(P) ->
    lists:member(accepting, status(P));
accepts(S) ->
    case socket:info(S) of
        #{rstates := States} when States =/= [] -> true;
        #{num_acceptors := N} -> N > 0;
        _ -> false
    end.

status(P) ->
    case prim_inet:getstatus(P) of
        {ok, Flags} -> Flags;
        _ -> []
    end.

address(P) when is_port(P) ->
    inet:sockname(P);
address(S) ->
    case socket:sockname(S) of
        {ok, #{addr := Addr, port := Port}} -> {ok, {Addr, Port}};
        {ok, #{path := Path}} -> {ok, {local, Path}};
        _ -> none
    end.

is_open(P) when is_port(P) -> erlang:port_info(P, name) =/= undefined;
is_open(S) -> try socket:info(S) of #{rstates := [closed]} -> false; _ -> true catch _:_ -> false end.

child(Owner) ->
    child(Owner, relsup_hot_find:ancestors(Owner)).

child(_, []) ->
    none;
child(Pid, [Parent | More]) ->
    Ids = relsup_hot_find:is_sup(Parent) andalso [Id || {Id, P, _, _} <- children(Parent), P =:= Pid],
    case Ids of
        [Id | _] when Id =/= undefined -> {Parent, Id};
        _ -> child(Parent, More)
    end.

children(Sup) ->
    try gen_server:call(Sup, which_children, 1000) catch _:_ -> [] end.

%% Of what there was: is it still there, and is it accepted from where it was replaced, or has company?
check(Before) ->
    After = look(),
    Gone = [L || {S, L} <- maps:to_list(Before), not is_map_key(S, After), not is_open(S)],
    New = maps:without(maps:keys(Before), After),
    [fail("nobody listens on ~ts any more", [show(A)])
     || #{address := A} = L <- Gone, not is_replaced(A, New), not has_moved(L, New), not was_dropped(L)],
    Same = [{S, A} || {S, #{address := A}} <- maps:to_list(New), overlaps(A, Before)],
    case unaccepted(Same, now_ms() + ?ACCEPT_MS) of
        [] -> ok;
        [{S, A} | _] ->
            fail("~ts listens on ~ts once more, and nobody accepts there: connections would hang",
                 [name(maps:get(owner, maps:get(S, New))), show(A)])
    end.

%% What was opened where nothing was, and is not accepted from: of no use, and no harm.
extra(Before) ->
    New = maps:without(maps:keys(Before), open()),
    [text("~ts listens on ~ts, where nobody accepts", [name(Owner), show(A)])
     || {S, #{address := A, owner := Owner}} <- maps:to_list(New), not accepts(S)].

%% The way back: nobody else would close what has taken a part of the connections of another one, or what a
%% supervisor's init/1 has opened.
close_extra(Before) ->
    New = maps:without(maps:keys(Before), open()),
    [case S of
         _ when is_port(S) -> catch port_close(S);
         _ -> catch socket:close(S)
     end || {S, #{address := A, owner := Owner}} <- maps:to_list(New), not accepts(S),
            overlaps(A, Before) orelse relsup_hot_find:is_sup(Owner)],
    ok.

unaccepted([], _) ->
    [];
unaccepted(Listeners, Until) ->
    Rest = [L || L = {S, _} <- Listeners, is_open(S), not accepts(S)],
    case left(Until) of
        0 -> Rest;
        _ when Rest =:= [] -> [];
        _ -> timer:sleep(?LOOK_MS), unaccepted(Rest, Until)
    end.

is_replaced(Address, New) ->
    lists:any(fun(#{address := A}) -> covers(A, Address) end, maps:values(New)).

%% The same child listens somewhere else now.
has_moved(#{child := none}, _) -> false;
has_moved(#{child := Child}, New) -> lists:any(fun(#{child := C}) -> C =:= Child end, maps:values(New)).

%% Its child is no longer named, or runs in an application that was ended.
was_dropped(#{child := none, owner := Owner}) ->
    not is_process_alive(Owner);
was_dropped(#{child := {Sup, Id}}) ->
    not is_process_alive(Sup) orelse not lists:keymember(Id, 1, children(Sup)).

overlaps(Address, Before) ->
    lists:any(fun(#{address := A}) -> covers(A, Address) orelse covers(Address, A) end, maps:values(Before)).

covers(Same, Same) -> true;
covers({Any, Port}, {_, Port}) when is_tuple(Any) -> lists:all(fun(N) -> N =:= 0 end, tuple_to_list(Any));
covers(_, _) -> false.

show({local, Path}) -> text("~ts", [Path]);
show({Addr, Port}) when tuple_size(Addr) =:= 8 -> text("[~ts]:~b", [inet:ntoa(Addr), Port]);
show({Addr, Port}) -> text("~ts:~b", [inet:ntoa(Addr), Port]).

%%% In the plan

%% The calls by which init/1 of a supervisor opens a listener: [{Module, MFA}].
opens(Sups, Load) ->
    [{M, Mfa} || M <- Sups, {_, _, Bin} <- [maps:get(M, Load, none)],
                 {ok, Mfas} <- [relsup_hot_calls:reached(Bin, {init, 1})], Mfa <- Mfas, listening(Mfa)].

listening({gen_tcp, listen, _}) -> true;
listening({ssl, listen, _}) -> true;
listening({socket, listen, _}) -> true;
listening({gen_sctp, listen, _}) -> true;
listening({ranch, F, _}) -> F =:= start_listener;
listening({cowboy, F, _}) -> lists:member(F, [start_clear, start_tls, start_http, start_https]);
listening({inets, F, _}) -> F =:= start;
listening({'Elixir.Plug.Cowboy', F, _}) -> lists:member(F, [http, https]);
listening({'Elixir.Bandit', F, _}) -> F =:= start_link;
listening({'Elixir.ThousandIsland', F, _}) -> F =:= start_link;
listening(_) -> false.
