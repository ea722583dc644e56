%% SPDX-License-Identifier: Apache-2.0
%% The Erlang text of a module of a world (hot_world.erl). A worker keeps a key, which it was started
%% with, and a number; what its state looks like is its `shape`. Its code_change takes the exact
%% version and the exact Extra that are due, and nothing else.
-module(hot_source).

-export([text/1, state_name/2]).

text(Mod = #{name := M, kind := Kind, rev := Rev}) ->
    lists:flatten([f("-module(~p).~n-compile([export_all, nowarn_export_all]).~n", [M]), vsn(Mod),
                   body(Kind, Mod), f("rev() -> ~p.~n", [Rev])]).

f(Fmt, Args) ->
    io_lib:format(Fmt, Args).

vsn(#{vsn := default}) -> "";
vsn(#{vsn := Vsn}) -> f("-vsn(~p).~n", [Vsn]).

body(lib, #{name := M, rev := Rev, calls := Calls, spoil := Spoil}) ->
    [case Spoil of
         sick -> "-sick(true).\n";
         on_load -> "-on_load(on_load/0).\non_load() -> ok.\n";
         _ -> ""
     end,
     f("f(0) -> {~p, ~p};~n", [M, Rev]),
     f("f(N) -> {~p, ~p, N, [~ts]}.~n", [M, Rev, join([f("~p:f(N - 1)", [C]) || C <- Calls])]),
     "park() -> receive stop -> ok end.\n",
     f("'__struct__'() -> #{'__struct__' => ~p, rev~p => 1}.~n", [M, Rev]),
     f("closure(X) -> fun() -> {X, ~p} end.~n", [Rev])];
body(app, #{top := Top, listens := Listens, app := App, spoil := Spoil}) ->
    ["-behaviour(application).\n",
     case Spoil of
         no_start -> "start(_, _) -> {error, spoilt}.\n";
         _ -> f("start(_, _) -> ~p:start_link().~n", [Top])
     end,
     "stop(_) -> ok.\n",
     [f("config_change(C, N, R) -> persistent_term:put({told, ~p}, {C, N, R}).~n", [App]) || Listens]];
body(sup, #{name := M, rev := Rev, named := Named, spoil := Spoil} = Sup) ->
    ["-behaviour(supervisor).\n",
     f("start_link() -> supervisor:start_link(~ts~p, []).~n", [name(M, Named), M]),
     %% what it leaves in the process that it runs in
     "init([]) ->\n"
     "    get(hot_table) =:= undefined andalso put(hot_table, ets:new(table, [])),\n"
     "    put({hot_init, self()}, true),\n",
     case Spoil of
         no_init -> "    put(hot_init, spoilt), ets:new(spoilt, []), error(spoilt).\n";
         {listens, Options} -> listens(Options, Sup);
         _ -> f("    put(hot_init, ~p), {ok, {~0p, [~ts]}}.~n", [Rev, flags(Sup), join(specs(Sup))])
     end];
body(event, #{name := M, named := Named, handlers := Handlers} = Mod) ->
    ["start_link(Key) ->\n", asks(Mod),
     f("    {ok, P} = gen_event:start_link(~ts),~n", [name_only(M, Named)]),
     [f("    ok = gen_event:add_handler(P, ~p, {Key, ~p}),~n", [H, handler(H)]) || H <- Handlers],
     "    {ok, P}.\n"];
body(Kind, Mod) ->
    [behaviour(Kind, Mod), state(Mod), code_change(Kind, Mod)].

name(M, true) -> f("{local, ~p}, ", [M]);
name(_, false) -> "".

name_only(M, true) -> f("{local, ~p}", [M]);
name_only(_, false) -> "".

handler({H, _}) -> H;
handler(H) -> H.

%% It listens where somebody listens already: refused; or, with the option that lets it share the port, another one
%% from which nobody accepts.
listens(Options, Sup) ->
    [f("    Port = hot_look:port(),~n"
       "    {ok, _} = gen_tcp:listen(0, [{reuseaddr, true}]),~n"
       "    {ok, _} = gen_tcp:listen(Port, [{reuseaddr, true}, {ip, {127,0,0,1}} | ~0p]),~n"
       "    {ok, {~0p, [~ts]}}.~n", [Options, flags(Sup), join(specs(Sup))])].

join(L) ->
    lists:join(", ", L).

%%% Supervisors

flags(#{strategy := S, intensity := N, old_form := true}) -> {S, N, 5};
flags(#{strategy := S, intensity := N}) -> #{strategy => S, intensity => N, period => 5}.

specs(#{strategy := simple_one_for_one, children := [#{mod := M} = C]} = Sup) ->
    [spec(C, {M, start_link, []}, Sup)];
specs(#{name := Name, children := Children} = Sup) ->
    [spec(C, {M, start_link, case C of
                                 #{type := supervisor} -> [];
                                 #{id := Id} -> [{Name, Id}]
                             end}, Sup) || C = #{mod := M} <- Children].

spec(#{id := Id, restart := R, shutdown := D, type := T, modules := Ms}, Start, #{old_form := true}) ->
    f("~0p", [{Id, Start, R, D, T, Ms}]);
spec(C, Start, _) ->
    f("~0p", [(maps:remove(mod, C))#{start => Start}]).

%%% Workers

asks(#{asks := Asks}) ->
    [f("    {~p, R~p} = gen_server:call(~p, version),~n    R~p = ~p:rev(),~n", [M, M, M, M, M])
     || M <- Asks].

answer(#{name := M, rev := Rev, calls := Calls}, Content) ->
    f("{~p, ~p, [~ts], ~ts}", [M, Rev, join([f("~p:f(2)", [C]) || C <- Calls]), Content]).

init_ends(#{spoil := stop}, _) -> "{stop, spoilt}";
init_ends(#{spoil := raise}, _) -> "error(spoilt)";
init_ends(#{spoil := garbage}, _) -> "spoilt";
init_ends(_, Ok) -> Ok.

%% As a library does it that enters the loop on behalf of somebody: the first call of the process is not of
%% its callback module.
start(Behaviour, #{name := M, entered := true}) ->
    f("start_link(Key) -> proc_lib:start_link(hot_look, enter, [~p, ~p, Key]).~n", [Behaviour, M]);
start(Behaviour, #{name := M, named := Named}) ->
    f("start_link(Key) -> ~p:start_link(~ts~p, Key, []).~n", [Behaviour, name(M, Named), M]).

behaviour(server, #{name := M, rev := Rev, idle := Idle} = Mod) ->
    Reply = fun(R, S) -> case Idle of
                             true -> f("{reply, ~ts, ~ts, hibernate}", [R, S]);
                             false -> f("{reply, ~ts, ~ts}", [R, S])
                         end
            end,
    ["-behaviour(gen_server).\n",
     start(gen_server, Mod),
     "init(Key) ->\n", asks(Mod), "    ", init_ends(Mod, "{ok, wrap(Key, 0)}"), ".\n",
     f("handle_call(version, _, S) -> ~ts;~n", [Reply(f("{~p, ~p}", [M, Rev]), "S")]),
     f("handle_call(get, _, S) -> ~ts;~n", [Reply(answer(Mod, "unwrap(S)"), "S")]),
     f("handle_call({put, N, _}, _, S) -> {K, _} = unwrap(S), ~ts;~n", [Reply("ok", "wrap(K, N)")]),
     f("handle_call(poke, _, S) -> {K, N} = unwrap(S), ~ts.~n", [Reply("ok", f("wrap(K, N * 2 + ~p)", [Rev]))]),
     "handle_cast(_, S) -> {noreply, S}.\n"];
behaviour(special, #{name := M, rev := Rev} = Mod) ->
    [f("start_link(Key) -> proc_lib:start_link(~p, init, [self(), Key]).~n", [M]),
     "init(Parent, Key) ->\n", asks(Mod),
     case init_ends(Mod, "ok") of
         "ok" -> "    proc_lib:init_ack({ok, self()}),\n    loop(Parent, wrap(Key, 0)).\n";
         _ -> "    error(spoilt).\n"
     end,
     f("loop(Parent, S) ->~n"
       "    receive~n"
       "        {system, From, What} -> sys:handle_system_msg(What, From, Parent, ~p, [], S);~n"
       "        {'$gen_call', From, Call} ->~n"
       "            {Reply, S1} = call(Call, S),~n"
       "            gen:reply(From, Reply),~n"
       "            ~p:loop(Parent, S1)~n"
       "    end.~n", [M, M]),
     f("call(version, S) -> {{~p, ~p}, S};~n", [M, Rev]),
     f("call(get, S) -> {~ts, S};~n", [answer(Mod, "unwrap(S)")]),
     "call({put, N, _}, S) -> {K, _} = unwrap(S), {ok, wrap(K, N)};\n",
     f("call(poke, S) -> {K, N} = unwrap(S), {ok, wrap(K, N * 2 + ~p)}.~n", [Rev]),
     "system_continue(Parent, _, S) -> loop(Parent, S).\n"
     "system_terminate(Why, _, _, _) -> exit(Why).\n"
     "system_get_state(S) -> {ok, S}.\n"
     "system_replace_state(F, S) -> S1 = F(S), {ok, S1, S1}.\n"];
behaviour(handler, #{rev := Rev} = Mod) ->
    ["-behaviour(gen_event).\n"
     "init(Key) -> {ok, wrap(Key, 0)}.\n",
     f("handle_call(get, S) -> {ok, ~ts, S};~n", [answer(Mod, "unwrap(S)")]),
     "handle_call({put, N, _}, S) -> {K, _} = unwrap(S), {ok, ok, wrap(K, N)}.\n",
     f("handle_event(poke, S) -> {K, N} = unwrap(S), {ok, wrap(K, N * 2 + ~p)}.~n", [Rev])];
behaviour(statem, #{mode := Mode} = Mod) ->
    ["-behaviour(gen_statem).\n",
     start(gen_statem, Mod),
     "init(Key) ->\n", asks(Mod),
     "    ", init_ends(Mod, f("{ok, ~p, wrap(Key, 0)}", [state_name(idle, Mod)])), ".\n",
     f("callback_mode() -> ~0p.~n", [Mode]), entries(lists:member(state_functions, Mode), Mod), events(Mod)].

state_name(State, #{states := Suffix}) ->
    list_to_atom(atom_to_list(State) ++ Suffix).

entries(true, Mod) ->
    [f("~p(T, E, D) -> event(T, E, ~p, state_functions, D).~n", [S, S])
     || State <- [idle, busy], S <- [state_name(State, Mod)]];
entries(false, _) ->
    "handle_event(T, E, S, D) -> event(T, E, S, handle_event_function, D).\n".

events(#{name := M, rev := Rev} = Mod) ->
    [Idle, Busy] = [state_name(S, Mod) || S <- [idle, busy]],
    ["event(enter, _, _, _, _) -> keep_state_and_data;\n",
     f("event({call, F}, version, _, _, _) -> {keep_state_and_data, [{reply, F, {~p, ~p}}]};~n", [M, Rev]),
     f("event({call, F}, get, S, By, D) -> {keep_state_and_data, [{reply, F, ~ts}]};~n",
       [answer(Mod, "{S, By, unwrap(D)}")]),
     f("event({call, F}, {put, N, To}, _, _, D) ->~n"
       "    {K, _} = unwrap(D),~n"
       "    {next_state, case To of idle -> ~p; busy -> ~p end, wrap(K, N), [{reply, F, ok}]};~n", [Idle, Busy]),
     f("event(cast, later, ~p, _, _) -> {keep_state_and_data, [postpone]};~n", [Idle]),
     f("event(cast, later, ~p, _, D) ->~n"
       "    {K, N} = unwrap(D),~n"
       "    {keep_state, wrap(K, N + 100 * ~p)};~n", [Busy, Rev]),
     f("event({call, F}, poke, _, _, D) ->~n"
       "    {K, N} = unwrap(D),~n"
       "    {next_state, ~p, wrap(K, N * 2 + ~p), [{reply, F, ok}]}.~n", [Busy, Rev])].

%%% States

state(#{shape := Shape} = Mod) ->
    [f("wrap(K, N) -> ~ts.~nunwrap(~ts) -> {K, N}.~n", [build(Shape), pattern(Shape)]),
     [f("wrap_old(K, N) -> ~ts.~nunwrap_old(~ts) -> {K, N}.~n", [build(Old), pattern(Old)])
      || #{prev := #{shape := Old}, cc := true} <- [Mod]]].

build(1) -> "{one, K, N}";
build(2) -> "[N, K]";
build(3) -> "#{key => K, number => N}";
build(4) -> "{state, {K}, undefined, N}".

pattern(3) -> "#{key := K, number := N}";
pattern(Shape) -> build(Shape).

code_change(_, #{cc := false}) ->
    "";
code_change(statem, Mod) ->
    %% this is how a process that goes back is made to read its callback mode
    ["code_change(undefined, S, D, []) -> {ok, S, D};\n", statem_change(Mod)];
code_change(special, Mod) ->
    by_args("system_code_change", fun(Vsn, Extra) -> f("S, _, ~0p, ~0p", [Vsn, Extra]) end, Mod);
code_change(_, Mod) ->
    by_args("code_change", fun(Vsn, Extra) -> f("~0p, S, ~0p", [Vsn, Extra]) end, Mod).

statem_change(#{prev := none}) ->
    "code_change(_, _, _, _) -> error(not_due).\n";
statem_change(Mod = #{prev := #{seen := Vsn} = Old, delta := Delta, extra := {Up, Down}}) ->
    States = fun(From, To) -> [{state_name(S, From), state_name(S, To)} || S <- [idle, busy]] end,
    [f("code_change(~0p, S, D, ~0p) ->~n    {K, N} = unwrap_old(D),~n    ~ts;~n",
       [Vsn, Up, result(up, Mod, f("{ok, proplists:get_value(S, ~0p), wrap(K, N + ~p)}",
                                   [States(Old, Mod), Delta]))]),
     f("code_change({down, ~0p}, S, D, ~0p) ->~n    {K, N} = unwrap(D),~n    ~ts.~n",
       [Vsn, Down, result(down, Mod, f("{ok, proplists:get_value(S, ~0p), wrap_old(K, N - ~p)}",
                                       [States(Mod, Old), Delta]))])].

by_args(Name, Args, #{prev := none}) ->
    f("~ts(~ts) -> error({not_due, S}).~n", [Name, Args(not_due, not_due)]);
by_args(Name, Args, Mod = #{prev := #{seen := Vsn}, delta := Delta, extra := {Up, Down}}) ->
    [f("~ts(~ts) ->~n    {K, N} = unwrap_old(S),~n    ~ts;~n",
       [Name, Args(Vsn, Up), result(up, Mod, f("{ok, wrap(K, N + ~p)}", [Delta]))]),
     f("~ts(~ts) ->~n    {K, N} = unwrap(S),~n    ~ts.~n",
       [Name, Args({down, Vsn}, Down), result(down, Mod, f("{ok, wrap_old(K, N - ~p)}", [Delta]))])].

result(Dir, #{spoil := {Dir, raise}}, _) -> "error({spoilt, K, N})";
result(Dir, #{spoil := {Dir, exit}}, _) -> "exit({spoilt, K, N})";
result(Dir, #{spoil := {Dir, error}}, _) -> "{error, {spoilt, K, N}}";
result(Dir, #{spoil := {Dir, garbage}}, _) -> "{spoilt, K, N}";
result(_, _, Good) -> Good.
