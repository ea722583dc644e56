%% SPDX-License-Identifier: Apache-2.0
%% Supervisors: which children their new code wants. A supervisor takes new specifications over by
%% change_code, which runs its init/1, once, but it starts and ends no child (supervisor:code_change/3).
%% It keeps who is no longer named, and afterwards its state does not tell them from others. So the
%% children of before are marked ahead of it: who has still the mark was not named. Both are done by
%% functions that run inside of the suspended supervisor.
-module(relsup_hot_sup).

-export([depth/1, mark/1, learn/1, tell/1, rest/1, proof/1]).
-export([infos/2, judge/2, added/1, start/2, stop/2, remove/1]).

-import(relsup_hot_text, [fail/2, text/2, name/1, why/1]).
-import(relsup_hot_sys, [left/1]).

-define(MARK, '$relsup_mark').
-define(LEARNT, '$relsup_learnt').
-define(BEFORE, '$relsup_before').

%% Of #state{} and #child{} this much is known: where the strategy and the children stand ({[Id], #{Id =>
%% Child}}, the last started first), that pid, id, start and restart are the first of a child, and its
%% modules the last. A state of another shape (that of Elixir's DynamicSupervisor) has no such list.
-define(STRATEGY, 3).
-define(CHILDREN, 4).
-define(PID, 2).
-define(START, 4).
-define(RESTART, 5).

depth(P) ->
    length(relsup_hot_find:ancestors(P)).

%%% Inside of the supervisor

mark(State) ->
    case children(State) of
        {Ids, Db} ->
            put(?BEFORE, State),
            Marked = maps:map(fun(_, C) -> setelement(tuple_size(C), C, ?MARK) end, Db),
            setelement(?STRATEGY, setelement(?CHILDREN, State, {Ids, Marked}), ?MARK);
        none -> State
    end.

children(State) when element(1, State) =:= state, tuple_size(State) > ?CHILDREN ->
    case element(?CHILDREN, State) of
        {Ids, Db} when is_list(Ids), is_map(Db) -> {Ids, Db};
        _ -> none
    end;
children(_) ->
    none.

%% The mark at the strategy stays where init/1 failed, and where it said `ignore`, which changes nothing.
learn(State) when element(?STRATEGY, State) =:= ?MARK ->
    erase(?BEFORE);
learn(State) ->
    Old = case erase(?BEFORE) of undefined -> State; Before -> Before end,
    {New, Info} = case {children(Old), children(State)} of
                      {{OldIds, OldDb}, {Ids, Db}} -> learn(State, OldIds, OldDb, Ids, Db);
                      _ -> {State, #{}}
                  end,
    put(?LEARNT, Info#{undo => differing(relsup_hot_sys:saved(), New), simple => simple(Old) =/= simple(New)}),
    New.

simple(State) ->
    is_tuple(State) andalso element(?STRATEGY, State) =:= simple_one_for_one.

learn(State, _, OldDb, Ids, Db) when element(?STRATEGY, State) =:= simple_one_for_one ->
    {State, #{added => [], temporary => [], kept => [], own => [], changed => changed(Ids, OldDb, Db)}};
learn(State, OldIds, OldDb, Ids, Db) ->
    Kept = maps:filter(fun(_, C) -> element(tuple_size(C), C) =:= ?MARK end, Db),
    Named = maps:without(maps:keys(Kept), Db),
    Child = fun(Id) ->
                    C = maps:get(Id, Db),
                    {Id, element(?PID, C), element(1, element(?START, C))}
            end,
    {setelement(?CHILDREN, State, {Ids, maps:merge(Named, maps:with(maps:keys(Kept), OldDb))}),
     #{added => [Id || Id <- lists:reverse(Ids), not is_map_key(Id, OldDb)],
       temporary => [Id || Id <- Ids, element(?RESTART, maps:get(Id, Db)) =:= temporary],
       kept => [Child(Id) || Id <- OldIds, is_map_key(Id, Kept)],
       %% who was started ahead of one that is still named was started by init/1, too
       own => case lists:dropwhile(fun(Id) -> not is_map_key(Id, Named) end, OldIds) of
                  [] -> [];
                  [_ | Ahead] -> [Id || Id <- Ahead, is_map_key(Id, Kept)]
              end,
       changed => changed(lists:reverse(Ids), OldDb, Named)}}.

changed(Ids, OldDb, Db) ->
    [Id || Id <- Ids, is_map_key(Id, OldDb), is_map_key(Id, Db),
           spec(maps:get(Id, OldDb)) =/= spec(maps:get(Id, Db))].

%% Of a temporary child its arguments are not kept.
spec(C) when element(?RESTART, C) =:= temporary ->
    {M, F, _} = element(?START, C),
    setelement(?PID, setelement(?START, C, {M, F}), none);
spec(C) ->
    setelement(?PID, C, none).

differing(Old, New) when is_tuple(Old), tuple_size(Old) =:= tuple_size(New) ->
    [{I, element(I, Old)} || I <- lists:seq(1, tuple_size(Old)), element(I, Old) =/= element(I, New)];
differing(Old, New) when is_map(Old), is_map(New) ->
    [{K, V} || {K, V} <- maps:to_list(Old), maps:find(K, New) =/= {ok, V}];
differing(_, _) ->
    [].

tell(_) ->
    throw(get(?LEARNT)).

%% On the way back: the specifications of before, with the children as they are now, because since the
%% resume it may have started some anew.
rest(State0) ->
    State = case erase(?BEFORE) of undefined -> State0; Before -> Before end,
    Old = relsup_hot_sys:rest(State),
    case erase(?LEARNT) of
        %% it has not run since
        #{simple := true} -> Old;
        #{undo := Fields} -> lists:foldl(fun put_back/2, State, Fields);
        undefined -> State
    end.

put_back({?CHILDREN, Old}, State) when is_tuple(State) ->
    setelement(?CHILDREN, State, merge(Old, element(?CHILDREN, State)));
put_back({I, Old}, State) when is_tuple(State) ->
    setelement(I, State, Old);
put_back({K, Old}, State) ->
    State#{K := Old}.

merge({OldIds, OldDb}, {Ids, Db}) ->
    Here = [Id || Id <- OldIds, is_map_key(Id, Db)],
    Others = [Id || Id <- Ids, not is_map_key(Id, OldDb), element(?PID, maps:get(Id, Db)) =/= undefined],
    {Others ++ Here,
     maps:from_list([{Id, maps:get(Id, Db)} || Id <- Others]
                    ++ [{Id, setelement(?PID, maps:get(Id, OldDb), element(?PID, maps:get(Id, Db)))}
                        || Id <- Here])}.

proof(State) ->
    throw(get(?LEARNT) =:= undefined andalso get(?BEFORE) =:= undefined
          andalso not (is_tuple(State) andalso element(?STRATEGY, State) =:= ?MARK)).

%%% What they learnt

%% Of those that have a list of children.
infos(Sups, Until) ->
    {Answers, _} = relsup_hot_sys:ask([{P, {replace_state, fun ?MODULE:tell/1}} || {P, _, _} <- Sups],
                                      fun(_) -> false end, Until),
    Infos = [I#{pid => P, module => M} || {P, {error, {callback_failed, _, {throw, I}}}} <- Answers,
                                          is_map(I), {P1, _, [M]} <- Sups, P1 =:= P],
    [fail("~ts (~ts) changes to or from simple_one_for_one: use --swap", [name(P), M])
     || #{pid := P, module := M, simple := true} <- Infos],
    [I || I = #{added := _} <- Infos].

%% [#{pid, added => [Id], removed => [Id], gone => [Id], changed => [Id], ending => [pid()], kept => [Id]}]
%% A child that init/1 no longer names was named by it once, or somebody added it (start_child/2), and then it
%% is not ours to end. Removed are those whose module goes; that the old code names and the new one does
%% not; and those made of what the old code names, if the order or the new code tells it. The others stay.
%% A temporary child that is not there, and that the old code names, has ended, and is not started again.
judge(Infos, Code) ->
    [judge_one(I, Code) || I <- Infos].

judge_one(I = #{pid := P, module := M, added := Added, kept := Kept, changed := Changed},
          #{load := Load, back := Back, removed := Gone}) ->
    [Old, New] = [case Added =:= [] andalso Kept =:= [] of
                      true -> #{};
                      false -> words(binary(M, Beams))
                  end || Beams <- [Back, Load]],
    Ended = [Id || Id <- Added, lists:member(Id, maps:get(temporary, I)),
                   is_map_key(Id, Old) orelse not is_map_key(Id, New) andalso is_made_of(Id, Old)],
    Removed = [Id || {Id, _, Start} <- Kept,
                     lists:member(Start, Gone)
                         orelse is_map_key(Id, Old) andalso not is_map_key(Id, New)
                         orelse is_made_of(Id, Old) andalso
                         (lists:member(Id, maps:get(own, I)) orelse not is_made_of(Id, New))],
    #{pid => P, added => Added -- Ended, gone => Ended, removed => lists:reverse(Removed),
      kept => [Id || {Id, _, _} <- Kept] -- Removed, changed => Changed,
      ending => [C || {Id, C, _} <- Kept, is_pid(C), lists:member(Id, Removed)]}.

binary(M, Beams) ->
    case Beams of
        #{M := {_, _, Bin}} -> Bin;
        _ -> code:which(M)
    end.

%% All atoms and constants of a module, and what those are made of.
words(Beam) ->
    case beam_lib:chunks(Beam, [atoms, "LitT"], [allow_missing_chunks]) of
        {ok, {_, [{atoms, Atoms}, {_, Literals}]}} ->
            lists:foldl(fun add_word/2, maps:from_list([{A, true} || {_, A} <- Atoms]), relsup_hot_code:literals(Literals));
        {error, _, _} -> #{}
    end.

add_word(Word, Words) ->
    lists:foldl(fun add_word/2, Words#{Word => true}, parts(Word)).

parts([H | T]) -> [H, T];
parts(Tuple) when is_tuple(Tuple) -> tuple_to_list(Tuple);
parts(Map) when is_map(Map) -> maps:keys(Map) ++ maps:values(Map);
parts(_) -> [].

%% {acceptor, 3}: the number was computed.
is_made_of(Id, Words) ->
    case atoms(Id) of
        [] -> false;
        Atoms -> lists:all(fun(A) -> is_map_key(A, Words) end, Atoms)
    end.

atoms([]) -> [];
atoms(A) when is_atom(A) -> [A];
atoms(Term) -> lists:append([atoms(Part) || Part <- parts(Term)]).

%%% Starting and ending them

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
remove(#{pid := P, removed := Ids, gone := Gone}) ->
    [begin
         supervisor:terminate_child(P, Id),
         supervisor:delete_child(P, Id)
     end || Id <- lists:reverse(Ids) ++ Gone],
    ok.
