%% SPDX-License-Identifier: Apache-2.0
%% Code: read and checked, prepared, loaded all or none, put back; code paths; and what keeps a
%% version from being purged.
-module(relsup_hot_code).

-export([read/1, take_in/4, prepare/1, load/1, check_old/3, purge/1, check_awake/1, order/1, vsn/1, literals/1]).
-export([kept_closures/1, leave/2, undo/2, is_loaded/2, delete/1, purge_after/3, remember_closures/1]).
-export([move_paths/1, del_paths/1, set_path/1]).

-import(relsup_hot_text, [refuse/2, in_use/2, fail/2, names/1, mods/1, text/2, gather/1]).
-import(relsup_hot_sys, [left/1, now_ms/0]).

-define(COLLECT_MS, 5000).
-define(AGAIN_MS, 50).
-define(END_MS, 1000).

%% What is read of the modules that differ:
%% load, back  #{Module => {Module, File, Binary}} for the way in and for the way back
%% olds        [{Module, Md5}] of what is loaded now and changes or goes
%% added, removed, asleep   [Module]; asleep: changed, but not loaded
read(Mods) ->
    gather([fun() -> check_module(M) end || M <- Mods]),
    Read = lists:append([read_module(M) || M <- Mods]),
    Get = fun(Tag) -> [X || {T, X} <- Read, T =:= Tag] end,
    Map = fun(Tag) -> maps:from_list([{element(1, X), X} || X <- Get(Tag)]) end,
    #{load => Map(load), back => Map(back), olds => Get(old), added => Get(added),
      removed => Get(removed), asleep => Get(asleep)}.

check_module({App, M, _, _, _}) when App =:= kernel; App =:= stdlib; App =:= erts ->
    refuse("module ~ts of ~ts changes, and cannot in a running node: use --swap", [M, App]);
check_module({_, M, <<>>, _, _}) ->
    erlang:module_loaded(M) andalso
        refuse("module ~ts is new, but already loaded from ~ts: use --swap", [M, which(M)]);
check_module({_, M, Old, _, NewMd5}) ->
    state(M, NewMd5) =:= loaded andalso check_loaded(M, Old).

%% An appup may have left a module as it was: it is not that of the release that runs, and may be that
%% of the new one.
state(M, NewMd5) ->
    case erlang:module_loaded(M) andalso M:module_info(md5) of
        false -> asleep;
        NewMd5 -> there;
        _ -> loaded
    end.

check_loaded(M, Old) ->
    code:is_sticky(M) andalso
        refuse("module ~ts is sticky, a part of Erlang itself: use --swap", [M]),
    M:module_info(nifs) =:= [] orelse
        refuse("module ~ts has native functions (NIFs), which cannot be exchanged safely: "
               "use --swap", [M]),
    read_back(M, Old) =/= none orelse
        refuse("module ~ts in memory is not that of ~ts, so there would be no way back: "
               "use --swap", [M, Old]).

%% The file of what is in memory, for the way back.
read_back(M, Old) ->
    Md5 = M:module_info(md5),
    first([fun() -> {ok, Bin} = file:read_file(File), Md5 = code:module_md5(Bin), Bin end
           || File <- [Old, which(M)]]).

first([]) -> none;
first([Read | Rest]) -> try Read() catch error:{badmatch, _} -> first(Rest) end.

read_module({_, M, <<>>, New, Md5}) ->
    [{added, M}, {load, {M, file(New), read_beam(M, New, Md5)}}];
read_module({_, M, Old, New, NewMd5}) ->
    case state(M, NewMd5) of
        there -> [];
        asleep when New =:= <<>> -> [];
        asleep -> [{asleep, M}];
        loaded -> [{old, {M, M:module_info(md5)}}, {back, {M, which(M), read_back(M, Old)}}
                   | case New of
                         <<>> -> [{removed, M}];
                         _ -> [{load, {M, file(New), read_beam(M, New, NewMd5)}}]
                     end]
    end.

read_beam(M, Path, Md5) ->
    case file:read_file(Path) of
        {ok, Bin} ->
            code:module_md5(Bin) =:= Md5 orelse
                refuse("~ts changed while the upgrade was planned: try again", [Path]),
            Bin;
        {error, Why} ->
            refuse("module ~ts: ~ts: ~ts", [M, Path, file:format_error(Why)])
    end.

%% With what an appup does with modules that nobody else would touch: it loads one that was not loaded, or
%% removes one that is the same in both releases.
take_in(Loads, Removes, Mods, Code = #{load := Load, back := Back, olds := Olds, added := Added, asleep := Asleep}) ->
    Woken = [M || M <- Asleep, lists:member(M, Loads)],
    New = [{M, {M, file(File), read_beam(M, File, Md5)}} || {_, M, _, File, Md5} <- Mods, lists:member(M, Woken)],
    Gone = [M || M <- Removes, erlang:module_loaded(M), not lists:keymember(M, 1, Olds), not lists:member(M, Loads)],
    gather([fun() -> check_loaded(M, which(M)) end || M <- Gone]
           ++ [fun() -> check_known(M, Code) end || M <- Loads]),
    Code#{load := maps:merge(Load, maps:from_list(New)), added := Woken ++ Added, asleep := Asleep -- Woken,
          olds := [{M, M:module_info(md5)} || M <- Gone] ++ Olds,
          back := maps:merge(Back, maps:from_list([{M, {M, which(M), read_back(M, which(M))}} || M <- Gone]))}.

check_known(M, #{load := Load, removed := Removed}) ->
    is_map_key(M, Load) orelse not lists:member(M, Removed)
        andalso (erlang:module_loaded(M) orelse code:where_is_file(atom_to_list(M) ++ ".beam") =/= non_existing)
        orelse refuse("an appup loads module ~ts, which the new release does not have", [M]).

%% A prepared term serves one finish_loading; used twice it takes the VM down (facts: code_server
%% crashes), hence one for the way in and one for the way back.
prepare([]) ->
    none;
prepare(Load) ->
    case code:prepare_loading(Load) of
        {ok, Prepared} -> Prepared;
        {error, Errors} -> gather([fun() -> refuse_prepare(E) end || E <- Errors])
    end.

refuse_prepare({M, on_load_not_allowed}) ->
    refuse("module ~ts has an on_load function and cannot be loaded together with others: "
           "use --swap", [M]);
refuse_prepare({M, Why}) ->
    refuse("module ~ts cannot be loaded: ~0tp", [M, Why]).

load(none) ->
    ok;
load(Prepared) ->
    case code:finish_loading(Prepared) of
        ok -> ok;
        {error, [{M, Why} | _]} -> fail("module ~ts did not load: ~0tp", [M, Why])
    end.

%% The slot of old code must be free, for the way in and for the way back. Purging is done ahead of
%% the pause: it asks every process, 15 ms a module with 10,000 of them.
check_old(Mode, Ms, Until) ->
    Old = [M || M <- Ms, erlang:check_old_code(M)],
    Kept = [M || M <- Old, holders(M) =/= []],
    Kept =:= [] orelse collect_garbage(),
    Counted = [M || M <- Kept, holders(M) =/= []],
    Found = case is_counted() andalso Counted of
                [] -> [];
                _ -> relsup_hot_hold:funs(maps:from_list([{M, {isnt, M:module_info(md5)}} || M <- Old]))
            end,
    gather([fun() -> refuse_held(M, Found) end || M <- lists:usort(Counted ++ [M || {_, M} <- Found])]),
    gather([fun() -> refuse_used(Mode, M) end || M <- still_used(Mode, Old, Until)]).

%% Who finishes something in that code leaves it by then.
still_used(Mode, Ms, Until) ->
    Used = [M || M <- Ms, case Mode of
                              check -> relsup_hot_find:users([M]) =/= [];
                              apply -> not code:soft_purge(M)
                          end],
    case {Used, left(Until)} of
        {[], _} -> [];
        {_, 0} -> Used;
        _ -> timer:sleep(?AGAIN_MS), still_used(Mode, Used, Until)
    end.

refuse_used(Mode, M) ->
    case relsup_hot_find:users([M]) of
        [] -> Mode =:= check orelse code:soft_purge(M);
        Pids ->
            in_use("~ts still runs the code of ~ts from before the last upgrade, whose place is needed: try again "
                   "when it is done, or use --swap",
                   [relsup_hot_text:listed([relsup_hot_wait:describe(P, M) || P <- Pids]), M])
    end.

%% Of modules whose appup says that who runs their old code is to be ended.
purge(Ms) ->
    [code:purge(M) || M <- Ms, erlang:check_old_code(M)],
    ok.

%% As the appup says. A closure of that code that somebody keeps is worth more than the memory: it
%% would become badfun, and release_handler would let it. Who finishes something there has time until then.
purge_after(_, none, _) ->
    ok;
purge_after(M, Mode, Until) ->
    case erlang:check_old_code(M) andalso
        holders(M) ++ [H || not is_counted(), H <- relsup_hot_hold:funs(#{M => {isnt, M:module_info(md5)}})] of
        [] when Mode =:= brutal_purge -> still_used(apply, [M], Until) =:= [] orelse code:purge(M);
        [] -> code:soft_purge(M);
        _ -> ok
    end.

%% soft_purge does not see closures, which would become badfun (erlang:check_process_code/2 looks at
%% stacks only). A fun of that version is made from its external form, and the VM counts who refers
%% to its entry: the one made here, and one more that belongs to the module.
refuse_held(M, Found) ->
    Who = case [relsup_hot_hold:who(H) || {H, M1} <- Found, M1 =:= M] of
              [] -> "somebody";
              Names -> relsup_hot_text:listed(Names)
          end,
    {Count, Verb} = case holders(M) of
                        [_, _ | _] = Held -> {[integer_to_list(length(Held)), " closures"], "are"};
                        _ -> {"1 closure", "is"}
                    end,
    refuse("~ts of ~ts from before the last upgrade ~ts still kept by ~ts and would be lost: use --swap",
           [Count, M, Verb, Who]).

holders(M) ->
    [F || is_counted(), F <- maps:get(M, application:get_env(relsup, closures, #{}), []), held(F)].

%% From OTP 26 on those without free variables are literals of their module, and later versions count none of
%% those that a process has: they are looked for (relsup_hot_hold).
is_counted() ->
    list_to_integer(erlang:system_info(otp_release)) < 26.

%% [{Holder, Module}] of closures of the code that is about to become old.
kept_closures(Back) ->
    Ms = [M || {M, _, Bin} <- maps:values(Back),
               not is_counted() orelse lists:any(fun held/1, closures(M, Bin))],
    relsup_hot_hold:funs(maps:from_list([{M, {is, M:module_info(md5)}} || M <- Ms])).

%% What nobody can reach any more counts until the one who had it collects his garbage: supervisors that
%% took new children over keep the functions of the old ones that long.
collect_garbage() ->
    Ref = make_ref(),
    Until = now_ms() + ?COLLECT_MS,
    Asked = [erlang:garbage_collect(P, [{async, Ref}]) || P <- processes()],
    [receive {garbage_collect, Ref, _} -> ok after left(Until) -> ok end || _ <- Asked],
    ok.

held({M, Arity, Uniq, Index, OldIndex, OldUniq}) ->
    Self = term_to_binary(self()),
    <<131, Pid/binary>> = Self,
    Body = <<Arity, Uniq:16/binary, Index:32, 0:32, (ext(M))/binary, (ext(OldIndex))/binary,
             (ext(OldUniq))/binary, Pid/binary>>,
    Fun = binary_to_term(<<131, 112, (byte_size(Body) + 4):32, Body/binary>>),
    {refc, N} = erlang:fun_info(Fun, refc),
    N > 2.

ext(Term) ->
    <<131, Bin/binary>> = term_to_binary(Term),
    Bin.

%% The functions of the code that has just become old, for the upgrade after this one.
remember_closures(Back) ->
    Known = application:get_env(relsup, closures, #{}),
    New = maps:from_list([{M, closures(M, Bin)} || {M, _, Bin} <- Back]),
    application:set_env(relsup, closures, maps:merge(Known, New)).

closures(M, Bin) ->
    {ok, {M, Md5}} = beam_lib:md5(Bin),
    case beam_lib:chunks(Bin, ["FunT"], [allow_missing_chunks]) of
        {ok, {_, [{_, <<_:32, Entries/binary>>}]}} ->
            [{M, Arity - Free, Md5, Index, Index, OldUniq}
             || <<_Name:32, Arity:32, _Label:32, Index:32, Free:32, OldUniq:32>> <= Entries];
        _ -> []
    end.

%% A module that was not loaded needs no loading: it comes from the new path when it is called. One
%% that was called in the meantime came from the old path.
check_awake(Asleep) ->
    case [M || M <- Asleep, erlang:module_loaded(M)] of
        [] -> ok;
        Ms -> fail("~ts was loaded during the upgrade: try again", [mods(Ms)])
    end.

delete(Ms) ->
    [begin code:delete(M), code:soft_purge(M) end || M <- Ms, erlang:module_loaded(M)],
    ok.

%% As release_handler gives it to code_change (release_handler_1:get_vsn/1): the attribute is a list,
%% of one term unless it is a string. It is gone from a module that beam_lib stripped.
vsn(Bin) when is_binary(Bin) ->
    case beam_lib:version(Bin) of
        {ok, {_, Vsn}} -> vsn(Vsn);
        {error, _, _} -> undefined
    end;
vsn([Vsn]) when not is_integer(Vsn); Vsn < 32; Vsn > 255 ->
    Vsn;
vsn(Vsn) ->
    Vsn.

%% The terms of a chunk "LitT", which OTP 28 and later do not compress.
literals(<<0:32, Table/binary>>) -> literal(Table);
literals(<<_:32, Packed/binary>>) -> literal(zlib:uncompress(Packed));
literals(_) -> [].

literal(<<_:32, Terms/binary>>) ->
    [binary_to_term(Term) || <<Size:32, Term:Size/binary>> <= Terms].

%% Callees before their callers, as far as they do not call each other.
order(Load) ->
    G = digraph:new(),
    [digraph:add_vertex(G, M) || {M, _, _} <- lists:keysort(1, Load)],
    [digraph:add_edge(G, M, Callee) || {M, _, Bin} <- Load, Callee <- callees(Bin), Callee =/= M],
    Order = digraph_utils:postorder(G),
    digraph:delete(G),
    Order.

callees(Bin) ->
    case beam_lib:chunks(Bin, [imports]) of
        {ok, {_, [{imports, Imports}]}} -> lists:usort([M || {M, _, _} <- Imports]);
        {error, _, _} -> []
    end.

%%% The way back

%% Waits until nobody is inside of the code of before, which is what the second load of it needs.
leave(#{olds := Olds}, Until) ->
    _ = unpurged([M || {M, Md5} <- Olds, not is_loaded(M, Md5)], Until),
    ok.

%% Of a module whose code of before may be gone from memory; `Undo` is prepared, `Olds` says what
%% there was.
undo(K = #{undo := Undo, olds := Olds, added := Added}, Until) ->
    case [M || {M, Md5} <- Olds, not is_loaded(M, Md5)] of
        [] -> delete(Added);
        _ ->
            case unpurged([M || {M, _} <- Olds], Until) of
                [] -> put_back(Undo, Added);
                Ms -> undo_used(Ms, relsup_hot_wait:still_in_old(maps:get(kept, K, [])), K)
            end
    end.

%% Only one instance of the old code can be there beside the new code, and who was kept in it had the time
%% to leave; so had who runs a module of an appup, which says nothing of him. A caller that came between the
%% last look and the load waits for a process that is held, and cannot. Returns {ended, Text} where somebody
%% had to be ended.
undo_used(Ms, Kept, #{undo := Undo, added := Added} = K) ->
    Own = [M || M <- Ms, is_map_key(M, maps:get(own, K, #{}))],
    Pids = lists:usort([P || {P, M} <- Kept, lists:member(M, Ms)] ++ [P || Own =/= [], P <- relsup_hot_find:users(Own)]
                       ++ [P || P <- relsup_hot_find:users(Ms), relsup_hot_callers:waits_for(P) =/= []]),
    Ended = text("~ts was still in the old code, and was ended", [names(Pids)]),
    [exit(P, kill) || P <- Pids],
    case unpurged(Ms, now_ms() + ?END_MS) of
        [] ->
            case put_back(Undo, Added) of
                ok when Pids =/= [] -> {ended, Ended};
                Result -> Result
            end;
        Still -> text("the old code of ~ts cannot come back, ~ts still runs it",
                      [mods(Still), names(relsup_hot_find:users(Still))])
    end.

is_loaded(M, Md5) ->
    erlang:module_loaded(M) andalso M:module_info(md5) =:= Md5.

put_back(none, Added) ->
    delete(Added);
put_back(Undo, Added) ->
    case code:finish_loading(Undo) of
        ok -> delete(Added);
        {error, Why} -> text("the old code did not load: ~0tp", [Why])
    end.

%% A request that passes through an old module needs a moment to leave it.
unpurged(Ms, Until) ->
    case [M || M <- Ms, erlang:check_old_code(M), not code:soft_purge(M)] of
        [] -> [];
        Rest ->
            case left(Until) of
                0 -> Rest;
                _ -> timer:sleep(10), unpurged(Rest, Until)
            end
    end.

%%% Paths

move_paths(#{apps := Apps, old_consolidated := Old, new_consolidated := New}) ->
    [case code:replace_path(App, file(NewEbin)) of
         true -> ok;
         {error, Why} -> fail("code path of ~ts: ~ts: ~0tp", [App, NewEbin, Why])
     end || {App, OldVsn, NewVsn, _, NewEbin, _} <- Apps, OldVsn =/= <<>>, NewVsn =/= <<>>],
    add_paths([file(Ebin) || {_, <<>>, _, _, Ebin, _} <- Apps]),
    move_consolidated(Old, New),
    clear_cache().

add_paths(Ebins) ->
    [code:add_pathz(Ebin) =:= true orelse fail("code path: ~ts is not taken", [Ebin])
     || Ebin <- Ebins],
    ok.

%% By the names of the applications: one that did not change lately has its path in an older release.
del_paths(Apps) ->
    [code:del_path(App) || App <- Apps],
    clear_cache().

move_consolidated(Old, New) when Old =:= <<>>; New =:= <<>> ->
    ok;
move_consolidated(Old, New) ->
    Id = file_id(Old),
    Path = [case filename:basename(P) =:= "consolidated" andalso file_id(P) =:= Id of
                true -> file(New);
                false -> P
            end || P <- code:get_path()],
    set_path(Path) =:= true orelse fail("code path: ~ts is not taken", [New]).

%% code:set_path/1 takes all of a list or none, and not a folder that has vanished.
set_path(Path) ->
    code:set_path([P || P <- Path, erl_prim_loader:read_file_info(P) =/= error]).

%% A path may go through a symbolic link: the folder decides, not its name.
file_id(Path) ->
    case file:read_file_info(Path, [raw]) of
        {ok, Info} -> {element(10, Info), element(12, Info)};
        {error, _} -> Path
    end.

%% OTP 26 and later keep what they read of the code path.
clear_cache() ->
    erlang:function_exported(code, clear_cache, 0) andalso apply(code, clear_cache, []),
    ok.

file(Path) ->
    unicode:characters_to_list(Path).

which(M) ->
    case code:which(M) of
        File when is_list(File) -> File;
        Other -> atom_to_list(Other)
    end.
