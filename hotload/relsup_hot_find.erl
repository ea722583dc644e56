%% SPDX-License-Identifier: Apache-2.0
%% Who runs the modules that change. A scope says which modules those are:
%%   updated  #{Module => kind}: processes of these are suspended and changed
%%   touched  #{Module => _}: loaded modules whose code goes away; who lives inside of one is refused
%%   going    #{Module => _}: modules that are removed; who has them for its callbacks must end
%%   leaving  [App]: applications that are stopped at the end, with all their processes
%%   hints    #{Name or module of `$initial_call` => callback module}, from relsup.json
%%
%% A proc is {Pid, Kind, [Module]}; Kind is gen_server, gen_statem, gen_event (one module a handler),
%% supervisor, special (proc_lib and sys), held (it keeps its state), or starter: a supervisor that is only held still, so that
%% it starts no child meanwhile.
-module(relsup_hot_find).

-export([find/2, inside_of/2, sys_processes/0, born/3, kind/1, users/1, ancestors/1, still_runs/3, is_sup/1, is_inside/2, runs_old/2]).

-import(relsup_hot_text, [refuse/2, names/1]).
-import(relsup_hot_sys, [left/1, now_ms/0]).

%% #{procs, frozen, going, known, inside}: who is to be suspended; supervisors that are left alone; who has
%% callbacks that go; everybody who was looked at; and [{Pid, Module}] of who is in the middle of a module
%% that is touched, and is not suspended.
find(Scope = #{updated := Updated, going := Goes}, Ms) ->
    Pids = processes() -- [self(), get(keeper)],
    Seen = look(Pids, Scope),
    Managers = managers(Seen, Ms),
    Told = by_specs([X || {unknown, X} <- Seen], maps:merge(Goes, Updated), Ms),
    Found = [P || {proc, P, _} <- Seen] ++ handlers(Managers, Updated)
        ++ [P || P = {_, _, [M]} <- Told, is_map_key(M, Updated)],
    Owners = table_owners(Found),
    {Frozen, Procs} = lists:partition(fun({P, _, _}) -> is_map_key(P, Owners) end, Found),
    Mine = maps:from_keys([P || {P, _, _} <- Found], true),
    Going = [{P, M} || {going, P, M} <- Seen]
        ++ [{P, M} || {P, _, Ms1} <- Told ++ handlers(Managers, Goes), M <- Ms1, is_map_key(M, Goes)],
    #{procs => starters(Seen, Found, Mine) ++ Procs, frozen => [P || {P, _, _} <- Frozen], going => Going,
      known => maps:from_keys(Pids, true),
      inside => [{P, M} || {inside, P, M} <- Seen, not is_map_key(P, Mine), not lists:keymember(P, 1, Going)]}.

%% [{P, Module}] as above.
inside_of(P, Scope) ->
    [{P, M} || {inside, _, M} <- look_at(P, Scope)].

%% Who answers system messages, as far as that is seen without asking.
sys_processes() ->
    [P || P <- processes() -- [self(), get(keeper)],
          [{_, Dict}, {_, Stack}] <- [process_info(P, [dictionary, current_stacktrace])],
          stack_kind(Stack) =/= none orelse sleeps(Stack, proplists:get_value('$initial_call', Dict))].

sleeps([], {supervisor, _, 1}) -> true;
sleeps([], {M, init, _}) -> lists:member(kind(M), [gen_server, gen_statem]);
sleeps(_, _) -> false.

%% Who was started since `Known` was.
born(Scope = #{updated := Updated}, Known, Ms) ->
    New = [P || P <- processes(), not is_map_key(P, Known), P =/= self(), P =/= get(keeper)],
    Seen = look(New, Scope),
    case lists:member(unborn, Seen) of
        true ->
            erlang:yield(),
            born(Scope, Known, Ms);
        false ->
            {[P || {proc, P, _} <- Seen] ++ handlers(managers(Seen, Ms), Updated),
             maps:merge(Known, maps:from_keys(New, true))}
    end.

look(Pids, Scope = #{leaving := []}) ->
    lists:append([look_at(P, Scope) || P <- Pids]);
look(Pids, Scope = #{leaving := Leaving}) ->
    lists:append([look_at(P, Scope) || P <- Pids, stays(P, Leaving)]).

stays(P, Leaving) ->
    case application:get_application(P) of
        {ok, App} -> not lists:member(App, Leaving);
        undefined -> true
    end.

look_at(P, Scope) ->
    case process_info(P, [dictionary, current_stacktrace]) of
        undefined -> [];
        [{_, Dict}, {_, Stack}] ->
            Initial = proplists:get_value('$initial_call', Dict),
            Parents = proplists:get_value('$ancestors', Dict, []),
            hinted(P, Initial, Stack, Scope, Parents)
    end.

hinted(P, Initial, Stack, Scope = #{hints := Hints}, Parents) when map_size(Hints) =:= 0 ->
    classify(P, Initial, Stack, Scope, Parents);
hinted(P, Initial, Stack, Scope = #{hints := Hints, updated := Updated}, Parents) ->
    case [M || Key <- [registered(P), initial_module(Initial)], M <- [maps:get(Key, Hints, none)],
               is_map_key(M, Updated)] of
        [M | _] ->
            case stack_kind(Stack) of
                none -> [{proc, {P, maps:get(M, Updated), [M]}, Parents}];
                Kind -> [{proc, {P, Kind, [M]}, Parents}]
            end;
        [] -> classify(P, Initial, Stack, Scope, Parents)
    end.

registered(P) ->
    case process_info(P, registered_name) of
        {_, Name} -> Name;
        _ -> none
    end.

initial_module({supervisor, M, 1}) -> M;
initial_module({M, _, _}) -> M;
initial_module(_) -> none.

%% Spawned by proc_lib and not yet run: nobody knows yet what it will be.
classify(_, undefined, [{proc_lib, init_p, _, _} | _], _, _) ->
    [unborn];
classify(P, {supervisor, M, 1}, _, #{updated := Updated}, Parents) when is_map_key(M, Updated) ->
    [{proc, {P, supervisor, [M]}, Parents}];
classify(P, {supervisor, M, 1}, _, #{going := Going}, _) when is_map_key(M, Going) ->
    [{going, P, M}];
classify(P, {gen_event, init_it, 6}, _, _, _) ->
    [{events, P}];
classify(P, {M, init, _}, Stack, Scope = #{updated := Updated}, Parents)
  when is_map_key(M, Updated) ->
    case {stack_kind(Stack), maps:get(M, Updated)} of
        {none, none} -> inside(P, Stack, Scope);
        {none, Kind} -> [{proc, {P, Kind, [M]}, Parents}];
        {Kind, _} -> [{proc, {P, Kind, [M]}, Parents}]
    end;
classify(P, {M, init, _}, _, #{going := Going}, _) when is_map_key(M, Going) ->
    [{going, P, M}];
classify(P, {_, _, _} = Initial, [], _, Parents) ->
    unknown(P, Initial, hibernated, Parents);
classify(P, Initial, Stack, Scope, Parents) ->
    case {stack_kind(Stack), own_loop(Initial, Stack, Scope)} of
        {none, [M]} -> [{proc, {P, special, [M]}, Parents}];
        {none, []} -> inside(P, Stack, Scope);
        {Kind, _} -> unknown(P, Initial, Kind, Parents) ++ inside(P, Stack, Scope)
    end.

%% A sys process that began elsewhere and has become a loop of that module (cowboy_websocket): nothing
%% else is on its stack. A client that waits for an answer in there has frames of its own.
own_loop({_, _, _}, [{M, _, _, _} | Stack], #{updated := Updated})
  when is_map_key(M, Updated), map_get(M, Updated) =:= special ->
    [M || lists:all(fun({Under, _, _, _}) -> Under =:= M orelse Under =:= proc_lib end, Stack)];
own_loop(_, _, _) ->
    [].

%% A process whose `$initial_call` names a callback module is that module's; only of others must we
%% ask its supervisor (a library entered the loop on behalf of somebody) or the gen_statem itself.
unknown(_, {supervisor, _, 1}, _, _) -> [];
unknown(P, Initial, gen_statem, Parents) -> [{unknown, {P, gen_statem, Initial, Parents}}];
unknown(P, Initial = {M, init, _}, Kind, Parents) ->
    case kind(M) of
        none -> [{unknown, {P, Kind, Initial, Parents}}];
        _ -> library(M, P, Kind, Initial, Parents)
    end;
unknown(P, Initial, Kind, Parents) -> [{unknown, {P, Kind, Initial, Parents}}].

%% A behaviour of its own on top of a gen_server (GenStage): the callback module stands in the child
%% specification alone.
library(M, P, Kind, Initial, Parents) ->
    case erlang:function_exported(M, behaviour_info, 1) of
        true -> [{unknown, {P, Kind, Initial, Parents}}];
        false -> []
    end.

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

inside(P, Stack, #{touched := Touched}) ->
    case [M || {M, _, _, _} <- Stack, is_map_key(M, Touched)] of
        [M | _] -> [{inside, P, M}];
        [] when length(Stack) >= 8 -> deep_inside(P, Touched);
        [] -> []
    end.

is_inside(P, Touched) ->
    case process_info(P, current_stacktrace) of
        {_, Stack} -> inside(P, Stack, #{touched => Touched}) =/= [];
        undefined -> false
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

%% [{Manager, [Module]}]
managers(Seen, Ms) ->
    [{P, lists:usort([handler(H) || H <- Handlers])}
     || {P, Handlers} <- each([P || {events, P} <- Seen], fun gen_event:which_handlers/1, Ms)].

handlers(Managers, Updated) ->
    [{P, gen_event, Ms} || {P, Handlers} <- Managers,
                           Ms <- [[M || M <- Handlers, is_map_key(M, Updated)]], Ms =/= []].

%% Of who was found to go.
still_runs(P, M, Ms) ->
    case initial(P) of
        none -> false;
        {gen_event, init_it, 6} -> [M1 || {_, Hs} <- managers([{events, P}], Ms), M1 <- Hs, M1 =:= M] =/= [];
        _ -> true
    end.

initial(P) ->
    case process_info(P, dictionary) of
        {_, Dict} -> proplists:get_value('$initial_call', Dict);
        undefined -> none
    end.

handler({M, _}) -> M;
handler(M) -> M.

%% Of these modules.
by_specs(Unknown, Wanted, Ms) ->
    States = [P || lists:any(fun(M) -> kind(M) =:= gen_statem end, maps:keys(Wanted)),
                   {P, gen_statem, _, _} <- Unknown],
    [{P, gen_statem, [M]} || {P, Mods} <- each(States, fun statem_modules/1, Ms),
                             M <- lists:sublist(Mods, 1), is_map_key(M, Wanted)]
        ++ by_children([X || X = {_, Kind, _, _} <- Unknown, Kind =/= gen_statem], Wanted, Ms).

statem_modules(P) ->
    {status, _, _, [_, _, _, _, Misc]} = sys:get_status(P, infinity),
    [M || {data, Data} <- Misc, {"Modules", Mods} <- Data, M <- Mods].

by_children([], _, _) ->
    [];
by_children(Unknown, Wanted, Ms) ->
    Sups = lists:usort([P || {_, _, _, [Parent | _]} <- Unknown, P <- [to_pid(Parent)], is_sup(P)]),
    Asked = maps:from_list([{P, {Kind, Initial}} || {P, Kind, Initial, _} <- Unknown]),
    [{P, How, [M]}
     || {_, Children} <- each(Sups, fun supervisor:which_children/1, Ms),
        {_, P, _, [Child]} <- Children, is_map_key(P, Asked), {Kind, Initial} <- [maps:get(P, Asked)],
        M <- lists:sublist([M || M <- callbacks(Child, Initial), is_map_key(M, Wanted)], 1),
        How <- [by_library(Kind, Initial, M)], How =/= none].

%% It is the library's code_change that is called; without one the process is held, and keeps its
%% state. The stack of one that hibernates does not tell its behaviour, but its callbacks do.
by_library(hibernated, Initial, M) ->
    by_library(kind(M), Initial, M);
by_library(gen_server, {L, init, 1}, _) ->
    case erlang:function_exported(L, code_change, 3) of
        true -> gen_server;
        false -> held
    end;
by_library(Kind, _, _) ->
    Kind.

%% Phoenix.LiveView has it the other way round: the child is the library's, and the library makes
%% `$initial_call` tell the callback module. That of an Agent tells where its function is from.
callbacks(Child, {M, _, _}) -> [Child | [M || kind(Child) =:= gen_server]];
callbacks(Child, _) -> [Child].

%% The nearest one first.
ancestors(P) ->
    case process_info(P, dictionary) of
        {_, Dict} -> [to_pid(A) || A <- proplists:get_value('$ancestors', Dict, [])];
        undefined -> []
    end.

to_pid(P) when is_pid(P) -> P;
to_pid(Name) -> whereis(Name).

is_sup(P) when is_pid(P), node(P) =:= node() ->
    Initial = initial(P),
    is_tuple(Initial) andalso element(1, Initial) =:= supervisor;
is_sup(_) -> false.

%% change_code makes a supervisor run its init/1 once more, and a named table cannot be made twice
%% (PartitionSupervisor, Registry).
table_owners(Procs) ->
    Sups = maps:from_list([{P, true} || {P, supervisor, _} <- Procs]),
    maps:from_list([{P, true} || T <- ets:all(), P <- [ets:info(T, owner)], is_map_key(P, Sups),
                                 ets:info(T, named_table) =:= true]).

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

%% Of whomever was found, in whatever way.
starters(Seen, Found, Mine) ->
    Known = maps:from_list([{P, Ps} || {proc, {P, _, _}, Ps} <- Seen]),
    Near = [to_pid(A) || {P, _, _} <- Found,
                         A <- lists:sublist(case Known of #{P := Ps} -> Ps; _ -> ancestors(P) end, 1)],
    [{P, starter, []} || P <- lists:usort(Near), is_sup(P), not is_map_key(P, Mine)].

users(Ms) ->
    [P || P <- processes(), P =/= self(),
          lists:any(fun(M) -> runs_old(P, M) end, Ms)].

runs_old(P, M) ->
    try erlang:check_process_code(P, M) =:= true catch error:badarg -> false end.
