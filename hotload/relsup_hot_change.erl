%% SPDX-License-Identifier: Apache-2.0
%% code_change of suspended processes. An upgrade is done by the new code; a downgrade by the newer
%% one, which knows both, ahead of the load; a supervisor's (`static`) behind it (appup(4), update).
-module(relsup_hot_change).

-export([ahead/3, behind/3, can/2, vsns/2]).
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

ahead(Procs, Instrs, Stage) ->
    change(Procs, Instrs, Stage, fun(Kind, I) -> is_ahead(Kind, I) end).

behind(Procs, Instrs, Stage) ->
    change(Procs, Instrs, Stage, fun(Kind, I) -> not is_ahead(Kind, I) end).

is_ahead(supervisor, _) -> false;
is_ahead(_, #{dir := down, static := false}) -> true;
is_ahead(_, _) -> false.

change(Procs, Instrs, #{vsns := Vsns, ms := Ms}, Wanted) ->
    By = maps:from_list([{M, I} || I = #{m := M, how := update} <- Instrs]),
    Ask = [{P, {change_code, M, version(I, maps:get(M, Vsns)), Extra}}
           || {P, Kind, Ms1} <- Procs, M <- Ms1,
              I = #{change := {advanced, Extra}} <- [maps:get(M, By, none)],
              Wanted(Kind, I), can(Kind, M)],
    {Bad, Missing} = ?SYS:ask(Ask, fun(R) -> R =:= ok end, now_ms() + Ms),
    Bad =:= [] orelse fail_change(hd(Bad), Procs),
    Missing =:= [] orelse
        fail("code_change of ~ts was not over within ~b ms", [who(hd(Missing), Procs), Ms]).

version(#{dir := up}, {Old, _}) -> Old;
version(#{dir := down}, {_, New}) -> {down, New}.

fail_change({P, {error, Why}}, Procs) ->
    fail("code_change of ~ts failed: ~0tp", [who(P, Procs), why(Why)]);
fail_change({P, Other}, Procs) ->
    fail("code_change of ~ts answered ~0tp", [who(P, Procs), Other]).

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
