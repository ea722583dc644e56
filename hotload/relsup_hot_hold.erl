%% SPDX-License-Identifier: Apache-2.0
%% Who holds what a change of code would break: a fun of a module, which is lost when that code is purged,
%% and a struct of a module whose fields change. Looked for in the states and dictionaries of processes that
%% answer system messages (the walk runs inside of each, nothing is copied), in ETS tables that may be read, and in
%% persistent terms. The search is bounded: ?NODES terms of a process or an object, ?OBJECTS objects of a
%% table, ?PROCESSES processes, ?MS in all. Mailboxes, private tables and other processes are not seen.
-module(relsup_hot_hold).

-export([funs/1, structs/1, who/1, struct_changes/1, scan/1]).

-import(relsup_hot_text, [text/2, name/1]).
-import(relsup_hot_sys, [left/1, now_ms/0]).

-define(NODES, 20000).
-define(OBJECTS, 1000).
-define(PROCESSES, 100000).
-define(MS, 3000).
-define(WANTED, wanted).

%% Of #{Module => {is, Md5}}, of the code with that MD5, or of {isnt, Md5}, of any other: [{Holder, Module}]; a
%% holder is a process, {table, Name} or {persistent_term, Key}.
funs(Mods) when map_size(Mods) =:= 0 -> [];
funs(Mods) -> search(#{funs => Mods, structs => #{}}).

%% Of structs of these modules, in the same form.
structs([]) -> [];
structs(Mods) -> search(#{funs => #{}, structs => maps:from_keys(Mods, true)}).

who(P) when is_pid(P) -> name(P);
who({table, T}) -> text("ETS table ~0tp", [T]);
who({persistent_term, Key}) -> text("persistent term ~0tp", [Key]).

search(Wanted) ->
    Until = now_ms() + ?MS,
    %% an external fun has no environment, and the states are not to be copied to us
    application:set_env(relsup, ?WANTED, Wanted),
    Procs = lists:sublist(relsup_hot_find:sys_processes(), ?PROCESSES),
    {Answers, _} = relsup_hot_sys:ask([{P, {replace_state, fun ?MODULE:scan/1}} || P <- Procs],
                                      fun(R) -> not is_found(R) end, Until),
    Found = [{P, M} || {P, {error, {callback_failed, _, {throw, {found, Ms}}}}} <- Answers, M <- Ms]
        ++ [{{table, T}, M} || T <- ets:all(), M <- table(T, Wanted, Until)]
        ++ [{{persistent_term, K}, M} || {K, V} <- persistent_term:get(), left(Until) > 0, M <- walk(V, Wanted)],
    application:unset_env(relsup, ?WANTED),
    lists:usort(Found).

is_found({error, {callback_failed, _, {throw, {found, [_ | _]}}}}) -> true;
is_found(_) -> false.

%% Runs inside of the process, and leaves it as it is.
scan(State) ->
    throw({found, case application:get_env(relsup, ?WANTED) of
                      {ok, Wanted} -> walk([State | get()], Wanted);
                      undefined -> []
                  end}).

table(T, Wanted, Until) ->
    try
        [throw(none) || ets:info(T, protection) =:= private orelse left(Until) =:= 0],
        objects(ets:select(T, [{'_', [], ['$_']}], 100), Wanted, ?OBJECTS, Until, [])
    catch _:_ -> []
    end.

objects('$end_of_table', _, _, _, Found) ->
    lists:usort(Found);
objects({Objects, More}, Wanted, Left, Until, Found) ->
    New = walk(Objects, Wanted) ++ Found,
    case Left > 100 andalso left(Until) > 0 of
        true -> objects(ets:select(More), Wanted, Left - 100, Until, New);
        false -> lists:usort(New)
    end.

%%% The walk: [Module] of what is found

walk(Term, Wanted) ->
    lists:usort(walk([Term], Wanted, ?NODES, [])).

walk([], _, _, Found) ->
    Found;
walk(_, _, 0, Found) ->
    Found;
walk([T | Rest], Wanted, N, Found) when is_tuple(T) ->
    walk([tuple_to_list(T) | Rest], Wanted, N - 1, Found);
walk([[H | T] | Rest], Wanted, N, Found) ->
    walk([H, T | Rest], Wanted, N - 1, Found);
walk([T | Rest], Wanted = #{structs := Structs}, N, Found) when is_map(T) ->
    Mine = case T of
               #{'__struct__' := M} when is_map_key(M, Structs) -> [M];
               _ -> []
           end,
    walk([maps:to_list(T) | Rest], Wanted, N - 1, Mine ++ Found);
walk([T | Rest], Wanted = #{funs := Funs}, N, Found) when is_function(T) ->
    case erlang:fun_info(T, type) of
        {_, local} ->
            {_, M} = erlang:fun_info(T, module),
            {_, Env} = erlang:fun_info(T, env),
            {_, Uniq} = erlang:fun_info(T, new_uniq),
            walk([Env | Rest], Wanted, N - 1, [M || matches(maps:get(M, Funs, none), Uniq)] ++ Found);
        _ -> walk(Rest, Wanted, N - 1, Found)
    end;
walk([_ | Rest], Wanted, N, Found) ->
    walk(Rest, Wanted, N - 1, Found).

matches({is, Md5}, Uniq) -> Md5 =:= Uniq;
matches({isnt, Md5}, Uniq) -> Md5 =/= Uniq;
matches(none, _) -> false.

%%% Structs: the default of one is a literal of its module

%% Those of the modules whose fields differ.
struct_changes(#{load := Load, back := Back}) ->
    [M || {M, {_, _, New}} <- maps:to_list(Load), {_, _, Old} <- [maps:get(M, Back, none)],
          Was <- [fields(M, Old)], Was =/= none, fields(M, New) =/= Was].

fields(M, Bin) ->
    try
        {ok, {_, [{_, Exports}, {_, Chunk}]}} = beam_lib:chunks(Bin, [exports, "LitT"], [allow_missing_chunks]),
        true = lists:member({'__struct__', 0}, Exports),
        Keys = [lists:sort(maps:keys(L)) || L = #{'__struct__' := M1} <- relsup_hot_code:literals(Chunk), M1 =:= M],
        {_, Most} = lists:max([{length(Ks), Ks} || Ks <- Keys]),
        Most
    catch error:_ -> none
    end.
