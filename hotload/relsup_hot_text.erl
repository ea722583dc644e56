%% SPDX-License-Identifier: Apache-2.0
%% Words: how processes and modules are named to people, and the two ways to give up.
-module(relsup_hot_text).

-export([text/2, refuse/2, in_use/2, fail/2, gather/1, why/1, who/2, short/1, name/1, names/1, mods/1, listed/1]).

-spec refuse(io:format(), [term()]) -> no_return().
%% Nothing was touched yet.
refuse(Fmt, Args) ->
    throw({refused, [text(Fmt, Args)]}).

-spec in_use(io:format(), [term()]) -> no_return().
%% Nor here: it could be done at another time, when nobody is busy.
in_use(Fmt, Args) ->
    throw({in_use, [text(Fmt, Args)]}).

-spec fail(io:format(), [term()]) -> no_return().
%% The keeper puts everything back.
fail(Fmt, Args) ->
    throw({failed, text(Fmt, Args)}).

%% Runs all of the checks, so that a person sees every reason at once.
gather(Checks) ->
    Found = lists:append([try Check(), [] catch throw:{How, Why} when How =:= refused; How =:= in_use ->
                                                    [{How, Why}]
                          end || Check <- Checks]),
    case lists:usort(lists:append([Why || {_, Why} <- Found])) of
        [] -> ok;
        Reasons ->
            throw({case lists:keymember(refused, 1, Found) of true -> refused; false -> in_use end, Reasons})
    end.

%% One line that fits the error of the caller.
text(Fmt, Args) ->
    Chars = [case C < 32 of true -> $\s; false -> C end
             || C <- unicode:characters_to_list(io_lib:format(Fmt, Args))],
    unicode:characters_to_binary(case length(Chars) > 380 of
                                     true -> lists:sublist(Chars, 377) ++ "...";
                                     false -> Chars
                                 end).

%% Without the stack that comes with it; of an exception of Elixir its name and its message.
why({'EXIT', Why}) -> why(Why);
why({Why, [{_, _, _, _} | _]}) -> why(Why);
why(#{'__exception__' := true, '__struct__' := Name, message := Message}) -> {Name, Message};
why(Why) -> Why.

who(P, Procs) ->
    case lists:keyfind(P, 1, Procs) of
        {_, _, [M | _]} -> text("~ts (~ts)", [name(P), M]);
        _ -> name(P)
    end.

names(Pids) ->
    listed([name(P) || P <- lists:usort(Pids)]).

mods(Ms) ->
    listed([atom_to_binary(M) || M <- lists:usort(Ms)]).

listed(Names) when length(Names) =< 4 ->
    lists:join(", ", Names);
listed(Names) ->
    text("~ts and ~b more", [lists:join(", ", lists:sublist(Names, 4)), length(Names) - 4]).

%% Without what it is.
short(P) ->
    case process_info(P, registered_name) of
        {_, Name} -> text("process ~ts", [Name]);
        _ -> text("process ~w", [P])
    end.

name(P) ->
    case process_info(P, [registered_name, dictionary, current_function]) of
        [{_, Name}, _, _] when is_atom(Name) -> text("process ~ts", [Name]);
        [_, {_, Dict}, {_, Current}] ->
            {M, F, A} = case proplists:get_value('$initial_call', Dict) of
                            undefined -> Current;
                            Initial -> Initial
                        end,
            text("process ~w of ~ts:~ts/~w", [P, M, F, A]);
        _ -> text("process ~w", [P])
    end.
