%% SPDX-License-Identifier: Apache-2.0
%% The plan in words: [{Section, [Line]}], in the order in which a person reads them.
%%   applications modules processes supervisors configuration steps notes
%%   harm   why somebody would rather swap: processes that end, or what cannot be known beforehand
%% Lines never have values of settings.
-module(relsup_hot_show).

-export([sections/5, done/1]).

-import(relsup_hot_text, [text/2, name/1]).

-define(MANY, 20).

sections(Plan, Code, Script, Meta, Found) ->
    Settings = settings_harm(Plan, Meta, Code),
    [S || S = {_, [_ | _]} <-
              [{applications, applications(Plan, Meta, Code)},
               {modules, modules(Plan, Code, Script)},
               {processes, processes(Found)},
               {kept, kept(Found)},
               {closures, closures(Found)},
               {supervisors, supervisors(Found)},
               {configuration, configuration(Meta, Code)},
               {steps, [Line || Stage <- maps:get(stages, Script), Line <- step(Stage)]},
               {notes, maps:get(notes, Script) ++ notes(Plan) ++ Settings},
               {harm, harm(Plan, Code, Script, Found) ++ Settings}]].

%% What only became known on the way.
done(S = #{found := #{kept := Kept}}) ->
    Still = relsup_hot_wait:still_in_old(Kept),
    Lines = [Line || #{pid := P, added := Added, removed := Removed, kept := Unnamed, changed := Changed}
                         <- maps:get(children, S, []),
                     Line <- [text("~ts: new child ~0tp", [name(P), Id]) || Id <- Added]
                         ++ [text("~ts: child ~0tp ended", [name(P), Id]) || Id <- Removed]
                         ++ [text("~ts: child ~0tp stays: its new code does not name it, but somebody may have "
                                  "added it at run time", [name(P), Id]) || Id <- lists:sublist(Unnamed, ?MANY)]
                         ++ [text("~ts: another specification of child ~0tp, from its next start on",
                                  [name(P), Id]) || Id <- Changed]],
    Extra = relsup_hot_listen:extra(maps:get(listeners, S)),
    [{children, Lines} || Lines =/= []] ++ [{listeners, Extra} || Extra =/= []] ++ [{old_code, kept(#{kept => Still})} || Still =/= []].

applications(#{apps := Apps, modules := Mods, privs := Privs}, Meta, Code) ->
    [text("~ts~ts", [application(A, lists:keymember(element(1, A), 1, Mods)),
                     [[", other files in priv", heard(App, Meta, Code)] || App <- Privs, App =:= element(1, A)]])
     || A <- Apps].

application({App, <<>>, New, _, _, Type}, _) -> text("~ts ~ts added (~ts)", [App, New, Type]);
application({App, Old, <<>>, _, _, _}, _) -> text("~ts ~ts removed", [App, Old]);
application({App, Same, Same, _, _, _}, true) -> text("~ts ~ts: same version, other code", [App, Same]);
application({App, Same, Same, _, _, _}, false) -> text("~ts ~ts: same version", [App, Same]);
application({App, Old, New, _, _, _}, _) -> text("~ts ~ts -> ~ts", [App, Old, New]).

heard(App, Meta, Code) ->
    case relsup_hot_app:listens(App, Meta, Code) of
        true -> " (told to config_change/3)";
        false -> " (nobody listens: read when the application reads it)"
    end.

%% In the order in which they depend on each other, callees first.
modules(#{modules := Mods}, #{load := Load} = Code, #{instrs := Instrs}) ->
    Order = relsup_hot_code:order(maps:values(Load)),
    By = maps:from_list([{M, I} || I = #{m := M} <- Instrs]),
    Apps = maps:from_list([{M, App} || {App, M, _, _, _} <- Mods]),
    Lines = [text("~ts ~ts (~ts)~ts", [verb(M, Code), M, home(maps:get(M, Apps, '?')), how(M, By)])
             || M <- Order ++ maps:get(removed, Code)],
    case maps:get(asleep, Code) of
        [] -> Lines;
        Asleep -> Lines ++ [text("~b changed modules are not loaded and need nothing", [length(Asleep)])]
    end.

home('') -> "consolidated protocol";
home(App) -> App.

verb(M, #{added := Added, removed := Removed}) ->
    case {lists:member(M, Added), lists:member(M, Removed)} of
        {true, _} -> "added";
        {_, true} -> "removed";
        _ -> "changed"
    end.

how(M, By) ->
    case By of
        #{M := #{how := update, change := soft}} -> ", its processes are held";
        #{M := #{how := load, pre := brutal_purge}} -> ", loaded";
        _ -> ""
    end.

processes(#{procs := Procs}) ->
    Counts = lists:foldl(fun({_, Kind, Ms}, Acc) ->
                                 maps:update_with({Ms, Kind}, fun(N) -> N + 1 end, 1, Acc)
                         end, #{}, [P || P = {_, Kind, _} <- Procs, Kind =/= starter]),
    [text("~b ~ts of ~ts", [N, Kind, lists:join(", ", [atom_to_list(M) || M <- Ms])])
     || {{Ms, Kind}, N} <- lists:sort(maps:to_list(Counts))].

supervisors(#{procs := Procs, frozen := Frozen}) ->
    Sups = [P || {P, supervisor, _} <- Procs],
    [text("~ts takes over the children that its new code names, known once its init/1 has run", [name(P)])
     || P <- lists:sublist(Sups, ?MANY)]
        ++ [text("and ~b more supervisors do", [length(Sups) - ?MANY]) || length(Sups) > ?MANY]
        ++ [text("~ts keeps its children: its init/1 makes a named table and cannot run twice", [name(P)])
            || P <- Frozen].

kept(#{kept := Kept}) ->
    [text("~ts stays in the old code of ~ts until it leaves it; an undo would have to end it",
          [relsup_hot_wait:describe(P, M), M]) || {P, M} <- lists:sublist(Kept, ?MANY)]
        ++ [text("and ~b more do", [length(Kept) - ?MANY]) || length(Kept) > ?MANY].

configuration(Meta, Code) ->
    [text("~ts: ~0tp ~ts~ts", [App, K, How, case Arrives of
                                                yes -> heard(App, Meta, Code);
                                                no -> " (read at boot only: not before the next boot)"
                                            end])
     || {App, K, How, Arrives} <- relsup_hot_app:changes(Meta)].

settings_harm(#{privs := Privs}, Meta, Code) ->
    [text("~ts: ~0tp ~ts in its configuration, and is read at boot only", [App, K, How])
     || {App, K, How, no} <- relsup_hot_app:changes(Meta)]
        ++ [text("files in priv of ~ts change, and it has no config_change/3 to hear of it", [App])
            || App <- Privs, not relsup_hot_app:listens(App, Meta, Code)].

step({apply, {M, F, A}}) ->
    [text("appup: apply ~ts:~ts/~b, of which a failure undoes only what it ends and starts", [M, F, length(A)])];
step({stop_app, App}) -> [text("appup: application ~ts is stopped", [App])];
step({start_app, App}) -> [text("appup: application ~ts is started again", [App])];
step({add_app, App, Type}) -> [text("appup: application ~ts is started (~ts)", [App, Type])];
step({stop, Ms}) -> [text("appup: children of ~ts are stopped", [relsup_hot_text:mods(Ms)])];
step({start, Ms}) -> [text("appup: children of ~ts are started again", [relsup_hot_text:mods(Ms)])];
step(_) -> [].

%% The common supervisor of Elixir, made by Supervisor.start_link/2 with a list: the list is in
%% start/2 of the application, which runs once.
notes(Plan) ->
    [text("~ts: start/2 is not run again, so children that it lists for its supervisor stay as they are",
          [M]) || M <- changed_starts(Plan)].

%% What it was started with is just that list.
changed_starts(#{booted := true}) ->
    [];
changed_starts(#{apps := Apps, modules := Mods}) ->
    [M || {App, Old, New, _, _, _} <- Apps, Old =/= <<>>, New =/= <<>>,
          {ok, {M, _}} <- [application:get_key(App, mod)],
          {_, M1, _, _, _} <- Mods, M1 =:= M, is_default(App)].

is_default(App) ->
    case application_controller:get_master(App) of
        Master when is_pid(Master) ->
            case application_master:get_child(Master) of
                {Top, _} when is_pid(Top) ->
                    {_, Dict} = process_info(Top, dictionary),
                    proplists:get_value('$initial_call', Dict) =:= {supervisor, 'Elixir.Supervisor.Default', 1};
                _ -> false
            end;
        _ -> false
    end.

closures(#{closures := Held}) ->
    [text("~ts keeps a function of ~ts: as long as it does, the way back and the next upgrade that changes ~ts are a swap",
          [relsup_hot_hold:who(Holder), M, M]) || {Holder, M} <- lists:sublist(Held, ?MANY)]
        ++ [text("and ~b more do", [length(Held) - ?MANY]) || length(Held) > ?MANY].

harm(Plan, Code, #{stages := Stages, instrs := Instrs}, #{frozen := Frozen, kept := Kept, procs := Procs,
                                                structs := Structs}) ->
    Sups = lists:usort([M || {_, supervisor, [M]} <- Procs]),
    [text("init/1 of ~ts, which is run again, opens a listener (~ts:~ts/~b)", [M, M1, F, A])
     || {M, {M1, F, A}} <- relsup_hot_listen:opens(Sups, maps:get(load, Code))]
        ++ [text("~ts has a ~ts, whose fields change", [relsup_hot_hold:who(Holder), M]) || {Holder, M} <- Structs]
        ++ [text("~ts would not leave the old code of ~ts by itself", [relsup_hot_wait:describe(P, M), M])
            || {P, M} <- Kept, relsup_hot_wait:lives_in(P, M)]
        ++ [text("~ts changed, and children that its start/2 lists are not compared", [M])
     || M <- changed_starts(Plan)]
        ++ [text("the children of ~ts cannot be compared", [name(P)]) || P <- Frozen]
        ++ [text("its appup restarts application ~ts", [App]) || {stop_app, App} <- Stages]
        ++ [text("its appup stops the processes of ~ts", [relsup_hot_text:mods(Ms)])
            || {stop, Ms} <- Stages]
        ++ [text("~ts of ~ts would be ended, its appup says so", [name(P), M])
            || #{m := M, pre := brutal_purge} <- Instrs,
               erlang:check_old_code(M), P <- relsup_hot_find:users([M])].
