#!/usr/bin/env escript
%% SPDX-License-Identifier: Apache-2.0
%% The other side of tests/vm/boot_script.sh.
%%   make DIR COUNT SEED   DIR/<case>/rel.rel with what systools:make_script/2 makes of it in DIR/<case>/otp/, or
%%                         DIR/<case>/refused when it refuses: one case for every application of OTP with its closure,
%%                         COUNT random graphs with their .app files in DIR/<case>/lib/
%%   compare DIR           our DIR/<case>/our/rel.script and rel.boot against them
-mode(compile).

main(["make", Dir, Count, Seed]) ->
    _ = rand:seed(exsss, list_to_integer(Seed)),
    Otp = [make_otp(Dir, App) || App <- installed()],
    Random = [make_random(Dir, N) || N <- lists:seq(1, list_to_integer(Count))],
    io:format("~b of OTP, ~b random, systools refuses ~b of them~n",
              [length(Otp), length(Random), length([x || refused <- Otp ++ Random])]);
main(["compare", Dir]) ->
    Cases = filelib:wildcard(filename:join(Dir, "*/rel.rel")),
    Bad = [Case || Rel <- Cases, Case <- [filename:dirname(Rel)], not agree(Case)],
    [io:format(standard_error, "differs: ~ts~n", [Case]) || Case <- Bad],
    halt(case Bad of [] -> 0; _ -> 1 end).

%% A release that systools refuses must be refused by us as well, but for one: the application A uses B, B includes A
%% and is itself included, and A stands before B in the .rel. systools:sort_appls then takes B, which is there, for
%% undefined; we put it behind A. (No other name is undefined in these cases.)
agree(Case) ->
    case file:consult(filename:join(Case, "refused")) of
        {ok, [{undefined_applications, _}]} ->
            true;
        {ok, _} ->
            not filelib:is_regular(filename:join(Case, "our/rel.boot"));
        {error, enoent} ->
            {ok, [Script]} = file:consult(filename:join(Case, "otp/rel.script")),
            try
                {ok, [Ours]} = file:consult(filename:join(Case, "our/rel.script")),
                {ok, Boot} = file:read_file(filename:join(Case, "our/rel.boot")),
                Ours =:= Script andalso binary_to_term(Boot) =:= Script
            catch
                _:_ -> false
            end
    end.

installed() ->
    lists:usort([list_to_atom(filename:basename(F, ".app")) ||
                    F <- filelib:wildcard(filename:join(code:lib_dir(), "*/ebin/*.app"))]).

app_file(App) ->
    [File | _] = filelib:wildcard(filename:join([code:lib_dir(), "*", "ebin", atom_to_list(App) ++ ".app"])),
    {ok, [{application, App, Keys}]} = file:consult(File),
    {filename:dirname(File), Keys}.

make_otp(Dir, App) ->
    Apps = closure([kernel, stdlib, App], []),
    Rows = [{A, proplists:get_value(vsn, element(2, app_file(A)))} || A <- shuffle(Apps)],
    make(filename:join(Dir, "otp_" ++ atom_to_list(App)), Rows, [element(1, app_file(A)) || A <- Apps]).

closure([], Seen) ->
    lists:reverse(Seen);
closure([App | Rest], Seen) ->
    case lists:member(App, Seen) of
        true ->
            closure(Rest, Seen);
        false ->
            {_, Keys} = app_file(App),
            Needed = proplists:get_value(applications, Keys, []) -- proplists:get_value(optional_applications, Keys, []),
            closure(Needed ++ proplists:get_value(included_applications, Keys, []) ++ Rest, [App | Seen])
    end.

make_random(Dir, N) ->
    Case = filename:join(Dir, "random_" ++ integer_to_list(N)),
    Names = [list_to_atom("a" ++ integer_to_list(I)) || I <- lists:seq(1, 2 + rand:uniform(10))],
    Included = includes(Names),
    [write_app(Case, Names, Name, Included) || Name <- Names],
    Rows = [row(Name, Included) || Name <- Names] ++ [{A, proplists:get_value(vsn, element(2, app_file(A)))} || A <- [kernel, stdlib]],
    make(Case, shuffle(Rows), [filename:join([Case, "lib", dir(Name), "ebin"]) || Name <- Names]).

dir(Name) -> atom_to_list(Name) ++ "-" ++ vsn(Name).

vsn(Name) -> "1." ++ tl(atom_to_list(Name)).

%% [{Includer, Included}]: each application is included by one at most, and never in a circle, where systools
%% (find_top_app) goes round for ever.
includes(Names) ->
    [{pick([N || N <- Names, N < Name]), Name} || Name <- Names, Name =/= hd(lists:sort(Names)), rand:uniform(5) =:= 1].

row(Name, Included) ->
    Type = pick([permanent, permanent, permanent, transient, temporary, load, none]),
    Own = [I || {By, I} <- Included, By =:= Name],
    case {rand:uniform(4), Own} of
        {1, _} when Type =:= permanent -> {Name, vsn(Name)};
        {2, [_ | _]} -> {Name, vsn(Name), Type, Own};
        _ -> {Name, vsn(Name), Type}
    end.

write_app(Case, Names, Name, Included) ->
    Ebin = filename:join([Case, "lib", dir(Name), "ebin"]),
    ok = filelib:ensure_dir(filename:join(Ebin, "x")),
    %% Mostly upwards, so that most graphs have no circle.
    Used = [N || N <- Names, N =/= Name, rand:uniform(4) =:= 1, N < Name orelse rand:uniform(40) =:= 1],
    Optional = [N || N <- Used, rand:uniform(4) =:= 1] ++ [absent || rand:uniform(4) =:= 1],
    Modules = [module(Name, I) || I <- lists:seq(1, rand:uniform(4))],
    [ok = file:write_file(filename:join(Ebin, atom_to_list(M) ++ ".beam"), "") || M <- Modules],
    Keys = [{description, pick(["", "an application", "größer 日本"])}, {vsn, vsn(Name)}, {modules, shuffle(Modules)},
            {registered, [list_to_atom(atom_to_list(Name) ++ "_sup") || rand:uniform(2) =:= 1]},
            {applications, shuffle([kernel, stdlib] ++ Used ++ [absent || lists:member(absent, Optional)])}] ++
           some([{optional_applications, Optional}], Optional =/= []) ++
           [{included_applications, I} || I <- [[X || {By, X} <- Included, By =:= Name]], I =/= []] ++
           some([{env, [{value, term(3)}, {other, term(2)}]}], rand:uniform(2) =:= 1) ++
           some([{mod, {Name, term(2)}}], rand:uniform(2) =:= 1) ++
           some([{start_phases, [{go, term(1)}]}], rand:uniform(5) =:= 1) ++
           some([{id, "the id"}], rand:uniform(5) =:= 1) ++
           some([{maxT, 1000}], rand:uniform(5) =:= 1) ++ some([{maxP, 10}], rand:uniform(5) =:= 1),
    write_term(filename:join(Ebin, atom_to_list(Name) ++ ".app"), {application, Name, shuffle(Keys)}).

module(Name, I) ->
    Suffix = pick(["mod", "_x", "Z", "été"]) ++ integer_to_list(I),
    list_to_atom(pick(["", "Elixir."]) ++ atom_to_list(Name) ++ Suffix).

%% Any term that a configuration may hold.
term(0) ->
    pick([a, 'A b', 'don\'t', 'end', [], "", "str\"ing\\\n", "\x{1}\x{7f}", <<>>, <<"bin">>, <<"ü"/utf8>>, <<0, 255>>, 0, -1, 255, 256,
          -2147483649, 134217728, 9223372036854775807, -9223372036854775808, 1 bsl 64, -(1 bsl 100), 1.5, -0.25, 1.0e300,
          1.0e-10, 100000.0, "日本", [1, 2, 3], [1000, 2000], fun lists:map/2, {}, #{}]);
term(Depth) ->
    Some = [term(rand:uniform(Depth) - 1) || _ <- lists:seq(1, rand:uniform(4))],
    case rand:uniform(5) of
        1 -> Some;
        2 -> list_to_tuple(Some);
        3 -> maps:from_list([{term(0), T} || T <- Some]);
        4 -> Some ++ term(0);
        5 -> lists:duplicate(20, hd(Some))
    end.

make(Case, Rows, Path) ->
    ok = filelib:ensure_dir(filename:join(Case, "otp/x")),
    ok = filelib:ensure_dir(filename:join(Case, "our/x")),
    Rel = filename:join(Case, "rel"),
    write_term(Rel ++ ".rel", {release, {"case", "1"}, {erts, erlang:system_info(version)}, Rows}),
    case systools:make_script(Rel, [silent, {path, Path}, {outdir, filename:join(Case, "otp")}]) of
        {ok, systools_make, _} -> made;
        {error, systools_make, Why} -> write_term(filename:join(Case, "refused"), Why), refused
    end.

write_term(File, Term) ->
    ok = file:write_file(File, unicode:characters_to_binary(io_lib:format("%% coding: utf-8~n~tp.~n", [Term]))).

some(List, true) -> List;
some(_, false) -> [].

pick(List) -> lists:nth(rand:uniform(length(List)), List).

shuffle(List) -> [X || {_, X} <- lists:sort([{rand:uniform(), X} || X <- List])].
