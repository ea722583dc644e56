%% SPDX-License-Identifier: Apache-2.0
%% The steps of appups (relsup_hot_rc), one after the other as release_handler follows them
%% (release_handler_1:eval/2): the same processes are suspended, for as long. What is more: processes
%% that no supervisor's list of modules names are found, too; each keeps its state of before; the keeper
%% hears of all ahead of it.
-module(relsup_hot_own).

-export([step/2, finish/1]).

-import(relsup_hot_text, [fail/2]).
-import(relsup_hot_keeper, [note/2]).
-import(relsup_hot_sys, [left/1, now_ms/0, now_us/0]).

-define(SYS, relsup_hot_sys).
%% A supervisor that is in the middle of a start is left alone.
-define(STARTER_MS, 100).

%% Of the worker's state, `own` is what happens between steps:
%% held     [{M, [Proc]}], the latest first
%% starters supervisors of those held, which are not
%% known    who was looked at when they were found
%% began    when the first of them was held
%% stopped  [{M, [{Sup, Id}]}]
%% home     the process in which `apply` happens, or none
own(S) ->
    maps:get(own_state, S, #{held => [], starters => [], known => #{}, began => 0, stopped => [], home => none}).

own(S, Own) ->
    S#{own_state => Own}.

step(meta, S = #{meta := Meta}) ->
    note(meta, relsup_hot_app:save(Meta)),
    relsup_hot_app:change(Meta),
    S;
step(paths, S) ->
    relsup_hot_code:move_paths(S),
    S#{moved := true};
step({suspend, Specs}, S) ->
    suspend(Specs, S);
step({load, Is}, S) ->
    load(Is, S);
step({remove, #{m := M}}, S) ->
    check_gone(M, S),
    note(loading, true),
    code:purge(M),
    code:delete(M),
    S;
step({purge, Ms}, S) ->
    relsup_hot_code:purge(Ms),
    S;
step({code_change, Dir, Changes}, S) ->
    [change(Dir, Change, S) || Change <- Changes],
    S;
step({resume, Ms}, S) ->
    resume(Ms, S);
step({apply, MFA}, S) ->
    apply_at_home(MFA, S);
step({stop, Ms}, S) ->
    Own = #{stopped := Stopped} = own(S),
    More = relsup_hot_effects:during(fun() -> [{M, stop(M)} || M <- Ms] end),
    own(S, Own#{stopped := lists:reverse(More) ++ Stopped});
step({start, Ms}, S) ->
    Own = #{stopped := Stopped} = own(S),
    {Now, Later} = lists:partition(fun({M, _}) -> lists:member(M, Ms) end, Stopped),
    relsup_hot_effects:during(fun() ->
                                      [catch supervisor:restart_child(Sup, Id)
                                       || M <- Ms, {M1, Children} <- Now, M1 =:= M, {Sup, Id} <- Children]
                              end),
    own(S, Own#{stopped := Later});
step({stop_app, App}, S) ->
    relsup_hot_effects:during(fun() -> relsup_hot_app:stop(App) end),
    S;
step({remove_app, App}, S) ->
    step({stop_app, App}, S);
step({start_app, App}, S) ->
    start_app(App, S);
step({add_app, App, _}, S) ->
    note(started, App),
    start_app(App, S).

start_app(App, S = #{types := Types}) ->
    relsup_hot_effects:during(fun() -> relsup_hot_app:start(App, proplists:get_value(App, Types, <<"permanent">>)) end),
    S.

%% A purge would end him, and the supervisor would start him again without a module.
check_gone(M, #{scope := Scope, ms := Ms}) ->
    #{going := Going} = relsup_hot_find:find(Scope#{updated := #{}, touched := #{}, going := #{M => true}, leaving := []}, Ms),
    Going =:= [] orelse fail("~ts still runs module ~ts, which its appup deletes", [relsup_hot_text:names([P || {P, _} <- Going]), M]).

%%% Held, changed, resumed

suspend(Specs, S = #{ms := Ms, scope := Scope = #{updated := Updated}}) ->
    Own = #{held := Held, starters := Starters} = own(S),
    Names = [M || {M, _} <- Specs],
    Found = relsup_hot_find:find(Scope#{updated := maps:with(Names, Updated), touched := #{}, going := #{},
                                        leaving := []}, Ms),
    {New, Procs} = lists:partition(fun({_, Kind, _}) -> Kind =:= starter end, maps:get(procs, Found)),
    All = Procs ++ listed(Names, Procs),
    Until = now_ms() + lists:max([Ms | [T || {_, T} <- Specs, is_integer(T)]]),
    hold(All, Until, S),
    own(keep(All, S), Own#{held := [{M, [P || P = {_, _, Mods} <- All, lists:member(M, Mods)]}
                                    || M <- lists:reverse(Names)] ++ Held,
                           starters := New ++ Starters, known := maps:get(known, Found),
                           began := case Held of [] -> now_us(); _ -> maps:get(began, Own) end}).

%% Who is held a second time has his state of before already.
hold(Procs, Until, S) ->
    Before = maps:from_list([{P, true} || {P, _, _} <- maps:get(procs, S, [])]),
    {Again, New} = lists:partition(fun({P, _, _}) -> is_map_key(P, Before) end, Procs),
    note(procs, New),
    note(pause, true),
    note(changing, true),
    relsup_hot_pause:suspend(New, Until),
    case relsup_hot_pause:again(Again, Until) of
        ok -> ok;
        late -> fail("~ts did not suspend in time, it is busy", [relsup_hot_text:names([P || {P, _, _} <- Again])])
    end,
    relsup_hot_step:at(suspended).

keep(Procs, S) ->
    Before = maps:get(procs, S, []),
    S#{procs => [P || P = {Pid, _, _} <- Procs, not lists:keymember(Pid, 1, Before)] ++ Before}.

%% Whom a child specification names the module for, though it is not his callback module. A process that
%% knows no system messages cannot be held.
listed(Ms, Procs) ->
    Found = maps:from_list([{P, true} || {P, _, _} <- Procs]),
    [{P, Kind, Named} || {_, _, P, Mods} <- relsup_hot_effects:supervised(), not is_map_key(P, Found),
                         [_ | _] = Named <- [[M || M <- Ms, lists:member(M, Mods)]],
                         Kind <- [kind(callback(P))], Kind =/= none].

callback(P) ->
    case process_info(P, dictionary) of
        {_, Dict} -> proplists:get_value('$initial_call', Dict);
        undefined -> undefined
    end.

kind({supervisor, _, 1}) -> supervisor;
kind({gen_event, init_it, 6}) -> gen_event;
kind({M, _, _}) -> relsup_hot_find:kind(M);
kind(undefined) -> none.

held(S) ->
    #{held := Held} = own(S),
    lists:usort(lists:append([Procs || {_, Procs} <- Held])).

%% Loaded all or none. Supervisors start nobody meanwhile who would have run init in one version and his
%% first message in the other.
load(Is, S0 = #{ms := Ms, code := #{asleep := Asleep}, prepared := Prepared}) ->
    Until = now_ms() + Ms,
    Modes = relsup_hot_change:modes(held(S0)),
    Starters = hold_starters(S0),
    S = hold_born(Until, S0),
    note(loading, true),
    [relsup_hot_code:purge([M]) || #{m := M} <- Is],
    relsup_hot_code:load(proplists:get_value(Is, Prepared)),
    relsup_hot_step:at(loaded),
    check_born(Until, S),
    _ = relsup_hot_pause:resume(Starters, Until),
    relsup_hot_code:check_awake(Asleep),
    Changed = relsup_hot_change:changed_modes(Modes, held(S)),
    note(modes, Changed),
    relsup_hot_change:check_modes([P || P = {_, _, [M]} <- Changed, is_down(M, S)], Until),
    S.

is_down(M, #{vsns := Vsns, down := Down}) ->
    Down andalso is_map_key(M, Vsns).

hold_starters(S) ->
    Held = held(S),
    #{starters := Starters0} = own(S),
    Starters = [P || P = {Pid, _, _} <- Starters0, not lists:keymember(Pid, 1, Held)],
    note(procs, Starters),
    _ = ?SYS:ask([{P, suspend} || {P, _, _} <- Starters], fun(_) -> true end, now_ms() + ?STARTER_MS),
    Starters.

scope(S = #{scope := Scope = #{updated := Updated}}) ->
    #{held := Held} = own(S),
    Scope#{updated := maps:with([M || {M, _} <- Held], Updated), touched := #{}, going := #{}, leaving := []}.

hold_born(Until, S) ->
    Own = #{held := Held, known := Known} = own(S),
    case Held of
        [] -> S;
        _ ->
            {Born, Known1} = relsup_hot_pause:suspend_born(scope(S), [], Known, Until),
            Held1 = [{M, [P || P = {_, _, Ms} <- Born, lists:member(M, Ms)] ++ Procs} || {M, Procs} <- Held],
            own(keep(Born, S), Own#{held := Held1, known := Known1})
    end.

check_born(Until, S) ->
    #{held := Held, known := Known} = own(S),
    Held =:= [] orelse relsup_hot_pause:check_born(scope(S), Known, Until),
    ok.

%% One module after the other; a code_change that is not exported means that the state stays.
change(Dir, {M, Extra}, S = #{vsns := Vsns, ms := Ms}) ->
    #{held := Held} = own(S),
    Procs = [P || {M1, Ps} <- Held, M1 =:= M, P <- Ps],
    {Old, New} = maps:get(M, Vsns, {undefined, undefined}),
    Vsn = case Dir of up -> Old; down -> {down, New} end,
    Ask = [{P, {change_code, M, Vsn, Extra}} || {P, Kind, _} <- Procs, can(P, Kind, M)],
    Asked = relsup_hot_change:post(Ask, [P || {P, supervisor, _} <- Procs]),
    relsup_hot_change:answered(?SYS:wait(Asked, fun(R) -> R =:= ok end, now_ms() + Ms), Procs, Ms).

%% It is the callback module that is called, whatever module is named.
can(_, Kind, M) when Kind =:= supervisor; Kind =:= gen_event -> relsup_hot_change:can(Kind, M);
can(P, Kind, M) ->
    relsup_hot_change:can(Kind, M)
        orelse case callback(P) of
                   {Callback, init, _} -> relsup_hot_change:can(Kind, Callback);
                   _ -> false
               end.

resume(Ms, S = #{ms := T, pause := Pause}) ->
    Own = #{held := Held, began := Began} = own(S),
    relsup_hot_step:at(changed),
    {Go, Stay} = lists:partition(fun({M, _}) -> lists:member(M, Ms) end, Held),
    Stay =:= [] andalso note(pause, false),
    [relsup_hot_pause:resume([P || {M1, Procs} <- Go, M1 =:= M, P <- Procs], now_ms() + T) || M <- Ms],
    relsup_hot_step:at(resumed),
    case Stay of
        [] -> own(S#{pause := Pause + now_us() - Began}, Own#{held := [], starters := []});
        _ -> own(S, Own#{held := Stay})
    end.

%%% apply, stop

stop(M) ->
    [{Sup, Id} || {Sup, Id, _, Mods} <- relsup_hot_effects:supervised(), Sup =/= undefined, lists:member(M, Mods),
                  (catch supervisor:terminate_child(Sup, Id)) =:= ok].

%% release_handler itself runs what is applied, and lives on: what is started linked to it, and tables that
%% belong to it, stay.
apply_at_home({M, F, A}, S) ->
    Own = #{home := Home0} = own(S),
    Home = case Home0 of none -> new_home(); _ -> Home0 end,
    Mon = monitor(process, Home),
    Result = relsup_hot_effects:during(fun() ->
                                               Home ! {self(), Mon, {M, F, A}},
                                               receive
                                                   {Mon, R} -> R;
                                                   {'DOWN', Mon, process, _, Why} -> {failed, Why}
                                               end
                                       end),
    demonitor(Mon, [flush]),
    case Result of
        done -> own(S, Own#{home := Home});
        {failed, Why} -> fail("~ts:~ts/~b of the appup failed: ~0tp", [M, F, length(A), Why])
    end.

new_home() ->
    Home = spawn(fun() -> process_flag(trap_exit, true), home() end),
    note(home, Home),
    Home.

home() ->
    receive
        {From, Ref, {M, F, A}} ->
            From ! {Ref, try apply(M, F, A) of _ -> done catch _:Why -> {failed, Why} end},
            home();
        over ->
            case lives_for_others() of
                %% in code that no later upgrade replaces
                true -> erlang:hibernate(timer, sleep, [infinity]);
                false -> ok
            end;
        {'EXIT', _, _} -> home()
    end.

lives_for_others() ->
    {links, Links} = process_info(self(), links),
    Links =/= [] orelse lists:any(fun(T) -> ets:info(T, owner) =:= self() end, ets:all()).

%% When nothing fails any more.
finish(S) ->
    case own(S) of
        #{home := none} -> ok;
        #{home := Home} -> Home ! over, ok
    end.
