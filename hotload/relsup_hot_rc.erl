%% SPDX-License-Identifier: Apache-2.0
%% The scripts of appups in low-level instructions, in the order in which release_handler would follow
%% the relup that systools makes of them (systools_rc:translate_scripts/4, which a release without sasl
%% does not have). Pure.
%%
%% A script is {App, Dir, [Instruction]}, Dir up | down. A step is one of
%%   {apply, {M, F, A}}
%%   {suspend, [{M, Timeout}]} {resume, [M]}
%%   {load, [Instr]} {remove, Instr} {purge, [M]}
%%   {code_change, Dir, [{M, Extra}]}
%%   {stop, [M]} {start, [M]}          the supervised processes of these modules
%%   {stop_app, App} {start_app, App}  of restart_application
%%   {add_app, App, Type} {remove_app, App}
%% An Instr is #{m, how, pre, post}, how: load | update | delete.
-module(relsup_hot_rc).

-export([translate/3]).

-import(relsup_hot_text, [refuse/2]).

-define(DEPENDENT, [update, load_module, add_module, delete_module]).

%% {Before, After} point_of_no_return. Old and New: #{App => [Module]} of both releases.
translate(Scripts, Old, New) ->
    Split = [{App, Dir, split(App, Script)} || {App, Dir, Script} <- Scripts],
    Before = [{apply, MFA} || {_, _, {B, _}} <- Split, {apply, MFA} <- B],
    {Before, lists:append([after_it(Dir, Group, Old, New) || {Dir, Group} <- by_dir(Split)])}.

%% DepMods may lie in another application, so all of one direction are one script.
by_dir([]) ->
    [];
by_dir([{_, Dir, _} | _] = Split) ->
    {Same, Others} = lists:partition(fun({_, D, _}) -> D =:= Dir end, Split),
    [{Dir, [{App, Is} || {App, _, {_, Is}} <- Same]} | by_dir(Others)].

after_it(Dir, Group, Old, New) ->
    Is = [{App, I} || {App, Script} <- Group, I0 <- Script, I <- applications(App, I0, Old, New)],
    Low = dependent(Dir, Is, lists:append(maps:values(maps:without(maps:keys(Old), New)))),
    check_pairs(element(1, hd(Group)), Low),
    merge_loads(Low).

%% Ahead of point_of_no_return only what reads code, and apply.
split(App, Script) ->
    {Before, After} = case lists:splitwith(fun(I) -> I =/= point_of_no_return end, expand(App, Script)) of
                          {All, []} -> {[], All};
                          {Ahead, [_ | Rest]} -> {Ahead, Rest}
                      end,
    [refuse("~ts.appup: ~0tp cannot stand before point_of_no_return", [App, I])
     || I <- Before, not is_tuple(I) orelse not lists:member(element(1, I), [apply, load_object_code])],
    lists:member(point_of_no_return, After)
        andalso refuse("~ts.appup: more than one point_of_no_return", [App]),
    {Before, [I || I <- After, element(1, I) =/= load_object_code]}.

%% A list among the instructions stands for its own.
expand(App, Script) ->
    lists:append([case I of
                      _ when is_list(I) -> expand(App, I);
                      point_of_no_return -> [I];
                      _ -> [check(App, full(I))]
                  end || I <- Script]).

%% The short forms (systools_rc:expand_script/1 and normalize_instrs/1).
full({load_module, M}) -> {load_module, M, brutal_purge, brutal_purge, []};
full({load_module, M, Deps}) -> {load_module, M, brutal_purge, brutal_purge, Deps};
full({update, M}) -> full({update, M, soft, []});
full({update, M, supervisor}) ->
    {update, M, static, default, {advanced, []}, brutal_purge, brutal_purge, []};
full({update, M, Deps}) when is_list(Deps) -> full({update, M, soft, Deps});
full({update, M, Change}) -> full({update, M, Change, []});
full({update, M, Change, Deps}) -> full({update, M, Change, brutal_purge, brutal_purge, Deps});
full({update, M, Change, Pre, Post, Deps}) -> full({update, M, default, Change, Pre, Post, Deps});
full({update, M, Timeout, Change, Pre, Post, Deps}) ->
    {update, M, dynamic, Timeout, Change, Pre, Post, Deps};
full({add_module, M}) -> {add_module, M, []};
full({delete_module, M}) -> {delete_module, M, []};
full({add_application, A}) -> {add_application, A, permanent};
full({code_change, Changes}) -> {code_change, up, Changes};
full(I) -> I.

check(App, I) ->
    case is_known(I) of
        true -> I;
        false -> refuse("~ts.appup: ~0tp is no instruction (appup(4))", [App, I]);
        swap -> refuse("~ts.appup says ~ts, which cannot be done in a running node: use --swap",
                       [App, case is_tuple(I) of true -> element(1, I); false -> I end])
    end.

is_known({update, M, Type, Timeout, Change, Pre, Post, Deps}) ->
    is_atom(M) andalso lists:member(Type, [static, dynamic]) andalso is_timeout(Timeout)
        andalso is_change(Change) andalso is_purge(Pre) andalso is_purge(Post) andalso are_atoms(Deps);
is_known({load_module, M, Pre, Post, Deps}) ->
    is_atom(M) andalso is_purge(Pre) andalso is_purge(Post) andalso are_atoms(Deps);
is_known({Name, M, Deps}) when Name =:= add_module; Name =:= delete_module ->
    is_atom(M) andalso are_atoms(Deps);
is_known({add_application, A, Type}) ->
    is_atom(A) andalso lists:member(Type, [none, load, temporary, transient, permanent]);
is_known({Name, A}) when Name =:= remove_application; Name =:= restart_application -> is_atom(A);
is_known({load_object_code, {Lib, Vsn, Ms}}) -> is_atom(Lib) andalso is_list(Vsn) andalso are_atoms(Ms);
is_known({Name, {M, Pre, Post}}) when Name =:= load; Name =:= remove ->
    is_atom(M) andalso is_purge(Pre) andalso is_purge(Post);
is_known({Name, Ms}) when Name =:= purge; Name =:= resume; Name =:= stop; Name =:= start -> are_atoms(Ms);
is_known({suspend, Ms}) ->
    is_list(Ms) andalso lists:all(fun({M, T}) -> is_atom(M) andalso is_timeout(T); (M) -> is_atom(M) end, Ms);
is_known({code_change, Dir, L}) ->
    lists:member(Dir, [up, down]) andalso is_list(L)
        andalso lists:all(fun({M, _}) -> is_atom(M); (_) -> false end, L);
is_known({apply, {M, F, A}}) -> is_atom(M) andalso is_atom(F) andalso is_list(A);
%% Nobody else is waited for.
is_known({sync_nodes, _, Nodes}) when is_list(Nodes) ->
    case lists:usort(Nodes) -- [node()] of [] -> true; _ -> swap end;
is_known({sync_nodes, _, _}) -> swap;
is_known(I) when I =:= restart_emulator; I =:= restart_new_emulator -> swap;
is_known(_) -> false.

is_timeout(T) -> T =:= default orelse T =:= infinity orelse is_integer(T) andalso T > 0.
is_change(Change) -> Change =:= soft orelse is_tuple(Change) andalso tuple_size(Change) =:= 2
                         andalso element(1, Change) =:= advanced.
is_purge(Purge) -> lists:member(Purge, [soft_purge, brutal_purge]).
are_atoms(L) -> is_list(L) andalso lists:all(fun is_atom/1, L).

%%% Applications (translate_application_instrs/3)

%% What is loaded with a new application anyway is not named.
applications(Of, {add_application, App, Type}, Old, New) ->
    is_map_key(App, New) andalso not is_map_key(App, Old)
        orelse refuse("~ts.appup adds application ~ts, which is not new in the release", [Of, App]),
    [{add_app, App, atom_to_binary(Type)}];
applications(Of, {remove_application, App}, Old, New) ->
    is_map_key(App, Old) andalso not is_map_key(App, New)
        orelse refuse("~ts.appup removes application ~ts, which the new release still has", [Of, App]),
    [{remove_app, App}];
applications(Of, {restart_application, App}, Old, New) ->
    is_map_key(App, Old) andalso is_map_key(App, New)
        orelse refuse("~ts.appup restarts application ~ts, which is not in both releases", [Of, App]),
    Was = maps:get(App, Old),
    [{stop_app, App}] ++ [{remove, {M, brutal_purge, brutal_purge}} || M <- Was] ++ [{purge, Was}]
        ++ [{add_module, M, []} || M <- maps:get(App, New)] ++ [{start_app, App}];
applications(_, I, _, _) ->
    [I].

%%% Dependencies (translate_dependent_instrs/4)

%% Fresh: modules of new applications, which are there already.
dependent(Dir, Is, Fresh) ->
    G = digraph:new(),
    Named = lists:zip(lists:seq(1, length(Is)), Is),
    [add_vertex(G, App, element(2, I), {N, I}) || {N, {App, I}} <- Named, is_dependent(I)],
    [add_edge(G, App, element(2, I), Dep)
     || {App, I} <- Is, is_dependent(I), Dep <- element(tuple_size(I), I) -- Fresh],
    Components = digraph_utils:components(G),
    Low = in_order(Dir, [I || {_, I} <- Is], G, Components),
    digraph:delete(G),
    Low.

is_dependent(I) ->
    lists:member(element(1, I), ?DEPENDENT).

add_vertex(G, App, M, Data) ->
    digraph:vertex(G, M) =:= false orelse refuse("~ts.appup: module ~ts has two instructions", [App, M]),
    digraph:add_vertex(G, M, Data).

add_edge(G, App, M, Dep) ->
    case digraph:add_edge(G, M, Dep) of
        {error, _} -> refuse("~ts.appup: ~ts depends on ~ts, which has no instruction", [App, M, Dep]);
        _ -> ok
    end.

%% All that hangs together with a module is done where the first of them stands.
in_order(_, [], _, _) ->
    [];
in_order(Dir, [I | Is], G, Components) ->
    case is_dependent(I) of
        true ->
            [Component] = [C || C <- Components, lists:member(element(2, I), C)],
            Together = by_dependency(G, Component),
            to_low(Dir, Together) ++ in_order(Dir, [I1 || I1 <- Is, not lists:member(I1, Together)], G, Components);
        false -> [low(I) || element(1, I) =/= sync_nodes] ++ in_order(Dir, Is, G, Components)
    end.

%% The caller ahead of what it depends on; those of a circle as they were written.
by_dependency(G, Component) ->
    H = restriction(G, Component),
    S = condensation(H),
    Order = [[element(2, digraph:vertex(H, V)) || V <- Strong] || Strong <- digraph_utils:topsort(S)],
    digraph:delete(S),
    digraph:delete(H),
    [I || Strong <- Order, {_, I} <- lists:keysort(1, Strong)].

%% What does not depend on each other comes in the order in which a VM happens to find it, so both graphs are
%% made as systools makes them (systools_rc:restriction/2, condensation/1).
restriction(G, Vertices) ->
    H = digraph:new(),
    [begin {V, Data} = digraph:vertex(G, V), digraph:add_vertex(H, V, Data) end || V <- Vertices],
    [digraph:add_edge(H, E, A, B, Label) || {E, A, B, Label} <- [digraph:edge(G, E) || E <- digraph:edges(G)],
                                            lists:member(A, Vertices)],
    H.

condensation(G) ->
    S = digraph:new(),
    Strong = digraph_utils:strong_components(G),
    [digraph:add_vertex(S, C) || C <- Strong],
    [digraph:add_edge(S, A, B) || A <- Strong, Reached <- [digraph_utils:reachable(A, G)],
                                  B <- Strong, A =/= B, lists:member(hd(B), Reached)],
    S.

%% translate_dep_to_low/3
to_low(Dir, Is) ->
    Held = [{M, T} || {update, M, _, T, _, _, _, _} <- Is],
    Suspend = [{suspend, Held} || Held =/= []],
    Resume = [{resume, lists:reverse([M || {M, _} <- Held])} || Held =/= []],
    Loads = [loads(I) || I <- Is],
    Change = fun(Types) ->
                     [{code_change, Dir, L}
                      || [_ | _] = L <- [[{M, Extra} || {update, M, Type, _, {advanced, Extra}, _, _, _} <- Is,
                                                        lists:member(Type, Types)]]]
             end,
    case Dir of
        up -> Suspend ++ lists:append(lists:reverse(Loads)) ++ Change([static, dynamic]) ++ Resume;
        down -> Suspend ++ Change([dynamic]) ++ lists:append(Loads) ++ Change([static]) ++ Resume
    end.

loads({update, M, _, _, _, Pre, Post, _}) -> [{load, [instr(M, update, Pre, Post)]}];
loads({load_module, M, Pre, Post, _}) -> [{load, [instr(M, load, Pre, Post)]}];
loads({add_module, M, _}) -> [{load, [instr(M, load, brutal_purge, brutal_purge)]}];
loads({delete_module, M, _}) -> [{remove, instr(M, delete, brutal_purge, brutal_purge)}, {purge, [M]}].

instr(M, How, Pre, Post) ->
    #{m => M, how => How, pre => Pre, post => Post}.

%% Those that an author wrote.
low({load, {M, Pre, Post}}) -> {load, [instr(M, load, Pre, Post)]};
low({remove, {M, Pre, Post}}) -> {remove, instr(M, delete, Pre, Post)};
low({suspend, Ms}) -> {suspend, [case X of {_, _} -> X; M -> {M, default} end || X <- Ms]};
low(I) -> I.

%% Modules that are loaded one after the other are loaded all or none.
merge_loads([{load, A}, {load, B} | Steps]) -> merge_loads([{load, A ++ B} | Steps]);
merge_loads([Step | Steps]) -> [Step | merge_loads(Steps)];
merge_loads([]) -> [].

%% check_suspend_resume/1, check_start_stop/1
check_pairs(App, Low) ->
    All = fun(Name) -> [case X of {M, _} -> M; M -> M end || {N, Ms} <- Low, N =:= Name, X <- Ms] end,
    Changed = [M || {code_change, _, L} <- Low, {M, _} <- L],
    [refuse("~ts.appup: ~ts: ~0tp", [App, Text, Ms])
     || {Text, [_ | _] = Ms} <- [{"suspended, and not resumed", All(suspend) -- All(resume)},
                                 {"resumed, and not suspended", All(resume) -- All(suspend)},
                                 {"code_change of what is not suspended", lists:usort(Changed) -- All(suspend)},
                                 {"stopped, and not started", All(stop) -- All(start)},
                                 {"started, and not stopped", All(start) -- All(stop)}]].
