%% SPDX-License-Identifier: Apache-2.0
%% In both nodes: what happened, what there is, and the way of release_handler.
-module(diff_look).
-behaviour(application).

-export([start/2, stop/1, log/2, ports/0, state/1, install/4]).

start(_, _) ->
    Self = self(),
    Owner = spawn(fun() ->
                          ets:new(?MODULE, [named_table, public, ordered_set]),
                          Self ! {self(), ready},
                          timer:sleep(infinity)
                  end),
    receive {Owner, ready} -> ok end,
    supervisor:start_link({local, look_sup}, diff_look_sup, []).

stop(_) -> ok.

%% All steps in one order, with the version that the application tells then.
log(Who, What) ->
    Vsns = [{App, V} || {App, _, V} <- lists:sort(application:loaded_applications()), is_ours(App)],
    ets:insert(?MODULE, {erlang:unique_integer([monotonic]), Who, What, Vsns}),
    ok.

is_ours(App) ->
    case atom_to_list(App) of [$k, D | _] when D >= $0, D =< $9 -> true; _ -> false end.

ports() ->
    lists:sort([Port || P <- erlang:ports(), erlang:port_info(P, name) =:= {name, "tcp_inet"},
                        {ok, {{127, 0, 0, 1}, Port}} <- [inet:sockname(P)], inet:peername(P) =:= {error, enotconn},
                        {connected, Owner} <- [erlang:port_info(P, connected)],
                        {registered_name, Name} <- [process_info(Owner, registered_name)],
                        lists:suffix("_dir", atom_to_list(Name)), has_tap(Name)]).

has_tap(Dir) ->
    whereis(list_to_atom(lists:flatten(string:replace(atom_to_list(Dir), "_dir", "_tap")))) =/= undefined.

%% Written to File, a line a fact. Nothing is in it that two nodes cannot have the same; which application hears of
%% its configuration first is not said by anybody.
state(File) ->
    Apps = [App || {App, _, _} <- lists:sort(application:which_applications()), is_ours(App)],
    Steps = [{step, Who, What, Vsns} || {_, Who, What, Vsns} <- ets:tab2list(?MODULE)],
    {Told, Others} = lists:partition(fun({_, _, What, _}) -> is_tuple(What) andalso element(1, What) =:= told end, Steps),
    Facts = changes_sorted(Others) ++ lists:sort(Told)
        ++ lists:append([facts(App) || App <- Apps])
        ++ [{registered, [N || N <- lists:sort(registered()), is_ours(N)]}, {listening, length(ports())}],
    ok = file:write_file(File, [io_lib:format("~0p.~n", [F]) || F <- Facts]).

%% systools leaves the order inside of a group that does not depend on each other to the hashes of its VM.
changes_sorted(Steps) ->
    case lists:splitwith(fun is_change/1, Steps) of
        {[], []} -> [];
        {[], [Step | Rest]} -> [Step | changes_sorted(Rest)];
        {Changes, Rest} -> lists:sort(Changes) ++ changes_sorted(Rest)
    end.

is_change({step, _, {Version, _, _}, _}) -> is_integer(Version);
is_change(_) -> false.

facts(App) ->
    {ok, Vsn} = application:get_key(App, vsn),
    {ok, Ms} = application:get_key(App, modules),
    Others = [M || {M, _} <- code:all_loaded(), lists:prefix(atom_to_list(App) ++ "_", atom_to_list(M))],
    {Top, _} = application_master:get_child(application_controller:get_master(App)),
    [{App, Vsn, lists:sort(application:get_all_env(App))}, {path, App, filename:basename(code:lib_dir(App))}]
        ++ [{code, M, erlang:module_loaded(M) andalso M:module_info(md5)} || M <- lists:usort(Ms ++ Others)]
        ++ [{tree, App, tree(Top)}].

tree(Sup) ->
    lists:sort([{Id, Type, Mods, case {is_pid(P), Type} of
                                     {true, supervisor} -> tree(P);
                                     {true, worker} -> worker(P);
                                     _ -> P
                                 end} || {Id, P, Type, Mods} <- supervisor:which_children(Sup)]).

worker(P) ->
    case process_info(P, dictionary) of
        {_, Dict} ->
            case proplists:is_defined('$initial_call', Dict) of
                true -> no_ports(sys:get_state(P));
                false -> plain
            end;
        _ -> gone
    end.

no_ports(T) when is_port(T) -> port;
no_ports(T) when is_tuple(T) -> list_to_tuple(no_ports(tuple_to_list(T)));
no_ports([H | T]) -> [no_ports(H) | no_ports(T)];
no_ports(T) -> T.

%% release_handler:install_release/1 and make_permanent/1 without the files of a release: the relup is evaluated by
%% release_handler_1, among the applications that lie in Lib. Sasl: its folder of code. Which: 2 for the way up, 3 for the way down.
install(Relup, Which, Lib, Sasl) ->
    true = code:add_pathz(Sasl),
    [{module, M} = code:load_file(M) || M <- [release_handler_1, misc_supp]],
    {ok, [Term]} = file:consult(Relup),
    [{_, _, Script}] = element(Which, Term),
    Files = [F || F <- filelib:wildcard(Lib ++ "/*/ebin/*.app"), is_ours(list_to_atom(filename:basename(F, ".app")))],
    Specs = [Spec || F <- Files, {ok, [Spec]} <- [file:consult(F)]],
    Libs = [{App, proplists:get_value(vsn, Keys), filename:dirname(filename:dirname(F))}
            || {F, {application, App, Keys}} <- lists:zip(Files, Specs)],
    Before = application_controller:prep_config_change(),
    ok = application_controller:change_application_data(Specs, []),
    {ok, Unpurged} = release_handler_1:eval_script(Script, [], Libs, Libs, []),
    ok = application_controller:config_change(Before),
    [code:purge(M) || {M, brutal_purge} <- Unpurged],
    [code:soft_purge(M) || {M, soft_purge} <- Unpurged],
    ok.
