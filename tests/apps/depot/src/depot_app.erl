%% SPDX-License-Identifier: Apache-2.0
%% Configured under the application depot (tests change sys.config, never the code):
%%   listen  [{Family, Number of the port in $PORTS, Sockets}], default [{inet, 1, 1}]
%%           Family is inet (127.0.0.1), any (0.0.0.0), inet6 (::1), dual ([::] for both);
%%           port number 0: one that the kernel chooses
%%   listen_after  ms that it runs before it listens, default 0
%%   mode    ok; sick: answers 500; mute: accepts and never answers; deaf: listens and never
%%           accepts; {crash, Ms}: ends the VM so long after the first ordinary request;
%%           late: a child behind the listeners fails after a while; refuses: its start fails
%%   udp     a UDP port to open, number of the port in $PORTS
-module(depot_app).
-behaviour(application).
-behaviour(supervisor).
-export([start/2, stop/1, init/1, start_late/0]).

start(_Type, _Args) ->
    case application:get_env(depot, mode, ok) of
        refuses -> {error, there_is_no_stock};
        _ -> supervisor:start_link({local, depot_sup}, ?MODULE, [])
    end.

stop(_State) ->
    ok.

init([]) ->
    State = #{id => state, start => {depot_state, start_link, []}},
    Http = #{id => http, start => {depot_http, start_link, []}},
    Late = #{id => late, start => {?MODULE, start_late, []}},
    Children = case application:get_env(depot, mode, ok) of
                   late -> [State, Http, Late];
                   _ -> [State, Http]
               end,
    {ok, {#{strategy => one_for_one, intensity => 1, period => 5}, Children}}.

start_late() ->
    timer:sleep(1000),
    {error, its_database_is_not_there}.
