%% SPDX-License-Identifier: Apache-2.0
%% The module relsup under an Elixir name, for a node that has Elixir: what is not there is nil.
-module('Elixir.Relsup').
-relsup_face(source_hash).
-export([status/0, upgrade/1, upgrade/2, peer/0, upgrading/0, 'upgrading?'/0]).

status() -> relsup:status().

upgrade(Release) -> relsup:upgrade(Release).

upgrade(Release, Options) -> relsup:upgrade(Release, Options).

peer() ->
    case relsup:peer() of
        {ok, #{other := undefined} = Peer} -> {ok, Peer#{other := nil}};
        Answer -> Answer
    end.

upgrading() -> relsup:upgrading().

'upgrading?'() -> relsup:upgrading().
