#!/usr/bin/env escript
%% SPDX-License-Identifier: Apache-2.0
%% appup_order.escript EBIN COUNT [SEED]: random appups in the low-level instructions of relsup_hot_rc and in those of
%% OTP's systools_rc: the same, or both refuse it. EBIN has relsup_hot_rc and relsup_hot_text.
-mode(compile).

main([Ebin, Count]) ->
    main([Ebin, Count, "1"]);
main([Ebin, Count, Seed]) ->
    true = code:add_patha(Ebin),
    First = list_to_integer(Seed),
    Refused = [1 || N <- lists:seq(First, First + list_to_integer(Count) - 1), one(N) =:= refused],
    io:format("~ts appups from seed ~ts: the same order, ~b of them refused~n", [Count, Seed, length(Refused)]).

one(Seed) ->
    _ = rand:seed(exsss, Seed),
    Ms = [list_to_atom("m" ++ integer_to_list(I)) || I <- lists:seq(1, 8)],
    Script = script(Ms),
    Dir = pick([up, down]),
    Mode = case Dir of up -> up; down -> dn end,
    Theirs = systools_rc:translate_scripts(Mode, [Script], [application(Ms)], [application(Ms)]),
    Ours = try relsup_hot_rc:translate([{a, Dir, Script}], #{a => Ms}, #{a => Ms})
           catch throw:{refused, Why} -> {refused, Why}
           end,
    case {Theirs, Ours} of
        {{error, _, _}, {refused, _}} -> refused;
        {{ok, Low}, {Before, After}} ->
            Same = lists:append([plain(I) || I <- Low]),
            Same =:= lists:append([theirs(I) || I <- Before ++ [point_of_no_return | After]])
                orelse differs(Seed, Dir, Script, Low, Ours);
        _ -> differs(Seed, Dir, Script, Theirs, Ours)
    end.

differs(Seed, Dir, Script, Theirs, Ours) ->
    io:format("seed ~b, ~ts:~n~p~nsystools:~n~p~nours:~n~p~n", [Seed, Dir, Script, Theirs, Ours]),
    halt(1).

plain({load_object_code, _}) -> [];
plain({sync_nodes, _, _}) -> [];
plain({load, {M, Pre, Post}}) -> [{load, M, Pre, Post}];
plain({suspend, L}) -> [{suspend, [case X of {_, _} -> X; M -> {M, default} end || X <- L]}];
plain({code_change, L}) -> [{code_change, up, L}];
plain(I) -> [I].

theirs({load, Is}) -> [{load, M, Pre, Post} || #{m := M, pre := Pre, post := Post} <- Is];
theirs({remove, #{m := M, pre := Pre, post := Post}}) -> [{remove, {M, Pre, Post}}];
theirs({stop_app, App}) -> [{apply, {application, stop, [App]}}];
theirs({start_app, App}) -> [{apply, {application, start, [App, permanent]}}];
theirs(I) -> [I].

%% -record(application) of systools.hrl
application(Ms) ->
    {application, a, permanent, "2", "", "", Ms, [], [], [], [], [], infinity, infinity, [], undefined, "/x"}.

pick(L) -> lists:nth(rand:uniform(length(L)), L).
chance(P) -> rand:uniform(100) =< P.
shuffle(L) -> [X || {_, X} <- lists:sort([{rand:uniform(), X} || X <- L])].

script(Ms) ->
    Named = [M || M <- Ms, chance(70)],
    Updates = [instruction(M, [D || D <- Named ++ [m9 || chance(1)], chance(12)]) || M <- shuffle(Named ++ [m1 || chance(3)])],
    Others = [{apply, {m1, f, [I]}} || I <- lists:seq(1, rand:uniform(3) - 1)]
        ++ [{restart_application, a} || chance(5)] ++ [[{apply, {m2, g, []}}] || chance(20)]
        ++ [{sync_nodes, x, []} || chance(10)] ++ [{frob, x} || chance(1)],
    All = mix(Updates, Others),
    Held = pick([All, All, [{suspend, [m1, {m2, 9}]} | All] ++ [{resume, [m2]}, {code_change, [{m1, x}]}]
                               ++ [{resume, [m1]} || chance(80)]]),
    Stopped = pick([Held, Held, [{stop, [m1]} | Held] ++ [{start, [m1]} || chance(80)]]),
    pick([Stopped, Stopped, [{apply, {m3, b, []}}, point_of_no_return | Stopped]]).

instruction(M, Deps) ->
    pick([{load_module, M}, {load_module, M, Deps}, {load_module, M, soft_purge, brutal_purge, Deps}, {update, M},
          {update, M, supervisor}, {update, M, soft}, {update, M, Deps}, {update, M, {advanced, [x]}},
          {update, M, {advanced, y}, Deps}, {update, M, soft, Deps}, {update, M, {advanced, z}, soft_purge, soft_purge, Deps},
          {update, M, 4000, {advanced, z}, soft_purge, brutal_purge, Deps},
          {update, M, static, infinity, {advanced, q}, soft_purge, brutal_purge, Deps}, {add_module, M},
          {add_module, M, Deps}, {delete_module, M}, {delete_module, M, Deps}]).

mix(A, []) -> A;
mix([], B) -> B;
mix([A | As], [B | Bs]) ->
    case chance(70) of
        true -> [A | mix(As, [B | Bs])];
        false -> [B | mix([A | As], Bs)]
    end.
