%% SPDX-License-Identifier: Apache-2.0
%% What the applications tell of themselves: version, modules, environment; and which of them are
%% started, stopped and started again.
-module(relsup_hot_app).

-export([check/1, read/1, changes/1, save/1, change/1, undo/1, config_change/1]).
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

%% All that is needed later, read while nothing is touched yet.
read(#{apps := Apps, old_sys_config := OldFile, new_sys_config := NewFile}) ->
    Conf = conf_data(),
    New = read_config(NewFile, Conf),
    Old = read_config(OldFile, Conf),
    Changed = [A || A = {_, OldVsn, NewVsn, _, _, _} <- Apps, OldVsn =/= <<>>, NewVsn =/= <<>>],
    OldEnvs = [{App, app_env(read_app(App, OldEbin))} || {App, _, _, OldEbin, _, _} <- Changed],
    Named = [App || {App, _, _, _, _, _} <- Apps] ++ [kernel, stdlib],
    #{specs => specs_of(Changed, new), conf => New, old_conf => Old, conf_data => Conf,
      old_envs => OldEnvs, same_envs => same_envs(lists:usort([App || {App, _} <- New ++ Old]) -- Named),
      added => specs_of([A || A = {_, <<>>, _, _, _, _} <- Apps], new),
      removed => [App || {App, _, <<>>, _, _, _} <- Apps]}.

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

%% Of applications that do not change; their configuration may, but for kernel and stdlib, which read
%% it only at boot.
same_envs(Apps) ->
    [{App, case code:where_is_file(atom_to_list(App) ++ ".app") of
               non_existing -> [];
               File -> app_env(read_app(App, filename:dirname(File)))
           end} || App <- Apps, application:get_key(App, vsn) =/= undefined].

%% [{App, [Key], Listens}]: whose files say something else about its environment. Values are not
%% told, they may be secrets. Listens: its callback module has a config_change/3. Where mix keeps what
%% to evaluate at boot names a folder of its release, and so always differs.
changes(#{specs := Specs, conf := New, old_conf := Old, old_envs := OldEnvs, same_envs := Same}) ->
    Files = fun(App, Envs, Conf) ->
                    lists:sort(merge(proplists:get_value(App, Envs, []),
                                     proplists:get_value(App, Conf, [])))
            end,
    NewEnvs = [{App, app_env(Spec)} || Spec = {application, App, _} <- Specs],
    Apps = lists:usort([App || {App, _} <- OldEnvs ++ Old ++ New]),
    [{App, Keys, listens(App)}
     || App <- Apps,
        Before <- [Files(App, Same ++ OldEnvs, Old)], After <- [Files(App, Same ++ NewEnvs, New)],
        Keys <- [lists:usort([K || {K, _} <- (Before -- After) ++ (After -- Before),
                                   {App, K} =/= {elixir, config_provider_init}])],
        Keys =/= []].

listens(App) ->
    case application:get_key(App, mod) of
        {ok, {M, _}} -> erlang:function_exported(M, config_change, 3);
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

read_config(<<>>, Default) ->
    Default;
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
    Other = filename:join(filename:dirname(File), filename:rootname(Name, ".config") ++ ".config"),
    lists:foldl(fun(Entry, Acc1) -> config_entry(Entry, Other, Acc1) end, Acc,
                read_config_file(Other));
config_entry(Entry, File, _) ->
    refuse("~ts: ~0tp is no entry of a configuration", [File, Entry]).

merge(Env, Over) ->
    lists:foldl(fun({K, V}, Acc) -> lists:keystore(K, 1, Acc, {K, V}) end, Env, Over).

save(#{specs := Specs, conf_data := Conf, same_envs := Same}) ->
    Keys = [{application, App, element(2, application:get_all_key(App))}
            || {application, App, _} <- Specs],
    Envs = [{App, application:get_all_env(App)}
            || App <- [App || {application, App, _} <- Specs] ++ [App || {App, _} <- Same]],
    {Keys, Conf, Envs, code:get_path()}.

%% change_application_data resets the environment of an application to that of its files: what was
%% put at run time (by config/runtime.exs, a provider, or the application) would be lost. It is what
%% differs from the files of the old release, and is put again.
change(#{specs := Specs, conf := New, old_conf := Old, old_envs := OldEnvs, same_envs := Same}) ->
    With = fun(App, Env, Conf) -> merge(Env, proplists:get_value(App, Conf, [])) end,
    Live = [{App, live(App, With(App, Env, Old))} || {App, Env} <- OldEnvs],
    ok = application_controller:change_application_data(Specs, New),
    [begin
         [application:set_env(App, K, V) || {K, V} <- Put],
         [application:unset_env(App, K) || K <- Gone]
     end || {App, {Put, Gone}} <- Live],
    [change_env(App, With(App, Env, Old), With(App, Env, New)) || {App, Env} <- Same],
    ok.

live(App, Files) ->
    Now = application:get_all_env(App),
    {Now -- Files, [K || {K, _} <- Files, not lists:keymember(K, 1, Now)]}.

%% An application of the same version with another configuration: a value that somebody put at run
%% time stays.
change_env(App, Old, New) ->
    Now = application:get_all_env(App),
    Same = fun(K) -> proplists:get_value(K, Now) =:= proplists:get_value(K, Old) end,
    [application:set_env(App, K, V) || {K, V} <- New -- Old, Same(K)],
    [application:unset_env(App, K) || {K, _} <- Old, not lists:keymember(K, 1, New), Same(K)],
    ok.

undo(#{meta := {Specs, Conf, Envs, Path}}) ->
    ok = application_controller:change_application_data(Specs, Conf),
    [begin
         Now = application:get_all_env(App),
         [application:unset_env(App, K) || {K, _} <- Now, not lists:keymember(K, 1, Env)],
         [application:set_env(App, K, V) || {K, V} <- Env -- Now]
     end || {App, Env} <- Envs],
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

%% The callback module of the application may do anything here, so it comes after the resume, as it
%% does in release_handler. A failure is the application's own: it is logged, the upgrade stands.
config_change(EnvBefore) ->
    case application_controller:config_change(EnvBefore) of
        ok -> ok;
        {error, Why} ->
            logger:warning("hot upgrade: config_change/3 of an application failed: ~0tp", [Why])
    end.
