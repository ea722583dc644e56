%% SPDX-License-Identifier: Apache-2.0
%% What a function calls, read out of the code of its module without running it: the Code chunk, decoded
%% as beam_disasm(3) does it, which is a part of the compiler and so in hardly any release. Calls by
%% apply/3 and calls to a variable module are not seen.
-module(relsup_hot_calls).

-export([reached/2, returns_ok/2]).

%% Of the instructions 1, 2, ... (genop.tab of the compiler, up to OTP 29).
-define(ARITIES, <<"13023223245232321100002112444444444443333333222222222222233312123333321101132225554211225552"
                   "10122444431211126351223577753225622221340862654545433333011715523340022234322431211163015324">>).

%% test_heap, line, executable_line, debug_line
-define(NO_WORK, [16, 153, 183, 184]).

%% What {Function, Arity} reaches by calls and funs inside of its module: {ok, [MFA of other modules]}, or
%% unknown: there is no such function, or an instruction that nobody knew yet.
reached(Bin, FA) ->
    with_code(Bin, FA, fun(Entry, Functions, Chunks) ->
        {Mfas, _} = walk([Entry], Functions, Chunks, #{}, []),
        {ok, lists:usort(Mfas)}
    end).

%% Is it just `{ok, SecondArgument, ThirdArgument, ...}', as the code_change that `use GenServer` writes?
returns_ok(Bin, {_, Arity} = FA) ->
    with_code(Bin, FA, fun(Entry, Functions, #{ok := Ok}) ->
        Args = [{x, N} || N <- lists:seq(1, max(1, Arity - 2))],
        case [I || I = {Op, _} <- maps:get(Entry, Functions), not lists:member(Op, ?NO_WORK)] of
            [{164, [{x, 0}, {list, [{atom, Ok} | Args]}]}, {19, []}] -> {ok, true};
            _ -> {ok, false}
        end
    end).

with_code(Bin, {F, A}, Fun) ->
    try
        {ok, {_, Read}} = beam_lib:chunks(Bin, [atoms, indexed_imports, labeled_exports, "Code", "FunT"],
                                          [allow_missing_chunks]),
        [Atoms, Imports, Exports, {_, Code}, {_, FunT}] = Read,
        {_, _, Entry} = lists:keyfind(F, 1, [E || E = {_, A1, _} <- element(2, Exports), A1 =:= A]),
        <<Skip:32, _:Skip/binary, Instructions/binary>> = Code,
        Fun(Entry, functions(Instructions, none, [], #{}),
            #{imports => maps:from_list([{I - 1, {M1, F1, A1}} || {I, M1, F1, A1} <- element(2, Imports)]),
              funs => funs(FunT),
              ok => proplists:get_value(ok, [{Name, I} || {I, Name} <- element(2, Atoms)])})
    catch
        error:_ -> unknown
    end.

funs(missing_chunk) ->
    [];
funs(<<_:32, Entries/binary>>) ->
    [Label || <<_Name:32, _Arity:32, Label:32, _Index:32, _Free:32, _Uniq:32>> <= Entries].

walk([], _, _, _, Mfas) ->
    {Mfas, done};
walk([Label | Rest], Functions, Chunks, Seen, Mfas) when is_map_key(Label, Seen) ->
    walk(Rest, Functions, Chunks, Seen, Mfas);
walk([Label | Rest], Functions, Chunks, Seen, Mfas) ->
    Targets = [T || I <- maps:get(Label, Functions, []), T <- target(I, Chunks)],
    walk([L || {local, L} <- Targets] ++ Rest, Functions, Chunks, Seen#{Label => true},
         [Mfa || {far, Mfa} <- Targets] ++ Mfas).

%% call, call_last, call_only; call_ext, call_ext_last, call_ext_only; make_fun2, make_fun3
target({Op, [_, {f, Label} | _]}, _) when Op =:= 4; Op =:= 5; Op =:= 6 -> [{local, Label}];
target({Op, [_, {u, I} | _]}, #{imports := Imports}) when Op =:= 7; Op =:= 8; Op =:= 78 ->
    [{far, maps:get(I, Imports)}];
target({Op, [{u, I} | _]}, #{funs := Funs}) when Op =:= 103; Op =:= 171 -> [{local, lists:nth(I + 1, Funs)}];
target(_, _) -> [].

%% #{Label of entry => [{Op, Args}]}: a function begins behind its func_info, with the next label.
functions(<<3, _/binary>>, Entry, Is, Acc) ->
    close(Entry, Is, Acc);
functions(<<Op, Rest/binary>>, Entry, Is, Acc) ->
    {Args, More} = args(binary:at(?ARITIES, Op - 1) - $0, Rest, []),
    case {Op, Args, Entry} of
        {2, _, _} -> functions(More, next, [], close(Entry, Is, Acc));
        {1, [{u, Label}], next} -> functions(More, Label, [], Acc);
        {1, _, _} -> functions(More, Entry, Is, Acc);
        _ -> functions(More, Entry, [{Op, Args} | Is], Acc)
    end.

close(Entry, Is, Acc) when is_integer(Entry) -> Acc#{Entry => lists:reverse(Is)};
close(_, _, Acc) -> Acc.

args(0, Rest, Args) ->
    {lists:reverse(Args), Rest};
args(N, Bin, Args) ->
    {Arg, Rest} = arg(Bin),
    args(N - 1, Rest, [Arg | Args]).

arg(Bin) ->
    case value(Bin) of
        {z, 1, Rest} -> list(Rest);
        {z, 2, Rest} -> {{u, R}, More} = arg(Rest), {{fr, R}, More};
        {z, 3, Rest} -> {{u, N}, More} = arg(Rest), {Args, Last} = args(2 * N, More, []), {{alloc, Args}, Last};
        {z, 4, Rest} -> {{u, I}, More} = arg(Rest), {{literal, I}, More};
        {z, 5, Rest} -> {Register, More} = arg(Rest), {_, Last} = arg(More), {Register, Last};
        {Tag, Value, Rest} when Tag =/= z -> {{Tag, Value}, Rest}
    end.

list(Bin) ->
    {{u, N}, Rest} = arg(Bin),
    {Args, More} = args(N, Rest, []),
    {{list, Args}, More}.

value(<<Value:4, 0:1, Tag:3, Rest/binary>>) -> {tag(Tag), Value, Rest};
value(<<High:3, 1:2, Tag:3, Low, Rest/binary>>) -> {tag(Tag), High * 256 + Low, Rest};
value(<<7:3, 3:2, Tag:3, Rest/binary>>) ->
    {{u, N}, More} = arg(Rest),
    big(Tag, N + 9, More);
value(<<N:3, 3:2, Tag:3, Rest/binary>>) -> big(Tag, N + 2, Rest).

big(Tag, Size, Bin) ->
    <<Value:Size/signed-unit:8, Rest/binary>> = Bin,
    {tag(Tag), Value, Rest}.

tag(N) -> element(N + 1, {u, i, atom, x, y, f, h, z}).
