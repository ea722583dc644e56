%% SPDX-License-Identifier: Apache-2.0
%% Two releases of random applications whose appups hold every kind of instruction, in random orders that OTP's
%% release_handler can follow, and the relup between them. Each application A has a listener whose acceptors are
%% plain processes that ask its server, and is told by what it logs (diff_look):
%%   A_sup -> A_dir (has the listening socket), A_srv (gen_server), A_stm (gen_statem), A_evt (gen_event, handler A_hnd),
%%            A_pool (simple_one_for_one) -> A_wrk, A_tap (supervisor) -> A_acs (supervisor) -> A_acc,
%%            and in the second release A_ext
%%   A_lib, A_gone (in the first), A_new (in the second)
-module(diff_world).

-export([main/1]).

main([Dir, Seed]) ->
    _ = rand:seed(exsss, list_to_integer(Seed)),
    Apps = [app(list_to_atom("k" ++ integer_to_list(N))) || N <- lists:seq(1, 1 + rand:uniform(2))],
    [write(Dir, V, A) || V <- [1, 2], A <- Apps],
    relup(Dir, [Name || #{name := Name} <- Apps]).

pick(L) -> lists:nth(rand:uniform(length(L)), L).
chance(P) -> rand:uniform(100) =< P.
shuffle(L) -> [X || {_, X} <- lists:sort([{rand:uniform(), X} || X <- L])].

m(A, Part) -> list_to_atom(atom_to_list(A) ++ "_" ++ atom_to_list(Part)).

%% changed: the parts that differ; ways: what the appup does with them.
app(A) ->
    Parts = [lib, dir, srv, stm, hnd, pool, wrk, tap, acs, acc, sup],
    Changed = [P || P <- Parts, P =:= sup orelse chance(75)],
    Restarted = chance(12),
    #{name => A, changed => Changed, listens => not Restarted,
      appup => case Restarted of
                   true -> {[{restart_application, A}], [{restart_application, A}]};
                   false -> {script(up, A, Changed), script(down, A, Changed)}
               end}.

%%% The appup

script(Dir, A, Changed) ->
    Here = [P || P <- Changed, P =/= sup],
    Middle = mix(lists:append([instr(Dir, A, P, Here) || P <- shuffle(Here)]), logs(A)),
    {Stop, Start} = acceptors(A),
    All = around(Dir, A, Stop ++ Middle ++ Start),
    case chance(30) of
        true -> [{apply, {diff_look, log, [A, before]}}, point_of_no_return | All];
        false -> All
    end.

logs(A) ->
    [{apply, {m(A, lib), seen, [N]}} || N <- lists:seq(1, rand:uniform(4))]
        ++ [{sync_nodes, here, []} || chance(10)] ++ [[{apply, {diff_look, log, [A, nested]}}] || chance(20)]
        ++ [{stop, [m(A, srv)]} || chance(0)].

mix(A, []) -> A;
mix([], B) -> B;
mix([A | As], [B | Bs]) ->
    case chance(60) of
        true -> [A | mix(As, [B | Bs])];
        false -> [B | mix([A | As], Bs)]
    end.

%% Stopped in one of three ways, or not at all.
acceptors(A) ->
    Tap = m(A, tap),
    pick([{[], []},
          {[{apply, {supervisor, terminate_child, [Tap, acs]}}], [{apply, {supervisor, restart_child, [Tap, acs]}}]},
          {[{apply, {m(A, lib), stop, [Tap]}}], [{apply, {m(A, lib), start, [Tap]}}]},
          {[{stop, [m(A, acs)]}], [{start, [m(A, acs)]}]}]).

%% A child and a module that come, and a module that goes.
around(up, A, Is) ->
    Sup = [{update, m(A, sup), supervisor}, {apply, {supervisor, restart_child, [m(A, sup), ext]}}],
    New = [{add_module, m(A, ext)}, {add_module, m(A, new)}],
    pick([New ++ Sup ++ Is, New ++ Is ++ Sup]) ++ [{apply, {m(A, new), seen, [last]}}, {delete_module, m(A, gone)}];
around(down, A, Is) ->
    Sup = [{apply, {supervisor, F, [m(A, sup), ext]}} || F <- [terminate_child, delete_child]]
        ++ [{update, m(A, sup), supervisor}],
    pick([Sup ++ Is, Is ++ Sup]) ++ [{delete_module, m(A, M)} || M <- [ext, new]] ++ [{add_module, m(A, gone)}].

instr(_, A, P, _) when P =:= pool; P =:= tap; P =:= acs -> [{update, m(A, P), supervisor}];
instr(_, A, P, Here) when P =:= lib; P =:= acc ->
    M = m(A, P),
    [pick([{load_module, M}, {load_module, M, deps(A, P, Here)}, {load_module, M, soft_purge, brutal_purge, []}])];
instr(Dir, A, srv, Here) ->
    case chance(25) of
        true -> by_hand(Dir, m(A, srv), A);
        false -> [update(Dir, A, srv, Here)]
    end;
instr(Dir, A, P, Here) ->
    [update(Dir, A, P, Here)].

update(_, A, P, Here) ->
    M = m(A, P),
    Change = {advanced, {extra, rand:uniform(99)}},
    pick([{update, M, Change}, {update, M, Change, deps(A, P, Here)}, {update, M, soft}, {update, M},
          {update, M, Change, soft_purge, soft_purge, deps(A, P, Here)},
          {update, M, 4000, Change, brutal_purge, brutal_purge, deps(A, P, Here)},
          {update, M, static, default, Change, brutal_purge, soft_purge, []}]).

by_hand(up, M, A) ->
    [[{load_object_code, {A, "2", [M]}}, {suspend, [{M, 4000}]}, {load, {M, brutal_purge, brutal_purge}},
      {code_change, up, [{M, hand}]}, {resume, [M]}]];
by_hand(down, M, A) ->
    [[{load_object_code, {A, "1", [M]}}, {suspend, [M]}, {code_change, down, [{M, hand}]},
      {load, {M, brutal_purge, brutal_purge}}, {resume, [M]}, {purge, [M]}]].

%% Nobody among these asks another one in his code_change or init/1. What is loaded by hand has no instruction.
deps(A, P, Here) ->
    [m(A, D) || D <- [lib, stm, wrk, hnd], D =/= P, lists:member(D, Here), chance(25)].

%%% Sources

write(Dir, V, #{name := A, changed := Changed, listens := Listens, appup := {Ups, Downs}}) ->
    Vsn = integer_to_list(V),
    Ebin = filename:join([Dir, Vsn, "lib", atom_to_list(A) ++ "-" ++ Vsn, "ebin"]),
    ok = filelib:ensure_path(Ebin),
    Parts = [app, sup, dir, srv, stm, evt, hnd, pool, wrk, tap, acs, acc, lib]
        ++ case V of 1 -> [gone]; 2 -> [ext, new] end,
    Ms = [compile(Ebin, A, P, case lists:member(P, Changed) of true -> V; false -> 1 end, V, Listens) || P <- Parts],
    term(Ebin, atom_to_list(A) ++ ".app",
         {application, A, [{description, "random"}, {vsn, Vsn}, {modules, Ms}, {registered, []},
                           {applications, [kernel, stdlib, look]}, {env, [{vsn_env, V}]}, {mod, {m(A, app), []}}]}),
    V =:= 1 orelse term(Ebin, atom_to_list(A) ++ ".appup", {"2", [{"1", Ups}], [{<<"1(\\.[0-9]+)*">>, Downs}]}).

term(Dir, Name, Term) ->
    ok = file:write_file(filename:join(Dir, Name), io_lib:format("~p.~n", [Term])).

compile(Ebin, A, P, Salt, V, Listens) ->
    M = m(A, P),
    Text = [io_lib:format("-module(~ts).~n-vsn(\"~ts~b\").~n-compile(export_all).~nversion() -> ~b.~n", [M, A, Salt, Salt]),
            text(P, A, V, Listens)],
    File = filename:join(Ebin, atom_to_list(M) ++ ".erl"),
    ok = file:write_file(File, Text),
    {ok, M, Beam} = compile:file(File, [binary, nowarn_export_all, {d, me, A}]),
    ok = file:write_file(filename:join(Ebin, atom_to_list(M) ++ ".beam"), Beam),
    ok = file:delete(File),
    M.

-define(START, "start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).\n").
-define(SUP, "start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).\n").
-define(CHANGE, "code_change(V, {K, L}, X) -> diff_look:log(?MODULE, {version(), V, X}), {ok, {K, [{version(), V, X} | L]}}.\n").

text(app, A, _, _) -> f("start(_, _) -> R = ~ts_sup:start_link(), [supervisor:start_child(~ts_pool, [N]) || N <- [1, 2, 3]], R.\n"
                        "stop(_) -> ok.\nconfig_change(C, N, R) -> diff_look:log(?MODULE, {told, C, N, R}).\n", [A, A]);
text(sup, A, V, Listens) ->
    f(?SUP "init([]) -> diff_look:log(?MODULE, init),\n"
      " W = fun(Id, M) -> #{id => Id, start => {M, start_link, []}} end, S = fun(Id, M) -> (W(Id, M))#{type => supervisor} end,\n"
      " {ok, {#{intensity => 50}, [W(dir, ~ts_dir), W(srv, ~ts_srv), W(stm, ~ts_stm), (W(evt, ~ts_evt))#{modules => dynamic}, S(pool, ~ts_pool)~ts~ts]}}.\n",
      [A, A, A, A, A, [f(", S(tap, ~ts_tap)", [A]) || Listens], [f(", W(ext, ~ts_ext)", [A]) || V =:= 2]]);
text(pool, A, _, _) ->
    f(?SUP "init([]) -> diff_look:log(?MODULE, init), {ok, {#{strategy => simple_one_for_one, intensity => 50},"
      " [#{id => wrk, start => {~ts_wrk, start_link, []}}]}}.\n", [A]);
text(tap, A, _, _) ->
    f(?SUP "init([]) -> diff_look:log(?MODULE, {init, ~ts_dir:get(name)}), {ok, {#{intensity => 50},"
      " [#{id => acs, start => {~ts_acs, start_link, []}, type => supervisor}]}}.\n", [A, A]);
text(acs, A, _, _) ->
    f(?SUP "init([]) -> L = ~ts_dir:get(socket), {ok, {#{intensity => 100},"
      " [#{id => N, start => {~ts_acc, start_link, [L]}} || N <- lists:seq(1, 4)]}}.\n", [A, A]);
text(acc, A, _, _) ->
    f("start_link(L) -> {ok, spawn_link(?MODULE, loop, [L])}.\n"
      "loop(L) -> {ok, S} = gen_tcp:accept(L), P = spawn(?MODULE, serve, [S]), gen_tcp:controlling_process(S, P), P ! go, ?MODULE:loop(L).\n"
      "serve(S) -> receive go -> ok end, gen_tcp:send(S, io_lib:format(\"~~p\", [~ts_srv:get()])), gen_tcp:close(S).\n", [A]);
text(dir, A, _, Listens) ->
    f(?START "get(What) -> gen_server:call(?MODULE, {get, What}).\ninit([]) -> {ok, {" ++
      case Listens of
          true -> "element(2, {ok, _} = gen_tcp:listen(0, [{active, false}, {ip, {127, 0, 0, 1}}, {backlog, 1000}]))";
          false -> "none"
      end ++ ", []}}.\n"
      "handle_call({get, socket}, _, {L, _} = S) -> {reply, L, S};\nhandle_call({get, name}, _, S) -> {reply, ~ts, S}.\n"
      "handle_cast(_, S) -> {noreply, S}.\n" ?CHANGE, [A]);
text(lib, A, _, _) ->
    f("seen(N) -> diff_look:log(?MODULE, {N, [{M, erlang:module_loaded(M) andalso M:version()} || M <- [~ts]]}).\n"
      "stop(Sup) -> ok = supervisor:terminate_child(Sup, acs).\nstart(Sup) -> {ok, _} = supervisor:restart_child(Sup, acs).\n",
      [lists:join(", ", [atom_to_list(m(A, P)) || P <- [lib, dir, srv, stm, hnd, pool, wrk, tap, acs, acc, sup, ext, new, gone]])]);
text(evt, A, _, _) ->
    f("start_link() -> {ok, P} = gen_event:start_link({local, ?MODULE}), ok = gen_event:add_handler(P, ~ts_hnd, []), {ok, P}.\n", [A]);
text(hnd, _, _, _) ->
    f("init([]) -> {ok, {version(), []}}.\nhandle_event(_, S) -> {ok, S}.\nhandle_call(_, S) -> {ok, S, S}.\n" ?CHANGE, []);
text(stm, _, _, _) ->
    f("start_link() -> gen_statem:start_link({local, ?MODULE}, ?MODULE, [], []).\ncallback_mode() -> handle_event_function.\n"
      "init([]) -> {ok, idle, {version(), []}}.\nhandle_event({call, F}, get, _, S) -> {keep_state_and_data, [{reply, F, S}]}.\n"
      "code_change(V, St, {K, L}, X) -> diff_look:log(?MODULE, {version(), V, X}), {ok, St, {K, [{version(), V, X} | L]}}.\n", []);
text(wrk, _, _, _) ->
    f("start_link(N) -> gen_server:start_link(?MODULE, N, []).\ninit(N) -> {ok, {N, []}}.\n"
      "handle_call(get, _, S) -> {reply, S, S}.\nhandle_cast(_, S) -> {noreply, S}.\n" ?CHANGE, []);
text(P, _, _, _) when P =:= srv; P =:= ext ->
    f(?START "get() -> gen_server:call(?MODULE, get).\ninit([]) -> {ok, {started, []}}.\n"
      "handle_call(get, _, S) -> {reply, S, S}.\nhandle_cast(_, S) -> {noreply, S}.\n" ?CHANGE, []);
text(_, _, _, _) ->
    f("seen(N) -> diff_look:log(?MODULE, N).\n", []).

f(Format, Args) -> io_lib:format(Format, Args).

%%% What systools makes of it

relup(Dir, Apps) ->
    Vsn = fun(App) -> _ = application:load(App), element(2, application:get_key(App, vsn)) end,
    Base = [{App, Vsn(App)} || App <- [kernel, stdlib, sasl]],
    [term(Dir, V ++ ".rel", {release, {"hx", V}, {erts, erlang:system_info(version)},
                             Base ++ [{look, "1"} | [{App, V} || App <- Apps]]}) || V <- ["1", "2"]],
    File = fun(V) -> filename:join(Dir, V) end,
    Path = filelib:wildcard(filename:join(Dir, "*/lib/*/ebin")) ++ filelib:wildcard(filename:join(Dir, "look/*/ebin")),
    case systools:make_relup(File("2"), [File("1")], [File("1")], [{path, Path}, {outdir, Dir}, silent]) of
        {ok, _, _, _} -> ok;
        {error, M, Why} -> io:format("systools: ~ts~n", [M:format_error(Why)]), halt(1)
    end.
