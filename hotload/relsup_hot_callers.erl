%% SPDX-License-Identifier: Apache-2.0
%% Who waits for whom, where some are held (suspended): a call of gen (gen_server, gen_statem, gen_event,
%% supervisor) monitors its callee, and its request lies in the mailbox of a held one.
-module(relsup_hot_callers).

-export([callees/2, waits_for/1, quiet/3, thaw/1]).

-import(relsup_hot_sys, [left/1, now_ms/0]).

%% The held processes that must run for these to go on: whom they wait for, or whom those wait for.
callees(Pids, Held) ->
    walk(Pids, Held, #{}, []).

walk([], _, _, Found) ->
    lists:usort(Found);
walk([P | Rest], Held, Seen, Found) when is_map_key(P, Seen) ->
    walk(Rest, Held, Seen, Found);
walk([P | Rest], Held, Seen, Found) ->
    Next = waits_for(P),
    walk(Next ++ Rest, Held, Seen#{P => true},
         [Q || Q <- Next, is_map_key(Q, Held), lists:member(P, senders(Q))] ++ Found).

%% It may watch others, too, for reasons of its own.
waits_for(P) ->
    case process_info(P, current_function) of
        {_, {gen, do_call, 4}} ->
            case process_info(P, monitors) of
                {_, Monitors} -> [Q || {process, Q} <- Monitors, is_pid(Q), node(Q) =:= node()];
                undefined -> []
            end;
        _ -> []
    end.

%% Whose requests it has not taken yet. Requests are {Label, {From, Tag}, Request}.
senders(Q) ->
    case is_asked(Q) andalso process_info(Q, messages) of
        {_, Messages} -> [From || {_, {From, _}, _} <- Messages, is_pid(From)];
        _ -> []
    end.

is_asked(Q) ->
    case process_info(Q, message_queue_len) of
        {_, N} when N > 0 -> true;
        _ -> false
    end.

%% The old code comes back by a second load, for which nobody may be inside of what the first one
%% replaces. A caller that is, and waits for a held process, cannot leave; so before the load it is
%% stopped, its callee goes on until it has answered, with the code and the state of before, and behind
%% the load (thaw/1) the caller finds its answer and leaves. Each caller is stopped once, so this ends.
%% Who gets no answer in time (or waits for something else) stays inside.
%% Returns who is stopped. The worker's own death lets them go, too.
quiet(Procs, Touched, Until) ->
    Held = maps:from_list([{P, Proc} || Proc = {P, _, _} <- Procs]),
    quiet(Held, Touched, now_ms() + left(Until) div 2, Until, []).

quiet(Held, Touched, Quiet, Until, Stopped) ->
    Inside = [P || P <- candidates(Held), not lists:member(P, Stopped), relsup_hot_find:is_inside(P, Touched),
                   callees([P], Held) =/= []],
    case Inside =:= [] orelse left(Quiet) =:= 0 of
        true -> Stopped;
        false ->
            New = [P || P <- Inside, stop(P)],
            Awake = answered(New, Held, Quiet, #{}),
            relsup_hot_pause:suspend(maps:values(Awake), Until),
            quiet(Held, Touched, Quiet, Until, New ++ Stopped)
    end.

%% Whom they wait for goes on, and whom those wait for. Returns who does.
answered(Callers, Held, Quiet, Awake) ->
    case [P || P <- Callers, not has_answer(P)] of
        [] -> Awake;
        Waiting ->
            More = maps:without(maps:keys(Awake), maps:with(callees(Waiting, Held), Held)),
            relsup_hot_sys:send([{P, resume} || P <- maps:keys(More)], relsup_hot_sys:nobody()),
            case left(Quiet) of
                0 -> maps:merge(Awake, More);
                _ ->
                    receive after 1 -> ok end,
                    answered(Waiting, Held, Quiet, maps:merge(Awake, More))
            end
    end.

%% A reply is {Tag, Reply}, with the reference of the monitor as its tag, or as the alias in it.
has_answer(P) ->
    case process_info(P, messages) of
        {_, Messages} -> lists:any(fun is_answer/1, Messages);
        undefined -> true
    end.

is_answer({[alias | Ref], _}) -> is_reference(Ref);
is_answer({Ref, _}) -> is_reference(Ref);
is_answer({'DOWN', _, process, _, _}) -> true;
is_answer(_) -> false.

%% Who may be in such a call: the smaller side is looked at.
candidates(Held) ->
    case [P || P <- processes(), not is_map_key(P, Held)] of
        Others when length(Others) =< map_size(Held) -> [P || P <- Others, waits_for(P) =/= []];
        _ -> askers(lists:append([senders(Q) || Q <- maps:keys(Held)]), Held, #{})
    end.

askers([], Held, Seen) ->
    maps:keys(maps:without(maps:keys(Held), Seen));
askers([P | Rest], Held, Seen) when is_map_key(P, Seen); node(P) =/= node() ->
    askers(Rest, Held, Seen);
askers([P | Rest], Held, Seen) ->
    More = case process_info(P, monitored_by) of
               {_, Ms} -> [M || M <- Ms, is_pid(M), lists:member(P, waits_for(M))];
               undefined -> []
           end,
    askers(More ++ Rest, Held, Seen#{P => true}).

stop(P) ->
    try erlang:suspend_process(P) catch error:_ -> false end.

thaw(Pids) ->
    [try erlang:resume_process(P) catch error:_ -> false end || P <- Pids],
    ok.
