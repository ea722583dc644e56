%% SPDX-License-Identifier: Apache-2.0
%% Of the two processes of a hot upgrade the one that undoes. The worker does the work and may be
%% killed at any moment; it tells the keeper, ahead of each effect, what is about to be touched. The
%% keeper watches the worker, the client and the deadline. So there is one way back, for an error, a
%% crash, a hung code_change, a probe that fails and a client that went away. A standby hears the same
%% and does it where somebody kills the keeper.
-module(relsup_hot_keeper).

-export([run/3, verdict/1, note/2, check_half_way/0]).

-import(relsup_hot_text, [text/2, refuse/2, names/1, mods/1]).
-import(relsup_hot_sys, [left/1, now_ms/0, now_us/0]).

-define(SYS, relsup_hot_sys).
%% Who was stopped inside of the old code, with its answer, leaves it at once. While the servers are held nobody
%% waits for longer, unless somebody was kept there.
-define(LEAVE_MS, 1000).
%% One hot upgrade at a time, whatever version of this module does it.
-define(LOCK, 'relsup.hot').
-define(STANDBY, 'relsup.hot.standby').

%% A result is {Outcome, ModuleN, ProcessN, PauseUs, Text, Sections}; Outcome is
%%   ok | changed (waits for the verdict) | refused | in_use | busy | failed (nothing was touched) |
%%   rolled_back | stuck
%% Sections: [{Key, [Line]}], what the plan says to people.
run(Client, Plan, Work) ->
    Caller = self(),
    {Keeper, Mon} = spawn_opt(fun() -> keeper(Client, Caller, Plan, Work) end,
                              [monitor, {priority, high}]),
    result(Keeper, Mon).

%% commit, or {undo, Text}: ends what waits for it.
verdict(Verdict) ->
    case whereis(?LOCK) of
        %% it came too late
        undefined -> last("nobody waits for a verdict", []);
        Keeper ->
            Mon = monitor(process, Keeper),
            Keeper ! {verdict, Verdict},
            result(Keeper, Mon)
    end.

result(Keeper, Mon) ->
    receive
        {Keeper, Changed} -> demonitor(Mon, [flush]), Changed;
        {'DOWN', Mon, process, Keeper, {done, Result}} -> Result;
        {'DOWN', Mon, process, Keeper, Why} ->
            case whereis(?STANDBY) of
                Standby when is_pid(Standby), Standby =/= Keeper ->
                    result(Standby, monitor(process, Standby));
                _ -> last("the keeper ended: ~0tp", [Why])
            end
    end.

%% What became of the upgrade that was asked for. It is kept where the environments of applications
%% are (there is none of this name), because to replace a persistent_term visits every process.
last(Fmt, Args) ->
    application:get_env(relsup, last, result(stuck, Fmt, Args)).

result(Outcome, Fmt, Args) ->
    {Outcome, 0, 0, 0, text(Fmt, Args), []}.

%% Called by the worker. Keys: procs, released, started and effect add to what is there; all others replace it.
note(Key, Value) ->
    [P ! {note, Key, Value} || P <- [get(keeper), get(standby)]],
    ok.

keeper(Client, Caller, Plan = #{timeout_ms := Timeout}, Work) ->
    %% The leader of a process that an rpc made is the caller, who may go away before us.
    is_pid(whereis(user)) andalso group_leader(whereis(user), self()),
    try register(?LOCK, self())
    catch error:badarg ->
            exit({done, result(busy, "another hot upgrade is under way in this node", [])})
    end,
    Keeper = self(),
    put(keeper, Keeper),
    application:unset_env(relsup, last),
    Standby = spawn_opt(fun() -> standby(Keeper) end, [{priority, high}]),
    {Worker, Mon} = spawn_opt(fun() -> worker(Keeper, Standby, Work) end,
                              [monitor, {message_queue_data, off_heap}]),
    K = #{worker => Worker, caller => Caller, plan => Plan, until => now_ms() + Timeout,
          late => text("it was not over within ~b ms", [Timeout]), procs => [], started => [], effects => []},
    Standby ! {stand_by, K},
    watch(K#{mon => Mon, client => monitor(process, Client)}).

%% All that the keeper hears. Where the keeper ends by itself, so do we.
standby(Keeper) ->
    register(?STANDBY, self()),
    put(keeper, self()),
    Mon = monitor(process, Keeper),
    receive
        {stand_by, K} -> stand_by(K, Mon);
        {'DOWN', Mon, process, _, _} -> ok
    end.

stand_by(K = #{worker := Worker}, Keeper) ->
    receive
        {note, Key, Value} -> stand_by(noted(Key, Value, K), Keeper);
        {'DOWN', Keeper, process, _, {done, _}} -> ok;
        {'DOWN', Keeper, process, _, Why} ->
            catch register(?LOCK, self()),
            stop_worker(text("the keeper ended: ~0tp", [Why]), K#{mon => monitor(process, Worker)})
    end.

worker(Keeper, Standby, Work) ->
    put(keeper, Keeper),
    put(standby, Standby),
    exit(try {done, Work()}
         catch
             throw:{How, Why} when How =:= refused; How =:= in_use -> {How, Why};
             throw:{failed, Text} -> {failed, Text};
             C:R:S -> {failed, text("~0tp: ~0tp at ~0tp", [C, R, lists:sublist(S, 2)])}
         end).

watch(K = #{mon := Mon, client := Client, until := Until, worker := Worker, late := Late}) ->
    receive
        {note, Key, Value} -> watch(noted(Key, Value, K));
        {verdict, commit} -> Worker ! commit, watch(K);
        {verdict, {undo, Text}} -> stop_worker(Text, K);
        {'DOWN', Mon, process, _, Why} -> over(Why, K);
        {'DOWN', Client, process, _, _} -> stop_worker(<<"relsup went away">>, K)
    after left(Until) ->
            stop_worker(Late, K)
    end.

noted(procs, New, K = #{procs := Procs}) ->
    K#{procs := New ++ Procs};
noted(released, New, K) ->
    K#{released => New ++ maps:get(released, K, [])};
noted(started, One, K = #{started := Started}) ->
    K#{started := [One | Started]};
noted(effect, Effect, K = #{effects := Effects}) ->
    K#{effects := relsup_hot_effects:noted(Effect, Effects)};
%% Nobody is held longer than this, whatever the worker does.
noted(pause, true, K = #{plan := #{suspend_ms := Ms}}) ->
    K#{until := now_ms() + 3 * Ms};
noted(pause, false, K = #{plan := #{timeout_ms := Ms}}) ->
    K#{awake => true, until := now_ms() + Ms};
noted(changed, Result, K = #{caller := Caller, plan := #{verdict_ms := Ms}}) ->
    get(keeper) =:= whereis(?LOCK) andalso (Caller ! {self(), Result}),
    K#{until := now_ms() + Ms, late := text("nobody said within ~b ms whether it is good", [Ms])};
noted(Key, Value, K) ->
    K#{Key => Value}.

%% The worker's notes were sent ahead of its end, so they are all here before its 'DOWN' is.
stop_worker(Text, K = #{worker := Worker}) ->
    exit(Worker, kill),
    drain(Text, K).

drain(Text, K = #{mon := Mon}) ->
    receive
        {note, Key, Value} -> drain(Text, noted(Key, Value, K));
        {'DOWN', Mon, process, _, {done, Result}} -> over({done, Result}, K);
        {'DOWN', Mon, process, _, _} -> over({failed, Text}, K)
    end.

over({done, Result}, _) ->
    done(Result);
over({How, [Why | _]}, K = #{began := _}) when How =:= refused; How =:= in_use ->
    over({failed, Why}, K);
over({How, Why}, _) when How =:= refused; How =:= in_use ->
    done({How, 0, 0, 0, refused_text(Why), [{forbidden, Why}]});
over(_, K = #{committed := Result}) ->
    ?SYS:send([{P, resume} || {P, _, _} <- maps:get(procs, K)], ?SYS:nobody()),
    relsup_hot_pause:forget(maps:get(procs, K)),
    done(Result);
over({failed, Text}, K = #{began := Began, procs := Procs}) ->
    {Outcome, Left} = undo(K),
    done({Outcome, 0, length(Procs), now_us() - Began, text("~ts~ts", [Text, Left]), []});
over({failed, Text}, _) ->
    done(result(failed, "~ts", [Text]));
over(Why, K) ->
    over({failed, text("the worker ended: ~0tp", [Why])}, K).

-spec done(tuple()) -> no_return().
%% Also for a client that asks too late.
done(Result) ->
    application:set_env(relsup, last, Result),
    exit({done, Result}).

refused_text([Why]) -> Why;
refused_text([Why | More]) -> text("~ts (and ~b more reasons)", [Why, length(More)]).

%%% The way back

%% What was started goes first, while the code it needs is there. Then everybody is held, unless the
%% pause is not over yet. Code before states, because a gen_statem reads its callback mode from the
%% code that is loaded; and resume whatever happened. A process takes its messages in their order, so
%% nobody waits for one that is still in its code_change.
undo(K = #{plan := #{suspend_ms := Ms}, procs := Procs, effects := Effects0, started := New}) ->
    Awake = maps:get(awake, K, false),
    {Ended, Effects} = undo_effects(Effects0, K, Ms),
    %% an appup may start an application in the pause
    Started = case Awake orelse New =/= [] of
                  true -> bounded(fun() -> undo_started(K, now_ms() + Ms) end, "what is new", Ms);
                  false -> ok
              end,
    %% While the servers answer, whoever is inside of the old code leaves it.
    Awake andalso is_map_key(loading, K) andalso relsup_hot_code:leave(K, now_ms() + Ms),
    _ = relsup_hot_pause:again(case Awake of true -> Procs; false -> maps:get(released, K, []) end,
                               now_ms() + Ms),
    Newcomers = case Awake of true -> newcomers(K, now_ms() + Ms); false -> [] end,
    Env = application_controller:prep_config_change(),
    Made = made(K),
    Leave = case K of #{kept := [_ | _]} -> Ms; _ -> min(Ms, ?LEAVE_MS) end,
    Code = attempt(fun() -> undo_code(K, now_ms() + Leave) end),
    Meta = attempt(fun() -> relsup_hot_app:undo(K) end),
    relsup_hot_side:undo(Made, ?SYS:nobody()),
    Asked = undo_states(K),
    attempt(fun() -> relsup_hot_listen:close_extra(maps:get(listeners, K, #{})) end),
    Resumed = ?SYS:post([{Pid, resume} || {Pid, _, _} <- Newcomers ++ Procs]),
    relsup_hot_pause:forget(Procs),
    Late = not_undone(Asked, now_ms() + Ms),
    _ = ?SYS:wait(Resumed, fun(_) -> true end, now_ms() + Ms),
    half_way(K, Code, Late),
    Stopped = bounded(fun() -> relsup_hot_effects:start_old(Effects) end, "what was stopped", Ms),
    Awake andalso bounded(fun() -> relsup_hot_app:config_change(Env, maps:get(told, K, [])) end,
                          "config_change/3", Ms),
    States = [text("the old state of ~ts is not back", [names(Late)]) || Late =/= []],
    case [Text || Text <- [Ended, Started, Code, Meta | States] ++ [Stopped], is_binary(Text)] of
        [] -> {rolled_back, [["; ", Text] || {ended, Text} <- [Code]]};
        Left -> {stuck, [["; ", Text] || Text <- Left]}
    end.

made(#{made := Made}) -> Made;
made(#{side := Side, procs := Procs}) -> relsup_hot_side:made(Procs, Side);
made(_) -> nothing.

%% Code that is new while states are old must not look like an upgrade that is done.
half_way(#{olds := Olds}, Code, Late) when is_binary(Code); Late =/= [] ->
    application:set_env(relsup, half_way, {Olds, Late});
half_way(_, _, _) ->
    ok.

%% Whoever was late takes his state back when he gets to it.
check_half_way() ->
    {Olds, Late} = application:get_env(relsup, half_way, {[], []}),
    Code = [M || {M, Md5} <- Olds, not relsup_hot_code:is_loaded(M, Md5)],
    Code =:= [] orelse
        refuse("~ts has the new code of an upgrade that failed, on states of before: use --swap", [mods(Code)]),
    Pids = [P || P <- Late, ?SYS:is_saved(P)],
    Pids =:= [] orelse
        refuse("~ts has not yet taken its state of before an upgrade that failed back: try again, or use --swap",
               [names(Pids)]),
    application:unset_env(relsup, half_way).

attempt(Fun) ->
    try Fun() catch C:R -> text("~0tp: ~0tp", [C, R]) end.

%% For what runs code of the application, which may never return.
bounded(Fun, What, Ms) ->
    {Pid, Mon} = spawn_monitor(fun() -> exit({over, attempt(Fun)}) end),
    receive
        {'DOWN', Mon, process, _, {over, Result}} -> Result;
        {'DOWN', Mon, process, _, Why} -> text("~ts: ~0tp", [What, Why])
    after Ms ->
            exit(Pid, kill),
            text("~ts is not undone within ~b ms", [What, Ms])
    end.

%% What steps of appups ended or started; the one in the middle of which it failed, too.
undo_effects([], _, _) ->
    {ok, []};
undo_effects(Effects0, K, Ms) ->
    Keeper = self(),
    Ref = make_ref(),
    End = fun() -> Keeper ! {Ref, relsup_hot_effects:end_new(Effects0, maps:get(home, K, none))}, ok end,
    case bounded(End, "what an appup started", Ms) of
        ok -> receive {Ref, Effects} -> {ok, Effects} end;
        Text -> {Text, [E || E = {_, After} <- Effects0, After =/= none]}
    end.

undo_started(K = #{started := Started}, Until) ->
    Left = [relsup_hot_app:unload(App) || App <- Started],
    case relsup_hot_sup:stop(maps:get(new_children, K, []), Until) of
        ok -> case [Text || Text <- Left, is_binary(Text)] of [] -> ok; [Text | _] -> Text end;
        Text -> Text
    end.

%% Who was started by the new code since then has no state of before. The new code can take it back,
%% if it knows how; whoever refuses is ended, for its supervisor to start it anew.
newcomers(K = #{procs := Procs, scope := Scope, vsns := Vsns}, Until) ->
    {Found, _} = relsup_hot_find:born(Scope, maps:from_keys([P || {P, _, _} <- Procs], true),
                                      left(Until)),
    New = [P || P = {_, Kind, [M | _]} <- Found, Kind =/= supervisor, runs_new_code(M, K)],
    _ = relsup_hot_pause:again(New, Until),
    Back = [{P, {change_code, M, {down, element(1, maps:get(M, Vsns, {undefined, undefined}))}, []}}
            || is_map_key(loading, K), {P, Kind, [M | _]} <- New, relsup_hot_change:can(Kind, M)],
    {Bad, _} = ?SYS:ask(Back, fun(R) -> R =:= ok end, Until),
    [exit(P, kill) || {P, _} <- Bad],
    New;
newcomers(_, _) ->
    [].

%% What an appup has for a later step was not touched yet.
runs_new_code(M, #{olds := Olds}) ->
    case lists:keyfind(M, 1, Olds) of
        {_, Md5} -> erlang:module_loaded(M) andalso M:module_info(md5) =/= Md5;
        false -> true
    end.

undo_code(K = #{loading := true}, Until) ->
    relsup_hot_code:undo(K, Until);
undo_code(_, _) ->
    ok.

undo_states(K = #{changing := true, procs := Procs}) ->
    Saved = [P || P = {_, Kind, _} <- Procs, Kind =/= starter],
    ?SYS:send([{Pid, relsup_hot_pause:rest(Kind)} || {Pid, Kind, _} <- Saved], ?SYS:nobody()),
    Again = lists:usort([P || {P, _, _} <- maps:get(modes, K, [])]),
    [relsup_hot_change:read_modes([P || P = {Pid, _, _} <- Saved, lists:member(Pid, Again)]),
     ?SYS:post([{Pid, relsup_hot_pause:proof(Kind)} || {Pid, Kind, _} <- Saved])];
undo_states(_) ->
    [].

not_undone(Asked, Until) ->
    Good = fun(ok) -> true;
              ({error, {callback_failed, _, {throw, true}}}) -> true;
              (_) -> false
           end,
    Answers = [?SYS:wait(A, Good, Until) || A <- Asked],
    lists:usort(lists:append([[P || {P, _} <- Bad] ++ Missing || {Bad, Missing} <- Answers])).
