%% SPDX-License-Identifier: Apache-2.0
%% What is to be done, in which order: from the modules and applications that differ, and from the
%% .appup files where there are some (appup(4)). Pure, but for reading these files and .app files.
%%
%% A stage is one of
%%   {modules, [Instr]}   of applications without an appup: held together, loaded together, changed
%%   {ready, [App]}       what of these is new has started
%%   meta                 applications tell their new versions and configuration
%%   paths                point_of_no_return: code comes from the new release
%% or a step of appups (relsup_hot_rc), which are followed in their order.
%%
%% An Instr is #{m, how, change, static, dir, pre, post, timeout}:
%%   how     add | load | update | delete; processes of an updated module are suspended
%%   change  soft, or {advanced, Extra}: code_change is called
%%   dir     up | down; a downgrade is changed by the newer code, ahead of the load, unless `static`
-module(relsup_hot_plan).

-export([make/2]).

-import(relsup_hot_text, [refuse/2, text/2]).

%% stages
%% instrs  [Instr] of them all
%% own     #{Module => true}: those that appups are responsible for
%% code    what relsup_hot_code:read/1 read, with what only an appup touches
%% notes   [Text]
make(Input = #{modules := Mods, apps := Apps}, Code) ->
    Scripts = [{App, Dir, Script} || A = {App, Old, New, _, _, _} <- Apps, Old =/= <<>>, New =/= <<>>,
                                     {Dir, Script} <- [script(A, Input)], Dir =/= derive],
    Followed = maps:from_list([{App, Dir} || {App, Dir, _} <- Scripts]),
    Derived = [{App, derived(M, Input, Code)} || {App, M, _, _, _} <- Mods,
                                                 not is_map_key(App, Followed), is_live(M, Code)],
    case Scripts of
        [] ->
            Is = [I || {_, I} <- Derived],
            #{stages => [{modules, Is}], instrs => Is, own => #{}, code => Code, notes => []};
        _ -> follow(Scripts, Followed, Derived, Input, Code)
    end.

%% A changed module that was never loaded comes from the new path when it is called.
is_live(M, #{load := Load, removed := Removed}) ->
    is_map_key(M, Load) orelse lists:member(M, Removed).

derived(M, #{down := Down}, #{added := Added, removed := Removed}) ->
    How = case {lists:member(M, Added), lists:member(M, Removed)} of
              {true, _} -> add;
              {_, true} -> delete;
              _ -> update
          end,
    #{m => M, how => How, change => {advanced, []}, static => false,
      dir => case Down of true -> down; false -> up end, pre => soft_purge, post => none, timeout => default}.

%% In a relup the scripts of applications stand one after the other, in the order in which they start, and
%% new applications start ahead of them all (systools_relup:prepend_add_app_scripts/4). What is derived
%% is done ahead of the appups or behind them, by the same order; a new application that needs some of
%% the latter waits for it, unless an appup starts it. What is deleted goes last: the code of another
%% application that calls it may not have changed yet.
follow(Scripts = [{First, _, _} | _], Followed, Derived, Input = #{modules := Mods, apps := Apps}, Code) ->
    {Before, After} = relsup_hot_rc:translate(Scripts, mods(Input, old), mods(Input, new)),
    Loads = [M || {load, Is} <- After, #{m := M} <- Is],
    Removes = [M || {remove, #{m := M}} <- After],
    Taken = relsup_hot_code:take_in(Loads, Removes, Mods, Code),
    Steps = lists:append([needed(Step, Loads, Taken) || Step <- After]),
    Deletes = [Step || {remove, #{m := M}} = Step <- Steps, not is_map_key(M, maps:get(load, Taken))],
    Early = early(First, Followed, Apps),
    Added = [App || {add_app, App, _} <- Steps],
    {Ahead, Behind} = lists:partition(fun({App, _}) -> lists:member(App, Early ++ Added) end, Derived),
    Group = fun(Ds) -> [{modules, [I || {_, I} <- Ds]} || Ds =/= []] end,
    Own = own_instrs(Steps),
    Named = [M || #{m := M} <- Own] ++ Removes,
    #{stages => [meta] ++ Before ++ [paths] ++ Group(Ahead) ++ [{ready, Early} || Early =/= []]
          ++ (Steps -- Deletes) ++ Group(Behind) ++ Deletes
          ++ [{purge, [M || {remove, #{m := M}} <- Deletes]} || Deletes =/= []],
      instrs => [I || {_, I} <- Derived] ++ Own,
      own => maps:from_keys([M || {App, M, _, _, _} <- Mods, is_map_key(App, Followed)] ++ Named, true),
      code => Taken,
      notes => [text("~ts: its appup is followed (~ts)", [App, Dir]) || {App, Dir} <- maps:to_list(Followed)]
          ++ forgotten(Mods, Followed, Named, Taken)}.

%% #{App => [Module]} of a release.
mods(#{apps := Apps}, Which) ->
    Running = maps:from_list([{App, Ms} || {App, _, _} <- application:loaded_applications(),
                                           {ok, Ms} <- [application:get_key(App, modules)]]),
    There = [A || A = {_, Old, New, _, _, _} <- Apps, case Which of old -> Old; new -> New end =/= <<>>],
    maps:merge(maps:without([App || {App, _, _, _, _, _} <- Apps], Running),
               maps:from_list([{App, proplists:get_value(modules, Keys, [])}
                               || {application, App, Keys} <- relsup_hot_app:specs_of(There, Which)])).

%% What is ahead of the first application with an appup, and new ones that need nothing that comes later.
early(First, Followed, Apps) ->
    Ahead = [App || {App, _, _, _, _, _} <- lists:takewhile(fun(A) -> element(1, A) =/= First end, Apps)],
    Late = [App || {App, Old, _, _, _, _} <- Apps, Old =/= <<>>, not is_map_key(App, Followed)] -- Ahead,
    Specs = relsup_hot_app:specs_of([A || A = {_, <<>>, _, _, _, _} <- Apps], new),
    Needs = maps:from_list([{App, proplists:get_value(applications, Keys, [])}
                            || {application, App, Keys} <- Specs]),
    Ahead ++ [App || {application, App, _} <- Specs, not lists:member(App, Ahead),
                     not lists:any(fun(A) -> lists:member(A, Late) end, all_needs([App], Needs, []))].

all_needs([], _, Seen) ->
    Seen;
all_needs([App | Apps], Needs, Seen) ->
    case lists:member(App, Seen) of
        true -> all_needs(Apps, Needs, Seen);
        false -> all_needs(maps:get(App, Needs, []) ++ Apps, Needs, [App | Seen])
    end.

%% A module that is the same in both releases is not loaded again, nor removed to be.
needed({load, Is}, _, #{load := Load}) ->
    [{load, Is1} || [_ | _] = Is1 <- [[I || I = #{m := M} <- Is, is_map_key(M, Load)]]];
needed({remove, #{m := M}} = Step, Loads, #{load := Load}) ->
    [Step || is_map_key(M, Load) orelse not lists:member(M, Loads)];
needed(Step, _, _) ->
    [Step].

%% How processes are changed is a step of its own.
own_instrs(Steps) ->
    Loads = [I || {load, Is} <- Steps, I <- Is] ++ [I || {remove, I} <- Steps],
    Held = lists:append([Ms || {suspend, Ms} <- Steps]),
    Changed = [M || {code_change, _, L} <- Steps, {M, _} <- L],
    Whole = fun(M, How, Pre) ->
                    #{m => M, how => How, pre => Pre,
                      change => case lists:member(M, Changed) of true -> {advanced, []}; false -> soft end}
            end,
    [Whole(M, case lists:keymember(M, 1, Held) of true -> update; false -> How end, Pre)
     || #{m := M, how := How, pre := Pre} <- Loads]
        ++ [Whole(M, update, none) || {M, _} <- Held, not lists:any(fun(#{m := L}) -> L =:= M end, Loads)].

forgotten(Mods, Followed, Named, Code) ->
    [text("~ts: module ~ts differs, but its appup does not name it: it stays until the next boot",
          [App, M])
     || {App, M, _, _, _} <- Mods, is_map_key(App, Followed), is_live(M, Code),
        not lists:member(M, Named)].

%%% Finding the appup

script({_, Vsn, Vsn, _, _, _}, _) ->
    {derive, []};
script({App, Old, New, OldEbin, NewEbin, _}, #{down := Down}) ->
    Up = {up, New, NewEbin, 2, Old},
    Back = {down, Old, OldEbin, 3, New},
    first(App, case Down of true -> [Back, Up]; false -> [Up, Back] end).

first(_, []) ->
    {derive, []};
first(App, [{Dir, Vsn, Ebin, N, Other} | Rest]) ->
    File = filename:join(Ebin, atom_to_list(App) ++ ".appup"),
    case read_term(File) of
        {error, enoent} -> first(App, Rest);
        {ok, {Of, Ups, Downs} = Appup} when is_list(Ups), is_list(Downs) ->
            unicode:characters_to_binary(Of) =:= Vsn orelse
                refuse("~ts is of version ~ts, not ~ts", [File, Of, Vsn]),
            case [S || {V, S} <- element(N, Appup), fits(V, Other)] of
                [Script | _] when is_list(Script) -> {Dir, Script};
                [_ | _] -> refuse("~ts: no list of instructions for ~ts", [File, Other]);
                [] -> first(App, Rest)
            end;
        {error, Why} -> refuse("~ts: ~ts", [File, file:format_error(Why)]);
        _ -> refuse("~ts is no appup, {Vsn, [{UpFromVsn, [..]}], [{DownToVsn, [..]}]}", [File])
    end.

%% Of a file with a term for each version systools reads the first (systools_lib:read_term/1).
read_term(File) ->
    case file:open(File, [read]) of
        {ok, Device} ->
            _ = epp:set_encoding(Device),
            Read = io:read(Device, ''),
            ok = file:close(Device),
            Read;
        Error -> Error
    end.

%% A binary is a regular expression for the whole of the version (appup(4)).
fits(V, Other) when is_binary(V) ->
    re:run(Other, V, [unicode, {capture, first, binary}]) =:= {match, [Other]};
fits(V, Other) ->
    is_list(V) andalso unicode:characters_to_binary(V) =:= Other.
