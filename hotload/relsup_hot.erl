%% SPDX-License-Identifier: Apache-2.0
%% The part of a hot upgrade that runs inside the node: checks, suspends the processes of the changed
%% modules, loads all of the new code or none, has the processes change their states, and resumes
%% them; or puts everything back. hotload/hot_upgrade.c loads it and calls run/3.
%%
%% Two processes. The worker does the work and may be killed at any moment. The keeper is told by it,
%% ahead of each effect, what is about to be touched; it watches the worker, the client and the
%% deadline, and it alone undoes. So there is one way back, for an error, a crash, a hung code_change
%% and a client that went away.
%%
%% States are kept inside the processes themselves (save/1 and its kin run there, as external funs:
%% a local fun would die with this module). Nothing is copied, so the size of a state costs nothing.
-module(relsup_hot).

-export([run/3]).
-export([save/1, save_event/1, rest/1, rest_event/1, proof/1, forget/1, forget_event/1,
         sup_change/1]).

-define(KEEPER, relsup_hot_keeper).
-define(SAVED, '$relsup_old').

%% Mods   [{App, Module, OldPath, NewPath, OldMd5, NewMd5}]
%% Apps   [{App, OldVsn, NewVsn, OldEbin, NewEbin}]
%% Files  {OldSysConfig, NewSysConfig, OldConsolidated, NewConsolidated}
%% All paths are binaries, <<>> where there is none.
%% Returns {Outcome, ModuleN, ProcessN, PauseUs, Text}; Outcome is
%%   ok | refused | busy | failed (nothing was touched) | rolled_back | stuck.
run(Client, Mode, {Mods, Apps, {OldConfig, NewConfig, OldCons, NewCons}, SuspendMs, TimeoutMs}) ->
    Plan = #{modules => Mods, apps => Apps, old_sys_config => OldConfig,
             new_sys_config => NewConfig, old_consolidated => OldCons,
             new_consolidated => NewCons, suspend_ms => SuspendMs, timeout_ms => TimeoutMs},
    {Keeper, Mon} = spawn_opt(fun() -> keeper(Client, Mode, Plan) end,
                              [monitor, {priority, high}]),
    receive
        {'DOWN', Mon, process, Keeper, {done, Result}} -> Result;
        {'DOWN', Mon, process, Keeper, Why} ->
            {stuck, 0, 0, 0, text("the hot upgrade's keeper ended: ~0tp", [Why])}
    end.

%%% The keeper

keeper(Client, Mode, Plan = #{timeout_ms := Timeout}) ->
    %% The leader of a process that an rpc made is the caller, who may go away before us.
    is_pid(whereis(user)) andalso group_leader(whereis(user), self()),
    try register(?KEEPER, self())
    catch error:badarg ->
            exit({done, result(busy, "another hot upgrade is under way in this node", [])})
    end,
    Keeper = self(),
    ClientMon = monitor(process, Client),
    {Worker, Mon} = spawn_opt(fun() -> worker(Keeper, Mode, Plan) end,
                              [monitor, {message_queue_data, off_heap}]),
    watch(#{worker => Worker, mon => Mon, client => ClientMon, plan => Plan,
            until => now_ms() + Timeout, procs => []}).

watch(K = #{mon := Mon, client := Client, until := Until, plan := #{timeout_ms := Timeout}}) ->
    receive
        {note, procs, New} -> watch(K#{procs := New ++ maps:get(procs, K)});
        {note, Key, Value} -> watch(K#{Key => Value});
        {'DOWN', Mon, process, _, Why} -> over(Why, K);
        {'DOWN', Client, process, _, _} -> stop_worker("relsup went away", [], K)
    after left(Until) ->
            stop_worker("it was not over within ~b ms", [Timeout], K)
    end.

%% The worker's notes were sent ahead of its end, so they are all here before its 'DOWN' is.
stop_worker(Fmt, Args, K = #{worker := Worker}) ->
    exit(Worker, kill),
    drain({failed, text(Fmt, Args)}, K).

drain(Why, K = #{mon := Mon}) ->
    receive
        {note, procs, New} -> drain(Why, K#{procs := New ++ maps:get(procs, K)});
        {note, Key, Value} -> drain(Why, K#{Key => Value});
        {'DOWN', Mon, process, _, {done, Result}} -> over({done, Result}, K);
        {'DOWN', Mon, process, _, _} -> over(Why, K)
    end.

over({done, Result}, _) ->
    exit({done, Result});
over({refused, Text}, _) ->
    exit({done, {refused, 0, 0, 0, Text}});
over(_, K = #{committed := {Mods, N}, began := Began}) ->
    resume(maps:get(procs, K), now_ms() + 1000),
    forget_all(maps:get(procs, K)),
    exit({done, {ok, Mods, N, now_us() - Began, <<>>}});
over({failed, Text}, K = #{began := Began, procs := Procs}) ->
    {Outcome, Left} = undo(K),
    exit({done, {Outcome, 0, length(Procs), now_us() - Began, iolist_to_binary([Text, Left])}});
over({failed, Text}, _) ->
    exit({done, {failed, 0, 0, 0, Text}});
over(Why, K) ->
    over({failed, text("the worker ended: ~0tp", [Why])}, K).

%% Code first, because a gen_statem reads its callback mode from the code that is loaded; then what
%% the applications tell; then the states; and resume whatever happened. A process takes its messages
%% in their order, so nobody waits for one that is still in its code_change.
undo(K = #{plan := #{suspend_ms := Ms}, procs := Procs}) ->
    Code = undo_code(K, now_ms() + Ms),
    Meta = attempt(fun() -> undo_meta(K) end),
    Asked = undo_states(K),
    Resumed = post([{Pid, resume} || {Pid, _, _} <- Procs]),
    forget_all(Procs),
    States = check_undone(Asked, now_ms() + Ms),
    _ = wait(Resumed, fun(_) -> true end, now_ms() + Ms),
    case [Text || Text <- [Code, Meta, States], Text =/= ok] of
        [] -> {rolled_back, []};
        Left -> {stuck, [["; ", Text] || Text <- Left]}
    end.

attempt(Fun) ->
    try Fun() catch C:R -> text("~0tp: ~0tp", [C, R]) end.

undo_code(#{loading := true, undo := Undo, olds := Olds, added := Added}, Until) ->
    case [M || {M, Md5} <- Olds, M:module_info(md5) =/= Md5] of
        [] -> undo_added(Added);
        _ ->
            case unpurged([M || {M, _} <- Olds], Until) of
                [] -> put_back(Undo, Added);
                Ms -> text("the old code of ~ts cannot come back, ~ts still runs it",
                           [mods(Ms), names(users(Ms))])
            end
    end;
undo_code(_, _) ->
    ok.

put_back(none, Added) ->
    undo_added(Added);
put_back(Undo, Added) ->
    case code:finish_loading(Undo) of
        ok -> undo_added(Added);
        {error, Why} -> text("the old code did not load: ~0tp", [Why])
    end.

undo_added(Added) ->
    [begin code:delete(M), code:soft_purge(M) end || M <- Added, erlang:module_loaded(M)],
    ok.

%% A request that passes through an old module needs a moment to leave it.
unpurged(Ms, Until) ->
    case [M || M <- Ms, erlang:check_old_code(M), not code:soft_purge(M)] of
        [] -> [];
        Rest ->
            case left(Until) of
                0 -> Rest;
                _ -> timer:sleep(10), unpurged(Rest, Until)
            end
    end.

undo_states(K = #{changing := true, procs := Procs}) ->
    Saved = [P || P = {_, Kind, _} <- Procs, Kind =/= starter],
    Nobody = nobody(),
    [system(Pid, Nobody, {replace_state, case Kind of
                                             gen_event -> fun ?MODULE:rest_event/1;
                                             _ -> fun ?MODULE:rest/1
                                         end}) || {Pid, Kind, _} <- Saved],
    Modes = undo_modes(maps:get(modes, K), Saved, Nobody),
    [Modes, post([{Pid, case Kind of
                            gen_event -> suspend;
                            _ -> {replace_state, fun ?MODULE:proof/1}
                        end} || {Pid, Kind, _} <- Saved])];
undo_states(_) ->
    [].

%% Only system_code_change makes a gen_statem read its callback mode again (gen_statem.erl): the old
%% code_change is called for that alone, and its result is replaced after it.
undo_modes(Modes, Saved, Nobody) ->
    Statems = [{Pid, M} || {Pid, gen_statem, [M]} <- Saved, lists:member(M, Modes)],
    Asked = post([{Pid, {change_code, M, undefined, []}} || {Pid, M} <- Statems]),
    [system(Pid, Nobody, {replace_state, fun ?MODULE:rest/1}) || {Pid, _} <- Statems],
    Asked.

check_undone(Asked, Until) ->
    Good = fun(ok) -> true;
              ({error, {callback_failed, _, {throw, true}}}) -> true;
              (_) -> false
           end,
    Answers = [wait(A, Good, Until) || A <- Asked],
    case lists:usort(lists:append([[P || {P, _} <- Bad] ++ Missing || {Bad, Missing} <- Answers])) of
        [] -> ok;
        Pids -> text("the old state of ~ts is not back", [names(Pids)])
    end.

%% Behind each suspend, also behind one that was not answered: it works when the process gets to it.
resume(Procs, Until) ->
    ask([{Pid, resume} || {Pid, _, _} <- Procs], fun(_) -> true end, Until).

forget_all(Procs) ->
    Nobody = nobody(),
    [forget(Pid, Kind, Nobody) || {Pid, Kind, _} <- Procs],
    ok.

forget(_, starter, _) -> ok;
forget(Pid, gen_event, To) -> system(Pid, To, {replace_state, fun ?MODULE:forget_event/1});
forget(Pid, _, To) -> system(Pid, To, {replace_state, fun ?MODULE:forget/1}).

%%% The worker

worker(Keeper, Mode, Plan) ->
    put(keeper, Keeper),
    exit(try work(Mode, Plan)
         catch
             throw:{refused, Text} -> {refused, Text};
             throw:{failed, Text} -> {failed, Text};
             C:R:S -> {failed, text("~0tp: ~0tp at ~0tp", [C, R, lists:sublist(S, 2)])}
         end).

work(Mode, Plan = #{modules := Mods, apps := Apps, suspend_ms := Ms}) ->
    check_apps(Apps),
    Meta = read_meta(Plan),
    Code = read_code(Mods),
    Touched = maps:get(touched, Code),
    check_old_code(Mode, maps:keys(Touched)),
    {Procs, Known} = find(Touched, Ms),
    case Mode of
        check ->
            {done, {ok, length(maps:get(load, Code)), count(Procs), 0, <<>>}};
        apply ->
            Prepared = prepare(maps:get(load, Code)),
            note(undo, prepare(maps:get(back, Code))),
            note(olds, maps:get(olds, Code)),
            note(added, maps:get(added, Code)),
            pause(Plan, Code#{prepared => Prepared}, Meta, Procs, Known)
    end.

pause(Plan = #{suspend_ms := Ms}, Code, Meta, Procs0, Known0) ->
    #{touched := Touched, prepared := Prepared, load := Load, removed := Removed} = Code,
    Until = now_ms() + Ms,
    Began = now_us(),
    note(began, Began),
    suspend(Procs0, Until),
    {Procs, Known} = suspend_born(Touched, Procs0, Known0, Until),
    Modes = modes(Procs),
    note(meta, saved_meta(Meta)),
    move_paths(Plan),
    note(loading, true),
    load(Prepared),
    check_awake(Code),
    check_modes(Modes),
    check_born(Touched, Known),
    EnvBefore = application_controller:prep_config_change(),
    change_meta(Meta),
    note(changing, true),
    change(Procs, Code, Until, Ms),
    check_supervisors(Procs, Until),
    Loaded = length(Load),
    N = count(Procs),
    note(committed, {Loaded, N}),
    [code:delete(M) || M <- Removed],
    resume(Procs, now_ms() + Ms),
    Pause = now_us() - Began,
    forget_all(Procs),
    config_change(EnvBefore),
    {done, {ok, Loaded, N, Pause, <<>>}}.

count(Procs) ->
    length([P || P = {_, Kind, _} <- Procs, Kind =/= starter]).

note(Key, Value) ->
    get(keeper) ! {note, Key, Value}.

%%% Checks, before anything is touched

check_apps(Apps) ->
    [check_app(App, Old, New) || {App, Old, New, _, _} <- Apps].

check_app(App, _, _) when App =:= kernel; App =:= stdlib; App =:= erts ->
    refuse("~ts changes, and cannot in a running node: use --swap", [App]);
check_app(App, _, <<>>) ->
    refuse("application ~ts is removed: use --swap", [App]);
check_app(App, Old, _) ->
    case application:get_key(App, vsn) of
        undefined -> refuse("application ~ts is new: use --swap", [App]);
        {ok, Vsn} ->
            unicode:characters_to_binary(Vsn) =:= Old orelse
                refuse("application ~ts runs in version ~ts, not ~ts: use --swap", [App, Vsn, Old])
    end.

%% touched  #{Module => kind of process its callbacks make}: loaded modules that change or go
%% load, back  [{Module, File, Binary}] for the way in and for the way back
%% olds     [{Module, Md5}] of what is loaded now
read_code(Mods) ->
    Read = [read_module(M) || M <- Mods],
    Get = fun(Tag) -> [X || {T, X} <- lists:append(Read), T =:= Tag] end,
    #{touched => maps:from_list([{M, kind(M)} || M <- Get(touched)]),
      load => Get(load), back => Get(back), added => Get(added), removed => Get(removed),
      olds => Get(old), asleep => Get(asleep)}.

read_module({App, M, _, _, _, _}) when App =:= kernel; App =:= stdlib; App =:= erts ->
    refuse("module ~ts of ~ts changes, and cannot in a running node: use --swap", [M, App]);
read_module({_, M, <<>>, New, _, Md5}) ->
    erlang:module_loaded(M) andalso
        refuse("module ~ts is new, but already loaded from ~ts: use --swap", [M, which(M)]),
    [{added, M}, {load, {M, file(New), read_beam(M, New, Md5)}}];
read_module({_, M, Old, New, OldMd5, NewMd5}) ->
    case erlang:module_loaded(M) of
        false -> [{asleep, M}];
        true ->
            check_loaded(M, Old, OldMd5),
            [{touched, M}, {old, {M, OldMd5}} | read_changed(M, Old, New, OldMd5, NewMd5)]
    end.

read_changed(M, _, <<>>, _, _) ->
    [{removed, M}];
read_changed(M, Old, New, OldMd5, NewMd5) ->
    [{load, {M, file(New), read_beam(M, New, NewMd5)}},
     {back, {M, which(M), read_beam(M, Old, OldMd5)}}].

check_loaded(M, Old, Md5) ->
    code:is_sticky(M) andalso
        refuse("module ~ts is sticky, a part of Erlang itself: use --swap", [M]),
    M:module_info(nifs) =:= [] orelse
        refuse("module ~ts has native functions (NIFs), which cannot be exchanged safely: "
               "use --swap", [M]),
    M:module_info(md5) =:= Md5 orelse
        refuse("module ~ts in memory is not that of ~ts, so there would be no way back: "
               "use --swap", [M, Old]).

read_beam(M, Path, Md5) ->
    case file:read_file(Path) of
        {ok, Bin} ->
            code:module_md5(Bin) =:= Md5 orelse
                refuse("~ts changed while the upgrade was planned: try again", [Path]),
            Bin;
        {error, Why} ->
            refuse("module ~ts: ~ts: ~ts", [M, Path, file:format_error(Why)])
    end.

%% A prepared term serves one finish_loading; used twice it takes the VM down (facts: code_server
%% crashes), hence one for the way in and one for the way back.
prepare([]) ->
    none;
prepare(Load) ->
    case code:prepare_loading(Load) of
        {ok, Prepared} -> Prepared;
        {error, Why} -> refuse_prepare(Why)
    end.

refuse_prepare([{M, on_load_not_allowed} | _]) ->
    refuse("module ~ts has an on_load function and cannot be loaded together with others: "
           "use --swap", [M]);
refuse_prepare([{M, Why} | _]) ->
    refuse("module ~ts cannot be loaded: ~0tp", [M, Why]).

%% The slot of old code must be free, for the way in and for the way back. Purging is done ahead of
%% the pause: it asks every process, 15 ms a module with 10,000 of them.
check_old_code(Mode, Ms) ->
    Old = [M || M <- Ms, erlang:check_old_code(M)],
    Used = case Mode of
               apply -> [M || M <- Old, not code:soft_purge(M)];
               check -> [M || M <- Old, users([M]) =/= []]
           end,
    Used =:= [] orelse
        refuse("~ts still runs the code of ~ts from before the last upgrade: use --swap",
               [names(users(Used)), mods(Used)]).

users(Ms) ->
    [P || P <- processes(), P =/= self(),
          lists:any(fun(M) -> check_code(P, M) end, Ms)].

check_code(P, M) ->
    try erlang:check_process_code(P, M) =:= true catch error:badarg -> false end.

%%% Finding processes

%% A proc is {Pid, Kind, [Module]}: gen_server, gen_statem, gen_event (one module a handler),
%% supervisor, special (proc_lib and sys), or starter: a supervisor that is only held still, so that
%% it starts no child meanwhile.
find(Touched, Ms) ->
    Pids = processes() -- [self(), get(keeper)],
    Seen = look(Pids, Touched),
    Procs = [P || {proc, P, _} <- Seen] ++ handlers([P || {events, P} <- Seen], Touched, Ms)
        ++ by_specs([X || {unknown, X} <- Seen], Touched, Ms),
    Mine = maps:from_keys([P || {P, _, _} <- Procs], true),
    stay_out([{P, M} || {inside, P, M} <- Seen, not is_map_key(P, Mine)], Touched,
             now_ms() + min(Ms, 1000)),
    {starters(Seen, Mine) ++ Procs, maps:from_keys(Pids, true)}.

look(Pids, Touched) ->
    lists:append([look_at(P, Touched) || P <- Pids]).

look_at(P, Touched) ->
    case process_info(P, [dictionary, current_stacktrace]) of
        undefined -> [];
        [{_, Dict}, {_, Stack}] ->
            Initial = proplists:get_value('$initial_call', Dict),
            classify(P, Initial, Stack, Touched, proplists:get_value('$ancestors', Dict, []))
    end.

%% Spawned by proc_lib and not yet run: nobody knows yet what it will be.
classify(_, undefined, [{proc_lib, init_p, _, _} | _], _, _) ->
    [unborn];
classify(P, {supervisor, M, 1}, _, Touched, Parents) when is_map_key(M, Touched) ->
    [{proc, {P, supervisor, [M]}, Parents}];
classify(P, {gen_event, init_it, 6}, _, _, _) ->
    [{events, P}];
classify(P, {M, init, _}, Stack, Touched, Parents) when is_map_key(M, Touched) ->
    case {stack_kind(Stack), maps:get(M, Touched)} of
        {none, none} -> inside(P, Stack, Touched);
        {none, Kind} -> [{proc, {P, Kind, [M]}, Parents}];
        {Kind, _} -> [{proc, {P, Kind, [M]}, Parents}]
    end;
classify(P, Initial, Stack, Touched, Parents) ->
    case stack_kind(Stack) of
        none -> [];
        Kind -> unknown(P, Initial, Kind, Parents)
    end ++ inside(P, Stack, Touched).

%% A process whose `$initial_call` names a callback module is that module's; only of others must we
%% ask its supervisor (a library entered the loop on behalf of somebody) or the gen_statem itself.
unknown(_, {supervisor, _, 1}, _, _) -> [];
unknown(P, Initial, gen_statem, Parents) -> [{unknown, {P, gen_statem, Initial, Parents}}];
unknown(P, Initial = {M, init, _}, Kind, Parents) ->
    case kind(M) of
        none -> [{unknown, {P, Kind, Initial, Parents}}];
        _ -> []
    end;
unknown(P, Initial, Kind, Parents) -> [{unknown, {P, Kind, Initial, Parents}}].

kind(M) ->
    Has = fun(F, A) -> erlang:function_exported(M, F, A) end,
    case {Has(callback_mode, 0), Has(handle_call, 3), Has(system_continue, 3)} of
        {true, _, _} -> gen_statem;
        {_, true, _} -> gen_server;
        {_, _, true} -> special;
        _ -> none
    end.

%% Only a frame of the server's side is a proof of sys; gen_server:call/2 is a client's.
stack_kind(Stack) ->
    case [B || {B, F, A, _} <- Stack, B =:= gen_server orelse B =:= gen_statem, server_side(B, F, A)] of
        [B | _] -> B;
        [] -> none
    end.

server_side(_, F, _) when F =:= init_it; F =:= wake_hib; F =:= enter_loop; F =:= loop_hibernate;
                          F =:= wakeup_from_hibernate -> true;
server_side(B, F, A) when is_integer(A) -> not erlang:function_exported(B, F, A);
server_side(_, _, _) -> false.

inside(P, Stack, Touched) ->
    case [M || {M, _, _, _} <- Stack, is_map_key(M, Touched)] of
        [M | _] -> [{inside, P, M}];
        [] when length(Stack) >= 8 -> deep_inside(P, Touched);
        [] -> []
    end.

%% current_stacktrace ends after 8 frames; the text of the backtrace does not, but prints every term
%% of the stack, so a process with a large heap is not asked for it.
deep_inside(P, Touched) ->
    case process_info(P, [total_heap_size, backtrace]) of
        [{_, Words}, {_, Text}] when Words < 1000000 ->
            case [M || M <- maps:keys(Touched), binary:match(Text, frame(M)) =/= nomatch] of
                [M | _] -> [{inside, P, M}];
                [] -> []
            end;
        _ -> []
    end.

frame(M) ->
    unicode:characters_to_binary(io_lib:format("(~tw:", [M])).

%% Most processes that run a changed module without being suspended only pass through it. One that
%% is still there after a second lives in it: its code could be neither changed nor put back.
stay_out([], _, _) ->
    ok;
stay_out(Inside, Touched, Until) ->
    case {[{P, M} || {P, _} <- Inside, {inside, _, M} <- look_at(P, Touched)], left(Until)} of
        {[], _} -> ok;
        {Still, 0} ->
            {_, M} = hd(Still),
            refuse("~ts runs in module ~ts and is no process that can change its code "
                   "(gen_server, gen_statem, gen_event, supervisor, sys): use --swap",
                   [names([P || {P, _} <- Still]), M]);
        {Still, _} -> timer:sleep(25), stay_out(Still, Touched, Until)
    end.

handlers([], _, _) ->
    [];
handlers(Managers, Touched, Ms) ->
    Answers = each(Managers, fun(P) -> gen_event:which_handlers(P) end, Ms),
    [{P, gen_event, Ms1} || {P, Handlers} <- Answers,
                            Ms1 <- [lists:usort([M || H <- Handlers, M <- [handler(H)],
                                                      is_map_key(M, Touched)])],
                            Ms1 =/= []].

handler({M, _}) -> M;
handler(M) -> M.

by_specs(Unknown, Touched, Ms) ->
    States = [X || X = {_, gen_statem, _, _} <- Unknown],
    Asked = case [M || {M, gen_statem} <- maps:to_list(Touched)] of
                [] -> [];
                _ -> each([P || {P, _, _, _} <- States], fun statem_modules/1, Ms)
            end,
    [{P, gen_statem, [M]} || {P, Mods} <- Asked, M <- lists:sublist(Mods, 1),
                             is_map_key(M, Touched)]
        ++ by_children([{P, Kind, Parents} || {P, Kind, _, Parents} <- Unknown,
                                              Kind =/= gen_statem], Touched, Ms).

statem_modules(P) ->
    {status, _, _, [_, _, _, _, Misc]} = sys:get_status(P, infinity),
    [M || {data, Data} <- Misc, {"Modules", Mods} <- Data, M <- Mods].

by_children([], _, _) ->
    [];
by_children(Unknown, Touched, Ms) ->
    Sups = lists:usort([P || {_, _, [Parent | _]} <- Unknown, P <- [to_pid(Parent)], is_sup(P)]),
    Kinds = maps:from_list([{P, Kind} || {P, Kind, _} <- Unknown]),
    [{P, maps:get(P, Kinds), [M]}
     || {_, Children} <- each(Sups, fun supervisor:which_children/1, Ms),
        {_, P, _, [M]} <- Children, is_map_key(P, Kinds), maps:get(M, Touched, none) =/= none].

to_pid(P) when is_pid(P) -> P;
to_pid(Name) -> whereis(Name).

is_sup(P) when is_pid(P), node(P) =:= node() ->
    case process_info(P, dictionary) of
        {_, Dict} -> is_tuple(proplists:get_value('$initial_call', Dict, none))
                         andalso element(1, proplists:get_value('$initial_call', Dict)) =:= supervisor;
        undefined -> false
    end;
is_sup(_) -> false.

%% A fun a process, side by side: none of these questions has a deadline of its own.
each(Pids, Fun, Ms) ->
    Until = now_ms() + Ms,
    Asked = [{P, spawn_monitor(fun() -> exit({answer, Fun(P)}) end)} || P <- Pids],
    lists:append([answer(P, Asker, Until) || {P, Asker} <- Asked]).

answer(P, {Pid, Mon}, Until) ->
    receive
        {'DOWN', Mon, process, _, {answer, Value}} -> [{P, Value}];
        {'DOWN', Mon, process, _, Why} ->
            is_process_alive(P) andalso
                refuse("~ts does not tell what code it runs: ~0tp", [names([P]), Why]),
            []
    after left(Until) ->
            exit(Pid, kill),
            refuse("~ts does not answer: try again, or use --swap", [names([P])])
    end.

starters(Seen, Mine) ->
    Parents = lists:usort([to_pid(hd(Ps)) || {proc, _, Ps} <- Seen, Ps =/= []]),
    [{P, starter, []} || P <- Parents, is_sup(P), not is_map_key(P, Mine)].

%%% The pause

suspend(Procs, Until) ->
    note(procs, Procs),
    {Starters, Others} = lists:partition(fun({_, Kind, _}) -> Kind =:= starter end, Procs),
    suspend([Starters, Others], Procs, Until, 100 + length(Procs) div 50).

%% All at once; but a process that waits for an answer of one that is suspended already never gets
%% to its own suspend. So what is stuck moves to the front for the next attempt, and is suspended
%% while those it waits for run. Callers gather before their callees, however deep they call.
suspend(Groups, Procs, Until, Step) ->
    case suspend_groups(Groups, Until, Step) of
        [] -> ok;
        Stuck ->
            left(Until) > 0 orelse
                fail("~ts did not suspend in time, it is busy", [names(Stuck)]),
            Nobody = nobody(),
            [system(P, Nobody, resume) || {P, _, _} <- Procs],
            Is = maps:from_keys(Stuck, true),
            Behind = [[X || X = {P, _, _} <- G, not is_map_key(P, Is)] || G <- Groups],
            Front = [X || X = {P, _, _} <- Procs, is_map_key(P, Is)],
            suspend([Front | [G || G <- Behind, G =/= []]], Procs, Until, 2 * Step)
    end.

suspend_groups([], _, _) ->
    [];
suspend_groups([Group | Groups], Until, Step) ->
    Nobody = nobody(),
    [begin
         system(P, Nobody, suspend),
         Kind =:= gen_event andalso
             system(P, Nobody, {replace_state, fun ?MODULE:save_event/1})
     end || {P, Kind, _} <- Group],
    Ask = [{P, case Kind of
                   gen_event -> suspend;
                   starter -> suspend;
                   _ -> {replace_state, fun ?MODULE:save/1}
               end} || {P, Kind, _} <- Group],
    {Bad, Missing} = ask(Ask, fun(ok) -> true;
                                 ({error, {callback_failed, _, {throw, saved}}}) -> true;
                                 (_) -> false
                              end, min(Until, now_ms() + Step)),
    Bad =:= [] orelse
        fail("the state of ~ts cannot be kept: ~0tp", [names([P || {P, _} <- Bad]),
                                                       element(2, hd(Bad))]),
    case Missing of
        [] -> suspend_groups(Groups, Until, Step);
        _ -> Missing
    end.

%% Others may have been started since the look around: by a process that is not suspended itself.
suspend_born(Touched, Procs, Known, Until) ->
    {Born, Known1} = born(Touched, Known),
    case Born of
        [] -> {Procs, Known1};
        _ ->
            left(Until) > 0 orelse
                fail("processes of the changed modules are started faster than they suspend", []),
            suspend(Born, Until),
            suspend_born(Touched, Born ++ Procs, Known1, Until)
    end.

born(Touched, Known) ->
    New = [P || P <- processes(), not is_map_key(P, Known), P =/= self(), P =/= get(keeper)],
    Seen = look(New, Touched),
    case lists:member(unborn, Seen) of
        true ->
            erlang:yield(),
            born(Touched, Known);
        false ->
            {[P || {proc, P, _} <- Seen] ++ handlers([P || {events, P} <- Seen], Touched, 1000),
             maps:merge(Known, maps:from_keys(New, true))}
    end.

%% Between the last look and the load: nobody can say in which code its init ran.
check_born(Touched, Known) ->
    case born(Touched, Known) of
        {[], _} -> ok;
        {Born, _} ->
            fail("~ts was started while the code was loaded", [names([P || {P, _, _} <- Born])])
    end.

load(none) ->
    ok;
load(Prepared) ->
    case code:finish_loading(Prepared) of
        ok -> ok;
        {error, [{M, Why} | _]} -> fail("module ~ts did not load: ~0tp", [M, Why])
    end.

%% A module that was not loaded needs no loading: it comes from the new path when it is called. One
%% that was called in the meantime came from the old path.
check_awake(#{asleep := Asleep}) ->
    case [M || M <- Asleep, erlang:module_loaded(M)] of
        [] -> ok;
        Ms -> fail("~ts was loaded during the upgrade: try again", [mods(Ms)])
    end.

modes(Procs) ->
    [{M, M:callback_mode()} || M <- lists:usort([M || {_, gen_statem, [M]} <- Procs]),
                               erlang:function_exported(M, callback_mode, 0)].

%% Only code_change makes a gen_statem read its callback mode, on the way in and on the way back.
check_modes(Modes) ->
    Changed = [M || {M, Mode} <- Modes, M:callback_mode() =/= Mode],
    [erlang:function_exported(M, code_change, 4) orelse
         fail("the callback mode of ~ts changes without a code_change/4: use --swap", [M])
     || M <- Changed],
    note(modes, Changed).

change(Procs, Code, Until0, Ms) ->
    Until = max(Until0, now_ms() + Ms),
    Vsns = maps:from_list([{M, vsn(Bin)} || {M, _, Bin} <- maps:get(back, Code)]),
    Ask = [{P, {change_code, M, maps:get(M, Vsns, undefined), []}}
           || {P, Kind, Mods} <- Procs, M <- Mods, can_change(Kind, M)],
    {Bad, Missing} = ask(Ask, fun(R) -> R =:= ok end, Until),
    Bad =:= [] orelse fail_change(hd(Bad), Procs),
    Missing =:= [] orelse
        fail("code_change of ~ts was not over within ~b ms", [who(hd(Missing), Procs), Ms]).

fail_change({P, {error, {'EXIT', {Why, _}}}}, Procs) ->
    fail("code_change of ~ts failed: ~0tp", [who(P, Procs), Why]);
fail_change({P, {error, Why}}, Procs) ->
    fail("code_change of ~ts failed: ~0tp", [who(P, Procs), Why]);
fail_change({P, Other}, Procs) ->
    fail("code_change of ~ts answered ~0tp", [who(P, Procs), Other]).

%% A behaviour without code_change would answer undef: not to export it means that the state stays.
can_change(supervisor, _) -> true;
can_change(gen_statem, M) -> erlang:function_exported(M, code_change, 4);
can_change(special, M) -> erlang:function_exported(M, system_code_change, 4);
can_change(starter, _) -> false;
can_change(_, M) -> erlang:function_exported(M, code_change, 3).

%% As release_handler gives it to code_change: a default vsn is a list of one integer.
vsn(Bin) ->
    case beam_lib:version(Bin) of
        {ok, {_, [Vsn]}} -> Vsn;
        {ok, {_, Vsn}} -> Vsn;
        {error, _, _} -> undefined
    end.

%% change_code makes a supervisor take its new child specifications over, but it starts no child, and
%% to or from simple_one_for_one it answers ok and dies at the next call.
check_supervisors(Procs, Until) ->
    Sups = [P || {P, supervisor, _} <- Procs],
    {Bad, _} = ask([{P, {replace_state, fun ?MODULE:sup_change/1}} || P <- Sups],
                   fun({error, {callback_failed, _, {throw, same}}}) -> true;
                      (_) -> false
                   end, Until),
    [case R of
         {error, {callback_failed, _, {throw, simple}}} ->
             fail("~ts changes to or from simple_one_for_one: use --swap", [who(P, Procs)]);
         {error, {callback_failed, _, {throw, {added, Ids}}}} ->
             fail("~ts gets new children (~0tp), which a hot upgrade does not start: use --swap",
                  [who(P, Procs), Ids]);
         _ ->
             fail("~ts cannot be asked for its children: ~0tp", [who(P, Procs), R])
     end || {P, R} <- Bad],
    ok.

%%% Inside the suspended processes. A throw leaves the state as it is and makes a small answer.

save(State) ->
    put(?SAVED, {State}),
    throw(saved).

save_event({M, Id, State}) ->
    put({?SAVED, M, Id}, {State}),
    throw(saved).

rest(_) ->
    {State} = get(?SAVED),
    State.

rest_event({M, Id, _}) ->
    {State} = get({?SAVED, M, Id}),
    {M, Id, State}.

proof(State) ->
    {Old} = get(?SAVED),
    throw(State =:= Old).

forget(_) ->
    erase(?SAVED),
    throw(forgotten).

forget_event({M, Id, _}) ->
    erase({?SAVED, M, Id}),
    throw(forgotten).

%% #state{} of supervisor.erl: the strategy is its 2nd field, {Ids, Children} its 3rd. Others
%% (Elixir's DynamicSupervisor) keep no list of specifications.
sup_change(New) ->
    {Old} = get(?SAVED),
    throw(sup_change(Old, New)).

sup_change(Old, New) when element(1, Old) =:= state, element(1, New) =:= state,
                          element(2, element(4, Old)) =/= [] ->
    Simple = fun(S) -> element(3, S) =:= simple_one_for_one end,
    case {Simple(Old), Simple(New)} of
        {Same, Same} -> sup_added(element(1, element(4, Old)), element(1, element(4, New)), Same);
        _ -> simple
    end;
sup_change(_, _) ->
    same.

sup_added(_, _, true) -> same;
sup_added(Old, New, false) ->
    case New -- Old of
        [] -> same;
        Ids -> {added, Ids}
    end.

%%% What the applications tell: version, environment, paths

read_meta(#{apps := Apps, old_sys_config := OldFile, new_sys_config := NewFile}) ->
    Conf = conf_data(),
    New = read_config(NewFile, Conf),
    Old = read_config(OldFile, Conf),
    Specs = [read_app(App, NewEbin) || {App, _, _, _, NewEbin} <- Apps],
    [check_needs(Spec) || Spec <- Specs],
    OldEnvs = [{App, app_env(read_app(App, OldEbin))} || {App, _, _, OldEbin, _} <- Apps],
    #{specs => Specs, conf => New, old_conf => Old, conf_data => Conf, old_envs => OldEnvs}.

read_app(App, Ebin) ->
    File = filename:join(Ebin, atom_to_list(App) ++ ".app"),
    case file:consult(File) of
        {ok, [Spec = {application, App, Keys}]} when is_list(Keys) -> Spec;
        {ok, _} -> refuse("~ts is no application file", [File]);
        {error, Why} -> refuse("~ts: ~ts", [File, file:format_error(Why)])
    end.

app_env({application, _, Keys}) ->
    proplists:get_value(env, Keys, []).

check_needs({application, App, Keys}) ->
    Needs = proplists:get_value(applications, Keys, [])
        -- proplists:get_value(optional_applications, Keys, []),
    [application:get_key(Need, vsn) =/= undefined orelse
         refuse("application ~ts now needs ~ts, which does not run: use --swap", [App, Need])
     || Need <- Needs].

%% The configuration that application_controller started with, config providers included; an
%% internal record, so anything unexpected counts as no configuration.
conf_data() ->
    try sys:get_state(application_controller, 5000) of
        State when element(1, State) =:= state, tuple_size(State) =:= 9 ->
            case element(9, State) of
                Conf when is_list(Conf) -> Conf;
                _ -> []
            end;
        _ -> []
    catch _:_ -> []
    end.

read_config(<<>>, Default) ->
    Default;
read_config(File, _) ->
    read_config_file(unicode:characters_to_list(File)).

%% sys.config may name other files, which come before what follows them (config(4)).
read_config_file(File) ->
    case file:consult(File) of
        {ok, [Entries]} when is_list(Entries) ->
            lists:foldl(fun(Entry, Acc) -> config_entry(Entry, File, Acc) end, [], Entries);
        {ok, _} -> refuse("~ts is no configuration, a list and a full stop", [File]);
        {error, Why} -> refuse("~ts: ~ts", [File, file:format_error(Why)])
    end.

config_entry({App, Env}, _, Acc) when is_atom(App), is_list(Env) ->
    lists:keystore(App, 1, Acc, {App, merge(proplists:get_value(App, Acc, []), Env)});
config_entry(Name, File, Acc) when is_list(Name) ->
    Other = filename:join(filename:dirname(File), filename:rootname(Name, ".config") ++ ".config"),
    lists:foldl(fun(Entry, Acc1) -> config_entry(Entry, Other, Acc1) end, Acc,
                read_config_file(Other));
config_entry(Entry, File, _) ->
    refuse("~ts: ~0tp is no entry of a configuration", [File, Entry]).

merge(Env, Over) ->
    lists:foldl(fun({K, V}, Acc) -> lists:keystore(K, 1, Acc, {K, V}) end, Env, Over).

saved_meta(#{specs := Specs, conf_data := Conf} = Meta) ->
    Keys = [{application, App, element(2, application:get_all_key(App))}
            || {application, App, _} <- Specs],
    Envs = [{App, application:get_all_env(App)} || App <- configured(Meta)],
    {Keys, Conf, Envs, code:get_path()}.

%% Every application whose environment may change, but for those that read it only at boot.
configured(#{specs := Specs, conf := New, old_conf := Old}) ->
    Apps = [App || {application, App, _} <- Specs] ++ [App || {App, _} <- New ++ Old],
    [App || App <- lists:usort(Apps), App =/= kernel, App =/= stdlib,
            application:get_key(App, vsn) =/= undefined].

%% change_application_data resets the environment of an application to that of its files: what was
%% put at run time (by config/runtime.exs, a provider, or the application) would be lost. It is what
%% differs from the files of the old release, and is put again.
change_meta(Meta = #{specs := Specs, conf := New, old_conf := Old, old_envs := OldEnvs}) ->
    Live = [{App, live(App, merge(Env, proplists:get_value(App, Old, [])))} || {App, Env} <- OldEnvs],
    ok = application_controller:change_application_data(Specs, New),
    [begin
         [application:set_env(App, K, V) || {K, V} <- Put],
         [application:unset_env(App, K) || K <- Gone]
     end || {App, {Put, Gone}} <- Live],
    Named = [App || {application, App, _} <- Specs],
    [change_env(App, proplists:get_value(App, Old, []), proplists:get_value(App, New, []))
     || App <- configured(Meta), not lists:member(App, Named)],
    ok.

live(App, Files) ->
    Now = application:get_all_env(App),
    {Now -- Files, [K || {K, _} <- Files, not lists:keymember(K, 1, Now)]}.

%% An application of the same version with another configuration: a value that somebody put at run
%% time stays.
change_env(App, Old, New) ->
    Now = application:get_all_env(App),
    Same = fun(K) -> proplists:get_value(K, Now) =:= proplists:get_value(K, Old) end,
    [application:set_env(App, K, V) || {K, V} <- New -- Old, Same(K)],
    [application:unset_env(App, K) || {K, _} <- Old, not lists:keymember(K, 1, New), Same(K)],
    ok.

undo_meta(#{meta := {Specs, Conf, Envs, Path}}) ->
    ok = application_controller:change_application_data(Specs, Conf),
    [begin
         Now = application:get_all_env(App),
         [application:unset_env(App, K) || {K, _} <- Now, not lists:keymember(K, 1, Env)],
         [application:set_env(App, K, V) || {K, V} <- Env -- Now]
     end || {App, Env} <- Envs],
    case code:get_path() of
        Path -> ok;
        _ -> true = code:set_path(Path), clear_cache()
    end;
undo_meta(_) ->
    ok.

%% The callback module of the application may do anything here, so it comes after the resume, as it
%% does in release_handler. A failure is the application's own: it is logged, the upgrade stands.
config_change(EnvBefore) ->
    case application_controller:config_change(EnvBefore) of
        ok -> ok;
        {error, Why} ->
            logger:warning("hot upgrade: config_change/3 of an application failed: ~0tp", [Why])
    end.

move_paths(#{apps := Apps, old_consolidated := Old, new_consolidated := New}) ->
    [case code:replace_path(App, unicode:characters_to_list(Ebin)) of
         true -> ok;
         {error, Why} -> fail("code path of ~ts: ~ts: ~0tp", [App, Ebin, Why])
     end || {App, _, _, _, Ebin} <- Apps],
    move_consolidated(Old, New),
    clear_cache().

move_consolidated(Old, New) when Old =:= <<>>; New =:= <<>> ->
    ok;
move_consolidated(Old, New) ->
    Id = file_id(Old),
    Path = [case filename:basename(P) =:= "consolidated" andalso file_id(P) =:= Id of
                true -> unicode:characters_to_list(New);
                false -> P
            end || P <- code:get_path()],
    code:set_path(Path) =:= true orelse fail("code path: ~ts is not taken", [New]).

%% A path may go through a symbolic link: the folder decides, not its name.
file_id(Path) ->
    case file:read_file_info(Path, [raw]) of
        {ok, Info} -> {element(10, Info), element(12, Info)};
        {error, _} -> Path
    end.

%% OTP 26 and later keep what they read of the code path.
clear_cache() ->
    erlang:function_exported(code, clear_cache, 0) andalso apply(code, clear_cache, []),
    ok.

%%% System messages

%% Asks all at once and waits once: with one reference and no monitors 10,000 processes answer in 8 ms
%% instead of 26. A process that died does not answer; it is looked for when no answer comes for a
%% while. Returns the wrong answers and who is alive and has not answered.
ask(Asked, Good, Until) ->
    wait(post(Asked), Good, Until).

post(Asked) ->
    Ref = make_ref(),
    [system(P, {self(), {Ref, P}}, Request) || {P, Request} <- Asked],
    {Ref, Asked}.

wait({Ref, Asked}, Good, Until) ->
    collect(Ref, length(Asked), [], Asked, [], Good, Until).

collect(_, 0, _, _, Bad, _, _) ->
    {Bad, []};
collect(Ref, N, Done, Asked, Bad, Good, Until) ->
    receive
        {{Ref, P}, Answer} ->
            case Good(Answer) of
                true -> collect(Ref, N - 1, [P | Done], Asked, Bad, Good, Until);
                false -> collect(Ref, N - 1, [P | Done], Asked, [{P, Answer} | Bad], Good, Until)
            end
    after min(20, left(Until)) ->
            Missing = lists:foldl(fun({P, _}, Acc) -> Acc#{P => maps:get(P, Acc, 0) + 1} end, #{},
                                  Asked),
            missing(Ref, lists:foldl(fun less/2, Missing, Done), Bad, Good, Until)
    end.

missing(_, Missing, Bad, _, _) when map_size(Missing) =:= 0 ->
    {Bad, []};
missing(Ref, Missing, Bad, Good, Until) ->
    receive
        {{Ref, P}, Answer} ->
            missing(Ref, less(P, Missing), [{P, Answer} || not Good(Answer)] ++ Bad, Good, Until)
    after min(20, left(Until)) ->
            Alive = maps:filter(fun(P, _) -> is_process_alive(P) end, Missing),
            case left(Until) of
                0 -> {Bad, maps:keys(Alive)};
                _ -> missing(Ref, Alive, Bad, Good, Until)
            end
    end.

less(P, Missing) ->
    case Missing of
        #{P := 1} -> maps:remove(P, Missing);
        #{P := N} -> Missing#{P := N - 1};
        _ -> Missing
    end.

system(Pid, From, Request) ->
    Pid ! {system, From, Request}.

%% An answer to a dead process is not even copied.
nobody() ->
    {Pid, Mon} = spawn_monitor(fun() -> ok end),
    receive {'DOWN', Mon, process, Pid, _} -> {Pid, relsup} end.

%%% Words

result(Outcome, Fmt, Args) ->
    {Outcome, 0, 0, 0, text(Fmt, Args)}.

refuse(Fmt, Args) ->
    throw({refused, text(Fmt, Args)}).

fail(Fmt, Args) ->
    throw({failed, text(Fmt, Args)}).

%% One line that fits the error of the caller.
text(Fmt, Args) ->
    Chars = [case C < 32 of true -> $\s; false -> C end
             || C <- unicode:characters_to_list(io_lib:format(Fmt, Args))],
    unicode:characters_to_binary(case length(Chars) > 380 of
                                     true -> lists:sublist(Chars, 377) ++ "...";
                                     false -> Chars
                                 end).

who(P, Procs) ->
    case lists:keyfind(P, 1, Procs) of
        {_, _, [M | _]} -> text("~ts (~ts)", [name(P), M]);
        _ -> name(P)
    end.

names(Pids) ->
    listed([name(P) || P <- lists:usort(Pids)]).

mods(Ms) ->
    listed([atom_to_binary(M) || M <- lists:usort(Ms)]).

listed(Names) when length(Names) =< 4 ->
    lists:join(", ", Names);
listed(Names) ->
    text("~ts and ~b more", [lists:join(", ", lists:sublist(Names, 4)), length(Names) - 4]).

name(P) ->
    case process_info(P, [registered_name, dictionary, current_function]) of
        [{_, Name}, _, _] when is_atom(Name) -> text("process ~ts", [Name]);
        [_, {_, Dict}, {_, Current}] ->
            {M, F, A} = case proplists:get_value('$initial_call', Dict) of
                            undefined -> Current;
                            Initial -> Initial
                        end,
            text("process ~w of ~ts:~ts/~w", [P, M, F, A]);
        _ -> text("process ~w", [P])
    end.

which(M) ->
    case code:which(M) of
        File when is_list(File) -> File;
        Other -> atom_to_list(Other)
    end.

file(Path) ->
    unicode:characters_to_list(Path).

left(Until) ->
    max(0, Until - now_ms()).

now_ms() ->
    erlang:monotonic_time(millisecond).

now_us() ->
    erlang:monotonic_time(microsecond).
