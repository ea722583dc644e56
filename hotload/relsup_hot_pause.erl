%% SPDX-License-Identifier: Apache-2.0
%% The pause: who runs the changed modules is suspended, all together, keeps its state, and is
%% resumed. Used by the worker on the way in, and by the keeper on the way back.
-module(relsup_hot_pause).

-export([warm_up/2, suspend/2, suspend_born/4, check_born/3, again/2, resume/2, rest/1, proof/1, forget/1]).

-import(relsup_hot_text, [fail/2, names/1]).
-import(relsup_hot_sys, [left/1, now_ms/0]).

-define(SYS, relsup_hot_sys).
-define(SOME, 500).

%% Whoever gets a system message for the first time grows its heap for it, which costs several times
%% what the message does. So everybody gets one while nobody is held yet; some at a time, because
%% others want to run, too. Returns who did not get to it by then: it is busy.
warm_up(Procs, Until) ->
    warm_some([P || P = {_, Kind, _} <- Procs, Kind =:= gen_server orelse Kind =:= gen_statem], [], Until).

warm_some([], Busy, _) ->
    Busy;
warm_some(Procs, Busy, Until) ->
    {Some, Rest} = lists:split(min(?SOME, length(Procs)), Procs),
    {_, Missing} = ?SYS:ask_each(Some, fun(_) -> [{replace_state, fun ?SYS:warm/1}] end, fun(_) -> true end, Until),
    case left(Until) of
        0 -> Missing ++ Busy;
        _ -> warm_some(Rest, Missing ++ Busy, Until)
    end.

%% Each process keeps its state in its own dictionary.
suspend(Procs, Until) ->
    groups(split(Procs), Procs, fun keep/1, Until, 100 + length(Procs) div 50).

%% Who was resumed meanwhile is suspended once more. Returns who is not, by the deadline: the
%% messages are in order, so what follows works when it gets to them.
again(Procs, Until) ->
    try groups(split(Procs), Procs, fun(_) -> [suspend] end, Until, 100 + length(Procs) div 50)
    catch throw:{failed, _} -> late
    end.

split(Procs) ->
    {Starters, Others} = lists:partition(fun({_, Kind, _}) -> Kind =:= starter end, Procs),
    [Starters, Others].

%% The last one is answered; an event manager answers the replacement as a whole.
keep({_, starter, _}) -> [suspend];
keep({_, gen_event, _}) -> [suspend, {replace_state, fun ?SYS:save_event/1}, suspend];
keep(_) -> [suspend, {replace_state, fun ?SYS:save/1}].

%% All at once; but a process that waits for an answer of one that is suspended already never gets
%% to its own suspend. So what is stuck moves to the front for the next attempt, and is suspended
%% while those it waits for run. Callers gather before their callees, however deep they call.
groups(Groups, Procs, Requests, Until, Step) ->
    case suspend_groups(Groups, Requests, Until, Step) of
        [] -> ok;
        Stuck ->
            left(Until) > 0 orelse
                fail("~ts did not suspend in time, it is busy", [names(Stuck)]),
            ?SYS:send([{P, resume} || {P, _, _} <- Procs], ?SYS:nobody()),
            Is = maps:from_keys(Stuck, true),
            Behind = [[X || X = {P, _, _} <- G, not is_map_key(P, Is)] || G <- Groups],
            Front = [X || X = {P, _, _} <- Procs, is_map_key(P, Is)],
            groups([Front | [G || G <- Behind, G =/= []]], Procs, Requests, Until, 2 * Step)
    end.

suspend_groups([], _, _, _) ->
    [];
suspend_groups([Group | Groups], Requests, Until, Step) ->
    Good = fun(ok) -> true;
              ({error, {callback_failed, _, {throw, saved}}}) -> true;
              (_) -> false
           end,
    {Bad, Missing} = ?SYS:ask_each(Group, Requests, Good, min(Until, now_ms() + Step)),
    Bad =:= [] orelse
        fail("the state of ~ts cannot be kept: ~0tp", [names([P || {P, _} <- Bad]),
                                                       element(2, hd(Bad))]),
    case Missing of
        [] -> suspend_groups(Groups, Requests, Until, Step);
        _ -> Missing
    end.

%% Others may have been started since the look around: by a process that is not suspended itself.
suspend_born(Scope, Procs, Known, Until) ->
    case relsup_hot_find:born(Scope, Known, left(Until)) of
        {[], Known1} -> {Procs, Known1};
        {Born, Known1} ->
            left(Until) > 0 orelse
                fail("processes of the changed modules are started faster than they suspend", []),
            relsup_hot_keeper:note(procs, Born),
            suspend(Born, Until),
            suspend_born(Scope, Born ++ Procs, Known1, Until)
    end.

%% Between the last look and the load: nobody can say in which code its init ran.
check_born(Scope, Known, Until) ->
    case relsup_hot_find:born(Scope, Known, left(Until)) of
        {[], _} -> ok;
        {Born, _} ->
            fail("~ts was started while the code was loaded", [names([P || {P, _, _} <- Born])])
    end.

%% Behind each suspend, also behind one that was not answered: it works when the process gets to it.
resume(Procs, Until) ->
    ?SYS:ask([{Pid, resume} || {Pid, _, _} <- Procs], fun(_) -> true end, Until).

%% What brings the state back that was kept, and what proves it.
rest(gen_event) -> {replace_state, fun ?SYS:rest_event/1};
rest(supervisor) -> {replace_state, fun relsup_hot_sup:rest/1};
rest(_) -> {replace_state, fun ?SYS:rest/1}.

proof(gen_event) -> suspend;
proof(supervisor) -> {replace_state, fun relsup_hot_sup:proof/1};
proof(_) -> {replace_state, fun ?SYS:proof/1}.

forget(Procs) ->
    ?SYS:send([{P, {replace_state, case Kind of
                                       gen_event -> fun ?SYS:forget_event/1;
                                       _ -> fun ?SYS:forget/1
                                   end}} || {P, Kind, _} <- Procs, Kind =/= starter],
              ?SYS:nobody()).
