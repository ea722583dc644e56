%% SPDX-License-Identifier: Apache-2.0
%% The same upgrade by others: release_handler with an appup, by sys(3), and as BeamDeploy 0.1.0 does it;
%% and its messages alone.
-module(hot_ways).

-export([unpacked/1, upgrade/2, mark/1, keep/1]).

%% What relsup sends to a server in one go, of which the last is answered. The third is no code_change.
-define(ROUNDS, [[suspend, {replace_state, fun ?MODULE:keep/1}], [{debug, no_debug}], [resume]]).

%% The release lies unpacked beside the running one; release_handler is told.
unpacked(RelFile) ->
    {ok, "2"} = release_handler:set_unpacked(RelFile, []),
    ok.

%% Prints for how long servers were suspended: from the first suspend to the last resume, and where they
%% go one by one the longest of all.
upgrade(Way, Beam) ->
    io:format("{\"pause_us\": ~b}~n", [way(Way, Beam)]).

way(bare, _) ->
    Servers = servers(),
    rounds(Servers), % who gets system messages for the first time grows its heap for them
    hot_load:without_callers(fun() -> took(fun() -> rounds(Servers) end) end);
way(release_handler, _) ->
    {ok, _, _} = release_handler:install_release("2"),
    ok = release_handler:make_permanent("2"),
    persistent_term:get({?MODULE, ended}) - persistent_term:get({?MODULE, began});
way(one_by_one, Beam) ->
    load(Beam),
    lists:max([took(fun() -> whole(Server) end) || Server <- servers()]);
way(in_turn, Beam) ->
    Servers = servers(),
    took(fun() ->
                 [ok = sys:suspend(Server) || Server <- Servers],
                 load(Beam),
                 [ok = change(Server) || Server <- Servers],
                 [ok = sys:resume(Server) || Server <- Servers]
         end);
way(beam_deploy, Beam) ->
    {ok, _} = file:copy(Beam, code:which(hot_server)),
    Servers = servers_by_dictionary(),
    took(fun() -> beam_deploy(Servers) end).

%% From within the appup. The first comes ahead of the instruction to suspend, so that the time in which
%% release_handler looks for the processes is counted, too.
mark(Which) ->
    persistent_term:put({?MODULE, Which}, now_us()).

%%% The floor

rounds(Servers) ->
    {Nobody, _} = End = spawn_monitor(fun() -> ok end),
    ended(End),
    ended(spawn_opt(fun() -> [round(Servers, {Nobody, none}, lists:reverse(Round)) || Round <- ?ROUNDS] end,
                    [monitor, {message_queue_data, off_heap}])).

ended({Pid, Mon}) ->
    receive {'DOWN', Mon, process, Pid, _} -> ok end.

round(Servers, Nobody, [Last | Silent]) ->
    Ref = make_ref(),
    [begin
         [Server ! {system, Nobody, Request} || Request <- Silent],
         Server ! {system, {self(), Ref}, Last}
     end || Server <- Servers],
    [receive {Ref, _} -> ok end || _ <- Servers].

%% In the server: the state stays as it is, and the answer is small.
keep(State) ->
    put(?MODULE, {State}),
    throw(kept).

%%% By sys(3)

servers() ->
    [Server || {_, Server, _, _} <- supervisor:which_children(hot_sup)].

%% A server that was called before it had its turn is gone: its state is not what the new code expects.
whole(Server) ->
    try
        ok = sys:suspend(Server),
        ok = change(Server),
        ok = sys:resume(Server)
    catch
        exit:_ -> gone
    end.

change(Server) ->
    sys:change_code(Server, hot_server, undefined, []).

load(Beam) ->
    {ok, Code} = file:read_file(Beam),
    {module, hot_server} = code:load_binary(hot_server, Beam, Code).

%%% As BeamDeploy: tasks of Elixir, 100 at a time, suspend; the code is loaded from the file that was
%%% copied over the old one; code_change goes one by one; tasks ask for the status and resume.

servers_by_dictionary() ->
    [P || P <- processes(), {_, Dict} <- [process_info(P, dictionary)],
          {'$initial_call', {hot_server, _, _}} <- Dict].

beam_deploy(Servers) ->
    Suspended = [Server || {ok, Server} <- tasks(Servers, fun suspended/1, 4000)],
    load(code:which(hot_server)),
    [ok = change(Server) || Server <- Suspended],
    tasks(Suspended, fun resumed/1, 8000).

tasks(Servers, Fun, Timeout) ->
    Options = [{max_concurrency, 100}, {timeout, Timeout}, {on_timeout, kill_task}],
    'Elixir.Enum':to_list('Elixir.Task':async_stream(Servers, Fun, Options)).

suspended(Server) ->
    ok = sys:suspend(Server, 3000),
    Server.

resumed(Server) ->
    {status, Server, _, [_, suspended | _]} = sys:get_status(Server, 1000),
    sys:resume(Server, 3000).

took(Fun) ->
    Began = now_us(),
    Fun(),
    now_us() - Began.

now_us() ->
    erlang:monotonic_time(microsecond).
