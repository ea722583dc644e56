%% SPDX-License-Identifier: Apache-2.0
-module(shop_http).
-export([start_link/1, handle/1]).

start_link(Port) ->
    mochiweb_http:start_link([
        {name, ?MODULE},
        {ip, {127, 0, 0, 1}},
        {port, Port},
        {loop, {?MODULE, handle}}
    ]).

handle(Request) ->
    try
        answer(mochiweb_request:get(path, Request), Request)
    catch
        exit:{timeout, _} -> respond(503, "busy", Request)
    end.

answer("/version", Request) ->
    respond(200, version(), Request);
answer("/count", Request) ->
    respond(200, integer_to_list(shop_counter:next()), Request);
answer("/pid", Request) ->
    respond(200, os:getpid(), Request);
answer("/slow", Request) ->
    timer:sleep(2000),
    respond(200, version(), Request);
answer(_, Request) ->
    respond(404, "not here", Request).

respond(Status, Line, Request) ->
    Body = [Line, "\n"],
    mochiweb_request:respond({Status, [{"content-type", "text/plain"}], Body}, Request).

version() ->
    "shop 0.1.0".
