%% SPDX-License-Identifier: Apache-2.0
%% code_change of suspended processes. An upgrade is done by the new code; a downgrade by the newer
%% one, which knows both, ahead of the load; a supervisor's (`static`) behind it (appup(4), update).
-module(relsup_hot_change).

-export([ahead/3, behind/3, post/2, answered/3, can/2, converts/3, vsns/2]).
-export([modes/1, changed_modes/2, read_modes/1, check_modes/2]).

-import(relsup_hot_text, [fail/2, who/2, why/1]).
-import(relsup_hot_sys, [now_ms/0]).

-define(SYS, relsup_hot_sys).

%% Vsns  #{Module => {OldVsn, NewVsn}}, taken while the old code is loaded.
vsns(Instrs, #{load := Load, back := Back}) ->
    maps:from_list([{M, {vsn(M, Back), vsn(M, Load)}} || #{m := M} <- Instrs]).

vsn(M, Beams) ->
    case Beams of
        #{M := {_, _, Bin}} -> relsup_hot_code:vsn(Bin);
        _ ->
            %% to call it would load it
            case erlang:module_loaded(M) of
                true -> relsup_hot_code:vsn(proplists:get_value(vsn, M:module_info(attributes)));
                false -> undefined
            end
    end.

%% A code_change may call a process that is held. Ahead of the load that one still has to be as it was:
%% it goes on with the state of before, and changes once more when it is held again.
ahead(Procs, Instrs, Stage = #{ms := Ms, stopped_callers := Stopped}) ->
    put(let_go, []),
    start(),
    Go = fun(Ps) ->
                 relsup_hot_callers:thaw(Stopped),
                 ?SYS:send([{P, relsup_hot_pause:rest(Kind)} || {P, Kind, _} <- Ps], ?SYS:nobody()),
                 put(let_go, Ps ++ get(let_go))
         end,
    change(Procs, Procs, Instrs, Stage, fun(Kind, I) -> is_ahead(Kind, I) end, Go),
    case lists:usort(erase(let_go)) of
        [] -> ok;
        Again ->
            relsup_hot_pause:suspend(Again, now_ms() + Ms),
            ahead(Again, Instrs, Stage)
    end.

%% Behind the load it goes on for good, as its own code_change is done. Supervisors come last, because
%% their init/1 may call the servers, and in the order of the tree. Returns what they learnt.
behind(Procs, Instrs, Stage = #{depths := Depths, ms := Ms}) ->
    start(),
    Go = fun(Ps) -> relsup_hot_keeper:note(released, Ps) end,
    Wanted = fun(Kind, I) -> not is_ahead(Kind, I) end,
    {Sups, Others} = lists:partition(fun({_, Kind, _}) -> Kind =:= supervisor end, Procs),
    change(Others, Procs, Instrs, Stage, Wanted, Go),
    [change(Level, Procs, Instrs, Stage, Wanted, Go) || Level <- levels(Sups, Depths)],
    relsup_hot_sup:infos(Sups, now_ms() + Ms).

start() ->
    put(asked, #{}),
    put(early, []).

is_ahead(supervisor, _) -> false;
is_ahead(_, #{dir := down, static := false}) -> true;
is_ahead(_, _) -> false.

%% One module at a time: what a boot does one after the other must not meet itself.
levels(Sups, Depths) ->
    chunks(lists:sort([{maps:get(P, Depths, infinity), Proc} || Proc = {P, _, _} <- Sups])).

chunks([]) ->
    [];
chunks([{Depth, Proc = {_, _, Ms}} | Rest]) ->
    {Same, Others} = lists:splitwith(fun({D, {_, _, Ms1}}) -> {D, Ms1} =:= {Depth, Ms} end, Rest),
    [[Proc | [P || {_, P} <- Same]] | chunks(Others)].

change(Procs, Held, Instrs, Stage = #{ms := Ms}, Wanted, Go) ->
    Until = now_ms() + Ms,
    Post = fun(Ps) -> post(Ps, Instrs, Stage, Wanted) end,
    Stuck = fun(Pids) -> let_go(Pids, Held, Post, Go) end,
    Asked = Post(Procs),
    answered(?SYS:wait(Asked, fun is_ok/1, Until, Stuck), Held, Ms),
    [answered(?SYS:wait(Early, fun is_ok/1, Until, Stuck), Held, Ms) || Early <- put(early, [])],
    ok.

%% Of those who were not asked yet: servers are asked all together, and supervisors may be asked early.
post(Procs, Instrs, #{vsns := Vsns}, Wanted) ->
    By = maps:from_list([{M, I} || I = #{m := M, how := update} <- Instrs]),
    Done = get(asked),
    Ask = [{P, {change_code, M, version(I, maps:get(M, Vsns)), Extra}}
           || {P, Kind, Ms} <- Procs, not is_map_key(P, Done), M <- Ms,
              I = #{change := {advanced, Extra}} <- [maps:get(M, By, none)],
              Wanted(Kind, I), can(Kind, M)],
    Kinds = maps:from_list([{P, true} || {P, supervisor, _} <- Procs]),
    Sups = [P || {P, _} <- Ask, is_map_key(P, Kinds)],
    put(asked, maps:merge(Done, maps:from_keys(Sups, true))),
    post(Ask, Sups).

%% Supervisors learn what their init/1 names.
post(Ask, Sups) ->
    Nobody = ?SYS:nobody(),
    ?SYS:send([{P, {replace_state, fun relsup_hot_sup:mark/1}} || P <- Sups], Nobody),
    Asked = ?SYS:post(Ask),
    ?SYS:send([{P, {replace_state, fun relsup_hot_sup:learn/1}} || P <- Sups], Nobody),
    Asked.

is_ok(Answer) ->
    Answer =:= ok.

%% What ?SYS:wait/3 returned: fails unless all have changed, within Ms.
answered({[], []}, _, _) ->
    ok;
answered({[], [P | _]}, Procs, Ms) ->
    fail("code_change of ~ts was not over within ~b ms", [who(P, Procs), Ms]);
answered({[{P, {error, Why}} | _], _}, Procs, _) ->
    fail("code_change of ~ts failed: ~0tp", [who(P, Procs), why(Why)]);
answered({[{P, Other} | _], _}, Procs, _) ->
    fail("code_change of ~ts answered ~0tp", [who(P, Procs), Other]).

%% Whom these call, and whom those wait for: each changes, if it has not yet, and goes on.
let_go(Pids, Held, Post, Go) ->
    By = maps:from_list([{P, Proc} || Proc = {P, _, _} <- Held]),
    case [maps:get(P, By) || P <- relsup_hot_callers:callees(Pids, By) -- Pids] of
        [] -> ok;
        Procs ->
            put(early, [Post([Proc || Proc = {_, supervisor, _} <- Procs]) | get(early)]),
            Go(Procs),
            ?SYS:send([{P, resume} || {P, _, _} <- Procs], ?SYS:nobody())
    end.

version(#{dir := up}, {Old, _}) -> Old;
version(#{dir := down}, {_, New}) -> {down, New}.

%% Is there a code_change of the application's for the process, in the code by which it changes? That which
%% `use GenServer` writes does nothing. A supervisor makes its state anew.
converts(P, Procs, Beams) ->
    case lists:keyfind(P, 1, Procs) of
        {_, supervisor, _} -> true;
        {_, special, [M]} -> is_own(M, {system_code_change, 4}, Beams);
        {_, gen_statem, [M]} -> is_own(M, {code_change, 4}, Beams);
        {_, Kind, Ms} when Kind =:= gen_server; Kind =:= gen_event ->
            lists:any(fun(M) -> is_own(M, {code_change, 3}, Beams) end, Ms);
        _ -> false
    end.

is_own(M, FA, Beams) ->
    case Beams of
        #{M := {_, _, Bin}} -> relsup_hot_calls:returns_ok(Bin, FA) =:= {ok, false};
        _ -> false
    end.

%% A behaviour without code_change would answer undef: not to export it means that the state stays.
can(supervisor, _) -> true;
can(gen_statem, M) -> erlang:function_exported(M, code_change, 4);
can(special, M) -> erlang:function_exported(M, system_code_change, 4);
can(starter, _) -> false;
can(held, _) -> false;
can(_, M) -> erlang:function_exported(M, code_change, 3).

%% Only system_code_change makes a gen_statem read its callback mode, from the code that is loaded.
modes(Procs) ->
    [{M, M:callback_mode(), can(gen_statem, M)}
     || M <- lists:usort([M || {_, gen_statem, [M]} <- Procs]),
        erlang:function_exported(M, callback_mode, 0)].

%% Of these procs the mode is another with the code that is loaded now. Both versions need a
%% code_change/4: without it there is no way there, or none back.
changed_modes(Modes, Procs) ->
    Changed = maps:from_list([{M, Can andalso can(gen_statem, M)}
                              || {M, Mode, Can} <- Modes, M:callback_mode() =/= Mode]),
    [fail("the callback mode of ~ts changes, and one of the versions has no code_change/4: "
          "use --swap", [M]) || {M, false} <- maps:to_list(Changed)],
    [P || P = {_, gen_statem, [M]} <- Procs, is_map_key(M, Changed)].

%% A code_change for the mode alone: what it makes of the state is dropped.
read_modes(Procs) ->
    Nobody = ?SYS:nobody(),
    ?SYS:send([{P, {replace_state, fun ?SYS:keep_mode/1}} || {P, _, _} <- Procs], Nobody),
    Asked = ?SYS:post([{P, {change_code, M, undefined, []}} || {P, _, [M]} <- Procs]),
    ?SYS:send([{P, {replace_state, fun ?SYS:rest_mode/1}} || {P, _, _} <- Procs], Nobody),
    Asked.

check_modes(Procs, Until) ->
    case ?SYS:wait(read_modes(Procs), fun(R) -> R =:= ok end, Until) of
        {[], []} -> ok;
        {Bad, Missing} ->
            fail("~ts does not take its callback mode", [who(hd([P || {P, _} <- Bad] ++ Missing), Procs)])
    end.
