%% SPDX-License-Identifier: Apache-2.0
%% What is to be done, in which order: from the modules and applications that differ, and from the
%% .appup files where there are some (appup(4), read as systools_rc and release_handler_1 read them).
%% Pure, but for reading these files.
%%
%% A stage is one of
%%   {modules, [Instr]}                suspended together, loaded together, changed, resumed
%%   {apply, {M, F, A}}
%%   {ready, App}                      what starts ahead of the application has to be there
%%   {stop_app, App} {start_app, App}  of restart_application
%%   {add_app, App, Type}
%%   {stop, [M]} {start, [M]}          the supervised processes of these modules
%%
%% An Instr is #{m, how, change, static, dir, pre, post, timeout}:
%%   how     add | load | update | delete; processes of an updated module are suspended
%%   change  soft, or {advanced, Extra}: code_change is called
%%   dir     up | down; a downgrade is changed by the newer code, ahead of the load, unless `static`
-module(relsup_hot_plan).

-export([make/2]).

-import(relsup_hot_text, [refuse/2, text/2]).

%% #{before => [MFA], stages => [Stage], notes => [Text]}
make(Input = #{modules := Mods, apps := Apps}, Code) ->
    Scripts = [{App, script(A, Input)} || A = {App, Old, New, _, _, _} <- Apps,
                                          Old =/= <<>>, New =/= <<>>],
    Followed = maps:from_list([{App, Dir} || {App, {Dir, _}} <- Scripts, Dir =/= derive]),
    Derived = [derived(M, Input, Code) || {App, M, _, _, _} <- Mods,
                                          not is_map_key(App, Followed), is_live(M, Code)],
    Own = [S || S = {_, {Dir, _}} <- Scripts, Dir =/= derive],
    {Befores, Afters} = lists:unzip([items(App, Dir, Script, Input) || {App, {Dir, Script}} <- Own]),
    Stages = stages(splice(Derived, [I || {{App, _}, Is} <- lists:zip(Own, Afters), I <- ready(App, Is)])),
    #{before => lists:append(Befores), stages => Stages,
      notes => [text("~ts: its appup is followed (~ts)", [App, Dir])
                || {App, Dir} <- maps:to_list(Followed)]
          ++ forgotten(Mods, Followed, Stages, Code)}.

%% A changed module that was never loaded comes from the new path when it is called.
is_live(M, #{load := Load, removed := Removed}) ->
    is_map_key(M, Load) orelse lists:member(M, Removed).

derived(M, #{down := Down}, #{added := Added, removed := Removed}) ->
    How = case {lists:member(M, Added), lists:member(M, Removed)} of
              {true, _} -> add;
              {_, true} -> delete;
              _ -> update
          end,
    (instr(M, How, case Down of true -> down; false -> up end))
        #{change := {advanced, []}, pre := soft_purge, post := none}.

instr(M, How, Dir) ->
    #{m => M, how => How, change => soft, static => false, dir => Dir, pre => brutal_purge,
      post => brutal_purge, timeout => default}.

%% What an appup does with running processes is written as if new applications were there already: a
%% relup starts them first (systools_relup:prepend_add_app_scripts/4). Here that is behind the modules
%% of what is derived.
ready(App, Items) ->
    {Ahead, Rest} = lists:splitwith(fun(Item) -> element(1, Item) =:= apply end, Items),
    case lists:splitwith(fun(Item) -> element(1, Item) =:= module end, Rest) of
        {_, []} -> Items;
        {Modules, More} -> Ahead ++ Modules ++ [{ready, App} | More]
    end.

%% What is derived is done together with the first modules that an appup names.
splice([], Items) ->
    Items;
splice(Derived, Items) ->
    {Ahead, Rest} = lists:splitwith(fun(Item) -> element(1, Item) =:= apply end, Items),
    case lists:any(fun(Item) -> element(1, Item) =:= module end, Rest) of
        true -> Ahead ++ [{module, I} || I <- Derived] ++ Rest;
        false -> [{module, I} || I <- Derived] ++ Items
    end.

stages(Items) ->
    case lists:splitwith(fun(Item) -> element(1, Item) =:= module end, Items) of
        {[], []} -> [];
        {[], [Other | Rest]} -> [Other | stages(Rest)];
        {Modules, Rest} -> [{modules, [I || {module, I} <- Modules]} | stages(Rest)]
    end.

forgotten(Mods, Followed, Stages, Code) ->
    Named = [M || {modules, Is} <- Stages, #{m := M} <- Is],
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
    case file:consult(File) of
        {error, enoent} -> first(App, Rest);
        {ok, [{Of, Ups, Downs} = Appup]} when is_list(Ups), is_list(Downs) ->
            unicode:characters_to_binary(Of) =:= Vsn orelse
                refuse("~ts is of version ~ts, not ~ts", [File, Of, Vsn]),
            case [S || {V, S} <- element(N, Appup), fits(V, Other)] of
                [Script | _] when is_list(Script) -> {Dir, Script};
                [_ | _] -> refuse("~ts: no list of instructions for ~ts", [File, Other]);
                [] -> first(App, Rest)
            end;
        {ok, _} -> refuse("~ts is no appup, {Vsn, [{UpFromVsn, [..]}], [{DownToVsn, [..]}]}", [File]);
        {error, Why} -> refuse("~ts: ~ts", [File, file:format_error(Why)])
    end.

%% A binary is a regular expression for the whole of the version (appup(4)).
fits(V, Other) when is_binary(V) ->
    re:run(Other, V, [unicode, {capture, first, binary}]) =:= {match, [Other]};
fits(V, Other) ->
    unicode:characters_to_binary(V) =:= Other.

%%% Its instructions

%% {Before, Items}: what is applied ahead of everything, and the rest in its order.
items(App, Dir, Script, Input) ->
    {Before, After} = case lists:splitwith(fun(I) -> I =/= point_of_no_return end, Script) of
                          {All, []} -> {[], All};
                          {Ahead, [_ | Rest]} -> {Ahead, Rest}
                      end,
    [refuse("~ts.appup: ~0tp cannot stand before point_of_no_return", [App, I])
     || I <- Before, not is_tuple(I) orelse not lists:member(element(1, I), [apply, load_object_code])],
    Low = #{suspended => maps:from_list([suspended(M) || {suspend, Ms} <- After, M <- Ms]),
            extras => maps:from_list([E || I <- After, E <- extras(I)]),
            loads => [M || {load, {M, _, _}} <- After]},
    {[MFA || {apply, MFA} <- Before],
     lists:append([item(full(I), App, Dir, Low, Input) || I <- After])}.

suspended({M, Timeout}) -> {M, Timeout};
suspended(M) -> {M, default}.

extras({code_change, L}) -> L;
extras({code_change, _, L}) -> L;
extras(_) -> [].

%% The short forms (systools_rc:expand_script/1 and normalize_instrs/1).
full({load_module, M}) -> {load_module, M, brutal_purge, brutal_purge, []};
full({load_module, M, Deps}) when is_list(Deps) -> {load_module, M, brutal_purge, brutal_purge, Deps};
full({update, M}) -> full({update, M, soft, []});
full({update, M, supervisor}) ->
    {update, M, static, default, {advanced, []}, brutal_purge, brutal_purge, []};
full({update, M, Deps}) when is_list(Deps) -> full({update, M, soft, Deps});
full({update, M, Change}) -> full({update, M, Change, []});
full({update, M, Change, Deps}) -> full({update, M, Change, brutal_purge, brutal_purge, Deps});
full({update, M, Change, Pre, Post, Deps}) -> full({update, M, default, Change, Pre, Post, Deps});
full({update, M, Timeout, Change, Pre, Post, Deps}) ->
    {update, M, dynamic, Timeout, Change, Pre, Post, Deps};
full({add_module, M, _}) -> {add_module, M};
full({delete_module, M, _}) -> {delete_module, M};
full({add_application, A}) -> {add_application, A, permanent};
full({load_object_code, _}) -> skip;
full({purge, _}) -> skip;
full({suspend, _}) -> skip;
full({resume, _}) -> skip;
full({code_change, _}) -> skip;
full({code_change, _, _}) -> skip;
full(I) -> I.

%% Modules that depend on each other need no order here: all of a stage are suspended together, loaded
%% together, and resumed together.
item(skip, _, _, _, _) ->
    [];
item({update, M, Type, Timeout, Change, Pre, Post, _}, _, Dir, _, _) when Type =:= static; Type =:= dynamic ->
    [{module, (instr(M, update, Dir))#{static := Type =:= static, timeout := Timeout,
                                       change := Change, pre := Pre, post := Post}}];
item({load_module, M, Pre, Post, _}, _, Dir, _, _) ->
    [{module, (instr(M, load, Dir))#{pre := Pre, post := Post}}];
item({add_module, M}, _, Dir, _, _) ->
    [{module, instr(M, add, Dir)}];
item({delete_module, M}, _, Dir, _, _) ->
    [{module, instr(M, delete, Dir)}];
item({load, {M, Pre, Post}}, _, Dir, #{suspended := Suspended, extras := Extras}, _) ->
    I = instr(M, case Suspended of #{M := _} -> update; _ -> load end, Dir),
    [{module, I#{pre := Pre, post := Post, timeout := maps:get(M, Suspended, default),
                 change := case Extras of #{M := Extra} -> {advanced, Extra}; _ -> soft end}}];
item({remove, {M, Pre, Post}}, _, Dir, #{loads := Loads}, _) ->
    [{module, (instr(M, delete, Dir))#{pre := Pre, post := Post}} || not lists:member(M, Loads)];
item({apply, {M, F, A}}, _, _, _, _) when is_atom(M), is_atom(F), is_list(A) ->
    [{apply, {M, F, A}}];
item({stop, Ms}, _, _, _, _) ->
    [{stop, Ms}];
item({start, Ms}, _, _, _, _) ->
    [{start, Ms}];
item({add_application, App, Type}, Of, _, _, #{apps := Apps}) ->
    [refuse("~ts.appup adds application ~ts, which is not new in the release", [Of, App])
     || not lists:any(fun(A) -> element(1, A) =:= App andalso element(2, A) =:= <<>> end, Apps)],
    [{add_app, App, atom_to_binary(Type)}];
item({remove_application, App}, Of, _, _, #{apps := Apps}) ->
    [refuse("~ts.appup removes application ~ts, which the new release still has", [Of, App])
     || not lists:any(fun(A) -> element(1, A) =:= App andalso element(3, A) =:= <<>> end, Apps)],
    [];
item({restart_application, App}, _, Dir, _, #{modules := Mods}) ->
    [{stop_app, App}]
        ++ [{module, instr(M, how(Old, New), Dir)} || {A, M, Old, New, _} <- Mods, A =:= App]
        ++ [{start_app, App}];
item(I, App, _, _, _) ->
    Stop = [restart_emulator, restart_new_emulator, sync_nodes],
    Name = case is_tuple(I) of true -> element(1, I); false -> I end,
    case lists:member(Name, Stop) of
        true -> refuse("~ts.appup says ~ts, which cannot be done in a running node: use --swap",
                       [App, Name]);
        false -> refuse("~ts.appup: ~0tp is no instruction (appup(4))", [App, I])
    end.

how(<<>>, _) -> add;
how(_, <<>>) -> delete;
how(_, _) -> load.
