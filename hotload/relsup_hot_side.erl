%% SPDX-License-Identifier: Apache-2.0
%% What a code_change does beside its state, as far as it can be undone: tables of those who changed;
%% and of supervisors, which run their init/1, links, ports and the registered name, too.
-module(relsup_hot_side).

-export([before/1, made/2, undo/2, undo_mine/1]).

before(Procs) ->
    Sups = [look(P) || {P, supervisor, _} <- Procs],
    #{tables => ets:all(), sups => Sups, pids => case Sups of [] -> []; _ -> processes() end}.

look(P) ->
    case process_info(P, [links, registered_name]) of
        [{_, Links}, {_, Name}] -> {P, Links, Name};
        undefined -> {P, [], []}
    end.

%% #{Pid => {Tables, Links, Name}} of what is there now and was not before.
made(Procs, #{tables := Tables, sups := Sups, pids := Pids}) ->
    Mine = maps:from_list([{P, true} || {P, _, _} <- Procs]),
    New = [{P, T} || T <- ets:all() -- Tables, P <- [ets:info(T, owner)], is_map_key(P, Mine)],
    Owners = [{P, {[T || {P1, T} <- New, P1 =:= P], [], []}} || P <- lists:usort([P || {P, _} <- New])],
    More = [{P, {[T || {P1, T} <- New, P1 =:= P], LinksNow -- Links, [NameNow || NameNow =/= Name]}}
            || {P, Links, Name} <- Sups, {_, LinksNow, NameNow} <- [look(P)],
               LinksNow -- Links =/= [] orelse NameNow =/= Name],
    {maps:merge(maps:from_list(Owners), maps:from_list(More)), Pids}.

%% Tables, links and names can only be given up by those who have them; processes that were there before
%% are left alone, new ones end.
undo(nothing, _) ->
    ok;
undo({Made, Pids}, Nobody) ->
    application:set_env(relsup, made, Made),
    relsup_hot_sys:send([{P, {replace_state, fun ?MODULE:undo_mine/1}} || P <- maps:keys(Made)], Nobody),
    [end_linked(L, Pids) || {_, Links, _} <- maps:values(Made), L <- Links],
    ok.

end_linked(Port, _) when is_port(Port) ->
    try port_close(Port) catch error:badarg -> false end;
end_linked(P, Pids) ->
    lists:member(P, Pids) orelse exit(P, shutdown).

undo_mine(_) ->
    {Tables, Links, Name} = maps:get(self(), application:get_env(relsup, made, #{}), {[], [], []}),
    [try ets:delete(T) catch error:badarg -> false end || T <- Tables],
    [unlink(L) || L <- Links],
    [try unregister(N) catch error:badarg -> false end || N <- Name, is_atom(N)],
    throw(undone).
