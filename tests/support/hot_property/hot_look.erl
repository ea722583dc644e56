%% SPDX-License-Identifier: Apache-2.0
%% Part of every release of hot_release.erl: gives processes a state, tells what runs, and treats it badly.
-module(hot_look).

-export([fill/1, describe/1, poke/0, fresh/1, healthy/0, mark/0, told/0]).
-behaviour(gen_server).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).
-export([park/1, unpark/0, port/0, hold/1, hold_struct/2, drop/0, keep/1, noise/1, quiet/0, enter/3]).

-define(LATE_MS, 10000).

%%% What there is

%% Writes a term a line; two nodes with the same lines do the same.
describe(File) ->
    Lines = [applications() | lists:append([app(App) || App <- apps()])] ++ paths() ++ strays() ++ helds() ++ listeners(),
    file:write_file(File, [io_lib:format("~0p.~n", [Line]) || Line <- Lines]).

applications() ->
    {applications, lists:sort([{App, Vsn} || {App, _, Vsn} <- application:which_applications()]),
     lists:sort([App || {App, _, _} <- application:loaded_applications()]),
     lists:sort(proplists:get_value(started, application:info()))}.

apps() ->
    lists:sort([App || {App, _, _} <- application:loaded_applications()] -- [kernel, stdlib, look]).

app(App) ->
    {ok, Keys} = application:get_all_key(App),
    {ok, Mods} = application:get_key(App, modules),
    [{keys, App, lists:sort([{K, sorted(V)} || {K, V} <- Keys, K =/= env])},
     {env, App, lists:sort(application:get_all_env(App))},
     {dir, App, filename:basename(code:lib_dir(App))},
     {processes, App, length([P || P <- processes(), application:get_application(P) =:= {ok, App}])}
     | [module(M) || M <- lists:sort(Mods)]] ++ sup(top(App), [App]).

%% In interactive mode it may not be loaded yet: then the file is what counts. The name of a file that
%% is the same in both releases stays that of the older one (code:which/1).
module(M) ->
    File = code:where_is_file(atom_to_list(M) ++ ".beam"),
    {ok, {M, OnDisk}} = beam_lib:md5(File),
    Md5 = case erlang:module_loaded(M) of
              true -> M:module_info(md5);
              false -> {interactive, OnDisk} = {code:get_mode(), OnDisk}, OnDisk
          end,
    {module, M, tail(3, File), binary:encode_hex(OnDisk), binary:encode_hex(Md5)}.

tail(N, File) ->
    Parts = filename:split(File),
    lists:nthtail(max(0, length(Parts) - N), Parts).

paths() ->
    [{path, P} || P <- lists:sort([tail(2, P) || P <- code:get_path(), not lists:prefix(code:root_dir(), P)])].

%% Modules that are of no application, and not of Erlang either.
%% The node's listener, that somebody accepts from: made with the first call.
port() ->
    case persistent_term:get(port, none) of
        none ->
            Self = self(),
            spawn(fun() ->
                {ok, L} = gen_tcp:listen(0, [{reuseaddr, true}, {ip, {127,0,0,1}}, {raw, 1, 15, <<1:32/native>>}]),
                {ok, Port} = inet:port(L),
                persistent_term:put(port, Port),
                Self ! {port, Port},
                accept(L)
            end),
            receive {port, Port} -> Port end;
        Port -> Port
    end.

accept(L) ->
    {ok, S} = gen_tcp:accept(L),
    gen_tcp:close(S),
    accept(L).

%% Of supervisors: nobody is to be left over.
listeners() ->
    [{listens, P} || P <- erlang:ports(), erlang:port_info(P, name) =:= {name, "tcp_inet"},
                     {ok, Status} <- [prim_inet:getstatus(P)], lists:member(listen, Status), not lists:member(accepting, Status),
                     {connected, Owner} <- [erlang:port_info(P, connected)], is_sup(Owner)].

is_sup(P) ->
    {_, Dict} = process_info(P, dictionary),
    is_tuple(proplists:get_value('$initial_call', Dict)) andalso
        element(1, proplists:get_value('$initial_call', Dict)) =:= supervisor.

strays() ->
    Ours = lists:append([element(2, application:get_key(App, modules)) || App <- [look | apps()]]),
    [{stray, M} || {M, File} <- code:all_loaded(), is_list(File), not lists:prefix(code:root_dir(), File),
                   not lists:prefix("relsup", atom_to_list(M)), not lists:member(M, Ours)].

%% Who is suspended, or keeps a state of before an upgrade.
helds() ->
    [{held, P} || P <- processes(), {_, {sys, suspend_loop_hib, _}} <- [process_info(P, current_function)]]
        ++ [{keeps, P, K} || P <- processes(), {_, Dict} <- [process_info(P, dictionary)], {K, _} <- Dict,
                             lists:prefix("$relsup", lists:flatten(io_lib:format("~p", [first(K)])))].

first(K) when is_tuple(K), tuple_size(K) > 0 -> element(1, K);
first(K) -> K.

top(App) ->
    {Top, _} = application_master:get_child(application_controller:get_master(App)),
    Top.

sup(Pid, Path) ->
    State = sys:get_state(Pid),
    Children = children(Pid),
    [{sup, Path, name(Pid), initial(Pid), [element(N, State) || N <- [3, 6, 7]], count(Pid),
      [Id || {Id, _, _} <- Children, Id =/= undefined]},
     {init, Path, inits(Pid), length([T || T <- ets:all(), ets:info(T, owner) =:= Pid])}
     | [{spec, Path, Id, spec(Pid, Id, Child)} || {Id, Child, _} <- Children]]
        ++ lists:append(lists:sort([child(Child, case Id of undefined -> Path; _ -> Path ++ [Id] end)
                                    || {Id, Child, _} <- Children])).

%% What its init/1 left in its dictionary.
inits(Pid) ->
    {_, Dict} = process_info(Pid, dictionary),
    {proplists:get_value(hot_init, Dict), [P =:= Pid || {{hot_init, P}, true} <- Dict]}.

%% In the order in which they started.
children(Pid) ->
    [{Id, Child, Type} || {Id, Child, Type, _} <- lists:reverse(supervisor:which_children(Pid))].

spec(Pid, undefined, Child) -> element(2, supervisor:get_childspec(Pid, Child));
spec(Pid, Id, _) -> element(2, supervisor:get_childspec(Pid, Id)).

count(Pid) -> lists:sort(supervisor:count_children(Pid)).

name(Pid) ->
    case process_info(Pid, registered_name) of
        {_, Name} -> Name;
        [] -> none
    end.

initial(Pid) ->
    {_, Dict} = process_info(Pid, dictionary),
    proplists:get_value('$initial_call', Dict).

child(Pid, Path) when is_pid(Pid) ->
    case initial(Pid) of
        {supervisor, _, 1} -> sup(Pid, Path);
        Initial ->
            {status, _, {module, By}, [_, Status | _]} = sys:get_status(Pid),
            [{process, Path, name(Pid), Initial, By, Status, answers(Pid), sys:get_state(Pid)}]
    end;
child(Other, Path) ->
    [{no_process, Path, Other}].

answers(Pid) ->
    case initial(Pid) of
        {gen_event, init_it, 6} -> [gen_event:call(Pid, H, get) || H <- gen_event:which_handlers(Pid)];
        _ -> [gen_server:call(Pid, get)]
    end.

%%% Whoever there is: [{Key, Pid, Handler | none}] and [{Module, Pid}]

workers() ->
    lists:append([worker(Pid) || {_, Sup} <- supers(), {_, Pid, worker} <- children(Sup), is_pid(Pid)]).

worker(Pid) ->
    case initial(Pid) of
        {gen_event, init_it, 6} ->
            [{key(gen_event:call(Pid, H, get)), Pid, H} || H <- gen_event:which_handlers(Pid)];
        _ -> [{key(gen_server:call(Pid, get)), Pid, none}]
    end.

key({_, _, _, {_, _, {Key, _}}}) -> Key;
key({_, _, _, {Key, _}}) -> Key.

supers() ->
    lists:append([supers(top(App)) || App <- apps()]).

supers(Pid) ->
    {supervisor, M, 1} = initial(Pid),
    [{M, Pid} | lists:append([supers(P) || {_, P, supervisor} <- children(Pid), is_pid(P)])].

enter(Behaviour, M, Key) ->
    case M:init(Key) of
        {ok, S} ->
            proc_lib:init_ack({ok, self()}),
            Behaviour:enter_loop(M, [], S);
        {ok, State, Data} ->
            proc_lib:init_ack({ok, self()}),
            Behaviour:enter_loop(M, [], State, Data);
        Other -> exit(Other)
    end.

%%% A state

%% #{files => [{App, Env}]      what their environment is at first
%%   runtime => [{App, Put, Unset}]
%%   dynamic => [{Sup, M, [N]}] children to start, instead of those there are
%%   extras => [{Sup, M, [Id]}] children that no file knows
%%   numbers => #{Key => {N, State}}, later => [Key]
%%   born => [Sup]}             those whose children can start at any time
fill(File) ->
    _ = port(),
    {ok, [#{files := Files, runtime := Runtime, dynamic := Dynamic, extras := Extras, numbers := Numbers,
            later := Later}]} = file:consult(File),
    [begin
         [application:unset_env(App, K) || {K, _} <- application:get_all_env(App)],
         [application:set_env(App, K, V) || {K, V} <- Env]
     end || {App, Env} <- Files],
    [begin
         [application:set_env(App, K, V) || {K, V} <- Put],
         [application:unset_env(App, K) || K <- Unset]
     end || {App, Put, Unset} <- Runtime],
    [clear(Sup) || {_, Sup} <- supers()],
    [start_dynamic(Sup, Pid, Ids) || {Sup, _, Ids} <- Dynamic, {S, Pid} <- supers(), S =:= Sup],
    [start_extra(Sup, Pid, M, Id) || {Sup, M, Ids} <- Extras, {S, Pid} <- supers(), S =:= Sup, Id <- Ids],
    [put_number(Pid, H, maps:get(Key, Numbers, {0, idle})) || {Key, Pid, H} <- workers()],
    [gen_statem:cast(Pid, later) || {Key, Pid, _} <- workers(), lists:member(Key, Later)],
    ok.

clear(Sup) ->
    [supervisor:terminate_child(Sup, P) || {undefined, P, _} <- children(Sup), is_pid(P)],
    [begin supervisor:terminate_child(Sup, Id), supervisor:delete_child(Sup, Id) end
     || {Id = {extra, _}, _, _} <- children(Sup)].

start_dynamic(Sup, Pid, Ids) ->
    [{ok, _} = supervisor:start_child(Pid, [{Sup, N}]) || N <- Ids].

start_extra(Sup, Pid, M, Id) ->
    {ok, _} = supervisor:start_child(Pid, #{id => Id, start => {M, start_link, [{Sup, Id}]}, modules => [M]}).

%% What was postponed is over before.
put_number(Pid, none, {N, State}) ->
    ok = gen_server:call(Pid, {put, N, busy}),
    ok = gen_server:call(Pid, {put, N, State});
put_number(Pid, H, {N, State}) ->
    ok = gen_event:call(Pid, H, {put, N, State}).

%%% Use

%% Everybody works, somebody of each supervisor crashes, and new ones come.
poke() ->
    [case H of
         none -> ok = gen_server:call(Pid, poke);
         _ -> ok = gen_event:sync_notify(Pid, poke)
     end || {_, Pid, H} <- workers()],
    [crash(M) || {M, _} <- lists:sort(supers())],
    [{ok, _} = supervisor:start_child(Pid, [{M, new}]) || {M, Pid} <- supers(), is_simple(Pid)],
    ok.

is_simple(Sup) -> element(3, sys:get_state(Sup)) =:= simple_one_for_one.

crash(M) ->
    [Sup] = [P || {S, P} <- supers(), S =:= M],
    case [C || C = {_, P, worker} <- children(Sup), is_pid(P)] of
        [] -> ok;
        Workers ->
            {Id, Pid, _} = first_of(is_simple(Sup), Workers),
            Comes = maps:get(restart, spec(Sup, Id, Pid)) =/= temporary,
            N = length(Workers) - case Comes of true -> 0; false -> 1 end,
            exit(Pid, kill),
            settled(Sup, Pid, N, erlang:monotonic_time(millisecond) + ?LATE_MS)
    end.

%% Dynamic children have no order but that of their keys.
first_of(false, [First | _]) -> First;
first_of(true, Workers) -> hd([C || {_, C} <- lists:sort([{worker_key(P), C} || C = {_, P, _} <- Workers])]).

worker_key(Pid) -> [Key || {Key, _, _} <- worker(Pid)].

settled(Sup, Pid, N, Until) ->
    Now = [P || {_, P, worker} <- children(Sup), is_pid(P), is_process_alive(P)],
    case not lists:member(Pid, Now) andalso length(Now) =:= N of
        true -> ok;
        false ->
            erlang:monotonic_time(millisecond) < Until orelse error({not_settled, initial(Sup), Now, N}),
            timer:sleep(5),
            settled(Sup, Pid, N, Until)
    end.

%% For a node that was started with the new release.
fresh([Equal, Described, Poked]) ->
    try
        ok = fill(Equal),
        ok = describe(Described),
        ok = poke(),
        ok = describe(Poked),
        halt(0)
    catch
        C:R:S ->
            io:format(standard_error, "~p~n", [{C, R, S}]),
            halt(1)
    end.

%% The probe of the home.
healthy() ->
    [M || App <- apps(), M <- element(2, application:get_key(App, modules)), is_sick(M)] =:= [].

is_sick(M) ->
    Attributes = case erlang:module_loaded(M) of
                     true -> M:module_info(attributes);
                     false ->
                         {ok, {_, [{attributes, A}]}} = beam_lib:chunks(code:which(M), [attributes]),
                         A
                 end,
    lists:keymember(sick, 1, Attributes).

%%% config_change/3

mark() ->
    persistent_term:put(marked, [{App, vsn(App), application:get_all_env(App)} || App <- apps()]),
    [persistent_term:erase({told, App}) || App <- apps()],
    ok.

%% Who was told something else than what changed since mark/0. A new version is told of in any case: what lies in its
%% priv may be another.
told() ->
    [{App, Want, Got} || {App, Vsn, Before} <- persistent_term:get(marked), lists:member(App, apps()),
                         Want <- [wanted(App, Vsn, Before, application:get_all_env(App))],
                         Got <- [sorted(persistent_term:get({told, App}, nothing))],
                         Want =/= Got].

wanted(App, Vsn, Before, After) ->
    {ok, {Cb, _}} = application:get_key(App, mod),
    code:ensure_loaded(Cb),
    Changed = [KV || KV = {K, V} <- After, {K1, V1} <- Before, K =:= K1, V =/= V1],
    New = [KV || KV = {K, _} <- After, not lists:keymember(K, 1, Before)],
    Removed = [K || {K, _} <- Before, not lists:keymember(K, 1, After)],
    IsNew = vsn(App) =/= Vsn,
    case erlang:function_exported(Cb, config_change, 3) of
        true when Changed =/= []; New =/= []; Removed =/= []; IsNew -> sorted({Changed, New, Removed});
        _ -> nothing
    end.

vsn(App) ->
    {ok, Vsn} = application:get_key(App, vsn),
    Vsn.

sorted({A, B, C}) -> {sorted(A), sorted(B), sorted(C)};
sorted(L) when is_list(L) -> lists:sort(L);
sorted(Other) -> Other.

%%% Noise: everybody of whom the file knows is called, and children come and go. Nobody may die or give
%%% no answer.

noise(File) ->
    {ok, [#{numbers := Numbers, born := Born}]} = file:consult(File),
    Workers = [W || W = {Key, _, _} <- workers(), is_map_key(Key, Numbers)],
    Busy = [{Key, fun() -> answers(Pid) end} || {Key, Pid, _} <- Workers]
        ++ [{{born, Sup}, fun() -> bear(Sup, Pid) end} || Sup <- Born, {S, Pid} <- supers(), S =:= Sup],
    register(noise, spawn(fun() -> make_noise(Busy) end)),
    ok.

bear(Sup, Pid) ->
    {ok, Child} = supervisor:start_child(Pid, [{Sup, born}]),
    _ = answers(Child),
    ok = supervisor:terminate_child(Pid, Child).

make_noise(Busy) ->
    All = [{What, spawn_monitor(fun() -> repeat(Fun) end)} || {What, Fun} <- Busy],
    receive {quiet, From} -> ok end,
    [Pid ! quiet || {_, {Pid, _}} <- All],
    Ends = [{What, receive {'DOWN', Mon, _, _, Why} -> Why end} || {What, {_, Mon}} <- All],
    From ! {quiet, [End || End = {_, Why} <- Ends, Why =/= normal]}.

repeat(Fun) ->
    Fun(),
    receive quiet -> ok after 1 -> repeat(Fun) end.

%% Who has something to complain about.
quiet() ->
    noise ! {quiet, self()},
    receive {quiet, Complaints} -> Complaints end.

%%% Those who are in the way

park(M) ->
    register(parked, spawn(M, park, [])),
    ok.

unpark() ->
    Mon = monitor(process, parked),
    catch parked ! stop,
    receive {'DOWN', Mon, _, _, noproc} -> gone; {'DOWN', Mon, _, _, _} -> ok end.

hold(M) ->
    register(holder, spawn(?MODULE, keep, [M:closure(1)])),
    ok.

%% As somebody whose module does not change.
hold_struct(M, Listed) ->
    Struct = M:'__struct__'(),
    {ok, _} = gen_server:start({local, holder}, ?MODULE, case Listed of true -> [x, {Struct}]; false -> #{s => Struct} end, []),
    ok.

init(S) -> {ok, S}.
handle_call(_, _, S) -> {reply, S, S}.
handle_cast(_, S) -> {noreply, S}.
handle_info(stop, S) -> {stop, normal, S}.

keep(Closure) ->
    receive stop -> Closure() end.

drop() ->
    Mon = monitor(process, holder),
    holder ! stop,
    receive {'DOWN', Mon, _, _, normal} -> ok end.
