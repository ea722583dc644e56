%% SPDX-License-Identifier: Apache-2.0
%% The module relsup under an Elixir name, for a node that has Elixir.
-module('Elixir.Relsup').
-relsup_face(source_hash).
-export([status/0, upgrade/1, upgrade/2, peer/0, upgrading/0, 'upgrading?'/0]).

status() -> relsup:status().

upgrade(Release) -> relsup:upgrade(Release).

upgrade(Release, Options) -> relsup:upgrade(Release, Options).

peer() -> relsup:peer().

upgrading() -> relsup:upgrading().

'upgrading?'() -> relsup:upgrading().
