%% SPDX-License-Identifier: Apache-2.0
%% The next version of a world (hot_world.erl): some random changes, and what follows from them.
%% Nothing is changed that a hot upgrade could not bring a running node to: handlers of an event manager
%% stay the same, a child keeps its module, a state that changes has a code_change.
-module(hot_change).

-export([change/1, finish/2, changed/3, spoil/2, spoil_down/2, running/2, both/3]).

-import(hot_world, [pick/1, chance/1, some/1, of_kind/2, statics/1, edit/3, edit_app/3, tidy/1]).

change(A = #{mods := Mods, apps := Apps}) ->
    Fresh = maps:map(fun(_, M = #{delta := _}) ->
                             M#{spoil := none, prev := none, delta := 0, extra := {[], []}, was => M};
                        (_, M) -> M#{prev := none}
                     end, Mods),
    times(rand:uniform(6), A#{mods := Fresh, apps := [App#{appup := none} || App <- Apps]}).

times(0, W) -> W;
times(N, W) -> times(N - 1, tidy((pick(changes()))(W))).

changes() ->
    [fun body/1, fun calls/1, fun new_lib/1, fun drop_lib/1, fun worker/1, fun worker/1, fun worker/1,
     fun flags/1, fun specs/1, fun order/1, fun new_child/1, fun new_child/1, fun drop_child/1, fun new_app/1,
     fun drop_app/1, fun callback/1, fun type/1, fun env/1, fun conf/1].

%% Fun changes one of them, if there is one.
one([], W, _) -> W;
one(L, _, Fun) -> Fun(pick(L)).

edit_one(Mods, W, Fun) ->
    one(Mods, W, fun(#{name := M}) -> edit(M, Fun, W) end).

salt(Mod = #{salt := Salt, vsn := Vsn}) ->
    Mod#{salt := Salt + 1, vsn := case chance(50) of true -> hot_world:vsn(); false -> Vsn end}.

body(W) ->
    edit_one(of_kind([lib, app, event, sup], W), W, fun salt/1).

calls(W) ->
    edit_one(of_kind([lib, server, statem, special, handler], W), W,
             fun(Mod = #{app := App}) -> Mod#{calls := some(hot_world:visible_libs(App, W))} end).

new_lib(W = #{apps := Apps}) ->
    one(Apps, W, fun(#{name := App}) -> hot_world:add_lib(App, W) end).

drop_lib(W = #{mods := Mods}) ->
    one(of_kind([lib], W), W, fun(#{name := M}) -> W#{mods := maps:remove(M, Mods)} end).

worker(W) ->
    edit_one(of_kind([server, statem, special, handler], W), W, fun(Mod) -> state(salt(Mod)) end).

%% A state that changes needs a code_change of the new version, a callback mode one of both.
state(Mod) ->
    Was = #{cc := Had} = maps:get(was, Mod, Mod),
    case Mod#{cc := chance(80)} of
        New = #{cc := true} -> mode(Had, New#{shape := hot_world:shape(), delta := rand:uniform(50)});
        New -> maps:merge(New#{delta := 0}, maps:with([shape, mode, states], Was))
    end.

mode(Had, Mod = #{mode := Mode, states := _}) ->
    Mod#{states := pick(["", "_x", "_y"]),
         mode := case Had andalso chance(60) of true -> hot_world:mode(); false -> Mode end};
mode(_, Mod) ->
    Mod.

flags(W) ->
    edit_one(statics(W), W, fun(Sup) ->
        Sup#{strategy := pick([one_for_one, rest_for_one, one_for_all]), intensity := pick([10, 20]),
             old_form := chance(25)} end).

specs(W) ->
    edit_one(of_kind([sup], W), W, fun(Sup = #{children := Cs}) ->
        Sup#{children := [case C of
                              #{type := worker} -> C#{shutdown := pick([500, 1000, 5000])};
                              _ -> C
                          end || C <- Cs]} end).

order(W) ->
    edit_one(statics(W), W, fun(Sup = #{children := Cs}) ->
        Sup#{children := [C || {_, C} <- lists:sort([{rand:uniform(), C} || C <- Cs])]} end).

new_child(W) ->
    one(statics(W), W, fun(#{name := Sup}) -> hot_world:add_child(Sup, hot_world:depth(Sup, W), W) end).

drop_child(W) ->
    edit_one([S || S = #{children := [_, _ | _]} <- statics(W)], W,
             fun(Sup = #{children := Cs}) -> Sup#{children := lists:delete(pick(Cs), Cs)} end).

%% Sometimes one of the others needs it.
new_app(W) ->
    W1 = #{apps := Apps} = hot_world:add_app(none, W),
    #{name := New, deps := Deps} = lists:last(Apps),
    Below = hot_world:below(Deps, W1),
    case pick([A || #{name := A} <- Apps, A =/= New, not lists:member(A, Below)]) of
        none -> W1;
        Some -> edit_app(Some, fun(App = #{deps := Ds}) -> App#{deps := [New | Ds]} end, W1)
    end.

drop_app(W = #{apps := [_]}) ->
    W;
drop_app(W = #{apps := Apps}) ->
    Needed = [D || #{deps := Deps} <- Apps, D <- Deps],
    one([A || A = #{name := N} <- Apps, not lists:member(N, Needed)], W,
        fun(App) -> W#{apps := lists:delete(App, Apps)} end).

callback(W) ->
    edit_one(of_kind([app], W), W, fun(Mod) -> (salt(Mod))#{listens := chance(70)} end).

type(W = #{apps := Apps}) ->
    one(Apps, W, fun(#{name := Name}) -> edit_app(Name, fun(App) -> App#{type := hot_world:type()} end, W) end).

env(W = #{apps := Apps}) ->
    one(Apps, W, fun(#{name := Name}) ->
        edit_app(Name, fun(App = #{env := Env}) -> App#{env := values(Env)} end, W) end).

conf(W = #{apps := Apps, conf := Conf}) ->
    one(Apps, W, fun(#{name := Name, env := Env}) ->
        case Conf of
            #{Name := Old} -> W#{conf := case chance(80) of
                                             true -> Conf#{Name := values(Old)};
                                             false -> maps:remove(Name, Conf)
                                         end};
            _ -> W#{conf := Conf#{Name => hot_world:env(Env)}}
        end end).

%% Of what there is some stay, some change, some go; and some are new.
values(Env) ->
    hot_world:env([]) ++ lists:append([pick([[], [{K, V}], [{K, -V}]]) || {K, V} <- Env]).

%%% Finishing

changed(M, #{mods := A}, #{mods := B}) ->
    maps:get(M, A, none) =/= maps:get(M, B, none).

%% B as the version after A: what is the same stays what it was, byte for byte; what differs has the
%% next revision and knows the one before; applications count up, mostly.
finish(A = #{mods := Old}, B = #{mods := Mods}) ->
    B1 = B#{mods := maps:map(fun(M, Mod) -> finish_mod(maps:get(M, Old, none), Mod) end, Mods)},
    B1#{apps := [finish_app(App, A, B1) || App <- maps:get(apps, B1)]}.

finish_mod(none, Mod) ->
    Mod;
finish_mod(Old = #{rev := Rev}, Mod) ->
    case essence(Old) =:= essence(Mod) of
        true -> Old;
        false -> (maps:without([was, seen, beam], Mod))#{rev := Rev + 1, prev := Old#{prev := none}}
    end.

essence(Mod) ->
    maps:without([was, prev, rev, seen, beam, delta, extra], Mod).

finish_app(App = #{name := Name}, A = #{apps := Apps}, B) ->
    case [Old || Old = #{name := N} <- Apps, N =:= Name] of
        [] -> App;
        [Old = #{vsn := Vsn}] ->
            Said = fun(X) -> maps:with([type, deps, env], X) end,
            Same = hot_world:mods(Name, A) =:= hot_world:mods(Name, B),
            case {Said(Old) =:= Said(App), Same} of
                {true, true} -> Old#{appup := none};
                {true, false} -> App#{vsn := Vsn + case chance(85) of true -> 1; false -> 0 end};
                {false, _} -> App#{vsn := Vsn + 1}
            end
    end.

%%% Spoiling: a next version that must not come to stay

%% {What, Exits, Spoilt} of B, not finished; What is none if B offers nothing to spoil.
spoil(A, B) ->
    {What, Exits, Fun} = pick([{code_change, [3], fun bad_code_change/2}, {new_child, [3], fun bad_child/2},
                               {new_app, [3], fun bad_app/2}, {app_child, [3], fun bad_app_child/2},
                               {sup_init, [3], fun bad_init/2}, {listens, [3], fun bad_listener/2}, {simple, [3], fun bad_strategy/2},
                               {mode, [3], fun bad_mode/2}, {sick, [3], fun sick/2},
                               {on_load, [2], fun on_load/2}, {gone, [2, 3], fun gone/2}]),
    case Fun(A, B) of
        B -> {none, [], B};
        Spoilt -> {What, Exits, Spoilt}
    end.

bad_code_change(A, B) ->
    edit_one([M || M = #{cc := true} <- running(A, B)], B,
             fun(Mod) -> (salt(Mod))#{spoil := {up, pick([raise, exit, error, garbage])}} end).

%% Good, but for the way back.
spoil_down(A, B) ->
    edit_one([M || M = #{cc := true} <- running(A, B)], B,
             fun(Mod) -> (salt(Mod))#{spoil := {down, pick([raise, exit, error, garbage])}} end).

%% Modules of workers that are there before and after.
running(A, B = #{mods := Mods}) ->
    Both = maps:with(maps:keys(hot_world:keys(A)), hot_world:keys(B)),
    [maps:get(M, Mods) || M <- lists:usort(maps:values(Both))].

both(Kinds, #{mods := Before}, B) ->
    [M || M = #{name := Name} <- of_kind(Kinds, B), is_map_key(Name, Before)].

bad_child(A, B) ->
    one([S || S = #{strategy := T} <- both([sup], A, B), T =/= simple_one_for_one], B,
        fun(#{name := Sup}) -> spoil_new(B, hot_world:add_child(Sup, hot_world:depth(Sup, B), B)) end).

spoil_new(B = #{mods := Before}, W = #{mods := Mods}) ->
    New = [maps:get(M, Mods) || M <- lists:usort(maps:values(hot_world:keys(W))), not is_map_key(M, Before)],
    case [M || M = #{kind := Kind} <- New, Kind =/= handler] of
        [] -> B;
        Ms -> edit_one(Ms, W, fun(Mod) -> Mod#{spoil := pick([stop, raise, garbage])} end)
    end.

bad_app(_, B) ->
    hot_world:add_app(no_start, B).

bad_app_child(_, B) ->
    spoil_new(B, hot_world:add_app(none, B)).

bad_init(A, B) ->
    edit_one(both([sup], A, B), B, fun(Mod) -> (salt(Mod))#{spoil := no_init} end).

bad_listener(A, B) ->
    edit_one(both([sup], A, B), B,
             fun(Mod) -> (salt(Mod))#{spoil := {listens, pick([[], [{raw, 1, 15, <<1:32/native>>}]])}} end).

bad_strategy(A, B) ->
    edit_one([S || S = #{children := [_ | _], strategy := T} <- both([sup], A, B), T =/= simple_one_for_one], B,
             fun(Mod = #{children := [C | _]}) -> Mod#{strategy := simple_one_for_one, children := [C]} end).

bad_mode(#{mods := Before} = A, B) ->
    edit_one([M || M = #{kind := statem} <- running(A, B)], B,
             fun(Mod = #{name := Name}) ->
                     #{Name := #{mode := [Mode | _]}} = Before,
                     Mod#{cc := false, spoil := mode,
                          mode := [state_functions, handle_event_function] -- [Mode]}
             end).

sick(_, B) ->
    edit_one(of_kind([lib], B), B, fun(Mod) -> (salt(Mod))#{spoil := sick} end).

%% One that is not loaded yet is not loaded by the upgrade either.
on_load(#{mode := "interactive"}, B) ->
    B;
on_load(A, B) ->
    edit_one(both([lib], A, B), B, fun(Mod) -> (salt(Mod))#{spoil := on_load} end).

%% A module whose process goes on.
gone(A, B = #{mods := Mods}) ->
    one(running(A, B), B,
        fun(#{name := M}) -> B#{mods := maps:remove(M, Mods)} end).
