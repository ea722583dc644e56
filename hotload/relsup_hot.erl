%% SPDX-License-Identifier: Apache-2.0
%% The part of a hot upgrade that runs inside the node; hotload/hot_upgrade.c loads these modules and
%% calls run/3. This one is the worker: it checks, suspends the processes of the changed modules,
%% loads all of the new code or none, has the processes change their states, resumes them, starts
%% what is new, waits for the verdict, and ends what is no longer wanted. relsup_hot_keeper.erl puts
%% everything back if any of it fails.
-module(relsup_hot).

-export([run/3, verdict/1]).

-define(WARM_UP_MS, 1000).
-define(LEAVE_MS, 1000).

-import(relsup_hot_text, [refuse/2, in_use/2, fail/2, gather/1, names/1]).
-import(relsup_hot_keeper, [note/2]).
-import(relsup_hot_sys, [now_ms/0, now_us/0]).

%% Mode   check | apply
%% Mods   [{App, Module, OldPath, NewPath, NewMd5}]
%% Apps   [{App, OldVsn, NewVsn, OldEbin, NewEbin, StartType}] in the order in which they start
%% Files  {OldSysConfig, NewSysConfig, OldConsolidated, NewConsolidated, [App]}; a configuration that
%%        is evaluated at boot is <<>> (what this VM booted with) or {evaluated, ExternalTerm}; the
%%        applications are those with other files below priv
%% Hints  [{Name or module of `$initial_call`, callback module}]
%% Down   false, or the way back: true, or booted, to the release that the VM was started with
%% Times  {SuspendMs, TimeoutMs, VerdictMs, WaitMs, OldCode}; VerdictMs 0: it is good when it is done;
%%        WaitMs: who is busy with what changes has so long to finish; OldCode: keep | refuse, who has not
%% All paths and versions are binaries, <<>> where there is none.
%% Returns a result (relsup_hot_keeper).
run(Client, Mode, {Mods, Apps, {OldConfig, NewConfig, OldCons, NewCons, Privs}, Hints, Down,
                   {SuspendMs, TimeoutMs, VerdictMs, WaitMs, OldCode}}) ->
    Plan = #{modules => Mods, apps => Apps, old_sys_config => OldConfig,
             new_sys_config => NewConfig, old_consolidated => OldCons,
             new_consolidated => NewCons, privs => Privs, hints => maps:from_list(Hints), down => Down =/= false,
             booted => Down =:= booted,
             suspend_ms => SuspendMs, timeout_ms => TimeoutMs, verdict_ms => VerdictMs,
             wait_ms => WaitMs, old_code => OldCode},
    relsup_hot_keeper:run(Client, Plan, fun() -> work(Mode, Plan) end).

verdict(Verdict) ->
    relsup_hot_keeper:verdict(Verdict).

step(Name) ->
    relsup_hot_step:at(Name).

work(Mode, Plan = #{modules := Mods, apps := Apps, suspend_ms := Ms, wait_ms := WaitMs}) ->
    WaitUntil = now_ms() + WaitMs,
    gather([fun() -> relsup_hot_keeper:check_half_way() end, fun() -> relsup_hot_app:check(Apps) end]),
    Meta = relsup_hot_app:read(Plan),
    Script = #{code := Code, instrs := Instrs} = relsup_hot_plan:make(Plan, relsup_hot_code:read(Mods)),
    Scope = scope(Plan, Script),
    Brutal = [M || #{m := M, pre := brutal_purge} <- Instrs],
    relsup_hot_code:check_old(Mode, [M || {M, _} <- maps:get(olds, Code)] -- Brutal, WaitUntil),
    Found = found(relsup_hot_find:find(Scope, Ms), Scope, Plan, WaitUntil),
    takes_out(Script) orelse check_going(Found),
    Held = #{closures => relsup_hot_code:kept_closures(maps:get(back, Code)),
             structs => check_structs(Plan, Script, Found)},
    Prepared = [{Is, relsup_hot_code:prepare(to_load(Is, Code))}
                || {What, Is} <- maps:get(stages, Script), What =:= modules orelse What =:= load],
    step(checked),
    Sections = relsup_hot_show:sections(Plan, Code, Script, Meta, maps:merge(Found, Held)),
    case Mode of
        check ->
            {ok, maps:size(maps:get(load, Code)), count(maps:get(procs, Found)), 0, <<>>, Sections};
        apply ->
            relsup_hot_code:purge(Brutal),
            apply_plan(Plan#{meta => Meta, code => Code, scope => Scope, found => Found,
                             vsns => relsup_hot_change:vsns(Instrs, Code), ms => Ms,
                             sections => Sections, wait_until => WaitUntil}, Script, Prepared)
    end.

%% With `kept`, [{Pid, Module}]: who stays inside of a module that is touched, and so in its old code.
found(Found = #{inside := []}, _, _, _) ->
    Found#{kept => []};
found(#{inside := Inside}, Scope, #{suspend_ms := Ms, old_code := OldCode}, Until) ->
    Kept = relsup_hot_wait:leave(Inside, fun(P) -> relsup_hot_find:inside_of(P, Scope) end, Until),
    Found = relsup_hot_find:find(Scope, Ms),
    Mine = [X || X = {P, _} <- Kept, lists:keymember(P, 1, maps:get(inside, Found))],
    OldCode =:= keep orelse
        gather([fun() -> in_use("~ts does not leave module ~ts, which changes: try again later, with a longer "
                                "--wait, or use --swap", [relsup_hot_wait:describe(P, M), M])
                end || {P, M} <- Mine]),
    Found#{kept => Mine}.

to_load(Instrs, #{load := Load}) ->
    [maps:get(M, Load) || #{m := M} <- Instrs, is_map_key(M, Load)].

count(Procs) ->
    length([P || P = {_, Kind, _} <- Procs, Kind =/= starter]).

%% Whose processes end anyway: of applications that are removed, or restarted by their appup. Who lives in a
%% module that an appup is responsible for is its author's concern.
scope(#{apps := Apps, modules := Mods, hints := Hints},
      #{code := #{olds := Olds, removed := Removed}, instrs := Instrs, stages := Stages, own := Own}) ->
    Leaving = [App || {App, _, <<>>, _, _, _} <- Apps] ++ [App || {stop_app, App} <- Stages],
    Gone = [M || {App, M, _, _, _} <- Mods, lists:member(App, Leaving)],
    Stay = fun(Ms) -> maps:from_keys([M || M <- Ms -- Gone, not is_map_key(M, Own)], true) end,
    #{updated => maps:from_list([{M, relsup_hot_find:kind(M)} || #{m := M, how := update} <- Instrs]),
      touched => Stay([M || {M, _} <- Olds]), going => Stay(Removed), leaving => Leaving,
      hints => Hints}.

%% Who has callbacks that go must be a child that goes too, or run below one, and only a supervisor that
%% changes can say so.
check_going(#{going := Going, procs := Procs}) ->
    Sups = maps:from_list([{P, true} || {P, supervisor, _} <- Procs]),
    gather([fun() ->
                    refuse("~ts runs module ~ts, which the new release does not have: use --swap",
                           [names([P]), M])
            end || {P, M} <- Going, is_process_alive(P),
                   not lists:any(fun(Sup) -> is_map_key(Sup, Sups) end, relsup_hot_find:ancestors(P))]).

%% A struct whose fields change is of no use any more to who has it, unless a code_change makes another one
%% of it. Returns who else has one, [{Holder, Module}].
check_structs(#{down := Down}, #{code := Code, own := Own}, #{procs := Procs}) ->
    Found = relsup_hot_hold:structs([M || M <- relsup_hot_hold:struct_changes(Code), not is_map_key(M, Own)]),
    Changes = maps:get(case Down of true -> back; false -> load end, Code),
    Lost = [{P, M} || {P, M} <- Found, is_pid(P), not relsup_hot_change:converts(P, Procs, Changes)],
    gather([fun() ->
                    refuse("~ts has a ~ts in its state, whose fields change, and no code_change of its own: use --swap",
                           [names([P || {P, M1} <- Lost, M1 =:= M]), M])
            end || M <- lists:usort([M || {_, M} <- Lost])]),
    [H || H = {Holder, _} <- Found, not is_pid(Holder)].

%% An appup may end them, or take a handler out of its event manager.
takes_out(#{stages := Stages}) ->
    lists:any(fun({What, _}) -> lists:member(What, [apply, stop]); (_) -> false end, Stages).

%%% From here on things are touched

apply_plan(Plan = #{code := Code, found := #{procs := Procs, known := Known, kept := Kept}}, Script, Prepared) ->
    note(undo, relsup_hot_code:prepare(maps:values(maps:get(back, Code)))),
    [note(Key, maps:get(Key, Code)) || Key <- [olds, added]],
    [note(Key, maps:get(Key, Plan)) || Key <- [scope, vsns]],
    Own = maps:get(own, Script),
    warm_up(Procs, Plan),
    note(kept, Kept),
    note(own, Own),
    Listeners = relsup_hot_listen:look(),
    note(listeners, Listeners),
    note(began, now_us()),
    step(began),
    Env = application_controller:prep_config_change(),
    S = lists:foldl(fun stage/2,
                    Plan#{known => Known, prepared => Prepared, own => Own, moved => false,
                          types => types(Script, Plan), pause => 0},
                    maps:get(stages, Script)),
    check_ending(S),
    start_new(S, maps:get(apps, S)),
    step(started),
    note(told, told(S)),
    relsup_hot_app:config_change(Env, told(S)),
    relsup_hot_listen:check(Listeners),
    S1 = S#{listeners => Listeners},
    commit(S1, verdict_of(S1)).

%% Who hears of the change even if its environment is what it was.
told(#{apps := Apps, privs := Privs}) ->
    [App || {App, Old, New, _, _, _} <- Apps, Old =/= <<>>, New =/= <<>>, Old =/= New] ++ Privs.

%% Everybody else would wait for whoever is busy, too, if that were found out in the pause.
warm_up(Procs, #{ms := Ms, wait_ms := WaitMs, wait_until := Until}) ->
    case relsup_hot_pause:warm_up(Procs, max(Until, now_ms() + min(Ms, ?WARM_UP_MS))) of
        Busy when Busy =/= [], WaitMs > 0 ->
            gather([fun() -> in_use("~ts is busy, and cannot change its code meanwhile: try again later, with a "
                                    "longer --wait, or use --swap", [relsup_hot_wait:describe(P, M)])
                    end || {P, _, [M | _]} <- Procs, lists:member(P, Busy)]);
        _ -> ok
    end.

%% How applications are started: an appup may say another type than the release.
types(#{stages := Stages}, #{apps := Apps}) ->
    [{App, Type} || {add_app, App, Type} <- Stages]
        ++ [{App, Type} || {App, _, New, _, _, Type} <- Apps, New =/= <<>>].

%% Versions, paths and configuration change in the pause of the first modules, where no appup has its own
%% order.
stage({modules, Instrs}, S = #{found := #{procs := All}, scope := Scope, known := Known0, ms := Ms}) ->
    Procs0 = procs_of(Instrs, All),
    Depths = maps:from_list([{P, relsup_hot_sup:depth(P)} || {P, supervisor, _} <- Procs0]),
    note(procs, Procs0),
    note(pause, true),
    Until = now_ms() + Ms,
    Began = now_us(),
    relsup_hot_pause:suspend(Procs0, Until),
    step(suspended),
    {Procs1, Known} = relsup_hot_pause:suspend_born(Scope, Procs0, Known0, Until),
    {Procs, Infos, S1} = in_pause(Instrs, Procs1, S#{known := Known, depths => Depths}, Until),
    step(changed),
    note(pause, false),
    relsup_hot_pause:resume(Procs, now_ms() + Ms),
    step(resumed),
    Children = relsup_hot_sup:judge(Infos, maps:get(code, S)) ++ maps:get(children, S, []),
    note(new_children, relsup_hot_sup:added(Children)),
    S1#{children => Children, pause := maps:get(pause, S) + now_us() - Began, procs => Procs ++ maps:get(procs, S, [])};
stage({ready, Apps}, S = #{apps := All}) ->
    start_new(S, [A || A <- All, lists:member(element(1, A), Apps)]),
    S;
stage(Step, S) ->
    relsup_hot_own:step(Step, S).

procs_of(Instrs, All) ->
    Ms = maps:from_list([{M, true} || #{m := M} <- Instrs]),
    [P || P = {_, Kind, Mods} <- All,
          Kind =:= starter orelse lists:any(fun(M) -> is_map_key(M, Ms) end, Mods)].

in_pause(Instrs, Procs0, S = #{code := Code, meta := Meta, scope := Scope, known := Known0}, Until) ->
    Modes = relsup_hot_change:modes(Procs0),
    Prepared = proplists:get_value(Instrs, maps:get(prepared, S), none),
    Moved = maps:get(moved, S),
    Moved orelse move_paths(Meta, S),
    Side = relsup_hot_side:before(Procs0),
    note(side, Side),
    note(changing, true),
    %% from the last look for callers to the load it is short
    Priority = process_flag(priority, high),
    {Stopped, Procs, Known} = quiet(Scope, Procs0, Known0, Until),
    relsup_hot_change:ahead(Procs, Instrs, S#{stopped_callers => Stopped}),
    step(changed_ahead),
    note(loading, true),
    step(loading),
    relsup_hot_code:load(Prepared),
    process_flag(priority, Priority),
    relsup_hot_callers:thaw(Stopped),
    step(loaded),
    relsup_hot_code:check_awake(maps:get(asleep, Code)),
    relsup_hot_pause:check_born(Scope, Known, Until),
    Changed = relsup_hot_change:changed_modes(Modes, Procs),
    note(modes, Changed),
    relsup_hot_change:check_modes([P || P = {_, _, [M]} <- Changed, #{m := M1, dir := down} <- Instrs,
                                        M1 =:= M], Until),
    S1 = case Moved of true -> S; false -> change_meta(Meta, S) end,
    Infos = relsup_hot_change:behind(Procs, Instrs, S1),
    note(made, relsup_hot_side:made(Procs, Side)),
    note(new_children, relsup_hot_sup:added(Infos ++ maps:get(children, S1, []))),
    {Procs, Infos, S1#{known := Known}}.

%% Who went on meanwhile may have started others.
quiet(Scope, Procs0, Known0, Until) ->
    case relsup_hot_callers:quiet(Procs0, maps:get(touched, Scope), Until) of
        [] -> {[], Procs0, Known0};
        Stopped ->
            case relsup_hot_pause:suspend_born(Scope, Procs0, Known0, Until) of
                {Procs0, Known} -> {Stopped, Procs0, Known};
                {Procs, Known} ->
                    {More, Procs1, Known1} = quiet(Scope, Procs, Known, Until),
                    {More ++ Stopped, Procs1, Known1}
            end
    end.

move_paths(Meta, S) ->
    note(meta, relsup_hot_app:save(Meta)),
    relsup_hot_code:move_paths(S).

change_meta(Meta, S) ->
    relsup_hot_app:change(Meta),
    S#{moved := true}.

%% When all the supervisors that change have said it, and the appups are done.
check_ending(S = #{found := #{going := Going}, ms := Ms}) ->
    Ending = [P || #{ending := Ps} <- maps:get(children, S, []), P <- Ps],
    Ends = fun(P) -> lists:any(fun(A) -> lists:member(A, Ending) end, [P | relsup_hot_find:ancestors(P)]) end,
    case [P || {P, M} <- Going, relsup_hot_find:still_runs(P, M, Ms), not Ends(P)] of
        [] -> ok;
        Ps -> fail("~ts runs a module that the new release does not have, and is no child that goes: "
                   "use --swap", [names(Ps)])
    end.

%% In the order in which the applications start: a new one, or the new children of a changed one. A
%% supervisor may run in the tree of an application that does not change. What runs already stays.
start_new(S = #{apps := All}, Apps) ->
    Children = [{App, C} || C = #{pid := P} <- lists:reverse(maps:get(children, S, [])),
                            App <- [application:get_application(P)]],
    Changed = [{ok, App} || {App, _, _, _, _, _} <- All],
    [start_children(C) || {App, C} <- Children, not lists:member(App, Changed)],
    [case Old of
         <<>> -> start_added(App, S);
         _ -> [start_children(C) || {{ok, A}, C} <- Children, A =:= App]
     end || {App, Old, New, _, _, _} <- Apps, New =/= <<>>],
    ok.

start_added(App, S) ->
    note(started, App),
    start_app(App, S).

start_app(App, #{types := Types}) ->
    relsup_hot_app:start(App, proplists:get_value(App, Types)).

start_children(C) ->
    relsup_hot_sup:start(C, fun() -> step(start_child) end).

%%% The end

result(Outcome, S = #{code := Code, pause := Pause, sections := Sections}) ->
    {Outcome, maps:size(maps:get(load, Code)), count(maps:get(procs, S, [])), Pause, <<>>,
     Sections ++ relsup_hot_show:done(S)}.

verdict_of(#{verdict_ms := 0}) ->
    commit;
verdict_of(S) ->
    note(changed, result(changed, S)),
    receive Verdict when Verdict =:= commit -> Verdict end.

%% Nothing fails any more: what cannot be ended is logged.
commit(S = #{code := Code, apps := Apps, own := Own}, commit) ->
    Result = result(ok, S),
    note(committed, Result),
    step(committed),
    relsup_hot_pause:forget(maps:get(procs, S, [])),
    Gone = [App || {App, _, <<>>, _, _, _} <- lists:reverse(Apps)],
    Until = now_ms() + ?LEAVE_MS,
    quietly([fun() -> relsup_hot_app:become(maps:get(types, S)) end]
            ++ [fun() -> relsup_hot_sup:remove(C) end || C <- maps:get(children, S, [])]
            ++ [fun() -> relsup_hot_app:unload(App) end || App <- Gone]
            ++ [fun() -> relsup_hot_code:delete([M || M <- maps:get(removed, Code), not is_map_key(M, Own)]) end,
                fun() -> relsup_hot_own:finish(S) end,
                fun() -> relsup_hot_code:del_paths(Gone) end,
                fun() -> relsup_hot_code:remember_closures(maps:values(maps:get(back, Code))) end]
            ++ [fun() -> relsup_hot_code:purge_after(M, Post, Until) end
                || {Is, _} <- maps:get(prepared, S), #{m := M, post := Post} <- Is]),
    Result.

quietly(Funs) ->
    [try Fun() catch C:R -> logger:warning("hot upgrade: what is left of the old release: ~0tp", [{C, R}]) end
     || Fun <- Funs],
    ok.
