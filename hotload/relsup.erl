%% SPDX-License-Identifier: Apache-2.0
%% What code in a peer of relsup may ask its parent (docs/face.md). Loaded from outside into the VM
%% (hot_face.c), never part of a release.
%%
%% Each call connects to the control socket of the home, sends one request of the protocol in
%% supervisor/sup_control.h and reads the answer in the process that calls. No process stays behind
%% and no fun is made, so another version of this module can always take its place.
-module(relsup).
-relsup_face(source_hash).
-export([status/0, upgrade/1, upgrade/2, peer/0, upgrading/0]).
-export_type([options/0, error/0]).

-define(PROTOCOL, 1).
-define(CONNECT_MS, 5000).
%% The supervisor says something every two seconds while a request is under way.
-define(SILENCE_MS, 30000).
-define(LINE_MAX, 16#400000).

-type error() :: not_supervised | {Code :: atom(), Text :: binary()}.
-type options() :: #{atom() | binary() => term()} | [{atom() | binary(), term()}].

%% What `relsup status --json` gives.
-spec status() -> {ok, #{binary() => term()}} | {error, error()}.
status() ->
    request(<<"status">>, #{}).

-spec upgrade(unicode:chardata()) -> ok | {error, error()}.
upgrade(Release) ->
    upgrade(Release, #{}).

%% The answer comes when the new peer serves and its soak is over: the caller's own VM is then about
%% to be retired, and to wait for the very end would be to wait for its own death.
-spec upgrade(unicode:chardata(), options()) -> ok | {error, error()}.
upgrade(Release, Options) when is_map(Options) ->
    upgrade(Release, maps:to_list(Options));
upgrade(Release, Options) when is_list(Options) ->
    try
        Args = maps:from_list([argument(Option) || Option <- Options]),
        request(<<"upgrade">>, Args#{<<"release">> => place(Release), <<"until">> => <<"serving">>})
    of
        {ok, _} -> ok;
        {error, _} = Error -> Error
    catch
        throw:{?MODULE, bad_input, Text} -> {error, {bad_input, Text}}
    end.

%% What this VM is in its home, and the node of the other peer while there is one.
-spec peer() -> {ok, #{atom() => term()}} | {error, error()}.
peer() ->
    case status() of
        {ok, #{<<"home">> := Home, <<"peers">> := Peers}} -> peer(Home, Peers, generation());
        {error, _} = Error -> Error
    end.

%% Is a swap or a hot upgrade under way? Not while nobody can be asked.
-spec upgrading() -> boolean().
upgrading() ->
    case status() of
        {ok, #{<<"doing">> := Doing}} ->
            lists:member(Doing, [<<"upgrade">>, <<"rollback">>, <<"restart">>]);
        _ ->
            false
    end.

%% ------------------------------------------------------------------ peers

peer(Home, Peers, Generation) ->
    case [Peer || #{<<"generation">> := N} = Peer <- Peers, N =:= Generation] of
        [#{<<"role">> := Role, <<"release">> := Release, <<"version">> := Version} = Own] ->
            {ok, #{home => Home, generation => Generation, node => node(), role => role(Role),
                   release => Release, version => Version, other => other(Peers -- [Own])}};
        _ ->
            {error, {unknown_peer, <<"the supervisor does not know this VM">>}}
    end.

generation() ->
    case string:to_integer(os:getenv("RELSUP_GENERATION", "")) of
        {N, []} when is_integer(N) -> N;
        _ -> undefined
    end.

role(<<"active">>) -> active;
role(<<"candidate">>) -> candidate;
role(<<"retiring">>) -> retiring.

%% A home has two names for its nodes, so this makes no more atoms than that.
other([#{<<"node">> := Node} | _]) -> binary_to_atom(Node, utf8);
other([]) -> undefined.

%% ------------------------------------------------------------------ arguments

%% The VM's folder is not the supervisor's: only an absolute path means the same to both.
place(Release) ->
    Text = text(Release),
    case binary:match(Text, <<"://">>) of
        nomatch -> filename:absname(Text);
        _ -> Text
    end.

%% Times are in seconds as on the command line; the protocol has them in milliseconds.
argument({Key, Seconds}) when is_number(Seconds), Seconds >= 0 ->
    case name(Key) of
        Time when Time =:= <<"boot">>; Time =:= <<"soak">>; Time =:= <<"drain">>;
                  Time =:= <<"step">> ->
            {<<Time/binary, "_ms">>, round(Seconds * 1000)};
        Name ->
            {Name, Seconds}
    end;
argument({Key, Value}) ->
    {name(Key), Value};
argument(Option) ->
    refuse("~0tp is no option", [Option]).

name(Key) when is_atom(Key) -> atom_to_binary(Key, utf8);
name(Key) when is_binary(Key) -> text(Key);
name(Key) -> refuse("~0tp is no name of an option", [Key]).

text(Chars) ->
    try unicode:characters_to_binary(Chars) of
        Text when is_binary(Text), Text =/= <<>> -> Text;
        _ -> refuse("~0tp is no text", [Chars])
    catch
        error:_ -> refuse("~0tp is no text", [Chars])
    end.

refuse(Format, Args) ->
    throw({?MODULE, bad_input, unicode:characters_to_binary(io_lib:format(Format, Args))}).

%% ------------------------------------------------------------------ one request

request(Cmd, Args) ->
    case os:getenv("RELSUP_HOME", "") of
        "" -> {error, not_supervised};
        Home -> request(Home, Cmd, Args)
    end.

request(Home, Cmd, Args) ->
    Line = [json(#{<<"v">> => ?PROTOCOL, <<"cmd">> => Cmd, <<"format">> => <<"erlang">>,
                   <<"args">> => Args}), $\n],
    Options = [local, binary, {active, false}, {packet, raw}, {send_timeout, ?CONNECT_MS}],
    %% badarg is a path that is longer than the address of a socket may be
    try gen_tcp:connect({local, filename:join([Home, "run", "control.sock"])}, 0, Options,
                        ?CONNECT_MS) of
        {ok, Socket} ->
            try
                send(Socket, Line)
            after
                gen_tcp:close(Socket)
            end;
        {error, Reason} ->
            no_supervisor(Home, Reason)
    catch
        _:Reason -> no_supervisor(Home, Reason)
    end.

no_supervisor(Home, Reason) ->
    failed(not_running, "no supervisor runs in ~ts: ~0tp", [Home, Reason]).

send(Socket, Line) ->
    case gen_tcp:send(Socket, Line) of
        ok -> answers(Socket, <<>>);
        {error, Reason} -> failed(not_running, "the supervisor takes no request: ~0tp", [Reason])
    end.

answers(Socket, Seen) ->
    case binary:split(Seen, <<"\n">>) of
        [Line, Rest] ->
            case answer(term(Line)) of
                more -> answers(Socket, Rest);
                Answer -> Answer
            end;
        [_] when byte_size(Seen) > ?LINE_MAX ->
            failed(internal, "the answer of the supervisor has no end", []);
        [_] ->
            more(Socket, Seen)
    end.

more(Socket, Seen) ->
    case gen_tcp:recv(Socket, 0, ?SILENCE_MS) of
        {ok, Bytes} ->
            answers(Socket, <<Seen/binary, Bytes/binary>>);
        {error, timeout} ->
            failed(timeout, "the supervisor was silent for ~b s", [?SILENCE_MS div 1000]);
        {error, _} ->
            failed(not_running, "the supervisor ended before it answered", [])
    end.

answer({ok, #{<<"type">> := <<"result">>, <<"result">> := Result}}) ->
    {ok, Result};
answer({ok, #{<<"type">> := <<"error">>, <<"code">> := Code, <<"message">> := Message}}) ->
    %% one of the codes of base/rel_err.h, so the atoms are few
    {error, {binary_to_atom(Code, utf8), Message}};
answer({ok, #{}}) ->
    more;
answer(_) ->
    failed(internal, "the supervisor does not answer in terms", []).

term(Line) ->
    case erl_scan:string(binary_to_list(Line)) of
        {ok, Tokens, _} -> erl_parse:parse_term(Tokens);
        _ -> error
    end.

failed(Code, Format, Args) ->
    {error, {Code, unicode:characters_to_binary(io_lib:format(Format, Args))}}.

%% ------------------------------------------------------------------ JSON (OTP has a writer from 27)

json(Map) when is_map(Map) ->
    [${, lists:join($,, [[json(K), $:, json(V)] || {K, V} <- maps:to_list(Map)]), $}];
json(List) when length(List) >= 0 ->
    [$[, lists:join($,, [json(V) || V <- List]), $]];
json(Int) when is_integer(Int) ->
    integer_to_binary(Int);
json(Float) when is_float(Float) ->
    io_lib:format("~w", [Float]);
json(Atom) when Atom =:= true; Atom =:= false; Atom =:= null ->
    atom_to_binary(Atom, utf8);
json(Atom) when Atom =:= undefined; Atom =:= nil ->
    <<"null">>;
json(Atom) when is_atom(Atom) ->
    json(atom_to_binary(Atom, utf8));
json(Text) when is_binary(Text), Text =/= <<>> ->
    [$", [escape(C) || C <- unicode:characters_to_list(text(Text))], $"];
json(<<>>) ->
    <<"\"\"">>;
json(Other) ->
    refuse("~0tp cannot be sent to the supervisor", [Other]).

escape($") -> <<"\\\"">>;
escape($\\) -> <<"\\\\">>;
escape(C) when C < $\s -> io_lib:format("\\u~4.16.0b", [C]);
escape(C) -> <<C/utf8>>.
