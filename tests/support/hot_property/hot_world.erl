%% SPDX-License-Identifier: Apache-2.0
%% A random world: applications with their modules and supervision trees. Draws from rand(3)'s process
%% dictionary. hot_change.erl makes the next version of one.
%%
%%   World  #{apps := [App], mods := #{Module => Mod}, conf := #{AppName => Env}, mode := "embedded" |
%%          "interactive"}; applications in an order in which they can start
%%   App    #{name, vsn, type, deps, env, cb, top, appup}
%%   Mod    #{name, app, kind, rev, vsn, salt, spoil, prev, ...}; kind is lib, app, sup, server, statem,
%%          special, event or handler. `prev` is the Mod of the version before, if it changed.
%%   Child  #{id, mod, restart, shutdown, type, modules} of a sup
%%
%% A key names a worker: {Sup, Id}, or {Key, Handler} for one of an event manager. No name is used for
%% two things, in whatever version.
-module(hot_world).

-export([new/0, keys/1, keys_of/2, statics/1, mods/2, app/2, order/1, below/2, of_kind/2, depth/2]).
-export([add_app/2, add_lib/2, add_child/3, visible_libs/2, edit/3, edit_app/3, tidy/1]).
-export([env/1, type/0, vsn/0, shape/0, mode/0]).
-export([pick/1, chance/1, some/1, unique/1]).

%%% Chance

pick([]) -> none;
pick(L) -> lists:nth(rand:uniform(length(L)), L).

chance(Percent) -> rand:uniform(100) =< Percent.

some(L) -> [X || X <- L, chance(50)].

unique(Prefix) ->
    N = case get(unique) of undefined -> 1; Last -> Last + 1 end,
    put(unique, N),
    list_to_atom(Prefix ++ integer_to_list(N)).

times(0, _, W) -> W;
times(N, Fun, W) -> times(N - 1, Fun, Fun(W)).

%%% Looking

of_kind(Kinds, #{mods := Mods}) ->
    [M || {_, M = #{kind := Kind}} <- lists:sort(maps:to_list(Mods)), lists:member(Kind, Kinds)].

mods(App, #{mods := Mods}) ->
    [M || {_, M = #{app := A}} <- lists:sort(maps:to_list(Mods)), A =:= App].

app(Name, #{apps := Apps}) ->
    [App] = [A || A = #{name := N} <- Apps, N =:= Name],
    App.

%% With all that they need.
below(Apps, W) ->
    lists:append([[A | below(maps:get(deps, app(A, W)), W)] || A <- Apps]).

%% All modules of supervised processes, in the order in which they start.
order(W = #{apps := Apps}) ->
    lists:append([tree(Top, W) || #{top := Top} <- Apps]).

tree(Name, W = #{mods := Mods}) ->
    case maps:get(Name, Mods) of
        #{kind := sup, children := Children} ->
            [Name | lists:append([tree(M, W) || #{mod := M} <- Children])];
        _ -> [Name]
    end.

%% Supervisors that name their children.
statics(W) ->
    [S || S = #{strategy := Strategy} <- of_kind([sup], W), Strategy =/= simple_one_for_one].

depth(Sup, W) ->
    case [Parent || #{name := Parent, children := Cs} <- statics(W), #{mod := M} <- Cs, M =:= Sup] of
        [] -> 1;
        [Parent] -> 1 + depth(Parent, W)
    end.

%% #{Key => Module} of what runs without being asked for.
keys(W = #{mods := Mods}) ->
    maps:from_list([KM || #{name := Sup, children := Children} <- statics(W),
                          #{id := Id, mod := M} <- Children, KM <- keys_of({Sup, Id}, maps:get(M, Mods))]).

keys_of(_, #{kind := sup}) -> [];
keys_of(Key, #{kind := event, handlers := Hs}) -> [{{Key, handler(H)}, handler(H)} || H <- Hs];
keys_of(Key, #{name := M}) -> [{Key, M}].

visible_libs(App, W) ->
    Apps = [App | maps:get(deps, app(App, W))],
    [M || #{name := M, app := A} <- of_kind([lib], W), lists:member(A, Apps)].

%% Named workers that have started when a process of Mod does.
earlier(#{name := Name, app := App}, W = #{mods := Mods}) ->
    Deps = maps:get(deps, app(App, W)),
    Before = lists:takewhile(fun(M) -> M =/= Name end, order(W)),
    [M || M <- order(W),
          #{kind := Kind, named := true, app := A} <- [maps:get(M, Mods)],
          lists:member(Kind, [server, statem]),
          lists:member(A, Deps) orelse A =:= App andalso lists:member(M, Before)].

%%% Making

new() ->
    Mode = pick(["embedded", "embedded", "interactive"]),
    tidy(times(pick([1, 2, 3]), fun(W) -> add_app(none, W) end,
               #{apps => [], mods => #{}, conf => #{}, mode => Mode})).

put_mod(Mod = #{name := Name}, W = #{mods := Mods}) ->
    W#{mods := Mods#{Name => Mod}}.

mod(Kind, App, Prefix) ->
    #{name => unique(Prefix), kind => Kind, app => App, rev => 1, vsn => vsn(), salt => 0,
      spoil => none, prev => none}.

vsn() ->
    pick([default, default, rand:uniform(99), "r" ++ integer_to_list(rand:uniform(99)), some_vsn]).

add_app(Spoil, W = #{apps := Apps, conf := Conf}) ->
    Name = unique("a"),
    App = #{name => Name, vsn => 1, type => type(), deps => some([N || #{name := N} <- Apps]), env => env([]),
            appup => none},
    W1 = times(pick([1, 2, 3]), fun(X) -> add_lib(Name, X) end,
               W#{apps := Apps ++ [App], conf := case chance(50) of
                                                     true -> Conf#{Name => env(maps:get(env, App))};
                                                     false -> Conf
                                                 end}),
    {Top, W2} = add_sup(Name, 1, W1),
    Cb = (mod(app, Name, "cb"))#{top => Top, listens => chance(60), spoil := Spoil},
    put_mod(Cb, W2#{apps := Apps ++ [App#{cb => maps:get(name, Cb), top => Top}]}).

add_lib(App, W) ->
    put_mod((mod(lib, App, "l"))#{calls => some(visible_libs(App, W))}, W).

type() -> pick([permanent, permanent, transient, temporary]).

%% Some keys that are there already, and some others.
env(Env) ->
    some([{K, rand:uniform(1000)} || {K, _} <- Env])
        ++ [{unique("k"), rand:uniform(1000)} || _ <- lists:seq(1, pick([0, 1, 2]))].

add_sup(App, Depth, W) ->
    Strategies = [one_for_one, rest_for_one, one_for_all],
    Sup = #{name := Name} =
        (mod(sup, App, "s"))#{named => chance(60), intensity => pick([10, 20]), old_form => chance(25),
                              strategy => pick(Strategies), children => []},
    {Name, times(pick([1, 2, 3]), fun(X) -> add_child(Name, Depth, X) end, put_mod(Sup, W))}.

add_child(Sup, Depth, W) ->
    App = maps:get(app, maps:get(Sup, maps:get(mods, W))),
    case rand:uniform(10) of
        N when N =< 2, Depth < 3 ->
            {Name, W1} = add_sup(App, Depth + 1, W),
            put_child(Sup, child(Name, supervisor), W1);
        N when N =< 4, Depth < 3 ->
            {Name, W1} = add_simple(App, W),
            put_child(Sup, child(Name, supervisor), W1);
        N ->
            case pick([M || M = #{app := A, named := false} <- of_kind([server, statem, special], W),
                            A =:= App, N =:= 5]) of
                none ->
                    {Name, W1} = add_worker(App, chance(50), W),
                    put_child(Sup, dynamic(child(Name, worker), maps:get(Name, maps:get(mods, W1))), W1);
                #{name := Name} -> put_child(Sup, child(Name, worker), W)
            end
    end.

put_child(Sup, Child, W) ->
    edit(Sup, fun(S = #{children := Cs}) -> S#{children := insert(Child, Cs)} end, W).

insert(X, L) ->
    {Before, After} = lists:split(rand:uniform(length(L) + 1) - 1, L),
    Before ++ [X | After].

child(M, Type) ->
    #{id => unique("c"), mod => M, restart => pick([permanent, permanent, transient]),
      shutdown => case Type of supervisor -> infinity; worker -> pick([500, 1000, 5000]) end,
      type => Type, modules => [M]}.

%% Who has an event manager for a child cannot tell its handlers.
dynamic(Child, #{kind := event}) -> Child#{modules := pick([dynamic, maps:get(modules, Child)])};
dynamic(Child, _) -> Child.

add_simple(App, W) ->
    {Worker, W1} = add_worker(App, false, W),
    Child = (child(Worker, worker))#{restart := pick([permanent, transient, temporary])},
    Sup = #{name := Name} =
        (mod(sup, App, "s"))#{named => chance(60), intensity => 10, old_form => chance(25),
                              strategy => simple_one_for_one, children => [Child]},
    {Name, put_mod(Sup, W1)}.

add_worker(App, Named, W) ->
    case pick([server, server, server, statem, statem, special, event]) of
        event ->
            {Handlers, W1} = add_handlers(App, pick([1, 2]), W),
            Mod = (mod(event, App, "w"))#{named => Named, asks => [], handlers => Handlers},
            {maps:get(name, Mod), put_mod(Mod, W1)};
        Kind ->
            Mod = (stateful(Kind, App, "w", W))#{named => Named andalso Kind =/= special, asks => [],
                                                 entered => not Named andalso chance(25)},
            {maps:get(name, Mod), put_mod(Mod#{asks := some(earlier_of(Mod, W))}, W)}
    end.

%% Before it has a place: what other applications have. tidy/1 looks at it again.
earlier_of(Mod, W) ->
    earlier(Mod, put_mod(Mod, W)) -- [M || #{name := M, app := A} <- of_kind([server, statem], W),
                                           A =:= maps:get(app, Mod)].

add_handlers(App, N, W) ->
    Hs = [stateful(handler, App, "h", W) || _ <- lists:seq(1, N)],
    {[pick([H, {H, id}]) || #{name := H} <- Hs], lists:foldl(fun put_mod/2, W, Hs)}.

stateful(Kind, App, Prefix, W) ->
    Mod = (mod(Kind, App, Prefix))#{calls => some(visible_libs(App, W)), shape => shape(), cc => chance(80),
                                    delta => 0, extra => {[], []}, idle => chance(20)},
    case Kind of
        statem -> Mod#{mode => mode(), states => pick(["", "_x"])};
        _ -> Mod
    end.

shape() -> rand:uniform(4).

mode() ->
    pick([[state_functions], [handle_event_function], [state_functions, state_enter],
          [handle_event_function, state_enter]]).

edit(Name, Fun, W = #{mods := Mods}) ->
    W#{mods := Mods#{Name := Fun(maps:get(Name, Mods))}}.

edit_app(Name, Fun, W = #{apps := Apps}) ->
    W#{apps := [case App of #{name := Name} -> Fun(App); _ -> App end || App <- Apps]}.

%%% What follows from the rest: the order of the applications; no module that nobody starts; nobody
%%% calls what is not there, or asks what has not started.

tidy(W = #{apps := Apps, conf := Conf}) ->
    Names = [N || #{name := N} <- Apps],
    Known = [App#{deps := [D || D <- Deps, lists:member(D, Names)]} || App = #{deps := Deps} <- Apps],
    W1 = collect(W#{apps := sort(Known, []), conf := maps:with(Names, Conf)}),
    W1#{mods := maps:map(fun(_, Mod) -> tidy_mod(Mod, W1) end, maps:get(mods, W1))}.

sort([], Sorted) ->
    lists:reverse(Sorted);
sort(Apps, Sorted) ->
    Placed = [N || #{name := N} <- Sorted],
    [Next | _] = [A || A = #{deps := Deps} <- Apps, Deps -- Placed =:= []],
    sort(lists:delete(Next, Apps), [Next | Sorted]).

collect(W = #{apps := Apps, mods := Mods}) ->
    Started = order(W),
    Handlers = [handler(H) || M <- Started, #{kind := event, handlers := Hs} <- [maps:get(M, Mods)], H <- Hs],
    Cbs = [Cb || #{cb := Cb} <- Apps],
    Names = [N || #{name := N} <- Apps],
    Libs = [M || #{name := M, app := App} <- of_kind([lib], W), lists:member(App, Names)],
    W#{mods := maps:with(Started ++ Handlers ++ Cbs ++ Libs, Mods)}.

handler({H, _}) -> H;
handler(H) -> H.

tidy_mod(Mod = #{calls := Calls, app := App}, W) ->
    Libs = visible_libs(App, W),
    tidy_asks(Mod#{calls := [C || C <- Calls, lists:member(C, Libs)]}, W);
tidy_mod(Mod, W) ->
    tidy_asks(Mod, W).

tidy_asks(Mod = #{asks := Asks}, W) ->
    Earlier = earlier(Mod, W),
    Mod#{asks := [M || M <- Asks, lists:member(M, Earlier)]};
tidy_asks(Mod, _) ->
    Mod.
