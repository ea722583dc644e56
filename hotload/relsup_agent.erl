%% SPDX-License-Identifier: Apache-2.0
%% Evaluates one expression for a client that is a C node, in a running node. Loaded from outside
%% (hot_agent.c), never part of a release.
%%
%% eval/2 spawns a leader: the group leader of a worker that evaluates. The leader speaks the io
%% protocol and sends what is printed to the client as it is printed; it ends the worker at the
%% deadline and when the client is gone. Messages to the client, N being the client's number:
%%   {relsup, N, out, Fd, Utf8Binary}    Fd is 1 or 2
%%   {relsup, N, done, ok | failed | timeout, Utf8Binary}
%% docs/rpc-output.md says how writes to standard_error are found.
-module(relsup_agent).
-export([eval/2, send_fd/2, ready/0, share/0, alone/0, share_now/0]).

%% More than this many traced messages unread: the expression sends a lot, and following it is not
%% worth the memory.
-define(TRACE_BACKLOG, 20000).
-define(LINGER_MS, 100).
-define(CHILDREN_MS, 500).

-record(st, {client, n, worker, monitor, timer, trace = true}).

%% Options: n, lang (erlang | elixir), timeout (ms), value (boolean: print the value).
eval(Expr, #{client := Client} = Opts) when is_binary(Expr), is_pid(Client) ->
    spawn(fun() -> leader(Expr, Opts) end).

%% Sends a copy of descriptor Fd over the Unix socket at Path (unix(7), SCM_RIGHTS).
send_fd(Path, Fd) ->
    {ok, Socket} = socket:open(local, stream, default),
    try
        ok = socket:connect(Socket, #{family => local, path => Path}),
        socket:sendmsg(Socket, #{iov => [<<"f">>],
                                 ctrl => [#{level => socket, type => rights,
                                            data => <<Fd:32/native>>}]})
    after
        socket:close(Socket)
    end.

%% Is the boot over, and does everything run that was started to stay? {yes, Sign}, or {no, Why}. The
%% upper half of Sign is the same for as long as the same top supervisors run, the lower one as long as
%% the children do that their specifications name. An application controller that shuts down, after a
%% start that failed, does not answer.
ready() ->
    case init:get_status() of
        {started, _} -> ready(application:info());
        _ -> {no, <<"it has not started its applications">>}
    end.

ready(Info) ->
    [Started, Running, Starting, Held] =
        [proplists:get_value(Key, Info, []) || Key <- [started, running, starting, start_p_false]],
    Tops = [{App, top(proplists:get_value(App, Running, down))} || {App, permanent} <- Started],
    case [element(1, S) || S <- Starting ++ Held] ++ [App || {App, down} <- Tops] of
        [] -> {yes, erlang:phash2(Tops) bsl 32 bor erlang:phash2(children([P || {_, P} <- Tops, is_pid(P)]))};
        [App | _] -> {no, text("the application ~ts is not running", [App])}
    end.

%% Its top supervisor; an application without a callback module has none.
top(Master) when is_pid(Master) ->
    case application_master:get_child(Master) of
        {Pid, _} when is_pid(Pid) ->
            case rpc:pinfo(Pid, status) of
                undefined -> down;
                _ -> Pid
            end;
        _ -> Master
    end;
top(Other) ->
    Other.

%% A supervisor that is busy does not answer, and is not waited for.
children(Tops) ->
    {Pid, Mon} = spawn_monitor(fun() -> exit({children, [children_of(P) || P <- Tops]}) end),
    receive
        {'DOWN', Mon, process, Pid, {children, Children}} -> Children;
        {'DOWN', Mon, process, Pid, _} -> []
    after ?CHILDREN_MS ->
            demonitor(Mon, [flush]),
            exit(Pid, kill),
            []
    end.

%% Those that are started on demand have no id.
children_of(P) ->
    case rpc:pinfo(P, dictionary) of
        {_, Dict} ->
            case proplists:get_value('$initial_call', Dict) of
                {supervisor, _, 1} ->
                    [{Id, Child, [children_of(Child) || is_pid(Child)]}
                     || {Id, Child, _, _} <- supervisor:which_children(P), Id =/= undefined];
                _ -> []
            end;
        undefined -> []
    end.

%% What it listens on from now on may be shared with another VM (SO_REUSEPORT, socket(7)). Ours is always
%% the first of these options, the release's own are behind it (sup_peer.c).
share() ->
    listen_options(share_option()).

%% It may not: a port that somebody has, in this VM too, does not open.
alone() ->
    listen_options({reuseaddr, true}).

listen_options(Ours) ->
    Own = case application:get_env(kernel, inet_default_listen_options, []) of
              [First | Rest] -> case lists:member(First, [share_option(), {reuseaddr, true}]) of
                                    true -> Rest;
                                    false -> [First | Rest]
                                end;
              [] -> []
          end,
    application:set_env(kernel, inet_default_listen_options, [Ours | Own]).

%% And what it has open already, where nobody outside can do that.
share_now() ->
    [inet:setopts(Port, [share_option()]) ||
        Port <- erlang:ports(), erlang:port_info(Port, name) =:= {name, "tcp_inet"}],
    ok.

share_option() ->
    {raw, 1, 15, <<1:32/native>>}.

leader(Expr, #{client := Client, n := N, timeout := Timeout} = Opts) ->
    process_flag(message_queue_data, off_heap),
    erlang:monitor_node(node(Client), true),
    Leader = self(),
    {Worker, Monitor} = spawn_opt(fun() -> worker(Leader, Expr, Opts) end, [monitor]),
    Timer = erlang:start_timer(Timeout, self(), deadline),
    Trace = trace(Worker, true),
    Worker ! {Leader, go},
    loop(#st{client = Client, n = N, worker = Worker, monitor = Monitor, timer = Timer,
             trace = Trace}).

loop(#st{worker = Worker, monitor = Monitor, timer = Timer} = St) ->
    receive
        {io_request, From, ReplyAs, Request} ->
            From ! {io_reply, ReplyAs, io(Request, St)},
            loop(St);
        {trace, Pid, send, Msg, To} ->
            loop(traced(Pid, Msg, To, St));
        {result, Worker, Outcome, Text} ->
            finish(Outcome, Text, drain_trace(St));
        {'DOWN', Monitor, process, Worker, Reason} ->
            Text = text("** the process that evaluated was ended: ~0tp~n", [Reason]),
            finish(failed, Text, St);
        {timeout, Timer, deadline} ->
            exit(Worker, kill),
            finish(timeout, <<>>, St);
        {nodedown, _} ->
            exit(Worker, kill),
            linger(St);
        _ ->
            loop(St)
    end.

%% The worker waits until it is told to go, so what it sent before its result has been traced.
drain_trace(#st{trace = false} = St) ->
    St;
drain_trace(#st{worker = Worker} = St) ->
    Ref = erlang:trace_delivered(Worker),
    drain_trace(Ref, St).

drain_trace(Ref, #st{worker = Worker} = St) ->
    receive
        {trace_delivered, Worker, Ref} -> St;
        {trace, Pid, send, Msg, To} -> drain_trace(Ref, traced(Pid, Msg, To, St))
    after 1000 -> St
    end.

finish(Outcome, Text, #st{client = Client, n = N, worker = Worker} = St) ->
    [out(2, Text, St) || Outcome =:= failed],
    Client ! {relsup, N, done, Outcome, Text},
    Worker ! {self(), leave},
    linger(St).

%% Processes that the expression left behind get `user` as their group leader; what they asked of
%% us in the meantime is passed on, and `user` answers them itself.
linger(#st{worker = Worker, monitor = Monitor} = St) ->
    erlang:cancel_timer(St#st.timer),
    trace(Worker, false),
    process_flag(priority, low),
    receive {'DOWN', Monitor, process, Worker, _} -> ok after 1000 -> ok end,
    adopt(whereis(user)).

adopt(User) when is_pid(User) ->
    Self = self(),
    Left = [P || P <- processes(), P =/= Self,
                 process_info(P, group_leader) =:= {group_leader, Self}],
    [group_leader(User, P) || P <- Left],
    case pass_on(User, 0, erlang:monotonic_time(millisecond) + ?LINGER_MS) of
        0 when Left =:= [] -> ok;
        _ -> adopt(User)
    end;
adopt(undefined) ->
    ok.

%% Who was left behind is still traced, until we end, and may send all the time.
pass_on(User, N, Until) ->
    receive
        {io_request, _, _, _} = Request ->
            User ! Request,
            pass_on(User, N + 1, Until);
        _ ->
            pass_on(User, N, Until)
    after max(0, Until - erlang:monotonic_time(millisecond)) -> N
    end.

%% ------------------------------------------------------------------ standard error

%% False where somebody else traces that process already.
trace(Pid, Bool) ->
    try erlang:trace(Pid, Bool, [send, set_on_spawn | [{tracer, self()} || Bool]]) of
        N -> N > 0
    catch
        error:_ -> false
    end.

traced(Pid, {io_request, Pid, _, Request}, To, St) when To =/= self() ->
    case whereis(standard_error) of
        Error when To =:= Error; To =:= standard_error -> put_chars(2, Request, St);
        _ -> ok
    end,
    St;
traced(_, _, _, #st{trace = true, worker = Worker} = St) ->
    case process_info(self(), message_queue_len) of
        {_, Len} when Len > ?TRACE_BACKLOG ->
            trace(Worker, false),
            St#st{trace = false};
        _ ->
            St
    end;
traced(_, _, _, St) ->
    St.

%% ------------------------------------------------------------------ the io protocol

io({put_chars, _} = R, St) -> put_chars(1, R, St);
io({put_chars, _, _} = R, St) -> put_chars(1, R, St);
io({put_chars, _, _, _} = R, St) -> put_chars(1, R, St);
io({put_chars, _, _, _, _} = R, St) -> put_chars(1, R, St);
io({requests, Requests}, St) -> requests(Requests, ok, St);
io(getopts, _) -> [{binary, true}, {encoding, unicode}, {echo, false}];
io({setopts, _}, _) -> ok;
io({get_geometry, _}, _) -> {error, enotsup};
io({get_chars, _, _}, _) -> eof;
io({get_chars, _, _, _}, _) -> eof;
io({get_line, _}, _) -> eof;
io({get_line, _, _}, _) -> eof;
io({get_until, _, _, _, _}, _) -> eof;
io({get_until, _, _, _, _, _}, _) -> eof;
io({get_password, _}, _) -> {error, enotsup};
io(_, _) -> {error, request}.

requests([Request | Rest], ok, St) -> requests(Rest, io(Request, St), St);
requests([_ | _], {error, _} = Error, _) -> Error;
requests([_ | _] = Requests, _, St) -> requests(Requests, ok, St);
requests([], Last, _) -> Last.

put_chars(Fd, {put_chars, Chars}, St) ->
    put_chars(Fd, {put_chars, latin1, Chars}, St);
put_chars(Fd, {put_chars, Encoding, Chars}, St) ->
    try unicode:characters_to_binary(Chars, Encoding, unicode) of
        Bin when is_binary(Bin) -> out(Fd, Bin, St);
        _ -> {error, {put_chars, Encoding, Chars}}
    catch
        error:_ -> {error, {put_chars, Encoding, Chars}}
    end;
put_chars(Fd, {put_chars, M, F, A}, St) ->
    put_chars(Fd, {put_chars, latin1, M, F, A}, St);
put_chars(Fd, {put_chars, Encoding, M, F, A}, St) ->
    try apply(M, F, A) of
        Chars -> put_chars(Fd, {put_chars, Encoding, Chars}, St)
    catch
        _:_ -> {error, F}
    end;
put_chars(Fd, {requests, Requests}, St) ->
    [put_chars(Fd, R, St) || R <- Requests, is_tuple(R), element(1, R) =:= put_chars],
    ok;
put_chars(_, _, _) ->
    ok.

%% A busy connection suspends us here, and so the process that prints.
out(_, <<>>, _) ->
    ok;
out(Fd, Bin, #st{client = Client, n = N}) ->
    Client ! {relsup, N, out, Fd, Bin},
    ok.

%% ------------------------------------------------------------------ the worker

worker(Leader, Expr, #{lang := Lang} = Opts) ->
    group_leader(Leader, self()),
    receive {Leader, go} -> ok end,
    {Outcome, Text} =
        try
            {ok, value(Lang, evaluate(Lang, Expr), Opts)}
        catch
            throw:{?MODULE, refused, Why} -> {failed, Why};
            Class:Reason:Stack -> {failed, exception(Lang, Class, Reason, own_part(Stack))}
        end,
    Leader ! {result, self(), Outcome, Text},
    receive {Leader, leave} -> ok end.

evaluate(elixir, Expr) ->
    {Value, _} = 'Elixir.Code':eval_string(Expr, [], [{file, <<"rpc">>}]),
    Value;
evaluate(erlang, Expr) ->
    {value, Value, _} = erl_eval:exprs(parse(Expr), erl_eval:new_bindings()),
    Value.

parse(Expr) ->
    Text = unicode:characters_to_list(Expr),
    case is_list(Text) andalso erl_scan:string(Text) of
        {ok, Tokens, End} -> parse_tokens(Tokens, End);
        {error, {Line, Mod, Why}, _} -> refuse(Line, Mod:format_error(Why));
        false -> refuse(1, "it is no UTF-8")
    end.

parse_tokens([], _) ->
    refuse(1, "it is empty");
parse_tokens(Tokens, End) ->
    Whole = case lists:last(Tokens) of
                {dot, _} -> Tokens;
                _ -> Tokens ++ [{dot, End}]
            end,
    case erl_parse:parse_exprs(Whole) of
        {ok, Exprs} -> Exprs;
        {error, {Line, Mod, Why}} -> refuse(Line, Mod:format_error(Why))
    end.

refuse(Line, Why) ->
    throw({?MODULE, refused, text("** ~ts in line ~tp of the expression~n", [Why, Line])}).

value(_, _, #{value := false}) -> <<>>;
value(erlang, Value, _) -> text("~0tp", [Value]);
value(elixir, Value, _) ->
    'Elixir.Kernel':inspect(Value, [{limit, infinity}, {printable_limit, infinity}]).

%% The frames below the evaluation are ours, not the user's.
own_part(Stack) ->
    lists:takewhile(fun(Frame) -> element(1, Frame) =/= ?MODULE end, Stack).

exception(elixir, Class, Reason, Stack) ->
    Chars = unicode:characters_to_list('Elixir.Exception':format(Class, Reason, Stack)),
    unicode:characters_to_binary([string:trim(Chars, trailing, "\n"), $\n]);
exception(erlang, Class, Reason, Stack) ->
    Trim = fun(M, _, _) -> M =:= erl_eval orelse M =:= ?MODULE end,
    Chars = erl_error:format_exception(Class, Reason, Stack,
                                       #{stack_trim_fun => Trim, column => 4}),
    unicode:characters_to_binary(["** ", Chars, $\n]).

text(Format, Args) ->
    unicode:characters_to_binary(io_lib:format(Format, Args)).
