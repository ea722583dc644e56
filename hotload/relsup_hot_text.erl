%% SPDX-License-Identifier: Apache-2.0
%% Words: how processes and modules are named to people, and the two ways to give up.
-module(relsup_hot_text).

-export([text/2, refuse/2, fail/2, gather/1, why/1, who/2, name/1, names/1, mods/1, listed/1]).

-spec refuse(io:format(), [term()]) -> no_return().
%% Nothing was touched yet.
refuse(Fmt, Args) ->
    throw({refused, [text(Fmt, Args)]}).

-spec fail(io:format(), [term()]) -> no_return().
%% The keeper puts everything back.
fail(Fmt, Args) ->
    throw({failed, text(Fmt, Args)}).

%% Runs all of the checks, so that a person sees every reason at once.
gather(Checks) ->
    case lists:append([try Check(), [] catch throw:{refused, Why} -> Why end || Check <- Checks]) of
        [] -> ok;
        Reasons -> throw({refused, lists:usort(Reasons)})
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
