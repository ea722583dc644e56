%% SPDX-License-Identifier: Apache-2.0
%% Which supervised processes and applications a step of an appup ended or started, and their way back.
%% That is seen by comparing who was there before and behind it; children of simple_one_for_one
%% supervisors come and go by themselves and are not compared.
-module(relsup_hot_effects).

-export([during/1, noted/2, supervised/0, end_new/2, start_old/1]).

-import(relsup_hot_keeper, [note/2]).

-define(ASK_MS, 1000).

%% Fun's value. The keeper hears what there was, and then what there is.
during(Fun) ->
    note(effect, Before = look()),
    Value = Fun(),
    note(effect, {Before, look()}),
    Value.

%% In the keeper: [{Before, After}], the latest first; After is none while it is not over.
noted({Before, After}, [{Before, none} | Effects]) -> [{Before, After} | Effects];
noted(Before, Effects) -> [{Before, none} | Effects].

%% #{apps => #{App => Type}, children => #{{Sup, Id} => pid() | undefined}, order => [{Sup, Id}] in which they start,
%%   specs => #{{Sup, Id} => child_spec()}}
look() ->
    Children = [{{Sup, Id}, P} || {Sup, Id, P, _} <- tree(), Sup =/= undefined, Id =/= undefined],
    #{apps => maps:from_list(proplists:get_value(started, application:info())),
      children => maps:from_list(Children), order => [Key || {Key, _} <- Children],
      specs => maps:from_list([{{Sup, Id}, Spec} || {{Sup, Id}, _} <- Children, {ok, Spec} <- [spec(Sup, Id)]])}.

spec(Sup, Id) ->
    try gen_server:call(Sup, {get_childspec, Id}, ?ASK_MS) catch exit:_ -> none end.

%% As release_handler_1:get_supervised_procs/0: [{Supervisor, Id, pid(), [Module]}], Supervisor and Id are
%% undefined for the one at the top of an application.
supervised() ->
    [{Sup, Id, P, Mods} || {Sup, Id, P, Mods} <- tree(), is_pid(P)].

tree() ->
    lists:append([[{undefined, undefined, Top, modules(Top)} | below(Top)]
                  || {App, _, _} <- application:which_applications(),
                     Master <- [application_controller:get_master(App)], is_pid(Master),
                     {Top, _} <- [application_master:get_child(Master)], is_pid(Top)]).

modules(Top) ->
    try supervisor:get_callback_module(Top) of M -> [M] catch _:_ -> [] end.

%% One that is suspended does not answer.
below(Sup) ->
    case process_info(Sup, current_function) of
        {_, {sys, _, _}} -> [];
        undefined -> [];
        _ ->
            Children = try gen_server:call(Sup, which_children, ?ASK_MS) catch exit:_ -> [] end,
            lists:append([[{Sup, Id, P, mods(P, Mods)} | case Type of
                                                             supervisor when is_pid(P) -> below(P);
                                                             _ -> []
                                                         end]
                          || {Id, P, Type, Mods} <- lists:reverse(Children)])
    end.

mods(P, dynamic) when is_pid(P) ->
    try gen:call(P, self(), get_modules, ?ASK_MS) of {ok, Mods} -> Mods catch exit:_ -> [] end;
mods(_, Mods) when is_list(Mods) ->
    Mods;
mods(_, _) ->
    [].

%%% The way back

%% While the new code is there: what an appup started ends, and who started linked to `Home` with it.
end_new(Effects0, Home) ->
    Children = case Home of
                   none -> [];
                   _ -> exit(Home, kill), [P || P <- processes(), parent(P) =:= {parent, Home}]
               end,
    [exit(P, kill) || P <- Children],
    Now = look(),
    Effects = [case E of {B, none} -> {B, Now}; _ -> E end || E <- Effects0],
    Touched = touched(children, Effects),
    [relsup_hot_app:stop(App) || {App, _} <- touched(apps, Effects), is_map_key(App, maps:get(apps, Now))],
    [end_child(Key, Was) || Key <- lists:reverse(maps:get(order, Now)), {K, Was} <- Touched, K =:= Key],
    Effects.

%% From OTP 25 on.
parent(P) ->
    try process_info(P, parent) catch error:badarg -> unknown end.

%% [{Key, its value before the first effect on it, or none}]
touched(What, Effects) ->
    Of = fun(Key, Snap) -> maps:get(Key, maps:get(What, Snap), none) end,
    lists:foldl(fun({Before, After}, Acc) ->
                        Keys = maps:keys(maps:merge(maps:get(What, Before), maps:get(What, After))),
                        lists:foldl(fun(K, Acc1) -> lists:keystore(K, 1, Acc1, {K, Of(K, Before)}) end, Acc,
                                    [K || K <- Keys, Of(K, Before) =/= Of(K, After)])
                end, [], Effects).

%% A supervisor that is held cannot end its child; it starts it again when it is resumed.
end_child({Sup, Id}, Was) ->
    case process_info(Sup, current_function) of
        undefined -> ok;
        {_, {sys, _, _}} -> ok;
        _ ->
            _ = supervisor:terminate_child(Sup, Id),
            Was =:= none andalso supervisor:delete_child(Sup, Id)
    end.

%% With the old code and the old states back. What does not start is told.
start_old(Effects) ->
    Apps = touched(apps, Effects),
    Types = [{App, atom_to_binary(Type)} || {App, Type} <- Apps, Type =/= none],
    [ok = relsup_hot_app:start(App, Type) || {App, Type} <- in_order(Types)],
    Types =:= [] orelse relsup_hot_app:become(Types),
    Children = [Key || {Key, Was} <- touched(children, Effects), is_pid(Was)],
    [start_child(Key, Effects)
     || {#{order := Order}, _} <- [lists:last(Effects) || Effects =/= []], Key <- Order ++ (Children -- Order),
        lists:member(Key, Children), is_process_alive(element(1, Key))],
    ok.

%% An application starts behind those that it needs.
in_order(Types) ->
    Needs = fun(App) -> case application:get_key(App, applications) of {ok, L} -> L; _ -> [] end end,
    in_order(Types, Needs, []).

in_order([], _, Done) ->
    lists:reverse(Done);
in_order(Types, Needs, Done) ->
    Free = [T || T = {App, _} <- Types, not lists:any(fun(N) -> lists:keymember(N, 1, Types) end, Needs(App))],
    in_order(Types -- Free, Needs, lists:reverse(Free) ++ Done).

start_child({Sup, Id} = Key, Effects) ->
    case supervisor:restart_child(Sup, Id) of
        {error, not_found} ->
            [Spec | _] = [S || {#{specs := #{Key := S}}, _} <- lists:reverse(Effects)],
            started(supervisor:start_child(Sup, Spec));
        Result -> started(Result)
    end.

started({ok, _}) -> ok;
started({ok, _, _}) -> ok;
started({error, Why}) when Why =:= running; Why =:= restarting -> ok;
started({error, {already_started, _}}) -> ok.
