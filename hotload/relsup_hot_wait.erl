%% SPDX-License-Identifier: Apache-2.0
%% Who is inside of a module whose code goes away, and is not suspended: a request that calls a changed
%% controller, a caller in the middle of a client function, a loop of a plain process. Loading does not
%% touch them: they finish in the code they are in, as with release_handler. But for as long as they do
%% the slot of old code is taken, so there is no way back and no next upgrade without ending them. Hence
%% they are waited for, and who is still there is told by name.
-module(relsup_hot_wait).

-export([leave/3, describe/2, lives_in/2, still_in_old/1]).

-import(relsup_hot_text, [text/2, name/1]).
-import(relsup_hot_sys, [left/1, now_ms/0]).

-define(LOOK_MS, 25).
%% Most have left by then, without anybody having to be traced.
-define(CALM_MS, 100).
-define(TRACED_MAX, 1000).

%% Look(P) -> [{P, Module}] that it is inside of. Returns who did not leave, once, until then.
leave(Inside, Look, Until) ->
    Calm = leave_quietly(Inside, Look, min(Until, now_ms() + ?CALM_MS)),
    case left(Until) of
        0 -> Calm;
        _ -> leave_watched(Calm, Look, Until)
    end.

leave_quietly([], _, _) ->
    [];
leave_quietly(Inside, Look, Until) ->
    Still = [Now || {P, _} <- Inside, Now <- Look(P)],
    case left(Until) of
        0 -> Still;
        _ -> timer:sleep(?LOOK_MS), leave_quietly(Still, Look, Until)
    end.

%% A client that calls again at once is inside whenever somebody looks. That it left is seen by its
%% next call into the module, which is traced: it comes from where the module was called before.
leave_watched([], _, _) ->
    [];
leave_watched(Inside, Look, Until) ->
    Watcher = watch(Inside),
    Left = leave_watched(Inside, Look, Until, Watcher),
    Watcher ! {stop, self()},
    receive {Watcher, stopped} -> Left after 1000 -> Left end.

leave_watched([], _, _, _) ->
    [];
leave_watched(Inside, Look, Until, Watcher) ->
    Again = entered(Watcher),
    Still = [Now || {P, _} <- Inside, not is_map_key(P, Again), Now <- Look(P)],
    case left(Until) of
        0 -> Still;
        _ -> timer:sleep(?LOOK_MS), leave_watched(Still, Look, Until, Watcher)
    end.

entered(Watcher) ->
    Watcher ! {entered, self()},
    receive {Watcher, Again} -> Again after 1000 -> #{} end.

%%% The watcher. It outlives whoever started it by what it takes to clear the trace patterns.

watch(Inside) ->
    Worker = self(),
    spawn(fun() -> watcher(Worker, Inside) end).

watcher(Worker, Inside) ->
    Mon = monitor(process, Worker),
    Known = maps:from_list([{P, {M, below(P, M)}} || {P, M} <- lists:sublist(Inside, ?TRACED_MAX)]),
    Mods = [M || M <- lists:usort([M || {M, _} <- maps:values(Known)]), not is_traced(M)],
    %% who is traced by somebody else is not ours
    [try erlang:trace(P, true, [call]) catch error:badarg -> 0 end
     || {P, {M, {known, _}}} <- maps:to_list(Known), lists:member(M, Mods)],
    Once = [{'_', [], [{message, {caller}}, {trace, [call], []}]}],
    [erlang:trace_pattern({M, '_', '_'}, Once, []) || M <- Mods],
    watching(Worker, Mon, Known, #{}),
    [erlang:trace_pattern({M, '_', '_'}, false, []) || M <- Mods].

watching(Worker, Mon, Known, Again) ->
    receive
        {trace, P, call, {M, _, _}, Caller} ->
            case Known of
                #{P := {M, {known, Below}}} when Caller =:= Below; element(1, Caller) =:= Below ->
                    watching(Worker, Mon, Known, Again#{P => true});
                #{P := {_, {known, _}}} ->
                    %% another call than the one we want to see
                    _ = try erlang:trace(P, true, [call]) catch error:badarg -> 0 end,
                    watching(Worker, Mon, Known, Again);
                _ -> watching(Worker, Mon, Known, Again)
            end;
        {entered, Worker} -> Worker ! {self(), Again}, watching(Worker, Mon, Known, Again);
        {stop, Worker} -> Worker ! {self(), stopped};
        {'DOWN', Mon, process, _, _} -> ok
    end.

is_traced(M) ->
    try
        lists:any(fun({F, A}) -> erlang:trace_info({M, F, A}, traced) =/= {traced, false} end,
                  M:module_info(exports))
    catch error:_ -> true
    end.

%% {known, module that called M}, `undefined` where M is the first one; or none where M stands in the stack more
%% than once, or its caller is not seen: it could call M again without having left it.
below(P, M) ->
    case process_info(P, current_stacktrace) of
        {_, Stack} when length(Stack) < 8 ->
            From = lists:dropwhile(fun(M1) -> M1 =/= M end, [M1 || {M1, _, _, _} <- Stack]),
            Below = lists:dropwhile(fun(M1) -> M1 =:= M end, From),
            case {From, Below, lists:member(M, Below)} of
                {[_ | _], [], _} -> {known, undefined};
                {[_ | _], [Caller | _], false} -> {known, Caller};
                _ -> none
            end;
        _ -> none
    end.

%%% Words

%% "process <0.99.0> (gen_server shop_conn in handle_call, in shop_page:show/2)"
describe(P, M) ->
    case process_info(P, [current_stacktrace, dictionary]) of
        [{_, Stack}, {_, Dict}] ->
            text("~ts (~ts~ts)", [relsup_hot_text:short(P), kind(Stack, proplists:get_value('$initial_call', Dict)),
                                  where(M, Stack)]);
        _ -> name(P)
    end.

where(M, Stack) ->
    case [{F, A} || {M1, F, A, _} <- Stack, M1 =:= M] of
        [{F, A} | _] -> text(", in ~ts:~ts/~b", [M, F, arity(A)]);
        [] -> text(", in ~ts", [M])
    end.

arity(A) when is_list(A) -> length(A);
arity(A) -> A.

%% Only a frame of the server's side tells: gen_server:call/2 is a client's.
kind(Stack, Initial) ->
    case [Where || {B, F, A, _} <- Stack, Where <- [callback(B, F, A)], Where =/= none] of
        [Where | _] when is_tuple(Initial) -> text("~ts, ~ts", [Where, element(1, Initial)]);
        [Where | _] -> Where;
        [] when is_tuple(Initial) ->
            {M, F, A} = Initial,
            text("plain process of ~ts:~ts/~w", [M, F, A]);
        [] -> "plain process"
    end.

callback(B, init_it, _) when B =:= gen_server; B =:= gen_statem ->
    text("~ts in its init", [B]);
callback(B, F, A) when B =:= gen_server; B =:= gen_statem ->
    case {string:find(atom_to_list(F), "handle_call"), erlang:function_exported(B, F, arity(A))} of
        {[_ | _], false} -> text("~ts in a call", [B]);
        {_, false} -> text("~ts in a callback", [B]);
        _ -> none
    end;
callback(_, _, _) ->
    none.

%% It was made to run that module: it will not leave it by itself as a request does.
lives_in(P, M) ->
    case process_info(P, [dictionary, initial_call]) of
        [{_, Dict}, {_, {M1, _, _}}] ->
            case proplists:get_value('$initial_call', Dict, none) of
                {M2, _, _} -> M2 =:= M;
                none -> M1 =:= M
            end;
        _ -> false
    end.

%% Of those [{P, M}] who still are in the code of before.
still_in_old(Kept) ->
    [X || X = {P, M} <- Kept, relsup_hot_find:runs_old(P, M)].
