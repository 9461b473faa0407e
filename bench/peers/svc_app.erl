%% SPDX-License-Identifier: ISC
%% The distributed application: what it does at each step of a takeover and of a failover.
-module(svc_app).
-behaviour(application).
-export([start/2, start_phase/3, prep_stop/1, stop/1]).

start(Type, []) ->
    svc_sup:start_link(Type).

%% The state is with the former instance, which still serves.
start_phase(takeover, {takeover, From}, []) ->
    svc_server:fetch(From);
start_phase(takeover, _Type, []) ->
    ok;
%% From here on calls by the names come to this instance.
start_phase(go, _Type, []) ->
    ok = svc_server:go(),
    application:set_env(svc, done, os:perf_counter(nanosecond)).

prep_stop(State) ->
    State.

stop(_State) ->
    ok.
