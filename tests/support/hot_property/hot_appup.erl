%% SPDX-License-Identifier: Apache-2.0
%% The appup of an application, as a person would write it from what differs between two worlds (appup(4)
%% and the Appup Cookbook).
-module(hot_appup).

-export([add/3]).

-import(hot_world, [pick/1, chance/1]).

%% B with appups for some of its applications that have another version than in A. Those are left alone
%% in which something is spoilt that an appup would have to know of, or whose children come or go in a
%% supervisor that an appup cannot name. `Applies`: what an appup applies may have another process than
%% before, so it stays out where the upgrade is to fail.
add(A = #{apps := Old}, B = #{apps := Apps}, Applies) ->
    Names = [N || #{name := N, vsn := Vsn} <- Apps, #{name := N1, vsn := Vsn1} <- Old, N =:= N1, Vsn =/= Vsn1,
                  chance(40), lists:all(fun is_usual/1, hot_world:mods(N, B)), can_tell(N, A, B, Applies)],
    lists:foldl(fun(App, W) -> add_one(App, A, Applies, W) end, B, Names).

can_tell(App, #{mods := Before}, B, Applies) ->
    lists:all(fun(#{name := M}) ->
                      case {maps:get(M, Before, none), maps:get(M, maps:get(mods, B))} of
                          {Old = #{kind := sup}, New = #{kind := sup}} ->
                              ids(Old) =:= ids(New) orelse Applies andalso is_map(children(Old, New));
                          _ -> true
                      end
              end, hot_world:mods(App, B)).

ids(#{strategy := simple_one_for_one}) -> [];
ids(#{children := Cs}) -> lists:sort([Id || #{id := Id} <- Cs]).

is_usual(#{spoil := Spoil}) -> Spoil =:= none orelse Spoil =:= sick orelse is_tuple(Spoil).

add_one(App, A, Applies, B) ->
    {Ups, Downs, B1} = case Applies andalso chance(15) of
                           true -> {[{restart_application, App}], [{restart_application, App}], B};
                           false -> instructions(App, A, Applies, B)
                       end,
    {Ups1, Downs1} = applications(App, A, B, Ups, Downs),
    hot_world:edit_app(App, fun(X) -> X#{appup := {Ups1, Downs1}} end, B1).

instructions(App, A = #{mods := Before}, Applies, B = #{mods := After}) ->
    Names = fun(W) -> [M || #{name := M} <- hot_world:mods(App, W)] end,
    Added = Names(B) -- Names(A),
    Removed = Names(A) -- Names(B),
    Changed = [M || M <- Names(B), is_map_key(M, Before), hot_change:changed(M, A, B)],
    {Forms, B1} = lists:mapfoldl(fun(M, W) -> form(M, W) end, B, Changed),
    {FormsUp, FormsDown} = lists:unzip(Forms),
    Kids = [C || Applies, M <- in_tree_order(Changed, B),
                 C <- [children(maps:get(M, Before), maps:get(M, After))], C =/= none],
    {[{add_module, M} || M <- Added] ++ ends(removed, Kids) ++ FormsUp ++ starts(added, Kids)
         ++ [{delete_module, M} || M <- Removed],
     [{add_module, M} || M <- Removed] ++ ends(added, Kids) ++ FormsDown ++ starts(removed, Kids)
         ++ [{delete_module, M} || M <- Added],
     B1}.

in_tree_order(Ms, B) ->
    [M || M <- hot_world:order(B), lists:member(M, Ms)].

%% {{Up, Down}, World}: an update says with which Extra its code_change is called.
form(M, W = #{mods := Mods}) ->
    case maps:get(M, Mods) of
        #{kind := sup} -> {same({update, M, supervisor}), W};
        #{cc := true} = Mod ->
            case is_plain(Mod) andalso chance(40) of
                true -> {same(pick(loads(Mod))), W};
                false ->
                    {Up, Down} = Extra = {extra(), extra()},
                    {{update(M, Up), update(M, Down)}, hot_world:edit(M, fun(X) -> X#{extra := Extra} end, W)}
            end;
        Mod -> {same(pick(loads(Mod))), W}
    end.

same(Instr) -> {Instr, Instr}.

extra() -> pick([[], {extra, rand:uniform(9)}]).

update(M, Extra) ->
    Change = {advanced, Extra},
    pick([{update, M, Change}, {update, M, Change, []}, {update, M, Change, soft_purge, soft_purge, []},
          {update, M, 4000, Change, brutal_purge, brutal_purge, []}]).

%% Nothing about the processes is another than before. A process without a behaviour must be held all the
%% same, to leave its old loop.
is_plain(#{spoil := none, delta := 0, shape := Shape, prev := #{shape := Shape} = Prev} = Mod) ->
    maps:with([mode, states], Mod) =:= maps:with([mode, states], Prev);
is_plain(_) ->
    false.

loads(#{kind := special, name := M}) ->
    [{update, M}, {update, M, soft}];
loads(#{name := M, shape := _}) ->
    [{load_module, M}, {load_module, M, []}, {update, M}, {update, M, soft, soft_purge, soft_purge, []}];
loads(#{name := M}) ->
    [{load_module, M}, {load_module, M, soft_purge, soft_purge, []}].

%%% Children: of supervisors with a name

children(#{kind := sup, named := true, children := Old, strategy := S1},
         #{name := Sup, named := true, children := New, strategy := S2})
  when S1 =/= simple_one_for_one, S2 =/= simple_one_for_one ->
    Ids = fun(Cs) -> [Id || #{id := Id} <- Cs] end,
    #{sup => Sup, added => Ids(New) -- Ids(Old), removed => Ids(Old) -- Ids(New)};
children(_, _) ->
    none.

ends(Which, Kids) ->
    [{apply, {supervisor, F, [Sup, Id]}}
     || #{sup := Sup, Which := Ids} <- lists:reverse(Kids), Id <- lists:reverse(Ids),
        F <- [terminate_child, delete_child]].

starts(Which, Kids) ->
    [{apply, {supervisor, restart_child, [Sup, Id]}} || #{sup := Sup, Which := Ids} <- Kids, Id <- Ids].

%%% Applications that come and go; the first appup that could name one does so, sometimes

applications(App, A, B, Ups, Downs) ->
    Come = [N || N <- missing(A, B), chance(50), not is_named(N, B)],
    Go = [N || N <- missing(B, A), chance(50), not is_named(N, B)],
    {added(App, Come, B, Ups) ++ [{remove_application, N} || N <- Go],
     added(App, Go, A, Downs) ++ [{remove_application, N} || N <- Come]}.

%% What App needs comes ahead of it.
added(App, Names, W, Instrs) ->
    {Ahead, Behind} = lists:partition(fun(N) -> lists:member(N, hot_world:below([App], W)) end, Names),
    Adds = fun(Ns) -> [{add_application, N, maps:get(type, hot_world:app(N, W))} || N <- Ns] end,
    Adds(Ahead) ++ Instrs ++ Adds(Behind).

%% Those of Wanted that W has not, but what they need to start.
missing(#{apps := Apps, mods := Mods}, Wanted) ->
    Names = [N || #{name := N} <- Apps],
    [N || #{name := N, deps := Deps} <- maps:get(apps, Wanted),
          not lists:member(N, Names), Deps -- Names =:= [],
          lists:all(fun(#{asks := Ms}) -> lists:all(fun(M) -> is_map_key(M, Mods) end, Ms);
                       (_) -> true
                    end, hot_world:mods(N, Wanted))].

is_named(N, #{apps := Apps}) ->
    lists:any(fun(#{appup := none}) -> false;
                 (#{appup := {Ups, Downs}}) ->
                      lists:any(fun({_, X}) -> X =:= N; ({_, X, _}) -> X =:= N; (_) -> false end, Ups ++ Downs)
              end, Apps).
