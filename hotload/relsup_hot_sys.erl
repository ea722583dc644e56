%% SPDX-License-Identifier: Apache-2.0
%% System messages (sys(3)) to many processes at once, and the functions that run inside of the
%% suspended ones. States are kept in the processes themselves, by external funs (a local fun would
%% die with its module): nothing is copied, so the size of a state costs nothing.
-module(relsup_hot_sys).

-export([ask/3, ask_each/4, post/1, wait/3, wait/4, send/2, nobody/0, left/1, now_ms/0, now_us/0]).
-export([warm/1, save/1, saved/0, is_saved/1, rest/1, proof/1, forget/1, keep_mode/1, rest_mode/1]).
-export([save_event/1, rest_event/1, forget_event/1]).

-define(SAVED, '$relsup_old').
-define(MODE, '$relsup_mode').
%% Of relsup_hot_sup.
-define(LEARNT, '$relsup_learnt').
-define(BEFORE, '$relsup_before').
%% No answer for so long: who is missing, and is it alive? A constant, because to ask the clock for
%% each answer costs as much as the answer.
-define(CALM_MS, 20).

%% Asks all at once and waits once: with one reference and no monitors 10,000 processes answer in 8 ms
%% instead of 26. A process that died does not answer; it is looked for when no answer comes for a
%% while. Returns the wrong answers and who is alive and has not answered.
ask(Asked, Good, Until) ->
    wait(post(Asked), Good, Until).

%% Several requests a process, of which the last is answered: in one pass, so that a process is woken
%% up once for all of them.
ask_each(Procs, Requests, Good, Until) ->
    Ref = make_ref(),
    Nobody = nobody(),
    [push(element(1, Proc), Requests(Proc), Ref, Nobody) || Proc <- Procs],
    wait({Ref, Procs}, Good, Until).

push(P, [Last], Ref, _) ->
    system(P, {self(), {Ref, P}}, Last);
push(P, [Request | Rest], Ref, Nobody) ->
    system(P, Nobody, Request),
    push(P, Rest, Ref, Nobody).

post(Asked) ->
    Ref = make_ref(),
    [system(P, {self(), {Ref, P}}, Request) || {P, Request} <- Asked],
    {Ref, Asked}.

wait(Posted, Good, Until) ->
    wait(Posted, Good, Until, fun(_) -> ok end).

%% Stuck is called now and then with those who have not answered yet.
wait({Ref, Asked}, Good, Until, Stuck) ->
    collect(Ref, length(Asked), [], Asked, [], Good, {Until, Stuck}).

collect(_, 0, _, _, Bad, _, _) ->
    {Bad, []};
collect(Ref, N, Done, Asked, Bad, Good, Until) ->
    receive
        {{Ref, P}, Answer} ->
            case Good(Answer) of
                true -> collect(Ref, N - 1, [P | Done], Asked, Bad, Good, Until);
                false -> collect(Ref, N - 1, [P | Done], Asked, [{P, Answer} | Bad], Good, Until)
            end
    after ?CALM_MS ->
            Count = fun(X, Acc) -> maps:update_with(element(1, X), fun(C) -> C + 1 end, 1, Acc) end,
            Missing = lists:foldl(Count, #{}, Asked),
            missing(Ref, lists:foldl(fun less/2, Missing, Done), Bad, Good, Until)
    end.

missing(_, Missing, Bad, _, _) when map_size(Missing) =:= 0 ->
    {Bad, []};
missing(Ref, Missing, Bad, Good, Last = {Until, Stuck}) ->
    receive
        {{Ref, P}, Answer} ->
            missing(Ref, less(P, Missing), [{P, Answer} || not Good(Answer)] ++ Bad, Good, Last)
    after min(?CALM_MS, left(Until)) ->
            Alive = maps:filter(fun(P, _) -> is_process_alive(P) end, Missing),
            case left(Until) of
                0 -> {Bad, maps:keys(Alive)};
                _ ->
                    Stuck(maps:keys(Alive)),
                    missing(Ref, Alive, Bad, Good, Last)
            end
    end.

less(P, Missing) ->
    case Missing of
        #{P := 1} -> maps:remove(P, Missing);
        #{P := N} -> Missing#{P := N - 1};
        _ -> Missing
    end.

%% Without waiting for the answers, which are not even copied to a dead process.
send(Asked, Nobody) ->
    [system(P, Nobody, Request) || {P, Request} <- Asked],
    ok.

system(Pid, From, Request) ->
    Pid ! {system, From, Request}.

nobody() ->
    {Pid, Mon} = spawn_monitor(fun() -> ok end),
    receive {'DOWN', Mon, process, Pid, _} -> {Pid, relsup} end.

left(Until) ->
    max(0, Until - now_ms()).

now_ms() ->
    erlang:monotonic_time(millisecond).

now_us() ->
    erlang:monotonic_time(microsecond).

%%% Inside the suspended processes. A throw leaves the state as it is and makes a small answer.

%% As save/1, of which nothing stays.
warm(State) ->
    put(?SAVED, {State, get()}),
    erase(?SAVED),
    throw(warm).

save(State) ->
    erase(?SAVED),
    put(?SAVED, {State, get()}),
    throw(saved).

saved() ->
    {State, _} = get(?SAVED),
    State.

%% Does it still keep one?
is_saved(P) ->
    case process_info(P, dictionary) of
        {_, Dict} -> lists:keymember(?SAVED, 1, Dict);
        undefined -> false
    end.

%% One that was never asked to keep its state still has it. The dictionary is a part of the state.
rest(State) ->
    case get(?SAVED) of
        {Old, Dict} -> rest_dictionary(Dict), Old;
        undefined -> State
    end.

rest_dictionary(Dict) ->
    Was = maps:from_list(Dict),
    [erase(K) || {K, _} <- get(), not is_map_key(K, Was), not is_ours(K)],
    [put(K, V) || {K, V} <- Dict, not is_ours(K)],
    ok.

is_ours(K) ->
    lists:member(K, [?SAVED, ?MODE, ?LEARNT, ?BEFORE]).

proof(State) ->
    throw(case get(?SAVED) of
              undefined -> true;
              {Old, _} -> Old =:= State
          end).

forget(_) ->
    forget_saved(),
    throw(forgotten).

forget_saved() ->
    [erase(K) || K <- [?SAVED, ?MODE, ?LEARNT, ?BEFORE]],
    ok.

%% Between a code_change that is made for its callback mode alone, whose result is not wanted.
keep_mode(State) ->
    put(?MODE, {State}),
    throw(saved).

rest_mode(_) ->
    {State} = get(?MODE),
    State.

%% A gen_event calls the fun for each of its handlers.
save_event({M, Id, State}) ->
    put({?SAVED, M, Id}, {State}),
    throw(saved).

rest_event({M, Id, State}) ->
    case get({?SAVED, M, Id}) of
        {Old} -> {M, Id, Old};
        undefined -> {M, Id, State}
    end.

forget_event({M, Id, _}) ->
    erase({?SAVED, M, Id}),
    throw(forgotten).
