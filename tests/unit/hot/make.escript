%% SPDX-License-Identifier: Apache-2.0
%% escript make.escript SOURCES OUT: compiles the modules in all their versions to OUT/hx-<v>/ebin and
%% writes OUT/<v>.plan, a line a module that differs from version 1:
%% Module OldPath|- NewPath|- OldMd5 NewMd5
-mode(compile).

main([Sources, Out]) ->
    [version(Sources, Out, V) || V <- [1, 2, 3, 4, 5, 6]],
    [plan(Out, V) || V <- [2, 3, 4, 5, 6]].

version(Sources, Out, V) ->
    Ebin = ebin(Out, V),
    ok = filelib:ensure_dir(filename:join(Ebin, "x")),
    Gone = case V of 1 -> "hx_new"; _ -> "hx_gone" end,
    %% Versions 3 to 6 differ from 2 in one module each, so that what fails is what is meant.
    Ms = [begin
              M = filename:basename(F, ".erl"),
              {ok, _} = compile:file(F, [{d, v, number(M, V)}, {outdir, Ebin}, report_errors,
                                         deterministic]),
              list_to_atom(M)
          end || F <- filelib:wildcard(filename:join(Sources, "*.erl")),
                 filename:basename(F, ".erl") =/= Gone],
    Env = case V of
              1 -> [{from_app, 1}, {put, 1}, {file, 1}];
              _ -> [{from_app, V}, {put, V}, {file, V}, {new, V}]
          end,
    App = {application, hx, [{description, "test"}, {vsn, integer_to_list(V)}, {modules, Ms},
                             {registered, []}, {applications, [kernel, stdlib]}, {env, Env},
                             {mod, {hx_app, []}}]},
    ok = file:write_file(filename:join(Ebin, "hx.app"), io_lib:format("~p.~n", [App])),
    ok = file:write_file(filename:join(Out, integer_to_list(V) ++ ".config"),
                         io_lib:format("[{hx, [{file, conf_~w}]}].~n", [V])).

number(_, V) when V =< 2 -> V;
number("hx_server", V) when V =< 4 -> V;
number("hx_sup", V) when V >= 5 -> V;
number(_, _) -> 2.

plan(Out, V) ->
    Old = beams(Out, 1),
    New = beams(Out, V),
    Lines = [[atom_to_list(M), " ", path(M, Old), " ", path(M, New), " ", md5(M, Old), " ",
              md5(M, New), "\n"]
             || M <- lists:usort([M || {M, _, _} <- Old ++ New]), md5(M, Old) =/= md5(M, New)],
    ok = file:write_file(filename:join(Out, integer_to_list(V) ++ ".plan"), Lines).

beams(Out, V) ->
    [begin
         {ok, {M, Md5}} = beam_lib:md5(F),
         {M, F, [io_lib:format("~2.16.0b", [B]) || <<B>> <= Md5]}
     end || F <- filelib:wildcard(filename:join(ebin(Out, V), "*.beam"))].

path(M, Beams) ->
    case lists:keyfind(M, 1, Beams) of {_, F, _} -> F; false -> "-" end.

md5(M, Beams) ->
    case lists:keyfind(M, 1, Beams) of {_, _, Md5} -> lists:flatten(Md5); false -> "-" end.

ebin(Out, V) ->
    filename:join([Out, "hx-" ++ integer_to_list(V), "ebin"]).
