#!/usr/bin/env escript
%% SPDX-License-Identifier: Apache-2.0
%% Reads names of BEAM files, a line each; writes what OTP says of them: "md5 module path on_load".
main([In, Out]) ->
    {ok, Names} = file:read_file(In),
    {ok, Fd} = file:open(Out, [write, raw, delayed_write]),
    lists:foreach(fun(Path) -> ok = file:write(Fd, line(Path)) end,
                  string:lexemes(Names, "\n")),
    ok = file:close(Fd).

line(Path) ->
    {ok, Beam} = file:read_file(Path),
    {ok, {Module, Md5}} = beam_lib:md5(Beam),
    [string:lowercase(binary:encode_hex(Md5)), " ", atom_to_binary(Module), " ", Path, " ",
     atom_to_list(on_load(Module, Beam)), "\n"].

%% The loader itself knows whether a module has an -on_load function.
on_load(Module, Beam) ->
    case erlang:prepare_loading(Module, Beam) of
        {error, _} -> false;
        Prepared -> erlang:has_prepared_code_on_load(Prepared)
    end.
