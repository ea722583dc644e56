%% SPDX-License-Identifier: Apache-2.0
%% Supervisors: which children their new code wants. A supervisor takes new specifications over by
%% change_code, which runs its init/1, but it starts and ends no child (supervisor:code_change/3).
%% Which ones came and went is found by running init/1 of the old code and of the new one in a
%% process of its own: the supervisor's state does not tell a child that is no longer wanted from one
%% that was added by start_child/2.
-module(relsup_hot_sup).

-export([look/2, compare/2, added/1, start/2, stop/2, remove/1, info/1, stopped_children/1]).

-import(relsup_hot_text, [fail/2, text/2, name/1, why/1]).
-import(relsup_hot_sys, [left/1]).

%% [#{pid, module, args, simple, specs, children}] of those that have specifications of their own.
look(Procs, Until) ->
    Sups = [P || {P, supervisor, _} <- Procs],
    {Answers, _} = relsup_hot_sys:ask([{P, {replace_state, fun ?MODULE:info/1}} || P <- Sups],
                                      fun(_) -> false end, Until),
    [add_children(I#{pid => P, specs => specs(I, P, Until)}, Until)
     || {P, {error, {callback_failed, _, {throw, I}}}} <- Answers, is_map(I)].

%% Runs inside of the supervisor. Elixir's DynamicSupervisor has another state, and no list. Where
%% the callback module stands in the record differs between versions; its argument is behind it.
info(State) when element(1, State) =:= state ->
    {supervisor, M, 1} = get('$initial_call'),
    throw(case after_module(M, tuple_to_list(State)) of
              {ok, Args} ->
                  #{module => M, args => Args, simple => element(3, State) =:= simple_one_for_one};
              none -> none
          end);
info(_) ->
    throw(none).

after_module(M, [M, Args | _]) -> {ok, Args};
after_module(M, [_ | Rest]) -> after_module(M, Rest);
after_module(_, []) -> none.

add_children(I = #{simple := true}, _) ->
    I#{children => []};
add_children(I = #{pid := P}, Until) ->
    I#{children => gen_server:call(P, which_children, max(1, left(Until)))}.

%% {Simple, [{Id, Spec}]} in start order.
specs(#{module := M, args := Args}, P, Until) ->
    {Pid, Mon} = spawn_monitor(fun() -> exit({init, catch M:init(Args)}) end),
    receive
        {'DOWN', Mon, process, _, {init, {ok, {Flags, Specs}}}} when is_list(Specs) ->
            {simple(Flags), [{id(S), S} || S <- Specs]};
        {'DOWN', Mon, process, _, {init, ignore}} -> {false, []};
        {'DOWN', Mon, process, _, {_, Why}} ->
            fail("init/1 of ~ts (~ts) did not tell its children: ~0tp", [name(P), M, why(Why)])
    after left(Until) ->
            exit(Pid, kill),
            fail("init/1 of ~ts (~ts) was not over in time", [name(P), M])
    end.

simple(#{strategy := simple_one_for_one}) -> true;
simple({simple_one_for_one, _, _}) -> true;
simple(_) -> false.

id(#{id := Id}) -> Id;
id(Spec) when is_tuple(Spec) -> element(1, Spec).

%% With the new code in: [#{pid, added => [Id], removed => [Id], changed => [Id], ending => [pid()]}].
compare(Infos, Until) ->
    [compare_one(I, Until) || I <- Infos].

compare_one(I = #{pid := P, specs := {WasSimple, Old}, children := Children}, Until) ->
    {Simple, New} = specs(I, P, Until),
    Simple =:= WasSimple orelse
        fail("~ts (~ts) changes to or from simple_one_for_one: use --swap",
             [name(P), maps:get(module, I)]),
    Ids = fun(L) -> [Id || {Id, _} <- L] end,
    Removed = case Simple of
                  true -> [];
                  false -> Ids(Old) -- Ids(New)
              end,
    #{pid => P, removed => Removed,
      added => case Simple of true -> []; false -> Ids(New) -- Ids(Old) end,
      changed => [Id || {Id, Spec} <- New, {Id1, Spec1} <- Old, Id =:= Id1, Spec =/= Spec1],
      ending => [C || {Id, C, _, _} <- Children, is_pid(C), lists:member(Id, Removed)]}.

%% [{Supervisor, Id}], the last one first.
added(Children) ->
    [{P, Id} || #{pid := P, added := Ids} <- lists:reverse(Children), Id <- lists:reverse(Ids)].

%% Ahead is called ahead of each start.
start(#{pid := P, added := Ids}, Ahead) ->
    [begin
         Ahead(),
         start_child(P, Id)
     end || Id <- Ids],
    ok.

start_child(P, Id) ->
    case supervisor:restart_child(P, Id) of
        {ok, _} -> ok;
        {ok, _, _} -> ok;
        %% a crash of an earlier child made the supervisor start it (rest_for_one, one_for_all)
        {error, running} -> ok;
        {error, restarting} -> ok;
        {error, Why} -> fail("the new child ~0tp of ~ts does not start: ~0tp", [Id, name(P), why(Why)])
    end.

%% Of what added/1 names, started or not; ok or what went wrong.
stop(Started, Until) ->
    Stop = fun() ->
                   [begin
                        supervisor:terminate_child(P, Id),
                        supervisor:delete_child(P, Id)
                    end || {P, Id} <- Started, is_process_alive(P)],
                   ok
           end,
    {Pid, Mon} = spawn_monitor(Stop),
    receive
        {'DOWN', Mon, process, _, normal} -> ok;
        {'DOWN', Mon, process, _, Why} -> text("new children did not end: ~0tp", [Why])
    after left(Until) ->
            exit(Pid, kill),
            text("new children did not end in time", [])
    end.

%% The last ones first, as a supervisor does it.
remove(#{pid := P, removed := Ids}) ->
    [begin
         supervisor:terminate_child(P, Id),
         supervisor:delete_child(P, Id)
     end || Id <- lists:reverse(Ids)],
    ok.

%% For the appup instruction `stop`: ends the children of the modules, and tells which.
stopped_children(Ms) ->
    Sups = [P || P <- processes(), relsup_hot_find:is_sup(P)],
    [{P, Id} || P <- Sups, {Id, C, _, Mods} <- supervisor:which_children(P), is_pid(C), Id =/= undefined,
                is_list(Mods), lists:any(fun(M) -> lists:member(M, Mods) end, Ms),
                supervisor:terminate_child(P, Id) =:= ok].
