%% SPDX-License-Identifier: Apache-2.0
%% What the applications tell of themselves: version, modules, environment; and which of them are
%% started, stopped and started again.
-module(relsup_hot_app).

-export([check/1, read/1, changes/1, listens/3, save/1, change/1, undo/1, config_change/2]).
-export([load/1, start/2, become/1, stop/1, unload/1, specs_of/2]).

-import(relsup_hot_text, [refuse/2, fail/2, gather/1, text/2]).

%% Apps: [{App, OldVsn, NewVsn, OldEbin, NewEbin, Type}], <<>> where there is none, in the order in
%% which they start.
check(Apps) ->
    New = [App || {App, <<>>, _, _, _, _} <- Apps],
    gather([fun() -> check_app(A, New) end || A <- Apps]).

check_app({App, _, _, _, _, _}, _) when App =:= kernel; App =:= stdlib; App =:= erts ->
    refuse("~ts changes, and cannot in a running node: use --swap", [App]);
check_app({App, <<>>, _, _, <<>>, _}, _) ->
    refuse("application ~ts is new, and not among the files of the release: use --swap", [App]);
check_app({App, <<>>, _, _, Ebin, _}, New) ->
    application:get_key(App, vsn) =:= undefined orelse
        refuse("application ~ts is new, but already loaded: use --swap", [App]),
    check_needs(read_app(App, Ebin), New);
check_app({App, Old, NewVsn, _, Ebin, _}, New) ->
    case application:get_key(App, vsn) of
        undefined -> refuse("application ~ts is not loaded in the running node: use --swap", [App]);
        {ok, Vsn} ->
            unicode:characters_to_binary(Vsn) =:= Old orelse
                refuse("application ~ts runs in version ~ts, not ~ts: use --swap", [App, Vsn, Old])
    end,
    NewVsn =/= <<>> andalso check_needs(read_app(App, Ebin), New).

check_needs({application, App, Keys}, New) ->
    Needs = proplists:get_value(applications, Keys, [])
        -- proplists:get_value(optional_applications, Keys, []),
    [application:get_key(Need, vsn) =/= undefined orelse lists:member(Need, New) orelse
         refuse("application ~ts needs ~ts, which neither runs nor is in the new release", [App, Need])
     || Need <- Needs].

%% All that is needed later, read while nothing is touched yet. Boots: [{App, OldEnv, NewEnv}], what a
%% boot of the old release put into the environment and one of the new release would.
read(#{apps := Apps, old_sys_config := OldFrom, new_sys_config := NewFrom}) ->
    Conf = conf_data(),
    New = read_config(NewFrom, Conf),
    Old = read_config(OldFrom, Conf),
    Changed = [A || A = {_, OldVsn, NewVsn, _, _, _} <- Apps, OldVsn =/= <<>>, NewVsn =/= <<>>],
    Specs = specs_of(Changed, new),
    Envs = lists:zipwith(fun({_, App, _} = Before, After) -> {App, app_env(Before), app_env(After)} end,
                         specs_of(Changed, old), Specs)
        ++ same_envs(lists:usort([App || {App, _} <- New ++ Old]) -- [element(1, A) || A <- Apps]),
    #{specs => Specs, conf => New, conf_data => Conf,
      boots => [{App, boot(App, Before, Old), boot(App, After, New)} || {App, Before, After} <- Envs],
      added => specs_of([A || A = {_, <<>>, _, _, _, _} <- Apps], new),
      removed => [App || {App, _, <<>>, _, _, _} <- Apps]}.

%% Flags of the command line go before all files, now as after the change. Where mix keeps what to
%% evaluate at boot names folders of its release.
boot(App, Env, Conf) ->
    Flags = [Key || {Flag, Args} <- init:get_arguments(), Flag =:= App, Key <- every_other(Args)],
    [KV || KV = {K, _} <- merge(Env, proplists:get_value(App, Conf, [])),
           not lists:member(atom_to_list(K), Flags), not is_of_mix(App, K)].

every_other([Key, _ | Args]) -> [Key | every_other(Args)];
every_other(_) -> [].

is_of_mix(elixir, K) -> K =:= config_provider_init orelse K =:= config_provider_booted;
is_of_mix(_, _) -> false.

specs_of(Apps, new) ->
    [read_app(App, NewEbin) || {App, _, _, _, NewEbin, _} <- Apps];
specs_of(Apps, old) ->
    [read_app(App, OldEbin) || {App, _, _, OldEbin, _, _} <- Apps].

read_app(App, Ebin) ->
    File = filename:join(Ebin, atom_to_list(App) ++ ".app"),
    case file:consult(File) of
        {ok, [Spec = {application, App, Keys}]} when is_list(Keys) -> Spec;
        {ok, _} -> refuse("~ts is no application file", [File]);
        {error, Why} -> refuse("~ts: ~ts", [File, file:format_error(Why)])
    end.

app_env({application, _, Keys}) ->
    proplists:get_value(env, Keys, []).

%% Of applications that do not change; their configuration may.
same_envs(Apps) ->
    [case code:where_is_file(atom_to_list(App) ++ ".app") of
         non_existing -> {App, [], []};
         File ->
             Env = app_env(read_app(App, filename:dirname(File))),
             {App, Env, Env}
     end || App <- Apps, application:get_key(App, vsn) =/= undefined].

%% [{App, Key, new | changed | removed, Arrives}]: what a boot would evaluate differently. Values are
%% not told, they may be secrets. Arrives: no, it is read at boot only; or yes.
changes(#{boots := Boots}) ->
    [{App, K, How, case at_boot(App, K) of true -> no; false -> yes end}
     || {App, Old, New} <- Boots, {K, How} <- differences(Old, New)].

differences(Old, New) ->
    lists:sort([{K, removed} || {K, _} <- Old, not lists:keymember(K, 1, New)]
               ++ [{K, case lists:keymember(K, 1, Old) of true -> changed; false -> new end}
                   || {K, V} <- New, lists:keyfind(K, 1, Old) =/= {K, V}]).

%% logger: the boot configuration of Elixir's Logger.
at_boot(App, _) when App =:= kernel; App =:= stdlib -> true;
at_boot(logger, K) ->
    lists:member(K, [backends, default_formatter, default_handler, handle_otp_reports,
                     handle_sasl_reports, metadata, start_options]);
at_boot(_, _) -> false.

%% Does its callback module have a config_change/3, with the new code?
listens(App, #{specs := Specs}, #{load := Load}) ->
    case [proplists:get_value(mod, Keys) || {application, A, Keys} <- Specs, A =:= App]
        ++ [M || {ok, M} <- [application:get_key(App, mod)]] of
        [{M, _} | _] when is_map_key(M, Load) ->
            {_, _, Bin} = maps:get(M, Load),
            {ok, {_, [{exports, Exports}]}} = beam_lib:chunks(Bin, [exports]),
            lists:member({config_change, 3}, Exports);
        [{M, _} | _] -> erlang:function_exported(M, config_change, 3);
        _ -> false
    end.

%% The configuration that application_controller started with, config providers included; an
%% internal record, so anything unexpected counts as no configuration.
conf_data() ->
    try sys:get_state(application_controller, 5000) of
        State when element(1, State) =:= state, tuple_size(State) =:= 9 ->
            case element(9, State) of
                Conf when is_list(Conf) -> Conf;
                _ -> []
            end;
        _ -> []
    catch _:_ -> []
    end.

%% A file; what a VM of the release evaluated (its conf_data/0); or what this one did at its boot.
read_config(<<>>, Default) ->
    Default;
read_config({evaluated, Term}, _) ->
    binary_to_term(Term);
read_config(File, _) ->
    read_config_file(unicode:characters_to_list(File)).

%% sys.config may name other files, which come before what follows them (config(4)).
read_config_file(File) ->
    case file:consult(File) of
        {ok, [Entries]} when is_list(Entries) ->
            lists:foldl(fun(Entry, Acc) -> config_entry(Entry, File, Acc) end, [], Entries);
        {ok, _} -> refuse("~ts is no configuration, a list and a full stop", [File]);
        {error, Why} -> refuse("~ts: ~ts", [File, file:format_error(Why)])
    end.

config_entry({App, Env}, _, Acc) when is_atom(App), is_list(Env) ->
    lists:keystore(App, 1, Acc, {App, merge(proplists:get_value(App, Acc, []), Env)});
config_entry(Name, File, Acc) when is_list(Name) ->
    Short = filename:rootname(Name, ".config") ++ ".config",
    Beside = filename:join(filename:dirname(File), Short),
    Other = case filelib:is_regular(Beside) of true -> Beside; false -> Short end,
    lists:foldl(fun(Entry, Acc1) -> config_entry(Entry, Other, Acc1) end, Acc,
                read_config_file(Other));
config_entry(Entry, File, _) ->
    refuse("~ts: ~0tp is no entry of a configuration", [File, Entry]).

merge(Env, Over) ->
    lists:foldl(fun({K, V}, Acc) -> lists:keystore(K, 1, Acc, {K, V}) end, Env, Over).

save(#{specs := Specs, conf_data := Conf, boots := Boots}) ->
    Keys = [{application, App, element(2, application:get_all_key(App))}
            || {application, App, _} <- Specs],
    {Keys, Conf, [{App, application:get_all_env(App)} || {App, _, _} <- Boots], code:get_path()}.

%% change_application_data gives an application the environment of its file and the configuration: it
%% gets one that makes it what it is to be in one go. Then the true one, for what is loaded later.
change(#{specs := Specs, conf := New, boots := Boots}) ->
    Envs = [{App, env(App, application:get_all_env(App), Old, After)} || {App, Old, After} <- Boots],
    ok = application_controller:change_application_data(
           Specs, Envs ++ [C || C = {App, _} <- New, not lists:keymember(App, 1, Envs)]),
    ok = application_controller:change_application_data([], New),
    [put_env(App, Env) || {App, Env} <- Envs],
    ok.

%% What was put at run time stays, unless a boot would now say something else about that key. What is
%% read at boot only stays as it is.
env(App, Now, Old, New) ->
    Changed = maps:from_list([D || D = {K, _} <- differences(Old, New), not at_boot(App, K)]),
    [KV || KV = {K, _} <- Now, not is_map_key(K, Changed)]
        ++ [KV || KV = {K, _} <- New, is_map_key(K, Changed)].

put_env(App, Env) ->
    Now = application:get_all_env(App),
    [application:set_env(App, K, V) || {K, V} <- Env -- Now],
    [application:unset_env(App, K) || {K, _} <- Now, not lists:keymember(K, 1, Env)],
    ok.

undo(#{meta := {Specs, Conf, Envs, Path}}) ->
    ok = application_controller:change_application_data(Specs, Conf),
    [put_env(App, Env) || {App, Env} <- Envs],
    case code:get_path() of
        Path -> ok;
        _ ->
            true = relsup_hot_code:set_path(Path),
            relsup_hot_code:del_paths([])
    end;
undo(_) ->
    ok.

%%% Applications that come and go

%% Its environment comes from the configuration that change/1 has given to application_controller.
load(App) ->
    case application:load(App) of
        ok -> ok;
        {error, {already_loaded, App}} -> ok;
        {error, Why} -> fail("application ~ts does not load: ~0tp", [App, Why])
    end.

%% A permanent application that does not start takes the VM down, a transient one as well
%% (application_controller:handle_application_started/3): all start as temporary ones, and become what
%% they are to be when nothing fails any more.
start(App, Type) when Type =:= <<"load">>; Type =:= <<"none">> ->
    load(App);
start(App, _) ->
    case application:start(App) of
        ok -> ok;
        {error, {already_started, App}} -> ok;
        {error, Why} -> fail("application ~ts does not start: ~0tp", [App, relsup_hot_text:why(Why)])
    end.

%% [{App, Type}]. There is no call for it; in an internal record of another shape nothing is changed.
become(Types) ->
    sys:replace_state(application_controller, fun(S) -> with_types(S, Types) end).

with_types(S, Types) when element(1, S) =:= state, tuple_size(S) =:= 9, is_list(element(7, S)) ->
    setelement(7, S, [case lists:keyfind(App, 1, Types) of
                          {_, Type} when Type =/= <<"load">>, Type =/= <<"none">> ->
                              {App, binary_to_existing_atom(Type)};
                          _ -> Started
                      end || Started = {App, _} <- element(7, S)]);
with_types(S, _) ->
    S.

stop(App) ->
    case application:stop(App) of
        ok -> ok;
        {error, {not_started, App}} -> ok;
        {error, Why} -> text("application ~ts does not stop: ~0tp", [App, Why])
    end.

unload(App) ->
    _ = stop(App),
    application:unload(App).

%% To whom what changed: for each that ran before, in the order in which they started. Told, an
%% application hears of it even if its environment is what it was: an asset has another name, say. The
%% callback may do anything, so it comes after the resume, as in release_handler. A failure is the
%% application's own: it is logged, the upgrade stands.
config_change(EnvBefore, Told) ->
    [tell(App, lists:sort(Before), lists:sort(application:get_all_env(App)), lists:member(App, Told))
     || {App, Before} <- lists:reverse(EnvBefore)],
    ok.

tell(_, Env, Env, false) ->
    ok;
tell(App, Before, Now, _) ->
    {Removed, Others} = lists:partition(fun({_, How}) -> How =:= removed end, differences(Before, Now)),
    Of = fun(Wanted) -> [lists:keyfind(K, 1, Now) || {K, How} <- Others, How =:= Wanted] end,
    case application:get_key(App, mod) of
        {ok, {M, _}} ->
            _ = code:ensure_loaded(M),
            erlang:function_exported(M, config_change, 3) andalso
                call_config_change(App, M, [Of(changed), Of(new), [K || {K, _} <- Removed]]);
        _ -> ok
    end.

call_config_change(App, M, Args) ->
    try apply(M, config_change, Args) of
        ok -> ok;
        Other -> logger:warning("hot upgrade: config_change/3 of ~ts answered ~0tp", [App, Other])
    catch C:R:S ->
            logger:warning("hot upgrade: config_change/3 of ~ts failed: ~0tp", [App, {C, R, S}])
    end.
