%% SPDX-License-Identifier: ISC
-module(svc_sup).
-behaviour(supervisor).
-export([start_link/1, init/1]).

start_link(Type) ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, Type).

init(Type) ->
    Server = #{id => svc_server, start => {svc_server, start_link, [Type]}, shutdown => 5000},
    {ok, {#{strategy => one_for_one, intensity => 3, period => 5}, [Server]}}.
