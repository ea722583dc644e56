%% SPDX-License-Identifier: Apache-2.0
%% Writes the releases of a random world and of its next versions, and what tests/vm/hot_property.sh does
%% with them:
%%   DIR/<version>/              a folder for `relpack build`, with the sources in src/
%%   DIR/<n>.fill, DIR/<n>.equal what hot_look:fill/1 is to put into the node before the upgrade, and into
%%                               one that was started with the new release, to make it its equal
%%   DIR/steps                   a line a pair: n FROM TO, and then what else is to be seen:
%%     bad=VERSION:WHAT:EXITS      an upgrade to that one fails
%%     struct=MODULE               so does this one while a server has a struct of the module, in this form
%%     parked=MODULE               so does this one while a process loops in the module
%%     held=MODULE                 its way back does, while somebody keeps a closure of the module
%%     no_way_back                 its way back fails
%%     noise                       everybody who stays is called all the time, and children are born
-module(hot_release).

-export([main/1]).

-import(hot_world, [pick/1, chance/1, some/1]).

main([Dir, Seed, Pairs]) ->
    _ = rand:seed(exsss, list_to_integer(Seed)),
    World = #{mode := Mode} = hot_world:new(),
    ok = file:write_file(filename:join(Dir, "mode"), Mode),
    First = write(Dir, "0.1.0", hot_change:finish(empty(), World)),
    Lines = pairs(Dir, First, 1, list_to_integer(Pairs)),
    ok = file:write_file(filename:join(Dir, "steps"), Lines).

empty() ->
    #{apps => [], mods => #{}, conf => #{}}.

version(N) ->
    "0." ++ integer_to_list(N) ++ ".0".

pairs(_, _, N, Pairs) when N > Pairs ->
    [];
pairs(Dir, A, N, Pairs) ->
    Raw = hot_change:change(A),
    {Bad, Spoilt} = spoilt(A, Raw, version(N + 1) ++ "-bad"),
    {Notes, Good} = good(A, Raw),
    B = write(Dir, version(N + 1), Good),
    Spoilt =:= none orelse write(Dir, version(N + 1) ++ "-bad", Spoilt),
    {Fill, Equal} = states(A, B),
    write_term(Dir, [integer_to_list(N), ".fill"], Fill),
    write_term(Dir, [integer_to_list(N), ".equal"], Equal),
    [lists:join(" ", [integer_to_list(N), version(N), version(N + 1) | Bad ++ Notes]), "\n"
     | pairs(Dir, B, N + 1, Pairs)].

spoilt(A, B, Version) ->
    case chance(50) andalso hot_change:spoil(A, B) of
        {What, [_ | _] = Exits, Spoilt} ->
            Codes = lists:join("|", [integer_to_list(E) || E <- Exits]),
            {[io_lib:format("bad=~ts:~ts:~ts", [Version, What, Codes])],
             hot_appup:add(A, hot_change:finish(A, Spoilt), false)};
        _ -> {[], none}
    end.

good(A, Raw) ->
    case chance(20) andalso hot_change:spoil_down(A, Raw) of
        false -> notes(A, hot_appup:add(A, hot_change:finish(A, Raw), true));
        Raw -> notes(A, hot_appup:add(A, hot_change:finish(A, Raw), true));
        Spoilt -> {["no_way_back" | noise()], hot_appup:add(A, hot_change:finish(A, Spoilt), false)}
    end.

notes(A, B) ->
    Libs = [M || M = #{name := Name} <- hot_change:both([lib], A, B), hot_change:changed(Name, A, B),
                 appup(M, B) =:= none],
    Ways = [[Note, atom_to_list(M)] || Note <- ["parked=", "held=", "struct="], #{name := M} <- [pick(Libs)], chance(20)],
    {Ways ++ noise(), B}.

noise() -> ["noise" || chance(50)].

appup(#{app := App}, W) ->
    maps:get(appup, hot_world:app(App, W)).

%%% States

%% What survives the upgrade, and what it then has: {Fill, Equal} (hot_look:fill/1).
states(A = #{apps := Apps}, B) ->
    Keys = keys(A, B),
    Dynamic = dynamic(A, B),
    Extras = extras(A, B),
    All = maps:map(fun(_, M) -> {M, rand:uniform(1000), pick([idle, busy])} end,
                   maps:merge(Keys, extra_keys(Dynamic ++ Extras, A))),
    Common = #{dynamic => Dynamic, extras => Extras, runtime => runtime(A, B), files => [],
               born => [Sup || {Sup, M, _} <- Dynamic, asked(M, A) ++ asked(M, B) -- maps:values(Keys) =:= []],
               later => [Key || {Key, {M, _, idle}} <- maps:to_list(All), kind(M, A) =:= statem, chance(40)]},
    {Common#{files := [{Name, files(App, A)} || App = #{name := Name} <- Apps],
             numbers => maps:map(fun(_, {_, N, State}) -> {N, State} end, All)},
     Common#{numbers => maps:map(fun(_, {M, N, State}) -> {N + delta(M, A, B), State} end, All)}}.

%% Whoever is born in between finds those it asks.
asked(M, #{mods := Mods}) ->
    maps:get(asks, maps:get(M, Mods)).

kind(M, #{mods := Mods}) ->
    maps:get(kind, maps:get(M, Mods)).

delta(M, A, B = #{mods := Mods}) ->
    case hot_change:changed(M, A, B) andalso maps:get(M, Mods) of
        #{cc := true, delta := Delta} -> Delta;
        _ -> 0
    end.

stays(App, B) ->
    case appup(#{app => App}, B) of
        {[{restart_application, _} | _], _} -> false;
        {Ups, _} -> not lists:keymember(restart_application, 1, Ups);
        none -> true
    end.

lives(M, B = #{mods := Mods}) ->
    stays(maps:get(app, maps:get(M, Mods)), B).

keys(A, B) ->
    After = hot_world:keys(B),
    maps:filter(fun(Key, M) -> is_map_key(Key, After) andalso lives(M, B) end, hot_world:keys(A)).

dynamic(A, B) ->
    [{Sup, M, lists:seq(1, rand:uniform(3))}
     || #{name := Sup, strategy := simple_one_for_one, children := [#{mod := M}]}
            <- hot_change:both([sup], A, B), lives(Sup, B)].

%% Children that somebody started by hand.
extras(A = #{mods := Before}, B) ->
    Usual = fun(#{strategy := S}) -> S =:= one_for_one end,
    [{Sup, M, [{extra, N} || N <- lists:seq(1, rand:uniform(2))]}
     || S = #{name := Sup} <- hot_change:both([sup], A, B), Usual(S), Usual(maps:get(Sup, Before)),
        lives(Sup, B), chance(30),
        #{name := M} <- [pick([W || W = #{named := false}
                                        <- hot_change:both([server, statem, special], A, B)])]].

extra_keys(Started, #{mods := Mods}) ->
    maps:from_list([K || {Sup, M, Ids} <- Started, Id <- Ids,
                         K <- hot_world:keys_of({Sup, Id}, maps:get(M, Mods))]).

files(#{name := Name, env := Env}, #{conf := Conf}) ->
    maps:to_list(maps:merge(maps:from_list(Env), maps:from_list(maps:get(Name, Conf, [])))).

%% [{App, Put, Unset}]: values that nobody has in a file. They stay where the files of both say the same.
runtime(A, B) ->
    [{Name, [{K, {runtime, rand:uniform(100)}} || {K, _} <- some(Same)] ++ [{by_hand, true} || chance(30)],
      [K || {K, _} <- some(some(Same))]}
     || App = #{name := Name} <- maps:get(apps, A), chance(60),
        Later = #{name := N} <- maps:get(apps, B), N =:= Name,
        Same <- [[KV || KV <- files(App, A), lists:member(KV, files(Later, B))]]].

%%% Files

write_term(Dir, Name, Term) ->
    ok = file:write_file(filename:join(Dir, lists:append(Name)), io_lib:format("~p.~n", [Term])).

write(Dir, Version, W = #{apps := Apps, mods := Mods, conf := Conf}) ->
    Root = filename:join(Dir, Version),
    W1 = W#{mods := maps:map(fun(_, Mod) -> compile(Root, Mod) end, Mods)},
    [write_app(Root, App, W1) || App <- Apps],
    write_term(Root, ["sys.config"], maps:to_list(Conf)),
    Names = ["\"look\"" | [io_lib:format("{\"~ts\": \"~ts\"}", [N, Type]) || #{name := N, type := Type} <- Apps]],
    ok = file:write_file(filename:join(Root, "relpack.json"),
                         io_lib:format("{\"name\": \"hx\", \"version\": \"~ts\", \"strip_beams\": false,~n"
                                       " \"applications\": [~ts],~n"
                                       " \"lib_dirs\": [\"lib\", \"../look\"], \"sys_config\": \"sys.config\"}~n",
                                       [Version, lists:join(", ", Names)])),
    W1.

compile(_, Mod = #{beam := _}) ->
    Mod;
compile(Root, Mod = #{name := M}) ->
    File = filename:join([Root, "src", atom_to_list(M) ++ ".erl"]),
    ok = filelib:ensure_dir(File),
    ok = file:write_file(File, hot_source:text(Mod)),
    {ok, M, Beam} = compile:file(File, [binary, return_errors]),
    Mod#{beam => Beam, seen => seen(beam_lib:version(Beam))}.

%% As release_handler gives it to code_change: the attribute is a list, of one term unless it is a string.
seen({ok, {_, Vsn}}) ->
    case [C || C <- Vsn, is_integer(C), C >= 32, C =< 255] of
        Vsn -> Vsn;
        _ -> hd(Vsn)
    end.

write_app(Root, #{name := App, vsn := Vsn, deps := Deps, env := Env, cb := Cb, appup := Appup}, W) ->
    Ebin = filename:join([Root, "lib", io_lib:format("~ts-~b", [App, Vsn]), "ebin"]),
    Mods = hot_world:mods(App, W),
    ok = filelib:ensure_path(Ebin),
    [ok = file:write_file(filename:join(Ebin, atom_to_list(M) ++ ".beam"), Beam)
     || #{name := M, beam := Beam} <- Mods],
    write_term(Ebin, [atom_to_list(App), ".app"],
               {application, App, [{description, "of a random world"}, {vsn, integer_to_list(Vsn)},
                                   {modules, [M || #{name := M} <- Mods]},
                                   {registered, [M || #{name := M, named := true} <- Mods]},
                                   {applications, [kernel, stdlib | Deps]}, {env, Env}, {mod, {Cb, []}}]}),
    case Appup of
        none -> ok;
        {Ups, Downs} ->
            Old = integer_to_list(Vsn - 1),
            write_term(Ebin, [atom_to_list(App), ".appup"],
                       {integer_to_list(Vsn), [{Old, Ups}], [{Old, Downs}]})
    end.
